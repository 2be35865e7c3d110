//! A question as people write it: `rhel 5.3 on hyper-v server 2008, 4 vcpu, 8 GiB`.

use hospitium_model::{ByteSize, Firmware, printable};
use hospitium_products::Arch;
use serde::Serialize;

/// Longest question, in bytes.
const LONGEST: usize = 500;
/// Most vCPUs that can be asked for.
const MOST_VCPUS: u32 = 65_536;
/// Most memory that can be asked for, in KiB: 1 PiB.
const MOST_KIB: u64 = 1 << 40;
/// Words between what is asked for.
const FILLERS: [&str; 29] = [
    "guest",
    "guests",
    "host",
    "hosts",
    "intel",
    "amd",
    "virtual",
    "machine",
    "vm",
    "can",
    "will",
    "when",
    "with",
    "and",
    "of",
    "ram",
    "memory",
    "is",
    "are",
    "does",
    "do",
    "validated",
    "certified",
    "supported",
    "run",
    "runs",
    "running",
    "work",
    "works",
];
/// Buses of disks, as the machine's own words and as people write them.
const BUSES: [(&str, &str); 12] = [
    ("lsilogic", "lsilogic"),
    ("lsisas1068", "lsisas1068"),
    ("pvscsi", "pvscsi"),
    ("buslogic", "buslogic"),
    ("virtio", "virtio"),
    ("virtio-blk", "virtio"),
    ("virtio-scsi", "virtio-scsi"),
    ("ide", "ide"),
    ("sata", "sata"),
    ("ahci", "sata"),
    ("nvme", "nvme"),
    ("usb", "usb"),
];
/// Network interfaces, in the same way.
const NICS: [(&str, &str); 6] = [
    ("virtio-net", "virtio"),
    ("e1000", "e1000"),
    ("e1000e", "e1000e"),
    ("rtl8139", "rtl8139"),
    ("vmxnet3", "vmxnet3"),
    ("netvsc", "netvsc"),
];

/// What is asked of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Limits {
    /// vCPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vcpus: Option<u32>,
    /// Memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    /// Firmware.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<Firmware>,
    /// Architecture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arch: Option<Arch>,
    /// Buses of disks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub buses: Vec<String>,
    /// Network interfaces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nics: Vec<String>,
    /// Chipset generation, as records have it: `modern` or `legacy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chipset: Option<String>,
    /// Machine type by the hypervisor's own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_type: Option<String>,
    /// CPU model by the hypervisor's own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_model: Option<String>,
    /// Whether Secure Boot is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secure_boot: Option<bool>,
    /// Other devices, as records name them: `tpm`, `watchdog`, `rng`, …
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    /// What the machine has, or does not tell, that no record can be held against: each a limit as it stands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub untested: Vec<String>,
}

/// A question, taken apart. Which products are meant is not known yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Question {
    /// As it was asked, fit for a page or a terminal.
    pub text: String,
    /// Guest and host, for each place where an `on` could part them, the last first.
    pub sides: Vec<(String, String)>,
    /// What is asked of the machine.
    pub limits: Limits,
}

/// Why a question cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// Too long.
    #[error("the question has {0} bytes, and one has at most {LONGEST}")]
    TooLong(usize),
    /// No `on`.
    #[error(
        "{0:?} does not say which guest on which host; ask like this: debian 12 on qemu 7.2, 4 vcpu, 8 GiB"
    )]
    NoOn(String),
    /// A number that no machine has.
    #[error(
        "{0:?} is more or less than a machine can have; ask for 1 to {MOST_VCPUS} vCPUs and 1 MiB to 1 PiB"
    )]
    Number(String),
    /// Something that no machine is asked for.
    #[error(
        "{0:?} is nothing that can be asked of a machine; ask like this: 4 vcpu, 8 GiB, uefi, virtio"
    )]
    NoLimit(String),
    /// Two different values for one thing.
    #[error("the question asks for two different {0}; ask for one")]
    Twice(&'static str),
}

