//! Going on from a saved machine. Libvirt lets a machine go on under its own name and UUID only, so there is one
//! at a time; what is saved is not written to.

use std::collections::BTreeMap;
use std::path::Path;

use hospitium_host::HostError;
use hospitium_xml::Element;

use crate::watched::id_of;
use crate::xml::domain::MadeDisk;
use crate::xml::parts::{self, DiskParts};
use crate::xml::tree::{Build as _, element};

/// What is new of a machine that goes on.
pub(crate) struct Fresh<'a> {
    pub disks: &'a [MadeDisk],
    /// Paths of sockets, by channel.
    pub sockets: BTreeMap<String, String>,
    /// Ports of cables, by interface.
    pub ports: BTreeMap<String, u16>,
    pub kernel: Option<(&'a Path, Option<&'a Path>)>,
    pub variables: Option<&'a Path>,
}

fn id(device: &Element) -> Option<String> {
    device.first("alias")?.attribute("name").map(id_of)
}

fn set(element: &mut Element, name: &str, value: &str) {
    match element.attributes.iter_mut().find(|(other, _)| other == name) {
        Some((_, old)) => value.clone_into(old),
        None => element.attributes.push((name.to_owned(), value.to_owned())),
    }
}

/// The saved definition with its files, sockets and ports exchanged for new ones.
pub(crate) fn renewed(mut domain: Element, fresh: &Fresh<'_>) -> Result<Element, HostError> {
    for child in &mut domain.children {
        match child.name.as_str() {
            "os" => renew_os(child, fresh),
            "devices" => {
                for device in &mut child.children {
                    renew_device(device, fresh)?;
                }
            }
            _ => {}
        }
    }
    Ok(domain)
}

fn renew_os(os: &mut Element, fresh: &Fresh<'_>) {
    for child in &mut os.children {
        let path = match (child.name.as_str(), fresh.kernel) {
            ("kernel", Some((kernel, _))) => Some(kernel),
            ("initrd", Some((_, initrd))) => initrd,
            ("nvram", _) => fresh.variables,
            _ => None,
        };
        if let Some(path) = path {
            child.text = path.to_string_lossy().into_owned();
        }
    }
}

fn renew_device(device: &mut Element, fresh: &Fresh<'_>) -> Result<(), HostError> {
    let Some(id) = id(device) else { return Ok(()) };
    match device.name.as_str() {
        "disk" => {
            let Some(made) = fresh.disks.iter().find(|made| made.disk.id == id) else {
                return Ok(());
            };
            renew_disk(device, made)
        }
        "serial" | "channel" | "console" => {
            if let Some(path) = fresh.sockets.get(&id) {
                device.children.retain(|child| child.name != "source");
                device
                    .children
                    .insert(0, element("source").with("mode", "connect").with("path", path));
            }
            Ok(())
        }
        "interface" => {
            if let Some(port) = fresh.ports.get(&id) {
                for source in device.children.iter_mut().filter(|child| child.name == "source") {
                    set(source, "port", &port.to_string());
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Exchanges a disk's images, and nothing else of it.
fn renew_disk(device: &mut Element, made: &MadeDisk) -> Result<(), HostError> {
    let written = parts::disk(&DiskParts {
        disk: &made.disk,
        layers: &made.layers,
        room: made.room,
        server: made.server.as_deref(),
        target: "any",
        unit: None,
        boot: None,
    })?;
    device
        .children
        .retain(|child| !matches!(child.name.as_str(), "source" | "backingStore" | "driver"));
    let of_images =
        |child: &Element| matches!(child.name.as_str(), "source" | "backingStore" | "driver");
    for (at, child) in written.children.into_iter().filter(of_images).enumerate() {
        device.children.insert(at, child);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{live, tree};

    #[test]
    fn a_machine_that_goes_on_has_new_ends_and_is_otherwise_the_same() {
        let saved = "<domain><name>a</name><os><kernel>/old/k</kernel></os><devices>
            <serial type='unix'><source mode='connect' path='/old/s'/><alias name='ua-console'/></serial>
            <interface type='client'><source address='127.0.0.1' port='1'/><alias name='ua-net0'/></interface>
            <controller type='usb'><alias name='usb'/></controller></devices></domain>";
        let domain = live::read("x", saved).expect("XML");
        let fresh = Fresh {
            disks: &[],
            sockets: [("console".to_owned(), "/new/s".to_owned())].into(),
            ports: [("net0".to_owned(), 2)].into(),
            kernel: Some((Path::new("/new/k"), None)),
            variables: None,
        };
        let text = tree::write(&renewed(domain, &fresh).expect("renewed"));
        assert!(
            text.contains("/new/s") && text.contains("port='2'") && text.contains("/new/k"),
            "{text}"
        );
        assert!(!text.contains("/old/") && text.contains("<name>a</name>"), "{text}");
    }
}
