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
    esx: String,
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
            Self::CimOsType(number) => {
                tables.cim.iter().find(|row| row.id.contains(number))?.words.clone()
            }
        };
        (!words.trim().is_empty()).then_some(Words::Search(words))
    }
}

/// The first version of VMware's hypervisor with this version of virtual hardware.
pub(crate) fn vmware_from(version: &str) -> Option<String> {
    let version = version.trim_start_matches("vmx-").trim_start_matches('0');
    TABLES.as_ref()?.hardware.iter().find(|row| row.version == version).map(|row| row.esx.clone())
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
