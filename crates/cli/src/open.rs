//! From what a person names to a guest or a host that is ready.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use hospitium_guest::Guest;
use hospitium_host::{Reaper, Reapers};
use hospitium_host_qemu::{AcceleratorChoice, Qemu, QemuOptions, QemuReaper};
use hospitium_model::{
    Bus, ByteSize, ChannelKind, Chipset, Digest, Firmware, GuestFacts, NicModel, TpmVersion,
};
use hospitium_run::{Places, PlannedGuest, PlannedHost};
use hospitium_suite::StandardOptions;

use crate::args::{AcceleratorArgument, RunArguments};
use crate::definition::{GuestDefinition, HostDefinition, all, beside, named, read};
use crate::failure::Usage;
use crate::libvirt;
use crate::out::note;

/// What stands between a guest and the words for its kernel, where both are one text.
const APPEND: &str = " --append ";
/// The name of the installed hypervisor.
const INSTALLED: &str = "qemu-system-x86_64";

/// What the command line says about all machines; it wins over definitions.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    pub memory: Option<ByteSize>,
    pub vcpus: Option<u32>,
    pub firmware: Option<Firmware>,
    pub nodes: Option<u32>,
    pub chipset: Option<Chipset>,
    pub machine_type: Option<String>,
    pub cpu_model: Option<String>,
    pub tpm: Option<TpmVersion>,
    pub disk: Option<Bus>,
    pub nic: Option<NicModel>,
    pub channel: Option<ChannelKind>,
    pub boot_limit: Option<u64>,
    pub append: Option<String>,
}

impl From<&RunArguments> for Wishes {
    fn from(arguments: &RunArguments) -> Self {
        Self {
            memory: arguments.memory,
            vcpus: arguments.vcpus,
            firmware: arguments.firmware.map(Firmware::from),
            nodes: arguments.nodes,
            chipset: arguments.chipset,
            machine_type: arguments.machine_type.clone(),
            cpu_model: arguments.cpu.clone(),
            tpm: arguments.tpm,
            disk: arguments.disk,
            nic: arguments.nic,
            channel: arguments.channel,
            boot_limit: arguments.boot_limit,
            append: arguments.append.clone(),
        }
    }
}

/// Opens all guests that are named; all definitions of `./guests` that are ready if none is.
pub fn guests(named: &[String], places: &Places, wishes: &Wishes) -> Result<Vec<PlannedGuest>> {
    if !named.is_empty() {
        return at_once(named, |what| guest(what, places, wishes)).into_iter().collect();
    }
    let mut ready = Vec::new();
    for path in all("guests") {
        match guest(&path.to_string_lossy(), places, wishes) {
            Ok(guest) => ready.push(guest),
            Err(error) => note!("note: {} is left out: {error:#}", path.display()),
        }
    }
    if ready.is_empty() {
        return Err(Usage::error(
            "no guest is named, and ./guests has no definition of one that is ready",
            "name one: hospitium run IMAGE-OR-KERNEL-PACKAGE; `hospitium guest list` shows what is here",
        ));
    }
    Ok(ready)
}

/// What `open` makes of each, in their order; on all processors, for a kernel package may have to be
/// unpacked and an image read to its end.
fn at_once<T: Send>(named: &[String], open: impl Fn(&str) -> Result<T> + Sync) -> Vec<Result<T>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut opened = Vec::with_capacity(named.len());
    for some in named.chunks(threads) {
        opened.extend(std::thread::scope(|scope| {
            let opening: Vec<_> = some.iter().map(|what| scope.spawn(|| open(what))).collect();
            let broke_off = |_| Err(anyhow::anyhow!("opening a guest broke off; this is a bug"));
            let join =
                |one: std::thread::ScopedJoinHandle<'_, _>| one.join().unwrap_or_else(broke_off);
            opening.into_iter().map(join).collect::<Vec<_>>()
        }));
    }
    opened
}

/// Opens one guest.
pub fn guest(what: &str, places: &Places, wishes: &Wishes) -> Result<PlannedGuest> {
    if let Some((guest, words)) = without_words(what) {
        let wishes = Wishes { append: Some(words.to_owned()), ..wishes.clone() };
        return self::guest(guest, places, &wishes);
    }
    match named(what, "guests") {
        Some(path) => defined_guest(&path, what, places, wishes),
        None => {
            let opened = open_guest(Path::new(what), places, wishes)?;
            Ok(planned(opened, what, None, wishes))
        }
    }
}

