//! Virtual machine definitions as people have them.
//!
//! What comes in: the definition of one machine, as libvirt (`virsh dumpxml`), VMware (`.vmx`), any
//! exporter of OVF (`.ovf`, `.ova`), oVirt (its own OVF), VirtualBox (`.vbox`), Xen (`xl.cfg`), Proxmox VE
//! (`ID.conf`), KubeVirt (YAML) or Hyper-V (the XML of exports before 2016, or the JSON that
//! [`HYPERV_COMMAND`] prints) wrote it. What goes out: one [`VmDefinition`], in which every value
//! says where in the file it stood ([`Told`]), and everything that was in the file and is not in
//! these values is listed ([`Left`]).
//!
//! [`read_file`] opens a file and finds out its format by its content; [`read_text`] does the same for
//! bytes in memory. A [`GuestHint`] gives [words to search](GuestHint::words) the products with.
//!
//! Files are not trusted: sizes, nesting and counts are bounded, document types are refused, nothing
//! that a file names is opened. Texts are kept as they are and have to be escaped where they are
//! shown; those in [`Left`] and in errors already are.

mod definition;
mod error;
mod hints;
mod hyperv;
mod hyperv_wmi;
mod json;
mod kubevirt;
mod libvirt;
mod lines;
mod machine_type;
mod open;
mod ovf;
mod ovf_vendors;
mod ovirt;
mod proxmox;
mod text;
mod tree;
mod vbox;
mod vmx;
mod xen_cfg;
mod xml;
mod yaml;

pub use definition::{
    Device, DiskBus, DiskDefinition, GuestHint, Hypervisor, Left, Memories, NicDefinition, NicKind,
    SourceFormat, Told, Vcpus, VmDefinition, Why,
};
pub use error::VmdefError;
pub use hints::{HINTS_SOURCE, Words};
pub use hyperv::HYPERV_COMMAND;
pub use lines::Line;
pub use open::{LARGEST, read_file, read_text};
