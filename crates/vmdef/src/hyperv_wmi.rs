//! Hyper-V's export of WMI instances, of 2008 and 2008 R2.

use hospitium_model::{Bus, FormError};

use crate::definition::{DiskBus, NicDefinition, SourceFormat, Told, VmDefinition, Why};
use crate::hyperv::{begin, count, drive, generation, mebibytes, nic, synthetic_scsi};
use crate::tree::Node;

/// One WMI instance.
struct Instance<'a> {
    node: &'a Node,
    class: String,
}

impl Instance<'_> {
    /// A property; of an array the first value.
    fn told(&self, name: &str) -> Option<Told<String>> {
        let property = self.node.children.iter().find(|c| {
            c.name.starts_with("PROPERTY")
                && c.attributes.iter().any(|a| a.name == "NAME" && a.value == name)
        })?;
        property.take();
        let value = property.first("VALUE").or_else(|| property.at(&["VALUE.ARRAY", "VALUE"]))?;
        Some(Told { value: value.told()?.value, line: property.line, from: name.to_owned() })
    }

    fn text(&self, name: &str) -> String {
        self.told(name).map(|t| t.value).unwrap_or_default()
    }
}

/// The export of WMI instances (CIM-XML, DMTF DSP0201) with the classes of root\virtualization.
pub(crate) fn instances(file: &str, text: &str, root: &Node) -> Result<VmDefinition, FormError> {
    let mut d = begin(SourceFormat::HypervInstances);
    let mut all = Vec::new();
    collect(root, &mut all);
    if !all.iter().any(|i| i.class.starts_with("Msvm_")) {
        let what = "no instance of a class of Hyper-V (Msvm_…) in it";
        return Err(FormError::at(file, text, root.line as usize, 0, what));
    }
    generation(Told::by_default(false, "Hyper-V 2008 and 2008 R2"), &mut d);
    // Paths to other instances are written with doubled backslashes.
    let find = |path: &str| {
        let path = path.replace("\\\\", "\\").to_ascii_lowercase();
        all.iter().find(|i| {
            let id = i.text("InstanceID").to_ascii_lowercase();
            !id.is_empty() && path.ends_with(&format!("instanceid=\"{id}\""))
        })
    };
    for instance in &all {
        let subtype = instance.text("ResourceSubType");
        match instance.class.as_str() {
            "Msvm_VirtualSystemSettingData" | "Msvm_ComputerSystem" => {
                if let Some(name) = instance.told("ElementName") {
                    d.name.get_or_insert(name);
                }
            }
            "Msvm_ProcessorSettingData" => {
                d.vcpus.count =
                    instance.told("VirtualQuantity").map(|t| count(file, text, t)).transpose()?;
            }
            "Msvm_MemorySettingData" => {
                d.memory.size = instance
                    .told("VirtualQuantity")
                    .map(|t| mebibytes(file, text, t))
                    .transpose()?;
            }
            "Msvm_SyntheticEthernetPortSettingData" | "Msvm_EmulatedEthernetPortSettingData" => {
                let value = instance.told("ElementName").map_or_else(String::new, |t| t.value);
                let id = Told { value, line: instance.node.line, from: instance.class.clone() };
                let model =
                    nic(&instance.class.to_ascii_lowercase()).map(|kind| id.clone().map(|_| kind));
                d.nics.push(NicDefinition { id, model });
            }
            "Msvm_ResourceAllocationSettingData"
                if subtype.ends_with("Virtual Hard Disk")
                    || subtype.ends_with("Virtual CD/DVD Disk")
                    || subtype.ends_with("Virtual Floppy Disk") =>
            {
                let upper = find(&instance.text("Parent"));
                let controller = upper.and_then(|drive| find(&drive.text("Parent"))).or(upper);
                let on = controller
                    .map(|c| c.text("ResourceSubType").to_ascii_lowercase())
                    .unwrap_or_default();
                let bus = if on.contains("ide") && on.contains("controller") {
                    DiskBus::Known(Bus::Ide)
                } else if on.contains("scsi") {
                    synthetic_scsi()
                } else if on.contains("diskette") || subtype.ends_with("Floppy Disk") {
                    DiskBus::Known(Bus::Floppy)
                } else {
                    DiskBus::Other(on)
                };
                let id = Told {
                    value: instance.text("InstanceID"),
                    line: instance.node.line,
                    from: subtype.clone(),
                };
                d.disks.push(drive(
                    id,
                    bus,
                    instance.told("Connection"),
                    subtype.contains("CD/DVD"),
                ));
            }
            class => {
                let known = class.starts_with("Msvm_");
                let what = format!("{class} {subtype}");
                d.leave(
                    instance.node.line,
                    what.trim(),
                    if known { Why::NotCompared } else { Why::NotUnderstood },
                );
            }
        }
        // The other properties of a class that was read are the class's own and known.
        instance.node.take();
    }
    Ok(d)
}

fn collect<'a>(node: &'a Node, into: &mut Vec<Instance<'a>>) {
    node.excuse_attributes(&["CIMVERSION", "DTDVERSION"]);
    for child in &node.children {
        if child.name == "INSTANCE" {
            let class = child.attribute("CLASSNAME").map(|t| t.value).unwrap_or_default();
            into.push(Instance { node: child, class });
        } else {
            collect(child, into);
        }
    }
}
