//! The TPM's emulator: it ends with its machine, and a machine does not go on without it.

mod common;

use std::path::Path;
use std::time::Duration;

use common::{LIMIT, Lab, qemu};
use hospitium_host::{Ended, Host as _, Machine, PowerVerb, SeenTpm};
use hospitium_model::{Chipset, TpmVersion};

/// The process that works in a machine's folder of the TPM.
fn emulator(folder: &Path) -> Option<rustix::process::Pid> {
    let folder = folder.join("tpm").canonicalize().ok()?;
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let pids = processes.filter_map(|item| item.file_name().to_str()?.parse::<i32>().ok());
    let mut there = pids.filter(|pid| {
        std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder)
    });
    rustix::process::Pid::from_raw(there.next()?)
}

async fn gone(folder: &Path) {
    let gone = async {
        while emulator(folder).is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, gone).await.expect("the emulator is gone");
}

async fn running(lab: &Lab, name: &str, version: TpmVersion, chipset: Chipset) -> Box<dyn Machine> {
    let mut spec = lab.spec();
    (spec.tpm, spec.chipset) = (Some(version), chipset);
    let machine = qemu().await.define(&spec, &lab.work_dir(name)).await.expect("defined");
    machine.power(PowerVerb::On).await.expect("switched on");
    machine
}

#[tokio::test]
async fn a_tpm_of_each_version_is_seen_and_its_emulator_ends_with_the_machine() {
    let lab = Lab::new();
    for (name, version, chipset, interface) in [
        ("new", TpmVersion::V2_0, Chipset::Modern, "tpm-crb"),
        ("older", TpmVersion::V2_0, Chipset::Legacy, "tpm-tis"),
        ("old", TpmVersion::V1_2, Chipset::Modern, "tpm-tis"),
    ] {
        let machine = running(&lab, name, version, chipset).await;
        let seen = machine.look().await.expect("a look").tpm.expect("is told").value;
        let wanted = SeenTpm { interface: interface.into(), backend: "emulator".into() };
        assert_eq!(seen, Some(wanted), "{name}");
        let folder = lab.path().join(name);
        assert!(emulator(&folder).is_some(), "{name}");
        assert_eq!(machine.finish().await.expect("ends"), Ended::ByUs, "{name}");
        gone(&folder).await;
    }
}

#[tokio::test]
async fn a_machine_that_is_dropped_leaves_no_emulator() {
    let lab = Lab::new();
    let machine = running(&lab, "dropped", TpmVersion::V2_0, Chipset::Modern).await;
    let folder = lab.path().join("dropped");
    assert!(emulator(&folder).is_some());
    drop(machine);
    gone(&folder).await;
}

#[tokio::test]
async fn a_machine_whose_tpm_emulator_dies_is_lost_and_says_why() {
    let lab = Lab::new();
    let machine = running(&lab, "lost", TpmVersion::V2_0, Chipset::Modern).await;
    let pid = emulator(&lab.path().join("lost")).expect("it runs");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
    let ended = tokio::time::timeout(LIMIT, machine.ended()).await.expect("it ends");
    let Ended::Lost { why } = ended else { panic!("{ended:?}") };
    assert!(why.contains("TPM emulator") && why.contains("signal 9"), "{why}");
}