/// What can be asked: a text, or a question that is taken apart already.
pub trait Asked {
    /// The question.
    ///
    /// # Errors
    /// If a text cannot be understood.
    fn question(self) -> Result<Question, QuestionError>;
}

impl Asked for &str {
    fn question(self) -> Result<Question, QuestionError> {
        Question::parse(self)
    }
}

impl Asked for &String {
    fn question(self) -> Result<Question, QuestionError> {
        Question::parse(self)
    }
}

impl Asked for &Question {
    fn question(self) -> Result<Question, QuestionError> {
        Ok(self.clone())
    }
}

/// Words between a guest and its host, the guest before them.
const ON: [&str; 3] = ["on", "under", "atop"];

/// Words between a host and its guest, the host before them: `XCP-ng 8.2 when VM is Ubuntu 24.04`.
const GUEST_IS: [&[&str]; 6] = [
    &["when", "vm", "is"],
    &["when", "guest", "is"],
    &["when", "the", "vm", "is"],
    &["with", "guest"],
    &["running", "guest"],
    &["hosting"],
];

/// Where guest and host are parted: the words of each.
fn parted<'t>(words: &[&'t str]) -> Vec<(Vec<&'t str>, Vec<&'t str>)> {
    let is = |word: &str, other: &str| word.eq_ignore_ascii_case(other);
    let is_on = |word: &str| ON.iter().any(|on| is(word, on));
    let mut found = Vec::new();
    let all: Vec<usize> =
        words.iter().enumerate().filter(|(_, word)| is_on(word)).map(|(place, _)| place).collect();
    for place in all.iter().rev() {
        let (guest, host) = words.split_at(*place);
        found.push((guest.to_vec(), host.get(1..).unwrap_or_default().to_vec()));
    }
    // `a guest under a host under the host's own system`.
    if let [first, second, ..] = all.as_slice() {
        let guest = words.get(..*first).unwrap_or_default();
        let host = words.get(first + 1..*second).unwrap_or_default();
        found.insert(0, (guest.to_vec(), host.to_vec()));
    }
    for phrase in GUEST_IS {
        let fits = |window: &[&str]| window.iter().zip(phrase).all(|(word, other)| is(word, other));
        if let Some(place) = words.windows(phrase.len()).position(fits) {
            let (host, guest) = words.split_at(place);
            found.push((guest.get(phrase.len()..).unwrap_or_default().to_vec(), host.to_vec()));
        }
    }
    found
}

/// `5.2/5.3/5.4` of one name: each alternative as a text of its own; the text alone if it names one.
fn alternatives(side: &str) -> Vec<String> {
    let version = |text: &&str| {
        text.starts_with(|c: char| c.is_ascii_digit())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '.')
    };
    let parts: Vec<&str> = side.split('/').map(str::trim).collect();
    // `Debian GNU/Linux 12` and `http://redhat.com/rhel/5.3` are one name each.
    let Some((first, more)) = parts.split_first().filter(|(first, more)| {
        !more.is_empty() && more.iter().all(&version) && !first.contains(':')
    }) else {
        return vec![side.to_owned()];
    };
    let Some((name, _)) = first.rsplit_once(' ').filter(|(_, last)| version(last)) else {
        return vec![side.to_owned()];
    };
    let whole = |part: &&str| format!("{name} {part}");
    std::iter::once((*first).to_owned()).chain(more.iter().map(whole)).collect()
}

impl Question {
    /// Each guest that the question names, where it names several: `RHEL 5.2/5.3 on …`.
    pub fn guests(&self) -> Vec<String> {
        self.sides.first().map(|(guest, _)| alternatives(guest)).unwrap_or_default()
    }

