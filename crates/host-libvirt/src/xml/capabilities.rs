//! What a libvirt says that it can do.

use std::path::PathBuf;

use hospitium_host::{Choices, CpuChoice, MachineChoice};
use hospitium_model::{Chipset, names_a_model};
use hospitium_xml::Element;

/// The user and group that VMMs run as by default, where libvirt chooses them: only a daemon of root's does
/// (security model `dac`).
pub(crate) fn default_user(capabilities: &Element) -> Option<(u32, u32)> {
    let models = capabilities.first("host")?.all("secmodel");
    let dac = models.into_iter().find(|model| text(model, "model") == Some("dac"))?;
    let label = dac.all("baselabel").find(|label| label.attribute("type") == Some("qemu"));
    let (user, group) = label?.text.split_once(':')?;
    let number = |text: &str| text.trim_start_matches('+').parse().ok();
    Some((number(user)?, number(group)?))
}

fn text<'a>(element: &'a Element, name: &str) -> Option<&'a str> {
    element.first(name).map(|child| child.text.as_str())
}

/// More names of one kind no libvirt gives.
const MOST_NAMES: usize = 2000;

/// The machine types of the daemon's QEMU for x86-64 (`<guest>` of the capabilities), and the CPU models that it can
/// make (`<mode name='custom'>` of the domain capabilities).
pub(crate) fn choices(capabilities: &Element, domain: &Element) -> Choices {
    let guests = capabilities.all("guest").filter_map(|guest| guest.first("arch"));
    let types = guests.filter(|arch| arch.attribute("name") == Some("x86_64"));
    let types = types.flat_map(|arch| arch.all("machine")).filter_map(machine_type);
    let mut machine_types: Vec<MachineChoice> = types.take(MOST_NAMES).collect();
    machine_types.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| b.alias.cmp(&a.alias)));
    machine_types.dedup_by(|a, b| a.name == b.name);
    let modes = domain.first("cpu").into_iter().flat_map(|cpu| cpu.all("mode"));
    let custom = modes.filter(|mode| mode.attribute("name") == Some("custom"));
    let models = custom.flat_map(|mode| mode.all("model")).map(|model| &model.text);
    let models = models.filter(|name| names_a_model(name)).take(MOST_NAMES);
    // What a model lacks under emulation (usable='no'), QEMU leaves out: the CPU can be made.
    let mut cpu_models: Vec<CpuChoice> =
        models.map(|name| CpuChoice { name: name.clone(), unusable: None }).collect();
    cpu_models.sort_by(|a, b| a.name.cmp(&b.name));
    cpu_models.dedup();
    Choices { cpu_models, machine_types }
}

/// A machine type that devices can be put on; others have no PCI Express and no PCI, or no firmware.
fn machine_type(machine: &Element) -> Option<MachineChoice> {
    let canonical = machine.attribute("canonical");
    let name = canonical.unwrap_or(&machine.text).to_owned();
    let chipset = match name.split_once('-')?.1.split_once('-')?.0 {
        "q35" => Chipset::Modern,
        "i440fx" => Chipset::Legacy,
        _ => return None,
    };
    let alias = canonical.map(|_| machine.text.clone());
    let most_vcpus = machine.attribute("maxCpus").and_then(|most| most.parse().ok());
    names_a_model(&name).then_some(MachineChoice { name, alias, chipset, most_vcpus })
}

/// What a daemon's QEMU can do for a machine type.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct DomainCapabilities {
    /// The VMM's program.
    pub emulator: Option<PathBuf>,
    /// Values of device models and the like, as `device/enum=value`.
    values: Vec<String>,
}