fn defined_guest(
    file: &Path,
    what: &str,
    places: &Places,
    wishes: &Wishes,
) -> Result<PlannedGuest> {
    let definition = GuestDefinition::read(file)?;
    let path = definition.file(file, places);
    if !path.exists() {
        return Err(Usage::error(
            format!("the guest {what} is not here: there is no {}", path.display()),
            definition.get(file),
        ));
    }
    let joined = |first: &Path, second: &Path| {
        let mut both = first.as_os_str().to_owned();
        both.push("+");
        both.push(second);
        PathBuf::from(both)
    };
    let opened = match &definition {
        GuestDefinition::Disk(_) => open_guest(&joined(file, &path), places, wishes)?,
        GuestDefinition::Kernel(kernel) => {
            let whole =
                kernel.modules.as_ref().map(|modules| joined(&path, &beside(file, modules)));
            let opened = open_guest(whole.as_ref().unwrap_or(&path), places, wishes)?;
            check_digest(kernel.sha256, &path, file, &*opened, &definition)?;
            let mut facts = opened.facts().clone();
            if let Some(name) = &kernel.name {
                facts.name.clone_from(name);
            }
            if kernel.product.is_some() {
                facts.product.clone_from(&kernel.product);
            }
            Arc::new(Named { guest: opened, facts })
        }
    };
    Ok(planned(opened, &file.to_string_lossy(), Some(&definition), wishes))
}

fn check_digest(
    expected: Option<Digest>,
    path: &Path,
    file: &Path,
    opened: &dyn Guest,
    definition: &GuestDefinition,
) -> Result<()> {
    let Some(expected) = expected else {
        return Ok(());
    };
    let pins = opened.inputs();
    let known = pins.iter().map(|pin| pin.sha256).chain([opened.facts().digest]);
    if known.into_iter().any(|digest| digest == expected) {
        return Ok(());
    }
    let found: Vec<_> = pins.iter().map(|pin| format!("{} {}", pin.role, pin.sha256)).collect();
    Err(Usage::error(
        format!(
            "{} is not what {} says: expected SHA-256 {expected}, found {}",
            path.display(),
            file.display(),
            found.join(", ")
        ),
        definition.get(file),
    ))
}

fn open_guest(path: &Path, places: &Places, wishes: &Wishes) -> Result<Arc<dyn Guest>> {
    let cache = places.guests();
    let making = || format!("cannot make {}", cache.display());
    std::fs::create_dir_all(&cache).with_context(making)?;
    // Whole paths: a saved machine notes its inputs by path, and is used from any folder.
    let cache = cache.canonicalize().with_context(making)?;
    let whole = PathBuf::from(absolute(&path.to_string_lossy()));
    let opened = hospitium_guest::open_with(&whole, wishes.append.as_deref(), &cache)
        .with_context(|| format!("the guest {} cannot be made ready", path.display()))?;
    Ok(Arc::from(opened))
}

fn planned(
    guest: Arc<dyn Guest>,
    what: &str,
    definition: Option<&GuestDefinition>,
    wishes: &Wishes,
) -> PlannedGuest {
    let usual = StandardOptions::default();
    let least = definition.and_then(GuestDefinition::memory).unwrap_or_default();
    let options = StandardOptions {
        memory: wishes.memory.unwrap_or(usual.memory.max(least)),
        vcpus: wishes.vcpus.unwrap_or(usual.vcpus),
        firmware: wishes
            .firmware
            .or_else(|| definition.and_then(GuestDefinition::firmware))
            .unwrap_or(usual.firmware),
        nodes: wishes.nodes.unwrap_or(usual.nodes),
        chipset: wishes.chipset.unwrap_or(usual.chipset),
        machine_type: wishes.machine_type.clone(),
        cpu_model: wishes.cpu_model.clone(),
        tpm: wishes.tpm,
        disk: wishes.disk.or(usual.disk),
        nic: wishes.nic.or(usual.nic),
        channel: wishes.channel.or(usual.channel),
    };
    let boot_limit = wishes.boot_limit.map(Duration::from_secs);
    let origin = with_words(absolute(what), wishes.append.as_deref());
    PlannedGuest { guest, options, origin, boot_limit }
}

/// A guest and the words for its kernel as one text, by which a replay finds both.
fn with_words(guest: String, words: Option<&str>) -> String {
    match words {
        Some(words) => format!("{guest}{APPEND}{words}"),
        None => guest,
    }
}

/// The two of them again; none if the text is a guest alone.
fn without_words(text: &str) -> Option<(&str, &str)> {
    text.split_once(APPEND).filter(|_| !Path::new(text).exists())
}

/// A guest under the name and product that its definition gives it.
struct Named {
    guest: Arc<dyn Guest>,
    facts: GuestFacts,
}

#[async_trait::async_trait]
impl Guest for Named {
    fn facts(&self) -> &GuestFacts {
        &self.facts
    }

    fn inputs(&self) -> Vec<hospitium_model::InputPin> {
        self.guest.inputs()
    }

    fn driver(&self, device: &str) -> hospitium_model::Answer {
        self.guest.driver(device)
    }

    fn prepare(
        &self,
        folder: &Path,
        spec: hospitium_model::MachineSpec,
    ) -> Result<hospitium_model::MachineSpec, hospitium_guest::GuestError> {
        self.guest.prepare(folder, spec)
    }

    async fn enter(
        &self,
        machine: &dyn hospitium_host::Machine,
        console: &hospitium_system::Console,
        trace: Option<hospitium_system::Trace>,
        limit: Duration,
    ) -> Result<hospitium_system::Session, hospitium_guest::GuestError> {
        self.guest.enter(machine, console, trace, limit).await
    }
}