    /// Reads a question.
    ///
    /// # Errors
    /// If it is too long, does not name a guest `on` a host, or asks for what no machine has.
    pub fn parse(text: &str) -> Result<Self, QuestionError> {
        if text.len() > LONGEST {
            return Err(QuestionError::TooLong(text.len()));
        }
        let shown = printable(text.trim(), LONGEST);
        let clean: String = text
            .chars()
            .map(|c| match c {
                c if c.is_control() || matches!(c, ',' | ';' | '?' | '"') => ' ',
                // As they are typed in Japanese and Chinese.
                '（' => '(',
                '）' => ')',
                '、' => '/',
                c => c,
            })
            .collect();
        // `x64版およびx86版`: for both.
        let clean = clean.replace("および", " ").replace('版', " ");
        let tokens: Vec<&str> = clean.split_whitespace().collect();
        let mut limits = Limits::default();
        let mut words: Vec<&str> = Vec::new();
        // Architectures, each with how many words stand before it.
        let mut archs: Vec<(usize, Arch)> = Vec::new();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let next = tokens.get(at + 1).copied().unwrap_or_default();
            if let Some((arch, used)) = arch_at(token, next) {
                archs.push((words.len(), arch));
                at += used;
                continue;
            }
            at += limits.take(token, next)?.unwrap_or_else(|| {
                words.push(token);
                1
            });
        }
        let mut sides = Vec::new();
        for (guest, host) in parted(&words) {
            let side = |words: &[&str]| {
                let kept =
                    words.iter().filter(|w| !FILLERS.iter().any(|f| w.eq_ignore_ascii_case(f)));
                let kept: Vec<&str> = kept.map(|w| w.trim_matches(['(', ')'])).collect();
                kept.into_iter().filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ")
            };
            let (guest, host) = (side(&guest), side(&host));
            if !guest.is_empty() && !host.is_empty() {
                sides.push((guest, host));
            }
        }
        // Where several guests are named, each is asked for alone, and so is each architecture.
        let several = sides.first().is_some_and(|(guest, _)| alternatives(guest).len() > 1);
        limits.arch = match of_guest(archs, &words) {
            Err(QuestionError::Twice(_)) if several => None,
            said => said?,
        };
        if sides.is_empty() {
            return Err(QuestionError::NoOn(shown));
        }
        Ok(Self { text: shown, sides, limits })
    }
}

