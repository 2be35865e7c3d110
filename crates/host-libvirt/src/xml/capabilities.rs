//! What a libvirt says that it can do.

use std::path::PathBuf;

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
