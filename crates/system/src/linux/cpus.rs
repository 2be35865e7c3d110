//! Processors of a Linux guest.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use hospitium_model::GuestSource::{Kernel, Register};
use hospitium_model::Inability;
use hospitium_wire::{CpuidWords, Flags};

use super::{LinuxSystem, read};
use crate::ask::{Cpus, Topology};
use crate::{Done, SystemError, Told};

const FOLDER: &str = "/sys/devices/system/cpu";
const VULNERABILITIES: &str = "/sys/devices/system/cpu/vulnerabilities";

#[async_trait]
impl Cpus for LinuxSystem {
    async fn online(&self) -> Told<Vec<u32>> {
        // The list is there since 2.6.28; before, /proc/cpuinfo has an entry for each that is online.
        if let Some(text) = read::text_if_there(&self.session, &format!("{FOLDER}/online")).await? {
            let list = read::cpu_list(&text);
            let list =
                list.ok_or_else(|| SystemError::unreadable("the list of online CPUs", &text));
            return Ok(Kernel.saw(list?));
        }
        let info = read::text(&self.session, "/proc/cpuinfo").await?;
        Ok(Kernel.saw(cpuinfo(&info, "processor").collect()))
    }

    async fn topology(&self) -> Told<Topology> {
        let online = self.online().await?.value;
        let first = online.first().copied().unwrap_or_default();
        let shown = format!("{FOLDER}/cpu{first}/topology");
        if read::names(&self.session, &shown).await?.is_empty() {
            let info = read::text(&self.session, "/proc/cpuinfo").await?;
            return Ok(Kernel.saw(topology_of(&info)));
        }
        let (mut sockets, mut cores, mut threads) = (BTreeSet::new(), BTreeSet::new(), 0);
        for cpu in &online {
            let at = format!("{FOLDER}/cpu{cpu}/topology");
            let package = read::number(&self.session, &format!("{at}/physical_package_id")).await?;
            let core = read::number(&self.session, &format!("{at}/core_id")).await?;
            let list = format!("{at}/thread_siblings_list");
            let siblings = match read::text_if_there(&self.session, &list).await? {
                Some(list) => read::cpu_list(&list).map_or(0, |list| list.len()),
                // Before 2.6.26 there is only the mask.
                None => {
                    let mask = read::text(&self.session, &format!("{at}/thread_siblings")).await?;
                    mask.chars()
                        .filter_map(|c| c.to_digit(16))
                        .map(|d| d.count_ones() as usize)
                        .sum()
                }
            };
            threads = threads.max(siblings);
            sockets.insert(package);
            cores.insert((package, core));
        }
        Ok(Kernel.saw(Topology { sockets: sockets.len(), cores: cores.len(), threads }))
    }

    async fn cpuid(&self, cpu: u32, leaf: u32, subleaf: u32) -> Told<CpuidWords> {
        Ok(Register.saw(self.session.cpuid(cpu, leaf, subleaf).await?))
    }

    async fn features(&self) -> Told<Vec<String>> {
        let info = read::text(&self.session, "/proc/cpuinfo").await?;
        let flags = info.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
        Ok(Kernel.saw(flags.split_whitespace().skip(2).map(str::to_owned).collect()))
    }

    async fn vulnerabilities(&self) -> Told<BTreeMap<String, String>> {
        let names = read::names(&self.session, VULNERABILITIES).await?;
        if names.is_empty() {
            let why = "this kernel does not say how it stands to CPU vulnerabilities (Linux does since 4.15)";
            return Err(Inability::of_guest(why).into());
        }
        let mut all = BTreeMap::new();
        for name in names {
            let state = read::text(&self.session, &format!("{VULNERABILITIES}/{name}")).await?;
            all.insert(name, state);
        }
        Ok(Kernel.saw(all))
    }

    async fn set_online(&self, cpu: u32, online: bool) -> Done {
        let switch = format!("{FOLDER}/cpu{cpu}/online");
        let text: &[u8] = if online { b"1" } else { b"0" };
        Ok(self.session.write_file(&switch, text, Flags::default()).await?)
    }

    async fn bring_cpus_online(&self) -> Done {
        bring_online(self, FOLDER, "cpu").await
    }

    async fn busy(&self, cpus: u32, time: Duration) -> Done {
        Ok(self.session.load(cpus, "", time).await?)
    }
}

/// Turns on every `online` switch of a folder's `prefix` and number that is off.
pub(super) async fn bring_online(system: &LinuxSystem, folder: &str, prefix: &str) -> Done {
    let guest = &system.session;
    for name in read::names(guest, folder).await? {
        let numbered = name
            .strip_prefix(prefix)
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        let switch = format!("{folder}/{name}/online");
        if numbered && read::text_if_there(guest, &switch).await?.as_deref() == Some("0") {
            guest.write_file(&switch, b"1", Flags::default()).await?;
        }
    }
    Ok(())
}

/// The topology by /proc/cpuinfo, for kernels that show none in /sys. A processor that is the only one in its
/// package has no such lines there (arch/x86/kernel/cpu/proc.c before 2.6.26).
fn topology_of(info: &str) -> Topology {
    let (mut sockets, mut cores, mut threads) = (BTreeSet::new(), BTreeSet::new(), 1);
    for (n, processor) in info.split("\n\n").filter(|text| !text.trim().is_empty()).enumerate() {
        let value = |key| cpuinfo(processor, key).next();
        let alone = u32::try_from(n).unwrap_or(u32::MAX);
        let package = value("physical id").map_or((true, alone), |id| (false, id));
        let core = value("core id").unwrap_or_default();
        sockets.insert(package);
        cores.insert((package, core));
        let of_core = value("siblings").unwrap_or(1) / value("cpu cores").unwrap_or(1).max(1);
        threads = threads.max(of_core as usize);
    }
    Topology { sockets: sockets.len(), cores: cores.len(), threads }
}

/// The numbers of a key's lines in /proc/cpuinfo, at most 4096.
fn cpuinfo<'a>(info: &'a str, key: &'a str) -> impl Iterator<Item = u32> + 'a {
    info.lines()
        .filter_map(move |line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == key).then(|| value.trim().parse().ok())?
        })
        .take(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topology_of_an_old_kernel_is_read_from_cpuinfo() {
        let processor = |package: u32, core: u32| {
            format!(
                "processor\t: 9\nphysical id\t: {package}\nsiblings\t: 4\ncore id\t\t: {core}\ncpu cores\t: 2\n\n"
            )
        };
        let all: String = [(0, 0), (0, 0), (0, 1), (0, 1), (1, 0), (1, 0), (1, 1), (1, 1)]
            .map(|(package, core)| processor(package, core))
            .concat();
        let wanted = Topology { sockets: 2, cores: 4, threads: 2 };
        assert_eq!(topology_of(&all), wanted);
        let alone = "processor\t: 0\nflags\t\t: fpu\n\nprocessor\t: 1\nflags\t\t: fpu\n";
        assert_eq!(topology_of(alone), Topology { sockets: 2, cores: 2, threads: 1 });
        let hostile = "physical id : 0\nsiblings : 4294967295\ncpu cores : 0\n";
        assert_eq!(topology_of(hostile).sockets, 1);
    }

    #[test]
    fn processors_of_an_old_kernel_are_counted_by_cpuinfo() {
        let info = "processor\t: 0\nvendor_id\t: GenuineIntel\n\nprocessor\t: 1\nmodel name\t: processor : 7\n";
        assert_eq!(cpuinfo(info, "processor").collect::<Vec<_>>(), [0, 1]);
    }
}