impl Limits {
    /// What a text asks of a machine, without guest and host: `4 vcpu, 8 GiB, uefi`.
    ///
    /// # Errors
    /// If something in it is no limit, or is none that a machine can have.
    pub fn parse(text: &str) -> Result<Self, QuestionError> {
        let clean: String = text
            .chars()
            .map(|c| if c.is_control() || matches!(c, ',' | ';') { ' ' } else { c })
            .collect();
        let tokens: Vec<&str> = clean.split_whitespace().collect();
        let mut limits = Self::default();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let next = tokens.get(at + 1).copied().unwrap_or_default();
            if let Some((arch, used)) = arch_at(token, next) {
                put(&mut limits.arch, arch, "architectures")?;
                at += used;
                continue;
            }
            let filler = FILLERS.iter().any(|filler| token.eq_ignore_ascii_case(filler));
            match limits.take(token, next)? {
                Some(used) => at += used,
                None if filler => at += 1,
                None => return Err(QuestionError::NoLimit(printable(token, 80))),
            }
        }
        Ok(limits)
    }

    /// Takes in one limit, and says of how many tokens it was made; none if this is no limit.
    fn take(&mut self, token: &str, next: &str) -> Result<Option<usize>, QuestionError> {
        let word = token.to_ascii_lowercase();
        let digits = word.len() - word.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = word.split_at(digits);
        if !number.is_empty() {
            // `8GiB` or `8 GiB`.
            let (unit, used) = match unit {
                "" => (next.to_ascii_lowercase(), 2),
                unit => (unit.to_owned(), 1),
            };
            return self.number(number, &unit).map(|taken| taken.then_some(used));
        }
        let firmware = match word.as_str() {
            "bios" => Some(Firmware::Bios),
            "uefi" | "efi" => Some(Firmware::Uefi),
            _ => None,
        };
        let chipset = match word.as_str() {
            "q35" => Some("modern"),
            "i440fx" | "440fx" | "440bx" => Some("legacy"),
            _ => None,
        };
        if let Some(firmware) = firmware {
            put(&mut self.firmware, firmware, "firmwares")?;
        } else if let Some(chipset) = chipset {
            put(&mut self.chipset, chipset.to_owned(), "chipsets")?;
        } else if matches!(word.as_str(), "secureboot" | "secure-boot") {
            put(&mut self.secure_boot, true, "kinds of boot")?;
        } else if word == "secure" && next.eq_ignore_ascii_case("boot") {
            put(&mut self.secure_boot, true, "kinds of boot")?;
            return Ok(Some(2));
        } else if matches!(word.as_str(), "tpm" | "vtpm") {
            add(&mut self.devices, "tpm");
        } else if word == "watchdog" {
            add(&mut self.devices, "watchdog");
        } else if let Some((_, bus)) = BUSES.iter().find(|(name, _)| *name == word) {
            add(&mut self.buses, bus);
        } else if let Some((_, nic)) = NICS.iter().find(|(name, _)| *name == word) {
            add(&mut self.nics, nic);
        } else {
            return Ok(None);
        }
        Ok(Some(1))
    }

    fn number(&mut self, number: &str, unit: &str) -> Result<bool, QuestionError> {
        let wrong = || QuestionError::Number(printable(&format!("{number} {unit}"), 80));
        // GB is what people write and GiB what a machine gets.
        let kib: Option<u64> = match unit {
            "vcpu" | "vcpus" | "cpu" | "cpus" | "core" | "cores" | "processor" | "processors" => {
                None
            }
            "tib" | "tb" => Some(1 << 30),
            "gib" | "gb" | "g" => Some(1 << 20),
            "mib" | "mb" | "m" => Some(1 << 10),
            // Nobody asks so; machines' definitions do.
            "kib" => Some(1),
            _ => return Ok(false),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        match kib {
            None => {
                let count = u32::try_from(number).ok().filter(|n| (1..=MOST_VCPUS).contains(n));
                put(&mut self.vcpus, count.ok_or_else(wrong)?, "numbers of vCPUs")?;
            }
            Some(factor) => {
                let kib = number.checked_mul(factor).filter(|n| (1..=MOST_KIB).contains(n));
                let size = ByteSize::bytes(kib.ok_or_else(wrong)? << 10);
                put(&mut self.memory, size, "sizes of memory")?;
            }
        }
        Ok(true)
    }

    /// In words, each with what it is.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        words.extend(self.vcpus.map(|n| format!("{n} vCPU{}", if n == 1 { "" } else { "s" })));
        words.extend(self.memory.map(|size| size.to_string()));
        words.extend(self.firmware.map(|firmware| firmware_word(firmware).to_owned()));
        words.extend(self.arch.as_ref().map(Arch::to_string));
        words.extend(self.buses.iter().map(|bus| format!("disk on {bus}")));
        words.extend(self.nics.iter().map(|nic| format!("network {nic}")));
        words.extend(self.chipset.iter().map(|chipset| format!("{chipset} chipset")));
        words.extend(self.machine_type.iter().map(|name| format!("machine type {name}")));
        words.extend(self.cpu_model.iter().map(|name| format!("CPU model {name}")));
        words.extend(self.secure_boot.filter(|on| *on).map(|_| "Secure Boot".to_owned()));
        words.extend(self.devices.iter().cloned());
        words
    }
}

/// The architecture that one token names, or two: `(32-bit)`, `64 bit`.
fn arch_at(token: &str, next: &str) -> Option<(Arch, usize)> {
    let word = token.to_ascii_lowercase();
    let bare = word.trim_matches(['(', ')']);
    if let Some(arch) = Arch::known(bare) {
        return Some((arch, 1));
    }
    let next = next.to_ascii_lowercase();
    let bits =
        matches!(bare, "32" | "64") && matches!(next.trim_matches(['(', ')']), "bit" | "-bit");
    let arch = bits.then(|| Arch::known(&format!("{bare}bit"))).flatten()?;
    Some((arch, 2))
}

