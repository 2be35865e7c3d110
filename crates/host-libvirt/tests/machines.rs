//! What can go wrong around a machine on libvirt: its daemon dies, its process dies, the harness died before.

mod common;

use std::time::{Duration, Instant};

use common::{Lab, runs, spec};
use hospitium_host::{
    Defect, Ended, EventKind, Generation, Host as _, HostError, Machine, PowerVerb, Reaper as _,
};
use hospitium_host_libvirt::{Libvirt, LibvirtOptions, LibvirtReaper};
use hospitium_model::{ByteSize, HostSource, Network, Nic, NicModel};
use rustix::process::{Pid, Signal, kill_process};

/// Nothing here takes longer, on a busy computer.
const LIMIT: Duration = Duration::from_secs(60);

async fn pid(machine: &dyn Machine) -> u32 {
    let facts = machine.confinement().expect("seen").process().await.expect("read");
    facts.pid.expect("seen").value
}

fn kill(pid: u32) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a process");
    kill_process(pid, Signal::KILL).expect("killed");
}

async fn ended(machine: &dyn Machine) -> Ended {
    tokio::time::timeout(LIMIT, machine.ended()).await.expect("it ends")
}

/// Waits until a process is no more.
fn gone(pid: u32) -> bool {
    let started = Instant::now();
    while runs(pid) {
        if started.elapsed() > LIMIT {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

#[tokio::test]
async fn a_daemon_that_dies_is_named_and_nothing_hangs_or_stays() {
    let mut lab = Lab::new().await;
    let machine = lab.running("lost", &spec()).await;
    let vmm = pid(&*machine).await;
    let from = machine.events().len();
    lab.daemon.kill();
    let how = ended(&*machine).await;
    assert!(matches!(&how, Ended::Lost { why } if why.contains("libvirt")), "{how:?}");
    let waited =
        machine.wait_event(from, "a pause", LIMIT, &|kind| *kind == EventKind::Paused).await;
    assert!(matches!(waited, Err(HostError::Ended { .. })), "{waited:?}");
    let asked = machine.power(PowerVerb::Pause).await;
    assert!(matches!(asked, Err(HostError::Ended { .. })), "{asked:?}");
    let defined = lab.host.define(&spec(), &lab.dir("after")).await.err().expect("refused");
    let words = defined.to_string();
    assert!(words.contains("the connection is gone") && words.contains("virsh"), "{words}");
    drop(machine);
    assert!(gone(vmm), "a machine outlived its daemon and its harness");
}

#[tokio::test]
async fn a_daemon_that_is_not_there_is_named_with_what_to_do() {
    let opened = Libvirt::open(LibvirtOptions::new("qemu:///session?socket=/nowhere/at-all")).await;
    let words = opened.err().expect("refused").to_string();
    assert!(words.contains("/nowhere/at-all") && words.contains("apt install"), "{words}");
}

#[tokio::test]
async fn a_vmm_that_is_killed_has_failed_and_is_no_end_in_order() {
    let lab = Lab::new().await;
    let machine = lab.running("killed", &spec()).await;
    kill(pid(&*machine).await);
    let how = ended(&*machine).await;
    assert!(matches!(how, Ended::Failed { .. }) && !how.expected(), "{how:?}");
    assert!(matches!(machine.look().await, Err(HostError::Ended { .. })));
    assert_eq!(machine.finish().await.expect("told"), how);
}

#[tokio::test]
async fn machines_of_a_harness_that_died_are_found_by_their_notes_and_ended() {
    let mut lab = Lab::new().await;
    let machine = lab.running("orphan", &spec()).await;
    let vmm = pid(&*machine).await;
    // As if this process had been killed: nobody ends the machine.
    std::mem::forget(machine);
    let found = LibvirtReaper.end_orphans(lab.path());
    assert_eq!(found.iter().map(|orphan| orphan.pid).collect::<Vec<_>>(), [vmm]);
    assert!(gone(vmm));
    assert_eq!(LibvirtReaper.end_orphans(lab.path()), [], "it was ended once already");
    // The same where the daemon is gone, too.
    let machine = lab.running("orphan-2", &spec()).await;
    let vmm = pid(&*machine).await;
    std::mem::forget(machine);
    lab.daemon.kill();
    let found = LibvirtReaper.end_orphans(lab.path());
    assert_eq!(found.iter().map(|orphan| orphan.pid).collect::<Vec<_>>(), [vmm]);
    assert!(gone(vmm));
}

#[tokio::test]
async fn a_machine_that_is_asked_while_it_ends_is_told_to_have_ended() {
    let lab = Lab::new().await;
    for round in 0..5 {
        let machine = lab.running(&format!("ends-{round}"), &spec()).await;
        let ask = async {
            loop {
                if let Err(error) = machine.look().await {
                    return error;
                }
            }
        };
        let (ended, error) = tokio::join!(machine.finish(), ask);
        ended.expect("ended");
        assert!(matches!(error, HostError::Ended { .. }), "{error}");
    }
}

#[tokio::test]
async fn what_is_saved_is_not_changed_by_those_that_go_on_from_it() {
    let lab = Lab::new().await;
    let folder = lab.path().join("saved");
    let machine = lab.running("source", &spec()).await;
    let snapshot = machine.saving().expect("saved").snapshot(&folder).await.expect("saved");
    let content = || {
        let each = std::fs::read_dir(&folder).expect("there").map(|item| {
            let path = item.expect("an item").path();
            (path.clone(), std::fs::read(path).expect("read"))
        });
        each.collect::<std::collections::BTreeMap<_, _>>()
    };
    let before = content();
    for name in ["one", "two"] {
        let dir = lab.dir(name);
        let cloning = lab.host.cloning().expect("goes on");
        let clone =
            cloning.restore(&snapshot, Generation::Fresh.into(), &dir).await.expect("goes on");
        clone.power(PowerVerb::Resume).await.expect("runs");
        clone.finish().await.expect("ended");
    }
    assert_eq!(content(), before);
    let read = Libvirt::load_snapshot(&folder).expect("read");
    assert_eq!(read.spec, snapshot.spec);
    std::fs::write(folder.join("state"), "x").expect("altered");
    let cloning = lab.host.cloning().expect("goes on");
    let altered = cloning.restore(&read, Generation::Fresh.into(), &lab.dir("altered")).await;
    assert!(matches!(altered, Err(HostError::BadSnapshot { .. })));
}

#[tokio::test]
async fn defects_are_in_the_machine_and_not_in_its_specification() {
    let lab = Lab::new().await;
    let mut declared = spec();
    declared.cpus.cores = 2;
    declared.nics.push(Nic {
        id: "net0".into(),
        model: NicModel::Virtio,
        mac: "52:54:00:48:4f:53".into(),
        network: Network::Harness,
        queues: 0,
    });
    let hour = Duration::from_secs(3600);
    let defects = [Defect::VcpuShort, Defect::MemoryShort, Defect::ClockAhead { by: hour }];
    let host = lab.host.with_defects(&defects).expect("possible");
    let machine = host.define(&declared, &lab.dir("defective")).await.expect("defined");
    machine.power(PowerVerb::On).await.expect("runs");
    let look = machine.look().await.expect("seen");
    assert_eq!(look.vcpus.expect("seen").value.len(), 1);
    let memory = look.memory.expect("seen");
    assert_eq!((memory.value, memory.source), (ByteSize::mib(48), HostSource::Hypervisor));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after");
    let ahead =
        look.hardware_clock.expect("seen").value - i64::try_from(now.as_secs()).expect("small");
    assert!((3000..4200).contains(&ahead), "{ahead} s");
    assert_eq!(machine.spec(), &declared);
    let why = lab.host.with_defects(&[Defect::KeepsMemory]).err().expect("impossible").why;
    assert!(why.contains("memory"), "{why}");
}