impl DomainCapabilities {
    /// Reads `<domainCapabilities>`.
    pub(crate) fn read(element: &Element) -> Self {
        let emulator = text(element, "path").map(PathBuf::from);
        let mut values = Vec::new();
        let devices = element.first("devices");
        for device in devices.map(|devices| devices.children.as_slice()).unwrap_or_default() {
            for list in device.all("enum") {
                let name = list.attribute("name").unwrap_or_default();
                for value in list.all("value") {
                    values.push(format!("{}/{name}={}", device.name, value.text));
                }
            }
        }
        if let Some(features) = element.first("features") {
            for feature in &features.children {
                if feature.attribute("supported") == Some("yes") {
                    values.push(format!("feature={}", feature.name));
                }
            }
        }
        Self { emulator, values }
    }

    /// Whether a value is offered: `rng/backendModel=builtin`, `feature=genid`.
    pub(crate) fn has(&self, value: &str) -> bool {
        self.values.iter().any(|offered| offered == value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::live::read;

    #[test]
    fn a_daemon_of_roots_names_its_user_and_another_none() {
        let of = |text: &str| default_user(&read("x", text).expect("XML"));
        let system = "<capabilities><host><secmodel><model>apparmor</model></secmodel><secmodel><model>dac</model>\
            <doi>0</doi><baselabel type='kvm'>+1:+2</baselabel><baselabel type='qemu'>+64055:+106</baselabel>\
            </secmodel></host></capabilities>";
        assert_eq!(of(system), Some((64055, 106)));
        assert_eq!(
            of(
                "<capabilities><host><secmodel><model>none</model></secmodel></host></capabilities>"
            ),
            None
        );
        assert_eq!(of("<capabilities/>"), None);
    }

    #[test]
    fn machine_types_and_cpu_models_are_read_with_their_aliases() {
        let capabilities = "<capabilities><guest><arch name='i686'><machine>pc-q35-1.0</machine></arch></guest>\
            <guest><os_type>hvm</os_type><arch name='x86_64'><machine maxCpus='288'>pc-q35-7.2</machine>\
            <machine canonical='pc-q35-7.2' maxCpus='288'>q35</machine><machine maxCpus='255'>pc-i440fx-7.1</machine>\
            <machine maxCpus='1'>isapc</machine><machine>microvm</machine><machine>x y-q35-z</machine></arch></guest>\
            </capabilities>";
        let domain = "<domainCapabilities><cpu><mode name='maximum' supported='yes'/><mode name='custom' supported='yes'>\
            <model usable='no' vendor='Intel'>Haswell</model><model usable='yes'>EPYC</model><model>a,b</model></mode>\
            <mode name='host-model'><model>Broadwell</model></mode></cpu></domainCapabilities>";
        let read = |text: &str| read("x", text).expect("XML");
        let choices = choices(&read(capabilities), &read(domain));
        let types: Vec<_> = choices
            .machine_types
            .iter()
            .map(|c| (&*c.name, c.alias.as_deref(), c.chipset, c.most_vcpus))
            .collect();
        let expected = [
            ("pc-i440fx-7.1", None, Chipset::Legacy, Some(255)),
            ("pc-q35-7.2", Some("q35"), Chipset::Modern, Some(288)),
        ];
        assert_eq!(types, expected);
        let models: Vec<_> = choices.cpu_models.iter().map(|choice| &*choice.name).collect();
        assert_eq!(models, ["EPYC", "Haswell"]);
        let strange = super::choices(&read("<capabilities/>"), &read("<domainCapabilities/>"));
        assert_eq!(strange, Choices::default());
    }

    #[test]
    fn offered_values_are_found_and_others_are_not() {
        let text = "<domainCapabilities><path>/usr/bin/q</path><devices><rng supported='yes'><enum name='backendModel'>\
            <value>random</value><value>builtin</value></enum></rng></devices><features><genid supported='yes'/>\
            <sev supported='no'/></features></domainCapabilities>";
        let found = DomainCapabilities::read(&read("x", text).expect("XML"));
        assert_eq!(found.emulator, Some("/usr/bin/q".into()));
        assert!(found.has("rng/backendModel=builtin") && found.has("feature=genid"));
        assert!(!found.has("feature=sev") && !found.has("rng/backendModel=egd"));
    }
}
