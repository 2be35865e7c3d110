//! What a host offers by its hypervisor's own names: CPU models and machine types.

use hospitium_model::{Chipset, MachineSpec};

use crate::HostError;

/// CPU models and machine types that a host offers, by the names that its hypervisor gives them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choices {
    /// CPU models.
    pub cpu_models: Vec<CpuChoice>,
    /// Machine types that this driver can put devices on.
    pub machine_types: Vec<MachineChoice>,
}

/// A CPU model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuChoice {
    /// Its name.
    pub name: String,
    /// Why no machine can have it here, if none can.
    pub unusable: Option<String>,
}

/// A machine type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineChoice {
    /// Its name, which always means the same machine.
    pub name: String,
    /// A name that means it for now.
    pub alias: Option<String>,
    /// Its chipset generation.
    pub chipset: Chipset,
    /// vCPUs at most.
    pub most_vcpus: Option<u32>,
}

/// Other names that an error tells of.
const NEAR: usize = 4;
/// How like a name has to be to be told of (Jaro-Winkler, 1 is equal).
const ALIKE: f64 = 0.75;

impl Choices {
    /// The name of a machine type that always means the same, if the host offers it.
    pub fn machine_type(&self, name: &str) -> Option<&MachineChoice> {
        let named = |choice: &&MachineChoice| choice.name == name;
        let called = |choice: &&MachineChoice| choice.alias.as_deref() == Some(name);
        self.machine_types.iter().find(named).or_else(|| self.machine_types.iter().find(called))
    }

    /// Whether the host offers the CPU model and the machine type that a specification names.
    ///
    /// # Errors
    /// [`HostError::NotOffered`] with the names that are near; [`HostError::Unsupported`] if it is offered and cannot be
    /// used so.
    pub fn check(&self, spec: &MachineSpec) -> Result<(), HostError> {
        if let Some(name) = &spec.cpu_model {
            self.check_cpu(name)?;
        }
        match &spec.machine_type {
            Some(name) => self.check_machine(name, spec),
            None => Ok(()),
        }
    }

    fn check_cpu(&self, name: &str) -> Result<(), HostError> {
        let Some(choice) = self.cpu_models.iter().find(|choice| choice.name == name) else {
            return Err(not_offered("CPU model", name, self.cpu_models.iter().map(|c| &*c.name)));
        };
        match &choice.unusable {
            Some(why) => Err(HostError::Unsupported {
                what: format!("the CPU model {name}"),
                why: why.clone(),
            }),
            None => Ok(()),
        }
    }

    fn check_machine(&self, name: &str, spec: &MachineSpec) -> Result<(), HostError> {
        let Some(choice) = self.machine_type(name) else {
            let names = self.machine_types.iter();
            let names = names.flat_map(|choice| choice.alias.iter().chain([&choice.name]));
            return Err(not_offered("machine type", name, names.map(String::as_str)));
        };
        let generation = |chipset| match chipset {
            Chipset::Modern => "modern",
            Chipset::Legacy => "legacy",
        };
        let unsupported = |what: String, why: String| Err(HostError::Unsupported { what, why });
        if choice.chipset != spec.chipset {
            let (is, asked) = (generation(choice.chipset), generation(spec.chipset));
            return unsupported(
                format!("the machine type {name} with the {asked} chipset"),
                format!("it is of the {is} generation; choose the chipset {is}, too"),
            );
        }
        match choice.most_vcpus {
            Some(most) if spec.cpus.max_count() > most => unsupported(
                format!("the machine type {name} with {} vCPUs", spec.cpus.max_count()),
                format!("it takes {most} at most, those for hot plug included"),
            ),
            _ => Ok(()),
        }
    }
}

