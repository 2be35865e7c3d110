//! The modules of one kernel that its machines can need, and the order to load them in.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::modinfo::{ModInfo, is_module_name};
use super::table::{Table, alternatives, normalised};
use super::{KernelError, unpack};

/// The most that one module unpacks to.
pub const LARGEST: u64 = 64 << 20;

/// Where modules come from: names, normalised, to their files' bytes as they are stored.
pub trait Source {
    /// Is there a module of this name?
    fn has(&self, name: &str) -> bool;
    /// Its bytes, perhaps compressed.
    fn read(&mut self, name: &str) -> io::Result<Vec<u8>>;
    /// Text of `modules.builtin`, if there is one.
    fn built_in(&self) -> Option<&str>;
}

/// A module in memory, decompressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// The ELF file.
    pub bytes: Vec<u8>,
    /// What it says of itself.
    pub info: ModInfo,
}

/// The modules of the table that a kernel has, with all that they depend on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModuleSet {
    modules: BTreeMap<String, Module>,
    /// What is built into the kernel; none if nothing tells.
    built_in: Option<BTreeSet<String>>,
}

impl ModuleSet {
    /// For a kernel without modules, of which nothing tells what is built in.
    pub fn unknown() -> Self {
        Self::default()
    }

    /// Takes from `source` what the table names, and all that depends on. Every module must have been
    /// built for `release`.
    pub fn collect(
        source: &mut dyn Source,
        table: &Table,
        release: &str,
    ) -> Result<Self, KernelError> {
        let built_in = source.built_in().map(built_in_names);
        let mut set = Self { modules: BTreeMap::new(), built_in };
        let mut wanted: Vec<String> = table.module_names().into_iter().collect();
        while let Some(name) = wanted.pop() {
            if set.modules.contains_key(&name) || !source.has(&name) {
                continue;
            }
            let stored = source.read(&name).map_err(KernelError::module(&name))?;
            let bytes = unpack::all(&stored, LARGEST).map_err(KernelError::module(&name))?;
            wanted.extend(set.insert(&name, bytes, release)?);
        }
        Ok(set)
    }

    /// Puts a module in; returns what it asks for.
    pub fn insert(
        &mut self,
        name: &str,
        bytes: Vec<u8>,
        release: &str,
    ) -> Result<Vec<String>, KernelError> {
        let info = ModInfo::parse(&bytes)
            .map_err(|source| KernelError::BadModule { name: name.to_owned(), source })?;
        if let Some(other) = info.release.as_deref().filter(|other| *other != release) {
            return Err(KernelError::OtherRelease {
                name: name.to_owned(),
                module: hospitium_system::text::short(other, 64),
                kernel: release.to_owned(),
            });
        }
        let asked = info.depends.iter().chain(&info.before).cloned().collect();
        self.modules.insert(name.to_owned(), Module { bytes, info });
        Ok(asked)
    }

    /// Sets what is built in; for a set that was stored.
    pub fn set_built_in(&mut self, names: Option<BTreeSet<String>>) {
        self.built_in = names;
    }

    /// What is built in of the table's modules and of what they depend on; none if nothing tells.
    pub fn built_in(&self) -> Option<&BTreeSet<String>> {
        self.built_in.as_ref()
    }

    /// All modules by name.
    pub fn modules(&self) -> &BTreeMap<String, Module> {
        &self.modules
    }

    /// The modules to load for a device of the table, in order; empty if all is built in. Why not,
    /// if the kernel has no driver for it.
    pub fn for_device(&self, table: &Table, device: &str) -> Result<Vec<String>, String> {
        let mut order = Vec::new();
        self.add_device(table, device, &mut order)?;
        Ok(order)
    }

    fn add_device(&self, table: &Table, name: &str, order: &mut Vec<String>) -> Result<(), String> {
        let device =
            table.device(name).ok_or_else(|| format!("nothing is known of a device {name:?}"))?;
        for needed in &device.needs {
            self.add_device(table, needed, order)?;
        }
        for entry in &device.modules {
            let Some(found) = alternatives(entry).find(|name| self.has(name)) else {
                return Err(format!("the kernel has no module {entry}"));
            };
            self.add_module(&found, order, 0)?;
        }
        for entry in &device.optional {
            if let Some(found) = alternatives(entry).find(|name| self.modules.contains_key(name)) {
                self.add_module(&found, order, 0)?;
            }
        }
        Ok(())
    }

    /// There, built in, or (where nothing tells) taken to be built in.
    fn has(&self, name: &str) -> bool {
        self.modules.contains_key(name) || self.built_in.as_ref().is_none_or(|b| b.contains(name))
    }

    fn add_module(&self, name: &str, order: &mut Vec<String>, depth: u32) -> Result<(), String> {
        // No kernel nests dependencies this deep; a circle does.
        const DEEPEST: u32 = 32;
        if order.iter().any(|loaded| loaded == name) {
            return Ok(());
        }
        let Some(module) = self.modules.get(name) else {
            return match self.has(name) {
                true => Ok(()),
                false => Err(format!("the module {name}, which another needs, is not there")),
            };
        };
        if depth == DEEPEST {
            return Err(format!("the module {name} depends on itself"));
        }
        for before in module.info.before.iter().filter(|b| self.modules.contains_key(*b)) {
            self.add_module(before, order, depth + 1)?;
        }
        for needed in &module.info.depends {
            self.add_module(needed, order, depth + 1)?;
        }
        if !order.iter().any(|loaded| loaded == name) {
            order.push(name.to_owned());
        }
        Ok(())
    }
}

