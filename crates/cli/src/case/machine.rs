//! The machine of a case as options of `hospitium run`, and what of it no option says.

use hospitium_desk::Configuration;

/// A case's machine.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Options and their values.
    pub options: Vec<(&'static str, String)>,
    /// What the run does not have of the case, in sentences.
    pub left_out: Vec<String>,
}

/// Words of definitions that `hospitium run` takes.
const DISKS: [&str; 6] = ["virtio", "virtio-scsi", "sata", "ide", "usb", "nvme"];
const NICS: [&str; 5] = ["virtio", "e1000e", "e1000", "rtl8139", "vmxnet3"];
const FIRMWARES: [&str; 2] = ["bios", "uefi"];
const CHIPSETS: [&str; 2] = ["modern", "legacy"];

/// The machine of a case.
pub fn cell_of(configuration: &Configuration) -> Cell {
    let mut cell = Cell::default();
    let Configuration { vcpus, memory, machine, buses, drivers, features, .. } = configuration;
    cell.options.extend(vcpus.map(|count| ("--vcpus", count.to_string())));
    match memory.map(|bytes| (bytes >> 20, bytes % (1 << 20))) {
        Some((mib, 0)) if mib > 0 => cell.options.push(("--memory", format!("{mib} MiB"))),
        Some(_) => {
            let bytes = memory.unwrap_or_default();
            cell.left_out.push(format!("not in this run: {bytes} bytes of memory"));
        }
        None => {}
    }
    let lines = machine.iter().chain(buses).map(|line| line.as_str());
    for line in lines {
        let (kind, word) = line.split_once(": ").unwrap_or((line, ""));
        let word = word.to_lowercase();
        let (option, words): (&str, &[&str]) = match kind {
            "disk" => ("--disk", &DISKS),
            "network" => ("--nic", &NICS),
            "firmware" => ("--firmware", &FIRMWARES),
            "chipset" => ("--chipset", &CHIPSETS),
            // Where the configuration comes from, which the machine does not have.
            "definition" | "hypervisor" => continue,
            _ => {
                cell.left_out.push(format!("not in this run: {line}"));
                continue;
            }
        };
        let known = words.iter().find(|said| **said == word);
        let taken = cell.options.iter().find(|(name, _)| *name == option).map(|(_, v)| v.as_str());
        match (known, taken) {
            (Some(value), None) => cell.options.push((option, (*value).to_owned())),
            // Several disks of one bus are one setting.
            (Some(value), Some(taken)) if *value == taken => {}
            _ => cell.left_out.push(format!("not in this run: {line}")),
        }
    }
    let drivers = drivers.iter().map(|driver| format!("driver {} {}", driver.name, driver.version));
    let features = features.iter().map(|feature| format!("feature {feature}"));
    cell.left_out.extend(drivers.chain(features).map(|what| format!("not in this run: {what}")));
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(machine: &[&str], buses: &[&str]) -> Configuration {
        let lines =
            |words: &[&str]| words.iter().map(|word| word.parse().expect("a line")).collect();
        Configuration {
            guest: "a guest".parse().expect("a line"),
            host: "a host".parse().expect("a line"),
            vcpus: Some(4),
            memory: Some(2 << 30),
            machine: lines(machine),
            buses: lines(buses),
            drivers: Vec::new(),
            features: lines(&["live migration"]),
        }
    }

    #[test]
    fn a_cases_machine_becomes_options_and_the_rest_is_told() {
        let machine = ["definition: libvirt", "firmware: uefi", "chipset: modern"];
        let buses =
            ["disk: virtio", "disk: virtio", "disk: sata", "network: e1000", "network: netvsc"];
        let cell = cell_of(&configuration(&machine, &buses));
        let options: Vec<String> =
            cell.options.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let wanted = [
            "--vcpus 4",
            "--memory 2048 MiB",
            "--firmware uefi",
            "--chipset modern",
            "--disk virtio",
            "--nic e1000",
        ];
        assert_eq!(options, wanted);
        let left = ["disk: sata", "network: netvsc", "feature live migration"];
        assert_eq!(cell.left_out, left.map(|what| format!("not in this run: {what}")));
    }

    #[test]
    fn every_option_is_one_that_a_run_takes() {
        use clap::Parser as _;
        let all = [
            ("--disk", &DISKS[..]),
            ("--nic", &NICS),
            ("--firmware", &FIRMWARES),
            ("--chipset", &CHIPSETS),
        ];
        for (option, words) in all {
            for value in words {
                let given = ["hospitium", "run", option, value, "--memory", "2048 MiB"];
                assert!(crate::args::Arguments::try_parse_from(given).is_ok(), "{option} {value}");
            }
        }
    }
}