/// The architecture that is asked for: what is said beside the guest goes before what is said of the host,
/// which may run guests of another. Several for the guest ask for each.
fn of_guest(archs: Vec<(usize, Arch)>, words: &[&str]) -> Result<Option<Arch>, QuestionError> {
    let on = words.iter().position(|word| ON.iter().any(|on| word.eq_ignore_ascii_case(on)));
    let split = on.unwrap_or(words.len());
    let (guest, host): (Vec<_>, Vec<_>) = archs.into_iter().partition(|(at, _)| *at <= split);
    let said = if guest.is_empty() { host } else { guest };
    let mut arch = None;
    for (_, said) in said {
        put(&mut arch, said, "architectures")?;
    }
    Ok(arch)
}

/// A firmware in a word.
pub(crate) const fn firmware_word(firmware: Firmware) -> &'static str {
    match firmware {
        Firmware::Bios => "BIOS",
        Firmware::Uefi => "UEFI",
    }
}

fn put<T: PartialEq>(
    place: &mut Option<T>,
    value: T,
    what: &'static str,
) -> Result<(), QuestionError> {
    match place {
        Some(old) if *old != value => Err(QuestionError::Twice(what)),
        _ => {
            *place = Some(value);
            Ok(())
        }
    }
}

fn add(list: &mut Vec<String>, name: &str) {
    if !list.iter().any(|known| known == name) {
        list.push(name.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn limits_are_taken_in_any_order_and_the_rest_names_guest_and_host() {
        for text in [
            "rhel 5.3 on hyper-v server 2008, 4 vcpu, 8 GiB",
            "rhel 5.3 on hyper-v server 2008 with 8GB of memory and 4vCPUs",
            "rhel 5.3, 8192 MiB, 4 cores on hyper-v server 2008",
            "rhel 5.3, 8388608 KiB, 4 cores on hyper-v server 2008",
            "Does rhel 5.3 run on hyper-v server 2008 with 4 processors and 8 GB memory?",
            "is rhel 5.3 supported on hyper-v server 2008, 4 vcpus, 8 GiB?",
        ] {
            let question = Question::parse(text).expect("understood");
            assert_eq!(
                question.sides,
                [("rhel 5.3".into(), "hyper-v server 2008".into())],
                "{text}"
            );
            assert_eq!(question.limits.vcpus, Some(4));
            assert_eq!(question.limits.memory, Some(ByteSize::gib(8)));
        }
        let question =
            Question::parse("debian 12 amd64 uefi virtio e1000 on qemu 7.2").expect("understood");
        assert_eq!(question.limits.words(), ["UEFI", "x86_64", "disk on virtio", "network e1000"]);
    }

    #[test]
    fn a_question_that_asks_for_nothing_or_for_the_impossible_says_so() {
        assert!(matches!(Question::parse("rhel 5.3"), Err(QuestionError::NoOn(_))));
        assert!(matches!(Question::parse("on qemu"), Err(QuestionError::NoOn(_))));
        assert!(matches!(Question::parse(""), Err(QuestionError::NoOn(_))));
        for bad in ["a on b, 0 vcpu", "a on b, 99999999999999999999 GiB", "a on b, 9999999 TiB"] {
            assert!(matches!(Question::parse(bad), Err(QuestionError::Number(_))), "{bad}");
        }
        let none = Question::parse("a on b, 0 vcpu").expect_err("no machine").to_string();
        assert!(none.contains("\"0 vcpu\"") && none.contains("1 to 65536 vCPUs"), "{none}");
        assert_eq!(
            Question::parse("a on b, 2 vcpu, 4 vcpu"),
            Err(QuestionError::Twice("numbers of vCPUs"))
        );
        assert!(matches!(Question::parse(&"x".repeat(501)), Err(QuestionError::TooLong(501))));
    }

    proptest! {
        #[test]
        fn any_text_is_taken_apart_without_a_panic(text in ".{0,200}") {
            if let Ok(question) = Question::parse(&text) {
                prop_assert!(question.sides.iter().all(|(g, h)| !g.is_empty() && !h.is_empty()));
                prop_assert!(!question.text.chars().any(char::is_control));
            }
        }
    }
}