fn not_offered<'a>(what: &str, name: &str, offered: impl Iterator<Item = &'a str>) -> HostError {
    let lower = name.to_ascii_lowercase();
    let mut near: Vec<(f64, &str)> = offered
        .map(|other| {
            let known = other.to_ascii_lowercase();
            let part = known.contains(&lower) || lower.contains(&known);
            let alike = strsim::jaro_winkler(&lower, &known);
            (if part { alike.max(ALIKE) } else { alike }, other)
        })
        .collect();
    let total = near.len();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    let alike = near.iter().take_while(|(alike, _)| *alike >= ALIKE).count();
    let told: Vec<&str> = near.iter().take(alike.clamp(1, NEAR)).map(|(_, name)| *name).collect();
    let near = match told.join(", ") {
        none if none.is_empty() => "it offers none".to_owned(),
        some if alike > 0 => format!("near to it are {some}, of {total} in all"),
        some => format!("it has {total} others, such as {some}"),
    };
    HostError::NotOffered { what: what.to_owned(), name: name.chars().take(60).collect(), near }
}

#[cfg(test)]
mod tests {
    use hospitium_model::{Boot, ByteSize};

    use super::*;

    fn choices() -> Choices {
        let cpu = |name: &str| CpuChoice { name: name.into(), unusable: None };
        let machine = |name: &str, alias: Option<&str>, chipset| MachineChoice {
            name: name.into(),
            alias: alias.map(str::to_owned),
            chipset,
            most_vcpus: Some(8),
        };
        let mut cpu_models = ["Haswell", "Haswell-noTSX", "EPYC", "qemu64"].map(cpu).to_vec();
        let unusable = Some("it needs KVM".to_owned());
        cpu_models.push(CpuChoice { name: "host".into(), unusable });
        let machine_types = vec![
            machine("pc-q35-7.2", Some("q35"), Chipset::Modern),
            machine("pc-q35-7.1", None, Chipset::Modern),
            machine("pc-i440fx-7.2", Some("pc"), Chipset::Legacy),
        ];
        Choices { cpu_models, machine_types }
    }

    fn spec(cpu: Option<&str>, machine: Option<&str>) -> MachineSpec {
        let mut spec = MachineSpec::new(ByteSize::mib(64), Boot::Nothing);
        spec.cpu_model = cpu.map(str::to_owned);
        spec.machine_type = machine.map(str::to_owned);
        spec
    }

    fn why(spec: &MachineSpec) -> String {
        choices().check(spec).expect_err("is not offered").to_string()
    }

    #[test]
    fn what_is_offered_is_taken_by_name_and_by_alias() {
        for machine in [None, Some("q35"), Some("pc-q35-7.1")] {
            choices().check(&spec(Some("Haswell"), machine)).expect("is offered");
        }
        let choices = choices();
        assert_eq!(choices.machine_type("q35").map(|choice| &*choice.name), Some("pc-q35-7.2"));
    }

    #[test]
    fn a_model_that_is_not_offered_is_told_with_those_near_to_it() {
        let told = why(&spec(Some("hasswel"), None));
        assert!(told.contains("CPU model \"hasswel\""), "{told}");
        assert!(told.contains("near to it are Haswell, Haswell-noTSX, of 5 in all"), "{told}");
        let told = why(&spec(None, Some("q35-7.1")));
        assert!(told.contains("pc-q35-7.1"), "{told}");
        let told = why(&spec(Some("z80"), None));
        assert!(told.contains("5 others, such as"), "{told}");
        let none = Choices::default().check(&spec(Some("z80"), None));
        assert!(none.expect_err("nothing is offered").to_string().contains("it offers none"));
    }

    #[test]
    fn what_is_offered_and_cannot_be_so_is_told_with_its_reason() {
        assert!(why(&spec(Some("host"), None)).contains("it needs KVM"));
        let told = why(&spec(None, Some("pc")));
        assert!(told.contains("legacy generation; choose the chipset legacy"), "{told}");
        let mut many = spec(None, Some("q35"));
        many.cpus.sockets = 5;
        assert!(why(&many).contains("with 10 vCPUs"), "{}", why(&many));
    }

    #[test]
    fn foreign_names_stay_short_and_printable_in_errors() {
        let told = why(&spec(Some(&format!("\u{1b}[2J{}", "x".repeat(10_000))), None));
        assert!(told.len() < 400 && !told.contains('\u{1b}'), "{told}");
    }
}
