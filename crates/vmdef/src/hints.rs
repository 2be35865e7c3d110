//! What the formats call operating systems and virtual hardware, from the tables in `hints.toml`.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::GuestHint;

/// Where the tables come from.
pub const HINTS_SOURCE: &str =
    "crates/vmdef/src/hints.toml (VMware vSphere API and KB 1003746, DMTF CIM_OperatingSystem)";

/// What to search the products for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Words {
    /// A product's id, to be found exactly.
    Id(String),
    /// Words as people write them: `Red Hat Enterprise Linux 5`. They may fit several products.
    Search(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    #[expect(dead_code, reason = "for people who read the file")]
    source: Vec<String>,
    vmware: Vec<VmwareRow>,
    cim: Vec<CimRow>,
    hardware: Vec<HardwareRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VmwareRow {
    /// `.vmx` values without `-64`.
    vmx: Vec<String>,
    /// vSphere ids without `Guest` and `64`.
    #[serde(default)]
    vsphere: Vec<String>,
    words: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CimRow {
    id: Vec<u32>,
    words: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HardwareRow {
    version: String,
    /// The first ESX or ESXi that has it; none if only hosted products do.
    #[serde(default)]
    server: Option<String>,
    /// The first hosted products that have it.
    #[serde(default)]
    hosted: Vec<String>,
}

static TABLES: LazyLock<Option<Tables>> =
    LazyLock::new(|| toml::from_str(include_str!("hints.toml")).ok());

impl GuestHint {
    /// What to search the products for; none if the value says too little (`other-64`) or is not in
    /// the tables.
    pub fn words(&self) -> Option<Words> {
        let tables = TABLES.as_ref()?;
        let words = match self {
            Self::Osinfo(id) => return Some(Words::Id(id.clone())),
            Self::Words(words) => words.clone(),
            Self::Vmx(value) => {
                let value = value.to_ascii_lowercase();
                let short = value.strip_suffix("-64").unwrap_or(&value);
                let short = short.strip_prefix("arm-").unwrap_or(short);
                let row = tables
                    .vmware
                    .iter()
                    .find(|row| row.vmx.iter().any(|v| v.eq_ignore_ascii_case(short)))?;
                row.words.clone()
            }
            Self::Vsphere(value) => {
                let value = value.to_ascii_lowercase();
                let short = value.strip_suffix("guest").unwrap_or(&value);
                let short = short.strip_suffix("64").unwrap_or(short).trim_end_matches('_');
                let fits = |v: &String| v.eq_ignore_ascii_case(short);
                let row = tables
                    .vmware
                    .iter()
                    .find(|row| row.vsphere.iter().any(fits) || row.vmx.iter().any(fits))?;
                row.words.clone()
            }
            Self::VirtualBox(value) => virtualbox(value)?,
            Self::Ovirt(value) => ovirt(value)?,
            Self::CimOsType(number) => {
                tables.cim.iter().find(|row| row.id.contains(number))?.words.clone()
            }
        };
        (!words.trim().is_empty()).then_some(Words::Search(words))
    }
}

/// The letters at the beginning of a text, and what follows them.
fn letters(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    text.split_at(end)
}

/// VirtualBox's names of systems are made by a rule: name, release, architecture (VirtualBox,
/// `src/VBox/Main/src-all/Global.cpp`).
fn virtualbox(value: &str) -> Option<String> {
    let plain = ["_64", "_x64", "_arm64"].iter().find_map(|end| value.strip_suffix(end));
    let plain = plain.unwrap_or(value);
    let (name, rest) = letters(plain);
    // `Ubuntu22_LTS` is 22.04, `Ubuntu23_10` says it.
    let release = rest.trim_end_matches("_LTS").replace('_', ".");
    let name = match name.to_ascii_lowercase().as_str() {
        "ubuntu" if rest.ends_with("_LTS") && !release.contains('.') => {
            return Some(format!("Ubuntu {release}.04"));
        }
        "ubuntu" => "Ubuntu",
        "debian" => "Debian",
        "redhat" => "Red Hat Enterprise Linux",
        "oracle" => "Oracle Linux",
        "fedora" => "Fedora",
        "opensuse" => "openSUSE",
        "suse" if rest.is_empty() => "SUSE Linux Enterprise Server",
        "freebsd" => "FreeBSD",
        "openbsd" => "OpenBSD",
        "netbsd" => "NetBSD",
        "windowsnt" | "windowsme" => return None,
        "windows" => match rest {
            "2003" | "2008" | "2012" | "2016" | "2019" | "2022" | "2025" => "Windows Server",
            _ => "Windows",
        },
        "windowsxp" => "Windows XP",
        "windowsvista" => "Windows Vista",
        _ => return None,
    };
    Some(format!("{name} {release}").trim().to_owned())
}

/// oVirt's names of systems (ovirt-engine, `packaging/conf/osinfo-defaults.properties`).
fn ovirt(value: &str) -> Option<String> {
    let lower = value.to_ascii_lowercase();
    let plain = lower.strip_suffix("x64").unwrap_or(&lower).trim_end_matches('_');
    let (name, rest) = letters(plain);
    let rest = rest.trim_start_matches('_').replace('_', ".");
    let name = match (name, rest.as_str()) {
        ("rhel", "") => return None,
        ("rhel", _) => "Red Hat Enterprise Linux",
        ("sles", _) => "SUSE Linux Enterprise Server",
        ("debian", _) => "Debian",
        ("ubuntu", _) => "Ubuntu",
        ("windows", "2003" | "2008" | "2012" | "2016" | "2019" | "2022" | "2025") => {
            "Windows Server"
        }
        ("windows", "2008r2" | "2012r2") => "Windows Server",
        ("windows", "7" | "8" | "10" | "11" | "xp") => "Windows",
        _ => return None,
    };
    Some(format!("{name} {rest}").trim().to_owned())
}

fn hardware(version: &str) -> Option<&'static HardwareRow> {
    let version = version.trim_start_matches("vmx-").trim_start_matches('0');
    TABLES.as_ref()?.hardware.iter().find(|row| row.version == version)
}

/// The first version of VMware's server product with this version of virtual hardware.
pub(crate) fn vmware_from(version: &str) -> Option<String> {
    let server = hardware(version)?.server.as_deref()?;
    server.rsplit_once("ESXi ").or_else(|| server.rsplit_once("ESX ")).map(|(_, v)| v.to_owned())
}

/// VMware's first products with this version of virtual hardware: the server product, then the hosted ones.
pub(crate) fn vmware_hosts(version: &str) -> Vec<&'static str> {
    let Some(row) = hardware(version) else { return Vec::new() };
    row.server.iter().chain(&row.hosted).map(String::as_str).collect()
}

/// VirtualBox' first version that writes settings of this version (VirtualBox,
/// `src/VBox/Main/xml/Settings.cpp`, `MachineConfigFile::bumpSettingsVersionIfNeeded`).
pub(crate) fn virtualbox_from(settings: &str) -> Option<&'static str> {
    Some(match settings.split('-').next().unwrap_or_default() {
        "1.14" => "4.3",
        "1.15" => "5.0",
        "1.16" => "5.1",
        "1.17" => "5.2",
        "1.18" => "6.1",
        "1.19" => "7.0",
        "1.20" => "7.1",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(hint: GuestHint) -> String {
        match hint.words() {
            Some(Words::Search(words)) => words,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_tables_are_well_formed_and_name_nothing_twice() {
        let tables: Tables = toml::from_str(include_str!("hints.toml")).expect("tables");
        let mut vmx: Vec<String> = tables
            .vmware
            .iter()
            .flat_map(|r| r.vmx.iter().map(|v| v.to_ascii_lowercase()))
            .collect();
        let (all, mut cim) =
            (vmx.len(), tables.cim.iter().flat_map(|r| r.id.clone()).collect::<Vec<_>>());
        vmx.sort();
        vmx.dedup();
        assert_eq!(vmx.len(), all);
        let all = cim.len();
        cim.sort_unstable();
        cim.dedup();
        assert_eq!(cim.len(), all);
    }

    #[test]
    fn the_systems_of_2009_are_known_in_all_tables() {
        let vmx = |v: &str| search(GuestHint::Vmx(v.into()));
        assert_eq!(vmx("rhel5-64"), "Red Hat Enterprise Linux 5");
        assert_eq!(vmx("winNetEnterprise"), "Windows Server 2003 Enterprise");
        assert_eq!(vmx("win2000Serv"), "Windows 2000 Server");
        assert_eq!(vmx("longhorn-64"), "Windows Server 2008");
        assert_eq!(vmx("windows7srv-64"), "Windows Server 2008 R2");
        let vsphere = |v: &str| search(GuestHint::Vsphere(v.into()));
        assert_eq!(vsphere("rhel5_64Guest"), "Red Hat Enterprise Linux 5");
        assert_eq!(vsphere("windows7Server64Guest"), "Windows Server 2008 R2");
        assert_eq!(vsphere("winLonghorn64Guest"), "Windows Server 2008");
        assert_eq!(search(GuestHint::CimOsType(80)), "Red Hat Enterprise Linux");
    }

    #[test]
    fn what_says_too_little_gives_no_words() {
        assert_eq!(GuestHint::Vmx("other-64".into()).words(), None);
        assert_eq!(GuestHint::CimOsType(1).words(), None);
    }
}
