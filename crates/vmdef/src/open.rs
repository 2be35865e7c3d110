//! Opens a file, finds out its form by what is in it, and reads it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::{HYPERV_COMMAND, VmDefinition, VmdefError, Why};
use crate::{
    hyperv, hyperv_wmi, json, kubevirt, libvirt, ovf, proxmox, text, vbox, vmx, xen_cfg, xml, yaml,
};

/// The largest definition that is read, in bytes.
pub const LARGEST: u64 = 4 << 20;

/// How many members of an archive are looked at. The descriptor is the first by OVF 1.1, section 12.
const MOST_MEMBERS: usize = 16;

/// Reads a file: a definition, or an OVF archive, of which only the descriptor is read.
///
/// # Errors
/// If it cannot be read, is too large, of no known form, or damaged.
pub fn read_file(path: &Path) -> Result<VmDefinition, VmdefError> {
    let file = path.display().to_string();
    let failed = |source| VmdefError::Read { file: file.clone(), source };
    // Asked before opening: opening a pipe would wait for its other end.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(VmdefError::NoFile { file });
    }
    let mut open = File::open(path).map_err(failed)?;
    let mut head = Vec::new();
    (&mut open).take(512).read_to_end(&mut head).map_err(failed)?;
    open.seek(SeekFrom::Start(0)).map_err(failed)?;
    if head.get(257..262) == Some(b"ustar") {
        return read_archive(&file, open);
    }
    let is_vmcx = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("vmcx"));
    if is_vmcx {
        return Err(VmdefError::Vmcx { file, command: HYPERV_COMMAND });
    }
    let bytes = bounded(&file, open)?;
    read_text(&file, &bytes)
}

fn bounded(file: &str, from: impl Read) -> Result<Vec<u8>, VmdefError> {
    let mut bytes = Vec::new();
    from.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| VmdefError::Read { file: file.to_owned(), source })?;
    if bytes.len() as u64 > LARGEST {
        return Err(VmdefError::TooLarge { file: file.to_owned(), most: LARGEST });
    }
    Ok(bytes)
}

/// Finds the descriptor in an OVF archive and reads it.
pub(crate) fn read_archive(file: &str, from: impl Read + Seek) -> Result<VmDefinition, VmdefError> {
    let failed = |source| VmdefError::Read { file: file.to_owned(), source };
    let mut archive = tar::Archive::new(from);
    let mut looked = 0;
    // Raw: extended headers would be read into memory at whatever size they claim.
    let members = archive.entries_with_seek().map_err(failed)?.raw(true);
    for member in members.take(MOST_MEMBERS) {
        let member = member.map_err(failed)?;
        looked += 1;
        let name = String::from_utf8_lossy(&member.path_bytes()).into_owned();
        if member.header().entry_type().is_file() && name.to_ascii_lowercase().ends_with(".ovf") {
            let shown = format!("{file} ({})", hospitium_model::printable(&name, 100));
            let bytes = bounded(&shown, member)?;
            return read_text(&shown, &bytes);
        }
    }
    Err(VmdefError::NoDescriptor { file: file.to_owned(), looked })
}

/// Reads a definition in memory; `file` is its name in messages.
///
/// # Errors
/// If it is too large, of no known form, or damaged.
pub fn read_text(file: &str, bytes: &[u8]) -> Result<VmDefinition, VmdefError> {
    if bytes.len() as u64 > LARGEST {
        return Err(VmdefError::TooLarge { file: file.to_owned(), most: LARGEST });
    }
    let unknown = |what: String| VmdefError::Unknown { file: file.to_owned(), what };
    let wide = matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..]);
    if !wide && bytes.contains(&0) {
        return Err(unknown(format!(
            "it is binary; for a machine of Hyper-V 2016 or later run this in PowerShell on the \
             host and name the file that it writes: {HYPERV_COMMAND}"
        )));
    }
    let decoded = text::decode(file, bytes)?;
    let text = decoded.text.as_str();
    let begin = text.trim_start().chars().next();
    let mut definition = match begin {
        Some('<') => {
            let root = xml::read(file, text)?;
            let mut definition = match root.name.as_str() {
                "domain" => libvirt::read(file, text, &root)?,
                // `virsh` keeps the state of running machines, and snapshots, around the same form.
                "domstatus" | "domainsnapshot" if root.first("domain").is_some() => {
                    match root.first("domain") {
                        Some(domain) => libvirt::read(file, text, domain)?,
                        None => return Err(unknown("XML without <domain>".into())),
                    }
                }
                "Envelope" => ovf::read(file, text, &root)?,
                "configuration" => hyperv::settings(file, text, &root)?,
                "VirtualBox" => vbox::read(file, text, &root)?,
                "DECLARATIONS" | "CIM" => hyperv_wmi::instances(file, text, &root)?,
                other => {
                    let other = hospitium_model::printable(other, 60);
                    return Err(unknown(format!("it is XML with the root element <{other}>")));
                }
            };
            root.leave_rest(&mut definition);
            definition
        }
        Some('{' | '[') => {
            let root = json::read(file, text)?;
            let mut definition = hyperv::facts(file, text, &root)?;
            root.leave_rest(&mut definition);
            definition
        }
        Some(_) if kubevirt::looks_like(text) => {
            let root = yaml::read(file, text)?;
            let mut definition = kubevirt::read(file, text, &root)?;
            root.leave_rest(&mut definition);
            definition
        }
        Some(_) if proxmox::looks_like(text) => proxmox::read(file, text)?,
        Some(_) if xen_cfg::looks_like(text) => xen_cfg::read(file, text)?,
        Some(_) if vmx::looks_like(text) => vmx::read(file, text)?,
        Some(_) => {
            return Err(unknown(
                "it is neither XML nor JSON nor a KubeVirt VirtualMachine nor lines of key = value \
                 or key: value"
                    .into(),
            ));
        }
        None => return Err(unknown("it is empty".into())),
    };
    if let Some(encoding) = decoded.inexact {
        let what = format!("encoding {encoding}: names may be damaged, nothing else is");
        definition.leave(1, &what, Why::NotUnderstood);
    }
    Ok(definition)
}