/// The names in `modules.builtin`, whose lines are paths of the module files that there would be.
fn built_in_names(text: &str) -> BTreeSet<String> {
    text.lines().filter_map(module_name).collect()
}

/// The module's name from its file's: `kernel/drivers/nvme/host/nvme-core.ko.xz` is `nvme_core`.
pub fn module_name(path: &str) -> Option<String> {
    let file = path.rsplit('/').next()?;
    let stem = ["", ".xz", ".zst", ".gz"]
        .iter()
        .find_map(|packed| file.strip_suffix(packed)?.strip_suffix(".ko"))?;
    Some(normalised(stem)).filter(|name| is_module_name(name))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::modinfo::tests::module;
    use super::*;

    /// Modules in memory.
    pub struct Made {
        pub modules: BTreeMap<String, Vec<u8>>,
        pub built_in: Option<String>,
    }

    impl Made {
        pub fn new(modules: &[(&str, &str)], built_in: Option<&str>) -> Self {
            let made = modules.iter().map(|(name, depends)| {
                let info = format!("depends={depends}\0vermagic=6.1.0 SMP \0");
                ((*name).to_owned(), module(&info))
            });
            Self { modules: made.collect(), built_in: built_in.map(str::to_owned) }
        }
    }

    impl Source for Made {
        fn has(&self, name: &str) -> bool {
            self.modules.contains_key(name)
        }
        fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
            self.modules.get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
        }
        fn built_in(&self) -> Option<&str> {
            self.built_in.as_deref()
        }
    }

    pub fn table() -> Table {
        Table::from_toml(
            "[[device]]\nname = 'bus'\nmodules = ['bus-pci']\n\
             [[device]]\nname = 'disk'\nneeds = ['bus']\nmodules = ['disk | old_disk']\noptional = ['extra']\n",
        )
        .expect("a good table")
    }

    #[test]
    fn modules_come_after_all_that_they_depend_on() {
        let mut source = Made::new(
            &[
                ("disk", "core,bus-ring"),
                ("core", "sub"),
                ("sub", ""),
                ("bus_pci", "bus_ring"),
                ("bus_ring", ""),
                ("other", ""),
            ],
            Some(""),
        );
        let set = ModuleSet::collect(&mut source, &table(), "6.1.0").expect("good modules");
        assert!(!set.modules().contains_key("other"), "only what the table asks for");
        let order = set.for_device(&table(), "disk").expect("drivable");
        assert_eq!(order, ["bus_ring", "bus_pci", "sub", "core", "disk"]);
    }

    #[test]
    fn what_is_built_in_is_not_loaded_and_an_alternative_is_found() {
        let built_in = Some("kernel/drivers/bus-pci.ko\nkernel/lib/ring.ko\n");
        let mut source = Made::new(&[("old_disk", "ring"), ("extra", "")], built_in);
        let set = ModuleSet::collect(&mut source, &table(), "6.1.0").expect("good modules");
        assert_eq!(set.for_device(&table(), "bus"), Ok(vec![]));
        assert_eq!(set.for_device(&table(), "disk").expect("drivable"), ["old_disk", "extra"]);
    }

    #[test]
    fn a_missing_driver_or_dependency_says_which() {
        let mut source = Made::new(&[("disk", "gone")], Some("bus_pci.ko"));
        let set = ModuleSet::collect(&mut source, &table(), "6.1.0").expect("good modules");
        assert!(set.for_device(&table(), "disk").expect_err("not there").contains("gone"));
        let mut source = Made::new(&[], Some(""));
        let set = ModuleSet::collect(&mut source, &table(), "6.1.0").expect("good modules");
        assert!(set.for_device(&table(), "disk").expect_err("not there").contains("bus-pci"));
    }

    #[test]
    fn a_kernel_that_does_not_tell_what_is_built_in_is_taken_at_its_word() {
        assert_eq!(ModuleSet::unknown().for_device(&table(), "disk"), Ok(vec![]));
    }

    #[test]
    fn modules_that_depend_on_each_other_are_refused() {
        let mut source = Made::new(&[("bus_pci", "disk"), ("disk", "bus_pci")], Some(""));
        let set = ModuleSet::collect(&mut source, &table(), "6.1.0").expect("good modules");
        assert!(set.for_device(&table(), "disk").expect_err("a circle").contains("itself"));
    }

    #[test]
    fn modules_of_another_kernel_are_refused() {
        let mut source = Made::new(&[("disk", "")], Some(""));
        let error = ModuleSet::collect(&mut source, &table(), "6.2.0").expect_err("another");
        assert!(matches!(error, KernelError::OtherRelease { .. }), "{error}");
    }

    #[test]
    fn module_names_are_taken_from_paths() {
        assert_eq!(module_name("kernel/a/nvme-core.ko.xz").as_deref(), Some("nvme_core"));
        assert_eq!(module_name("8139cp.ko").as_deref(), Some("8139cp"));
        for none in ["modules.dep", "x.ko.bz2", ".ko", "a b.ko", "../..ko"] {
            assert_eq!(module_name(none), None, "{none}");
        }
    }
}
