//! What the names of QEMU's machine types say, and of architectures.

use hospitium_model::Chipset;

use crate::definition::{Hypervisor, Told, VmDefinition};

/// Ubuntu names machine types by its releases (qemu-kvm's and qemu's packages, `debian/patches`).
const UBUNTU: [(&str, &str); 10] = [
    ("trusty", "14.04"),
    ("xenial", "16.04"),
    ("bionic", "18.04"),
    ("eoan", "19.10"),
    ("focal", "20.04"),
    ("hirsute", "21.04"),
    ("impish", "21.10"),
    ("jammy", "22.04"),
    ("mantic", "23.10"),
    ("noble", "24.04"),
];

/// What a machine type's name says of QEMU and of whose QEMU it is.
pub(crate) fn by_machine_type(machine: &Told<String>, d: &mut VmDefinition) {
    let name = machine.value.as_str();
    let numbers = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_digit())
            && text.contains('.')
            && text.chars().all(|c| c.is_ascii_digit() || c == '.')
    };
    let told = |text: String| machine.clone().map(|_| text);
    // `rhel5.4.0` and `pc-q35-rhel9.2.0` count the distribution's releases, not QEMU's.
    let last = name.rsplit('-').next().unwrap_or_default();
    if let Some(release) = last.strip_prefix("rhel").filter(|rest| numbers(rest)) {
        let release: Vec<&str> = release.split('.').take(2).collect();
        d.hosts.push(told(format!("KVM of RHEL {}", release.join("."))));
        return;
    }
    let ubuntu = name.split('-').find_map(|part| UBUNTU.iter().find(|(word, _)| *word == part));
    if let Some((_, release)) = ubuntu {
        d.hosts.push(told(format!("KVM of Ubuntu {release}")));
        return;
    }
    // `pc-q35-7.2` came with QEMU 7.2.
    if numbers(last) && d.hypervisor.as_ref().is_none_or(|h| is_qemu(&h.value)) {
        d.hypervisor_from = Some(told(last.to_owned()));
        d.hosts.push(told(format!("QEMU {last}")));
    }
}

const fn is_qemu(hypervisor: &Hypervisor) -> bool {
    matches!(hypervisor, Hypervisor::Qemu | Hypervisor::Kvm)
}

/// The chipset of a machine type; none of one that is neither a 440FX nor a Q35.
pub(crate) fn chipset_of(name: &str) -> Option<Chipset> {
    let lower = name.to_ascii_lowercase();
    let numbered = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    if lower.contains("q35") {
        Some(Chipset::Modern)
    } else if lower.contains("i440fx")
        || matches!(lower.as_str(), "pc" | "xenfv" | "ubuntu")
        || lower.strip_prefix("pc-").is_some_and(numbered)
        || lower.starts_with("rhel5.")
        || lower.starts_with("rhel6.")
        || UBUNTU.iter().any(|(word, _)| lower.strip_prefix("pc-") == Some(word))
    {
        Some(Chipset::Legacy)
    } else {
        None
    }
}

/// An architecture by the one name that products have it under.
pub(crate) fn arch_of(name: &str) -> String {
    match name {
        "amd64" | "x86-64" => "x86_64",
        "i386" | "i486" | "i586" | "x86" => "i686",
        "arm64" => "aarch64",
        other => other,
    }
    .to_owned()
}