/// What ends the machines of killed runs, of all drivers.
pub fn reapers() -> Reapers {
    let qemu: Box<dyn Reaper> = Box::new(QemuReaper);
    std::iter::once(qemu).chain(libvirt::reaper()).collect()
}

/// Opens one host.
pub async fn host(
    what: &str,
    places: &Places,
    accelerator: AcceleratorArgument,
) -> Result<PlannedHost> {
    let file = named(what, "hosts");
    let definition: Option<HostDefinition> = file.as_deref().map(read).transpose()?;
    let origin = || match &file {
        Some(file) => absolute(&file.to_string_lossy()),
        None => absolute(what),
    };
    let uri = match &definition {
        Some(definition) if definition.kind == libvirt::PREFIX => match &definition.uri {
            Some(uri) => Some(uri.clone()),
            None => libvirt::uri(libvirt::PREFIX),
        },
        Some(_) => None,
        None => libvirt::uri(what),
    };
    if let Some(uri) = uri {
        return Ok(PlannedHost { host: libvirt::open(&uri, accelerator).await?, origin: origin() });
    }
    let mut options = match definition.zip(file.as_deref()) {
        Some((definition, file)) => defined_host(definition, file)?,
        None => match what.strip_prefix("root:") {
            Some(root) => QemuOptions { root: Some(root.into()), ..QemuOptions::new(INSTALLED) },
            None if what == "qemu" => QemuOptions::new(INSTALLED),
            None if what.contains('/') => QemuOptions::new(what),
            None => {
                return Err(Usage::error(
                    format!("{what:?} names no host"),
                    "use `qemu`, /path/to/qemu-system-x86_64, root:FOLDER, libvirt:URI, or a definition of \
                     ./hosts; `hospitium host list` shows what is here",
                ));
            }
        },
    };
    options.cache = Some(places.hosts());
    options.accelerator = match accelerator {
        AcceleratorArgument::Auto => AcceleratorChoice::Auto,
        AcceleratorArgument::Tcg => AcceleratorChoice::Tcg,
        AcceleratorArgument::Kvm => AcceleratorChoice::Kvm,
    };
    let opened =
        Qemu::open(options).await.with_context(|| format!("the host {what} cannot be used"))?;
    Ok(PlannedHost { host: Arc::new(opened), origin: origin() })
}

fn defined_host(definition: HostDefinition, file: &Path) -> Result<QemuOptions> {
    if definition.kind != "qemu" {
        return Err(Usage::error(
            format!(
                "{} is of kind {:?}, for which there is no driver",
                file.display(),
                definition.kind
            ),
            "the kinds that there are drivers for are \"qemu\" and \"libvirt\"",
        ));
    }
    let root = definition.root.as_deref().map(|root| beside(file, root));
    let binary = match definition.binary {
        Some(binary) if binary.components().count() > 1 && root.is_none() => beside(file, &binary),
        Some(binary) => binary,
        None => INSTALLED.into(),
    };
    let missing = match &root {
        Some(root) if !root.exists() => Some(root),
        None if binary.components().count() > 1 && !binary.exists() => Some(&binary),
        _ => None,
    };
    if let Some(missing) = missing {
        let next = definition.get.map_or_else(
            || format!("put it there, or say where it is in {}", file.display()),
            |command| format!("run: {command}"),
        );
        return Err(Usage::error(
            format!(
                "the host of {} is not here: there is no {}",
                file.display(),
                missing.display()
            ),
            next,
        ));
    }
    Ok(QemuOptions { root, ..QemuOptions::new(binary) })
}

/// As typed if it is a name, else the whole path, so that `replay` finds it from another folder.
fn absolute(what: &str) -> String {
    let (prefix, rest) = what.split_at(if what.starts_with("root:") { 5 } else { 0 });
    let parts = parts(rest);
    let whole = |text: &str| match Path::new(text).canonicalize() {
        Ok(path) => path.to_string_lossy().into_owned(),
        Err(_) => text.to_owned(),
    };
    let parts: Vec<String> = parts.into_iter().map(whole).collect();
    format!("{prefix}{}", parts.join("+"))
}

/// The files and folders that are joined by `+`; the whole if it is one, or if what follows a `+` is not there.
fn parts(text: &str) -> Vec<&str> {
    let there = |part: &str| Path::new(part).exists();
    if there(text) {
        return vec![text];
    }
    let cuts: Vec<usize> = text.match_indices('+').map(|(at, _)| at).collect();
    for (n, &first) in cuts.iter().enumerate() {
        let (before, after) = (&text[..first], &text[first + 1..]);
        if there(after) {
            return vec![before, after];
        }
        for &second in &cuts[n + 1..] {
            let (middle, last) = (&text[first + 1..second], &text[second + 1..]);
            if there(before) && there(middle) && there(last) {
                return vec![before, middle, last];
            }
        }
    }
    vec![text]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_found_again_with_the_words_for_its_kernel() {
        let words = "root=/dev/vda2 -- --append x";
        let origin = with_words("/k+/i+/d".into(), Some(words));
        assert_eq!(without_words(&origin), Some(("/k+/i+/d", words)));
        assert_eq!(without_words(&with_words("/k".into(), None)), None);
    }
}
