//! A running domain's XML, as libvirt gives it back.

use hospitium_host::HostError;
use hospitium_model::escaped;
use hospitium_xml::Element;

use crate::watched::id_of;

/// Reads a text of libvirt's.
pub(crate) fn read(what: &str, text: &str) -> Result<Element, HostError> {
    hospitium_xml::read(what, text, |_, _| true).map_err(|error| HostError::Refused {
        doing: format!("reading {what}"),
        why: escaped(&error.to_string(), 400),
    })
}

fn devices<'a>(domain: &'a Element, kind: &'a str) -> impl Iterator<Item = &'a Element> {
    domain.first("devices").into_iter().flat_map(move |devices| devices.all(kind))
}

/// A device's id, from its alias.
fn id(device: &Element) -> Option<String> {
    device.first("alias")?.attribute("name").map(id_of)
}

/// Libvirt's name of a disk (`vda`) by its id.
pub(crate) fn target(domain: &Element, disk: &str) -> Option<String> {
    let found = devices(domain, "disk").find(|device| id(device).as_deref() == Some(disk))?;
    found.first("target")?.attribute("dev").map(str::to_owned)
}

/// Ids of all disks, with libvirt's names of them.
pub(crate) fn disks(domain: &Element) -> Vec<(String, String)> {
    let each = devices(domain, "disk").filter_map(|device| {
        let target = device.first("target")?.attribute("dev")?;
        Some((id(device)?, target.to_owned()))
    });
    each.collect()
}

/// A device of a kind by its id.
pub(crate) fn device<'a>(domain: &'a Element, kind: &'a str, wanted: &str) -> Option<&'a Element> {
    devices(domain, kind).find(|device| id(device).as_deref() == Some(wanted))
}

/// Whether there is a device of this id.
pub(crate) fn has(domain: &Element, wanted: &str) -> bool {
    let all =
        domain.first("devices").map(|devices| devices.children.as_slice()).unwrap_or_default();
    all.iter().any(|device| id(device).as_deref() == Some(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVE: &str = "<domain type='qemu' id='2'><devices>
        <disk type='file' device='disk'><source file='/x/a'/><target dev='vda' bus='virtio'/><alias name='ua-scratch'/></disk>
        <disk type='file' device='cdrom'><target dev='sda' bus='sata'/><alias name='ua-cdrom'/></disk>
        <interface type='client'><mac address='52:54:00:48:4f:53'/><alias name='ua-net0'/></interface>
        <controller type='usb'><alias name='usb'/></controller></devices></domain>";

    #[test]
    fn devices_are_found_by_the_ids_of_the_specification() {
        let domain = read("x", LIVE).expect("XML");
        assert_eq!(target(&domain, "scratch").as_deref(), Some("vda"));
        let expected = [("scratch", "vda"), ("cdrom", "sda")];
        let found = disks(&domain);
        let found: Vec<_> = found.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(found, expected);
        assert!(has(&domain, "net0") && has(&domain, "usb") && !has(&domain, "no-such"));
    }

    #[test]
    fn what_is_no_domain_is_nothing() {
        assert!(matches!(read("x", "no XML"), Err(HostError::Refused { .. })));
        let strange = read("x", "<domain><devices><disk/><interface/></devices></domain>");
        let strange = strange.expect("XML");
        assert!(disks(&strange).is_empty());
    }
}
