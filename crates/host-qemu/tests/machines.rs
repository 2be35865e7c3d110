//! Real machines on the installed QEMU.

mod common;

use std::time::Duration;

use common::{Guest, LIMIT, Lab, booted, disk, pid_of, qemu, saw};
use hospitium_host::{
    Attachment, Cloning as _, Continuation, Defect, Destination as _, Ended, EventKind, Generation,
    Host, HostError, MachineState, MemoryFrom, Orphan, PowerVerb, Reaper as _,
};
use hospitium_host_qemu::{AcceleratorChoice, Qemu, QemuReaper};
use hospitium_model::{Accelerator, Boot, Bus, ByteSize, ChannelKind, DiskRole};
use tokio::io::AsyncReadExt as _;

#[tokio::test]
async fn a_guest_boots_answers_and_is_ended() {
    let (host, lab) = (qemu().await, Lab::new());
    let (machine, mut guest) = booted(&host, &lab, "boot").await;
    assert_eq!(guest.ask(b'x').await, '1');
    let facts = machine.look().await.expect("a look");
    assert_eq!(saw(facts.state), MachineState::Running);
    assert_eq!(saw(facts.accelerator), Accelerator::Tcg);
    assert_eq!(saw(facts.memory), ByteSize::mib(64));
    assert_eq!(saw(facts.vcpus), [(0, 0, 0)]);
    assert_eq!(saw(facts.disks).len(), 1);
    assert!(saw(facts.devices).len() > 5);
    assert!(machine.serial("console").await.is_err(), "a channel can be taken once");
    assert_eq!(machine.finish().await.expect("ended"), Ended::ByUs);
    assert_eq!(machine.finish().await.expect("ended before"), Ended::ByUs);
    let after = machine.power(PowerVerb::Pause).await;
    assert!(matches!(after, Err(HostError::Ended { .. })), "{after:?}");
}

#[tokio::test]
async fn a_guest_that_runs_is_seen_at_its_instructions() {
    let (host, lab) = (qemu().await, Lab::new());
    let (machine, _guest) = booted(&host, &lab, "boot").await;
    let vcpus = machine.inspect().await.expect("a look").vcpus;
    let [vcpu] = &vcpus[..] else { panic!("{vcpus:?}") };
    // It polls its serial port, in real mode.
    assert!(!vcpu.halted && vcpu.ring == 0, "{vcpu:?}");
    assert!((0x7c00..0x7e00).contains(&vcpu.instruction), "{vcpu:?}");
}

#[tokio::test]
async fn a_vmm_has_no_more_rights_than_it_needs() {
    let (host, lab) = (qemu().await, Lab::new());
    let (machine, _guest) = booted(&host, &lab, "boot").await;
    let process = machine.confinement().expect("a process").process().await.expect("process");
    assert_eq!(saw(process.seccomp), 2);
    assert!(!saw(process.may_gain_privileges));
    assert_eq!(saw(process.capabilities), 0);
    assert_ne!(saw(process.uid), 0);
    assert!(saw(process.own_namespaces).contains(&"net".to_owned()));
}

#[tokio::test]
async fn a_paused_guest_stands_still() {
    let (host, lab) = (qemu().await, Lab::new());
    let (machine, mut guest) = booted(&host, &lab, "boot").await;
    let before = machine.events().len();
    machine.power(PowerVerb::Pause).await.expect("paused");
    machine
        .wait_event(before, "the pause", LIMIT, &|k| *k == EventKind::Paused)
        .await
        .expect("seen");
    guest.say(b'x').await;
    let silent = tokio::time::timeout(Duration::from_millis(300), guest.hear()).await;
    assert!(silent.is_err(), "a paused guest answered");
    machine.power(PowerVerb::Resume).await.expect("resumed");
    assert_eq!(guest.hear().await, '1');
}

#[tokio::test]
async fn a_reset_by_the_guest_and_one_from_outside_are_told_apart() {
    let (host, lab) = (qemu().await, Lab::new());
    let (machine, mut guest) = booted(&host, &lab, "boot").await;
    guest.say(b'r').await;
    let reset = |k: &EventKind| matches!(k, EventKind::Reset { .. });
    let (at, event) = machine.wait_event(0, "a reset", LIMIT, &reset).await.expect("seen");
    assert_eq!(event.kind, EventKind::Reset { by_guest: true });
    guest.boots().await;
    machine.power(PowerVerb::Reset).await.expect("reset");
    // SeaBIOS may itself reset once more after a reset through the keyboard controller.
    let from_outside = |k: &EventKind| *k == EventKind::Reset { by_guest: false };
    machine.wait_event(at + 1, "our reset", LIMIT, &from_outside).await.expect("seen");
    guest.boots().await;
}

#[tokio::test]
async fn a_guest_that_powers_off_ends_its_machine_as_expected() {
    let (host, lab) = (qemu().await, Lab::new());
    let (machine, mut guest) = booted(&host, &lab, "boot").await;
    guest.say(b'p').await;
    let off = |k: &EventKind| matches!(k, EventKind::PoweredOff { .. });
    let (_, event) = machine.wait_event(0, "power off", LIMIT, &off).await.expect("seen");
    assert_eq!(event.kind, EventKind::PoweredOff { by_guest: true });
    assert_eq!(machine.ended().await, Ended::PoweredOff);
    let told = event.host_time.elapsed().expect("it was before now");
    assert!(told < LIMIT && event.uncertainty < Duration::from_millis(1));
}

#[tokio::test]
async fn a_vmm_killed_from_outside_is_noticed_and_named() {
    let (host, lab) = (qemu().await, Lab::new());
    let (machine, _guest) = booted(&host, &lab, "boot").await;
    let pid = pid_of(&*machine).await;
    let pid = rustix::process::Pid::from_raw(pid as i32).expect("a pid");
    let waiting =
        machine.wait_event(0, "a reset", LIMIT, &|k| matches!(k, EventKind::Reset { .. }));
    let kill = async {
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed")
    };
    let (waited, ()) = tokio::join!(waiting, kill);
    let told = waited.expect_err("no reset came").to_string();
    assert!(told.contains("a reset") && told.contains("signal 9"), "{told}");
    let ended = machine.ended().await;
    assert!(!ended.expected() && ended.was_killed(), "{ended:?}");
    assert!(matches!(machine.look().await, Err(HostError::Ended { .. })));
}

#[tokio::test]
async fn a_dropped_machine_leaves_no_process() {
    let (host, lab) = (qemu().await, Lab::new());
    let (machine, _guest) = booted(&host, &lab, "boot").await;
    let pid = pid_of(&*machine).await;
    drop(machine);
    let gone = async {
        while std::path::Path::new(&format!("/proc/{pid}")).exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, gone).await.expect("the process is gone");
}

#[tokio::test]
async fn two_clones_go_on_from_the_same_moment_each_on_its_own() {
    let (host, lab) = (qemu().await, Lab::new());
    let (machine, mut guest) = booted(&host, &lab, "boot").await;
    assert_eq!(guest.ask(b'x').await, '1');
    assert_eq!(guest.ask(b'x').await, '2');
    let folder = lab.path().join("snapshot");
    let started = std::time::Instant::now();
    let snapshot =
        machine.saving().expect("it can be saved").snapshot(&folder).await.expect("saved");
    println!("saved in {:?}", started.elapsed());
    assert!(machine.ended().await.expected());
    let (a, b) = (lab.work_dir("a"), lab.work_dir("b"));
    let started = std::time::Instant::now();
    let (a, b) = tokio::join!(
        host.restore(&snapshot, Generation::Fresh.into(), &a),
        host.restore(&snapshot, Generation::Fresh.into(), &b)
    );
    let (a, b) = (a.expect("restored"), b.expect("restored"));
    println!("two restored in {:?}", started.elapsed());
    let (mut guest_a, mut guest_b) = (Guest::of(&*a).await, Guest::of(&*b).await);
    a.power(PowerVerb::Resume).await.expect("resumed");
    b.power(PowerVerb::Resume).await.expect("resumed");
    assert_eq!(guest_a.ask(b'x').await, '3');
    assert_eq!(guest_a.ask(b'x').await, '4');
    assert_eq!(guest_b.ask(b'x').await, '3');
    assert_eq!(guest_b.ask(b'w').await, '!');
    // The snapshot is as it was, and what the clone wrote is its own.
    let again = hospitium_host_qemu::Qemu::load_snapshot(&folder).expect("read");
    assert_eq!(again, snapshot);
    let c =
        host.restore(&again, Generation::Fresh.into(), &lab.work_dir("c")).await.expect("restored");
    let mut guest_c = Guest::of(&*c).await;
    c.power(PowerVerb::Resume).await.expect("resumed");
    assert_eq!(guest_c.ask(b'x').await, '3');
    b.finish().await.expect("ended");
    let medium = b.media().expect("media").medium("system").await.expect("the disk from outside");
    let sector = hospitium_model::Digest::of(
        &std::fs::read(lab.path().join("guest.raw")).expect("image")[..512],
    );
    assert_eq!(medium.digest(512, 512).expect("read"), sector);
    c.finish().await.expect("ended");
    assert_ne!(
        c.media()
            .expect("media")
            .medium("system")
            .await
            .expect("the disk")
            .digest(512, 512)
            .expect("read"),
        sector
    );
}

#[tokio::test]
async fn a_hole_in_the_memory_that_clones_share_is_noticed() {
    let (host, lab) = (qemu().await, Lab::new());
    let mut spec = lab.spec();
    spec.balloon = true;
    let machine = host.define(&spec, &lab.work_dir("source")).await.expect("defined");
    machine.power(PowerVerb::On).await.expect("switched on");
    let folder = lab.path().join("saved");
    let snapshot = machine.saving().expect("saved").snapshot(&folder).await.expect("saved");
    // A clone that shares the memory can give none of it back; one that has a copy can.
    let shares = host.restore(&snapshot, Continuation::default(), &lab.work_dir("shares")).await;
    let (shares, less) = (shares.expect("restored"), ByteSize::mib(48));
    let refused = shares.balloon().expect("a balloon").set_balloon(less).await;
    match refused.expect_err("it would make the hole") {
        HostError::Refused { why, .. } => assert!(why.contains("every clone"), "{why}"),
        other => panic!("{other}"),
    }
    let how = Continuation { memory: MemoryFrom::Copy, ..Continuation::default() };
    let copies = host.restore(&snapshot, how, &lab.work_dir("copies")).await.expect("restored");
    copies.balloon().expect("a balloon").set_balloon(less).await.expect("asked");
    host.intact(&snapshot).expect("nobody has written to it");
    // What a balloon does (QEMU's ram_block_discard_range).
    let memory = std::fs::File::options().write(true).open(folder.join("memory-0")).expect("open");
    let how = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(&memory, how, 0, 4096).expect("a hole");
    for refused in [
        host.intact(&snapshot),
        host.restore(&snapshot, Continuation::default(), &lab.work_dir("late")).await.map(drop),
    ] {
        match refused {
            Err(HostError::BadSnapshot { why, .. }) => {
                assert!(why.contains("memory-0 was written to"), "{why}");
            }
            other => panic!("{other:?}"),
        }
    }
}

/// The folders in this lab of VMMs that were started before they were asked for.
fn ahead(lab: &Lab) -> impl Iterator<Item = std::path::PathBuf> {
    let folders = std::fs::read_dir(lab.path()).expect("read").flatten();
    let ahead = folders.filter(|f| f.file_name().to_string_lossy().starts_with("ahead-"));
    ahead.map(|folder| folder.path())
}

/// The VMM that waits for the next clone in this lab, as noted in its folder.
async fn waiting_vmm(lab: &Lab) -> i32 {
    let note = || {
        let text = std::fs::read(ahead(lab).next()?.join("vmm.json")).ok()?;
        serde_json::from_slice::<serde_json::Value>(&text).ok()?.get("pid")?.as_i64()
    };
    let found = async {
        loop {
            if let Some(pid) = note() {
                return pid;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let pid = tokio::time::timeout(LIMIT, found).await.expect("one waits");
    i32::try_from(pid).expect("a process id")
}

#[tokio::test]
async fn an_expected_clone_is_a_vmm_that_waits_and_is_moved_to_where_it_is_wanted() {
    let (host, lab) = (qemu().await, Lab::new());
    let (machine, mut guest) = booted(&host, &lab, "boot").await;
    assert_eq!(guest.ask(b'x').await, '1');
    let snapshot = machine
        .saving()
        .expect("it can be saved")
        .snapshot(&lab.path().join("snapshot"))
        .await
        .expect("saved");
    host.expect(&snapshot, lab.path());
    host.expect(&snapshot, lab.path());
    let waits = waiting_vmm(&lab).await;
    let place = lab.work_dir("c");
    let clone = host.restore(&snapshot, Generation::Fresh.into(), &place).await.expect("restored");
    let process = clone.confinement().expect("a process").process().await.expect("a process");
    assert_eq!((clone.name(), saw(process.pid)), ("c", waits as u32));
    let works_in = std::fs::read_link(format!("/proc/{waits}/cwd")).expect("a link");
    assert_eq!(works_in, place.folder.join("vmm").canonicalize().expect("a folder"));
    let mut guest = Guest::of(&*clone).await;
    clone.power(PowerVerb::Resume).await.expect("resumed");
    assert_eq!(guest.ask(b'x').await, '2');
    assert_eq!(guest.ask(b'w').await, '!');
    clone.finish().await.expect("ended");
    let written =
        clone.media().expect("media").medium("system").await.expect("the disk from outside");
    assert_eq!(written.digest(512, 512).expect("read"), written.digest(0, 512).expect("read"));
    // The end of one that waited is told, as that of any other.
    host.expect(&snapshot, lab.path());
    let waits = waiting_vmm(&lab).await;
    let killed = rustix::process::Pid::from_raw(waits).expect("a process id");
    rustix::process::kill_process(killed, rustix::process::Signal::KILL).expect("killed");
    match host.restore(&snapshot, Generation::Fresh.into(), &lab.work_dir("d")).await {
        Err(HostError::Ended { ended, .. }) => assert!(ended.was_killed(), "{ended}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it had been killed"),
    }
    let clone = host
        .restore(&snapshot, Generation::Fresh.into(), &lab.work_dir("e"))
        .await
        .expect("restored");
    clone.finish().await.expect("ended");
    // None waits for a clone that will not be asked for.
    host.expect(&snapshot, lab.path());
    let waits = waiting_vmm(&lab).await;
    host.forget(&snapshot);
    let gone = async {
        while std::path::Path::new(&format!("/proc/{waits}")).exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, gone).await.expect("it ends");
    assert_eq!(ahead(&lab).count(), 0);
}

#[tokio::test]
async fn every_clone_is_a_generation_of_its_own_and_a_machine_that_goes_on_is_none() {
    let (host, lab) = (qemu().await, Lab::new());
    let mut spec = lab.spec();
    let specified = "324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87";
    spec.generation_id = Some(specified.into());
    let machine = host.define(&spec, &lab.work_dir("boot")).await.expect("defined");
    machine.power(PowerVerb::On).await.expect("started");
    let snapshot = machine
        .saving()
        .expect("it can be saved")
        .snapshot(&lab.path().join("snapshot"))
        .await
        .expect("saved");
    let mut ids = Vec::new();
    for (name, generation) in
        [("a", Generation::Fresh), ("b", Generation::Fresh), ("c", Generation::Kept)]
    {
        let clone = host
            .restore(&snapshot, generation.into(), &lab.work_dir(name))
            .await
            .expect("restored");
        ids.push(saw(clone.look().await.expect("a look").generation_id));
        clone.finish().await.expect("ended");
    }
    assert_ne!(ids[0], ids[1]);
    assert!(ids[0] != specified && ids[1] != specified);
    assert_eq!(ids[2], specified);
}

#[tokio::test]
async fn a_machine_on_an_image_of_another_hypervisor_can_be_saved_and_the_image_stays_as_it_is() {
    let (host, lab) = (qemu().await, Lab::new());
    for (format, driver) in [("vhd", "vpc"), ("vhdx", "vhdx"), ("vmdk", "vmdk")] {
        let image = lab.path().join(format!("guest.{format}"));
        let converted = std::process::Command::new("qemu-img")
            .args(["convert", "-f", "raw", "-O", driver])
            .args([&lab.path().join("guest.raw"), &image])
            .status();
        assert!(converted.expect("qemu-img is installed (Debian: qemu-utils)").success());
        let before = std::fs::read(&image).expect("read");
        let mut spec = lab.spec();
        spec.disks[0].image = Some(image.clone());
        spec.disks[0].format = Some(format.into());
        let machine = host.define(&spec, &lab.work_dir(format)).await.expect("defined");
        let mut guest = Guest::of(&*machine).await;
        machine.power(PowerVerb::On).await.expect("started");
        guest.boots().await;
        assert_eq!(guest.ask(b'x').await, '1');
        let snapshot = machine
            .saving()
            .expect("it can be saved")
            .snapshot(&lab.path().join(format!("saved-{format}")))
            .await;
        let snapshot = snapshot.unwrap_or_else(|error| panic!("{format}: {error}"));
        let clone = lab.work_dir(&format!("clone-{format}"));
        let clone =
            host.restore(&snapshot, Generation::Fresh.into(), &clone).await.expect("restored");
        let mut guest = Guest::of(&*clone).await;
        clone.power(PowerVerb::Resume).await.expect("resumed");
        assert_eq!(guest.ask(b'w').await, '!');
        clone.finish().await.expect("ended");
        assert_eq!(std::fs::read(&image).expect("read"), before, "{format}");
    }
}

#[tokio::test]
async fn a_clone_can_be_saved_again() {
    let (host, lab) = (qemu().await, Lab::new());
    let (machine, mut guest) = booted(&host, &lab, "boot").await;
    assert_eq!(guest.ask(b'x').await, '1');
    let first = machine
        .saving()
        .expect("it can be saved")
        .snapshot(&lab.path().join("first"))
        .await
        .expect("saved");
    let clone = host
        .restore(&first, Generation::Fresh.into(), &lab.work_dir("clone"))
        .await
        .expect("restored");
    let mut guest = Guest::of(&*clone).await;
    clone.power(PowerVerb::Resume).await.expect("resumed");
    assert_eq!(guest.ask(b'x').await, '2');
    let second = clone
        .saving()
        .expect("it can be saved")
        .snapshot(&lab.path().join("second"))
        .await
        .expect("saved again");
    std::fs::remove_dir_all(lab.path().join("first")).expect("the first is not needed any more");
    let clone = host
        .restore(&second, Generation::Fresh.into(), &lab.work_dir("again"))
        .await
        .expect("restored again");
    let mut guest = Guest::of(&*clone).await;
    clone.power(PowerVerb::Resume).await.expect("resumed");
    assert_eq!(guest.ask(b'x').await, '3');
}

#[tokio::test]
async fn a_partial_or_altered_snapshot_is_refused() {
    let (host, lab) = (qemu().await, Lab::new());
    let (machine, _guest) = booted(&host, &lab, "boot").await;
    let folder = lab.path().join("snapshot");
    let snapshot =
        machine.saving().expect("it can be saved").snapshot(&folder).await.expect("saved");
    let mut tries = 0;
    for entry in &snapshot.files {
        let path = folder.join(&entry.name);
        let whole = std::fs::read(&path).expect("there");
        // A snapshot's files are made read-only when it is taken.
        let writable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(&path, writable).expect("opened up");
        if entry.sha256.is_some() {
            let mut altered = whole.clone();
            altered[whole.len() / 2] ^= 1;
            std::fs::write(&path, altered).expect("altered");
            tries += 1;
            refused(&host, &snapshot, &lab, tries, &entry.name).await;
        }
        std::fs::write(&path, &whole[..whole.len() - 1]).expect("cut off");
        tries += 1;
        refused(&host, &snapshot, &lab, tries, &entry.name).await;
        std::fs::write(&path, whole).expect("mended");
    }
    std::fs::write(folder.join("snapshot.json"), "{").expect("cut off");
    let read = hospitium_host_qemu::Qemu::load_snapshot(&folder);
    assert!(matches!(read, Err(HostError::BadSnapshot { .. })));
}

async fn refused(
    host: &hospitium_host_qemu::Qemu,
    snapshot: &hospitium_host::Snapshot,
    lab: &Lab,
    n: u32,
    file: &str,
) {
    match host.restore(snapshot, Generation::Fresh.into(), &lab.work_dir(&format!("try-{n}"))).await
    {
        Err(HostError::BadSnapshot { why, .. }) => assert!(why.contains(file), "{why}"),
        Err(other) => panic!("{file}: {other}"),
        Ok(_) => panic!("{file}: restored"),
    }
}

#[tokio::test]
async fn a_machine_goes_on_in_another_process() {
    let (host, lab) = (qemu().await, Lab::new());
    let (machine, mut guest) = booted(&host, &lab, "boot").await;
    assert_eq!(guest.ask(b'x').await, '1');
    let moving = machine.moving().expect("it can move");
    let moved = moving.migrate(&host, &lab.work_dir("second")).await.expect("moved");
    assert!(moved.same_host && moved.same_vmm);
    let (second, downtime) = (moved.machine, moved.downtime);
    assert!(machine.ended().await.expected());
    assert!(downtime < LIMIT);
    let mut guest = Guest::of(&*second).await;
    assert_eq!(guest.ask(b'x').await, '2');
    assert_eq!(guest.ask(b'w').await, '!');
    // From a clone too, whose memory is its own.
    let snapshot = second
        .saving()
        .expect("it can be saved")
        .snapshot(&lab.path().join("snapshot"))
        .await
        .expect("saved");
    let clone = host
        .restore(&snapshot, Generation::Fresh.into(), &lab.work_dir("clone"))
        .await
        .expect("restored");
    clone.power(PowerVerb::Resume).await.expect("resumed");
    let moving = clone.moving().expect("it can move");
    let third = moving.migrate(&host, &lab.work_dir("third")).await.expect("moved").machine;
    let mut guest = Guest::of(&*third).await;
    assert_eq!(guest.ask(b'x').await, '3');
}

/// The EtherType of the next frame on a cable: behind its length (4 bytes) and two addresses.
async fn next_ethertype(frames: &mut dyn hospitium_host::ByteStream) -> u16 {
    let length = frames.read_u32().await.expect("the cable is there");
    let mut frame = vec![0; length as usize];
    frames.read_exact(&mut frame).await.expect("a whole frame");
    u16::from_be_bytes([frame[12], frame[13]])
}

#[tokio::test]
async fn a_machine_that_moved_is_told_to_the_network_again_and_again_and_a_clone_once() {
    let (host, lab) = (qemu().await, Lab::new());
    let mut spec = lab.spec();
    spec.nics = vec![nic("net0", hospitium_model::Network::Harness)];
    let machine = host.define(&spec, &lab.work_dir("boot")).await.expect("defined");
    machine.power(PowerVerb::On).await.expect("started");
    Guest::of(&*machine).await.boots().await;
    let snapshot = machine
        .saving()
        .expect("it can be saved")
        .snapshot(&lab.path().join("snapshot"))
        .await
        .expect("saved");
    let clone = host
        .restore(&snapshot, Generation::Fresh.into(), &lab.work_dir("clone"))
        .await
        .expect("restored");
    let mut frames = clone.wires().expect("cables").frames("net0").await.expect("a cable");
    clone.power(PowerVerb::Resume).await.expect("resumed");
    // Its guest sends nothing by itself. QEMU sends a reverse ARP (RFC 903), and the next one after 50 ms.
    const TOLD: u16 = 0x8035;
    assert_eq!(next_ethertype(&mut *frames).await, TOLD);
    let some_time = Duration::from_millis(700);
    let told = tokio::time::timeout(some_time, next_ethertype(&mut *frames)).await;
    assert!(told.is_err(), "EtherType {told:x?}");
    let moving = clone.moving().expect("it can move");
    let moved = moving.migrate(&host, &lab.work_dir("moved")).await.expect("moved").machine;
    let mut frames = moved.wires().expect("cables").frames("net0").await.expect("a cable");
    for _ in 0..3 {
        let told = tokio::time::timeout(LIMIT, next_ethertype(&mut *frames)).await;
        assert_eq!(told.expect("it is told"), TOLD);
    }
}

#[tokio::test]
async fn a_device_that_is_refused_is_a_clear_error() {
    let (host, lab) = (qemu().await, Lab::new());
    let mut spec = lab.spec();
    spec.disks[0].logical_sector = 4097;
    let told =
        host.define(&spec, &lab.work_dir("odd-sector")).await.err().expect("refused").to_string();
    assert!(told.contains("logical_block_size"), "{told}");
    let mut spec = lab.spec();
    spec.disks.push(disk("floppy", DiskRole::Cdrom, Bus::Nvme));
    let told =
        host.define(&spec, &lab.work_dir("odd-bus")).await.err().expect("refused").to_string();
    assert!(told.contains("optical"), "{told}");
    let mut spec = lab.spec();
    spec.disks[0].image = Some(lab.path().join("missing.raw"));
    let told =
        host.define(&spec, &lab.work_dir("no-image")).await.err().expect("refused").to_string();
    assert!(told.contains("missing.raw"), "{told}");
}

#[tokio::test]
async fn with_nothing_to_boot_the_firmware_says_so_on_the_screen() {
    let (host, lab) = (qemu().await, Lab::new());
    let mut spec = lab.spec();
    spec.disks.clear();
    spec.boot = Boot::Nothing;
    let machine = host.define(&spec, &lab.work_dir("empty")).await.expect("defined");
    machine.power(PowerVerb::On).await.expect("started");
    let pictures = async {
        loop {
            let shot =
                machine.display().expect("a display").screenshot().await.expect("a screenshot");
            if shot.colours() > 1 {
                return shot;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let shot = tokio::time::timeout(LIMIT, pictures).await.expect("something on the screen");
    assert!(shot.width >= 640 && shot.png().is_ok());
    let said = async {
        loop {
            let text = machine.inspect().await.expect("a look").text.unwrap_or_default();
            if text.iter().any(|row| row.contains("No bootable device")) {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let text = tokio::time::timeout(LIMIT, said).await.expect("the text of the screen");
    assert!(text[0].starts_with("SeaBIOS"), "{text:?}");
    assert_eq!(
        machine.look().await.expect("a look").state.expect("seen").value,
        MachineState::Running
    );
}

#[tokio::test]
async fn every_device_of_a_specification_is_there() {
    let (host, lab) = (qemu().await, Lab::new());
    let mut spec = lab.spec();
    for (id, role, bus) in [
        ("scratch", DiskRole::Scratch, Bus::Virtio),
        ("scsi", DiskRole::Scratch, Bus::VirtioScsi),
        ("sata", DiskRole::Scratch, Bus::Sata),
        ("disc", DiskRole::Cdrom, Bus::Sata),
        ("stick", DiskRole::Scratch, Bus::Usb),
        ("floppy", DiskRole::Scratch, Bus::Floppy),
    ] {
        spec.disks.push(disk(id, role, bus));
    }
    spec.disks[1].power_loss_log = true;
    spec.disks[6].size = ByteSize::bytes(1440 << 10);
    spec.watchdog =
        Some(hospitium_model::Watchdog { action: hospitium_model::WatchdogAction::Pause });
    spec.generation_id = Some("12345678-1234-1234-1234-123456789abc".into());
    spec.memory.nodes = 2;
    spec.memory.max = ByteSize::mib(256);
    spec.cpus = hospitium_model::CpuTopology { sockets: 2, cores: 1, threads: 1, max_sockets: 4 };
    spec.smbios.manufacturer = "a, b=c".into();
    spec.smbios.uuid = "6b1e5f5e-3c1d-4b6e-9d54-1d3c6a7e9f10".into();
    spec.channels
        .push(hospitium_model::Channel { name: "agent".into(), kind: ChannelKind::Virtio });
    spec.nics = vec![
        nic("net0", hospitium_model::Network::Harness),
        nic("net1", hospitium_model::Network::Isolated),
    ];
    let machine = host.define(&spec, &lab.work_dir("full")).await.expect("defined");
    let facts = machine.look().await.expect("a look");
    assert_eq!(saw(facts.nodes).len(), 2);
    assert_eq!(saw(facts.vcpus).len(), 2);
    assert_eq!(saw(facts.disks).len(), 7);
    assert_eq!(saw(facts.nics).len(), 2);
    assert_eq!(Some(saw(facts.generation_id)), spec.generation_id);
    assert_eq!(saw(facts.uuid), spec.smbios.uuid);
    assert!(!saw(facts.cpu_features).is_empty());
    machine.power(PowerVerb::On).await.expect("started");
    let mut guest = Guest::of(&*machine).await;
    guest.boots().await;
    // All of it can be saved and goes on.
    let snapshot = machine
        .saving()
        .expect("it can be saved")
        .snapshot(&lab.path().join("snapshot"))
        .await
        .expect("saved");
    let clone = host
        .restore(&snapshot, Generation::Fresh.into(), &lab.work_dir("clone"))
        .await
        .expect("restored");
    let mut guest = Guest::of(&*clone).await;
    clone.power(PowerVerb::Resume).await.expect("resumed");
    assert_eq!(guest.ask(b'x').await, '1');
    let facts = clone.look().await.expect("a look");
    assert_eq!(saw(facts.nodes).len(), 2);
    assert_ne!(Some(saw(facts.generation_id)), spec.generation_id, "a clone is a new generation");
}

fn nic(id: &str, network: hospitium_model::Network) -> hospitium_model::Nic {
    hospitium_model::Nic {
        id: id.into(),
        model: hospitium_model::NicModel::Virtio,
        mac: format!("52:54:00:00:00:0{}", &id[3..]),
        network,
        queues: 0,
    }
}

#[tokio::test]
async fn what_was_never_flushed_is_gone_after_a_power_cut_and_there_after_an_orderly_end() {
    let (host, lab) = (qemu().await, Lab::new());
    let sector = hospitium_model::Digest::of(
        &std::fs::read(lab.path().join("guest.raw")).expect("the image")[..512],
    );
    // The firmware writes and does not flush. A virtio disk whose driver knows of no flushes has to write through
    // (Virtual I/O Device 1.2, 5.2.6.2), a SATA disk has not.
    for (name, bus, loses, orderly, kept) in [
        ("cut", Bus::Sata, true, false, false),
        ("end", Bus::Sata, true, true, true),
        ("through", Bus::Virtio, true, false, true),
        ("keeps", Bus::Virtio, false, false, true),
    ] {
        let mut spec = lab.spec();
        spec.disks[0].power_loss_log = loses;
        spec.disks[0].bus = bus;
        let machine = host.define(&spec, &lab.work_dir(name)).await.expect("defined");
        let mut guest = Guest::of(&*machine).await;
        machine.power(PowerVerb::On).await.expect("started");
        guest.boots().await;
        assert_eq!(guest.ask(b'w').await, '!');
        if orderly {
            machine.finish().await.expect("gone");
        } else {
            machine.power(PowerVerb::Off).await.expect("gone");
        }
        let medium =
            machine.media().expect("media").medium("system").await.expect("the disk from outside");
        let found = medium.digest(512, 512).expect("read");
        assert_eq!(found == sector, kept, "{name}: {}", medium.how);
        assert_eq!(medium.flushes.is_some(), loses, "{name}");
        // The first sector, of the image below, is there in any case.
        assert_eq!(medium.digest(0, 512).expect("read"), sector);
    }
}

#[tokio::test]
async fn a_disk_that_is_plugged_in_later_loses_what_was_not_flushed_too() {
    let (host, lab) = (qemu().await, Lab::new());
    let machine = host.define(&lab.spec(), &lab.work_dir("late")).await.expect("defined");
    let mut late = disk("late", DiskRole::Scratch, Bus::Virtio);
    late.power_loss_log = true;
    machine.hotplug().expect("hot plug").attach(&Attachment::Disk(late)).await.expect("plugged in");
    let medium = machine.media().expect("media").medium("late").await.expect("from outside");
    assert_eq!(medium.flushes, Some(0), "{}", medium.how);
}

#[tokio::test]
async fn a_disk_without_room_stops_the_machine_until_it_is_given_some() {
    let (host, lab) = (qemu().await, Lab::new());
    let mut spec = lab.spec();
    spec.disks[0].room = Some(ByteSize::bytes(0));
    let machine = host.define(&spec, &lab.work_dir("full")).await.expect("defined");
    let mut guest = Guest::of(&*machine).await;
    machine.power(PowerVerb::On).await.expect("started");
    guest.boots().await;
    guest.say(b'w').await;
    let full = EventKind::DiskError { id: "system".into(), no_space: true };
    machine.wait_event(0, "the disk to be full", LIMIT, &|k| *k == full).await.expect("full");
    assert_eq!(
        machine.look().await.expect("a look").state.expect("seen").value,
        MachineState::IoError
    );
    let less = machine.media().expect("media").grow_backing("no-such-disk", ByteSize::mib(1)).await;
    assert!(matches!(less, Err(HostError::Refused { .. })));
    machine.media().expect("media").grow_backing("system", ByteSize::mib(1)).await.expect("given");
    machine.power(PowerVerb::Resume).await.expect("resumed");
    assert_eq!(guest.hear().await, '!');
}

#[tokio::test]
async fn a_disk_comes_and_goes_while_the_machine_runs() {
    let (host, lab) = (qemu().await, Lab::new());
    let (machine, _guest) = booted(&host, &lab, "boot").await;
    let stick = Attachment::Disk(disk("stick", DiskRole::Scratch, Bus::Usb));
    // Twice, so that nothing is left of the first.
    for _ in 0..2 {
        let events = machine.events().len();
        machine.hotplug().expect("hot plug").attach(&stick).await.expect("plugged in");
        let again = machine.hotplug().expect("hot plug").attach(&stick).await;
        assert!(matches!(again, Err(HostError::Refused { .. })), "{again:?}");
        let disks = machine.look().await.expect("a look").disks.expect("seen").value;
        assert!(disks.iter().any(|disk| disk.id == "stick" && disk.size == ByteSize::mib(16)));
        machine.hotplug().expect("hot plug").detach("stick").await.expect("asked");
        let gone = EventKind::DeviceRemoved { id: "stick".into() };
        machine.wait_event(events, "the stick to go", LIMIT, &|k| *k == gone).await.expect("gone");
        assert_eq!(machine.look().await.expect("a look").disks.expect("seen").value.len(), 1);
    }
    let sata = machine
        .hotplug()
        .expect("hot plug")
        .attach(&Attachment::Disk(disk("s", DiskRole::Scratch, Bus::Sata)))
        .await;
    assert!(matches!(sata, Err(HostError::Unsupported { .. })), "{sata:?}");
    let bad =
        machine.hotplug().expect("hot plug").attach(&Attachment::Vcpu { id: "a,b".into() }).await;
    assert!(matches!(bad, Err(HostError::Spec(_))), "{bad:?}");
    let full =
        machine.hotplug().expect("hot plug").attach(&Attachment::Vcpu { id: "cpu1".into() }).await;
    assert!(full.expect_err("no socket").to_string().contains("max_sockets"));
}

#[tokio::test]
async fn a_machine_is_closed_to_the_vmms_of_others() {
    use std::os::unix::fs::MetadataExt;
    let (host, lab) = (qemu().await, Lab::new());
    let (a, _guest) = booted(&host, &lab, "a").await;
    let (b, _guest) = booted(&host, &lab, "b").await;
    let (a, b) = (
        a.confinement().expect("a process").process().await.expect("a"),
        b.confinement().expect("a process").process().await.expect("b"),
    );
    if rustix::process::geteuid().is_root() {
        assert_ne!(saw(a.uid), saw(b.uid));
    }
    let folder = std::fs::metadata(lab.path().join("a")).expect("there");
    assert_eq!(folder.mode() & 0o077, 0);
    assert_eq!(folder.uid(), rustix::process::geteuid().as_raw());
}

#[tokio::test]
async fn a_vmm_left_over_is_found_by_its_note_and_ended() {
    let (host, lab) = (qemu().await, Lab::new());
    let (machine, _guest) = booted(&host, &lab, "left").await;
    let pid = pid_of(&*machine).await;
    let ended = QemuReaper.end_orphans(lab.path());
    assert_eq!(ended, [Orphan { pid, folder: lab.path().join("left") }]);
    assert!(machine.ended().await.was_killed());
    assert_eq!(QemuReaper.end_orphans(lab.path()), []);
}

/// Set for the process that is to be killed, to the folder that it works in.
const VICTIM: &str = "HOSPITIUM_TEST_VICTIM";

#[tokio::test]
async fn a_vmm_ends_with_the_harness_however_that_ends() {
    if let Some(folder) = std::env::var_os(VICTIM) {
        // This is the victim: it holds a machine until it is killed.
        let (host, lab) = (qemu().await, Lab::new());
        let (machine, _guest) = booted(&host, &lab, "boot").await;
        let pid = pid_of(&*machine).await;
        let note = std::path::PathBuf::from(folder).join("pid");
        std::fs::write(note.with_extension("new"), pid.to_string()).expect("noted");
        std::fs::rename(note.with_extension("new"), note).expect("noted");
        return std::future::pending().await;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut victim = std::process::Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "a_vmm_ends_with_the_harness_however_that_ends"])
        .env(VICTIM, folder.path())
        .env("TMPDIR", folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("a second process of this test");
    let note = folder.path().join("pid");
    let noted = async {
        loop {
            match std::fs::read_to_string(&note) {
                Ok(pid) => return pid,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let pid = tokio::time::timeout(LIMIT, noted).await.expect("the machine runs");
    let process = format!("/proc/{pid}");
    assert!(std::path::Path::new(&process).exists());
    victim.kill().expect("killed with SIGKILL");
    victim.wait().expect("gone");
    let gone = async {
        while std::fs::read_to_string(format!("{process}/stat")).is_ok_and(|s| !s.contains(") Z "))
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, gone).await.expect("the VMM is gone too");
}

#[tokio::test]
async fn a_qemu_that_is_none_is_a_clear_error_with_the_next_step() {
    for (binary, says) in [
        ("/nonexistent/qemu", "No such file"),
        ("no-such-qemu", "not on PATH"),
        ("/bin/true", "exit code 0"),
        ("/etc/passwd", "denied"),
    ] {
        let mut options = common::options();
        options.binary = binary.into();
        options.cache = None;
        match Qemu::open(options).await {
            Err(error @ HostError::Unusable { .. }) => {
                let told = error.to_string();
                assert!(told.contains(says) && told.contains(binary), "{binary}: {told}");
            }
            Err(other) => panic!("{binary}: {other}"),
            Ok(_) => panic!("{binary} was taken for a QEMU"),
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut options = common::options();
    options.root = Some(folder.path().to_owned());
    let told = Qemu::open(options).await.err().expect("an empty root").to_string();
    assert!(told.contains("dpkg-deb -x"), "{told}");
}

#[tokio::test]
async fn kvm_that_was_not_proved_is_not_used() {
    let mut options = common::options();
    options.accelerator = AcceleratorChoice::Auto;
    let host = Qemu::open(options).await.expect("opened");
    let proof = &host.facts().accelerator;
    assert_eq!(proof.used, Accelerator::Tcg);
    assert!(proof.how.contains("KVM:") && proof.how.contains("TCG is used"), "{}", proof.how);
}

#[tokio::test]
async fn what_the_firmware_was_given_is_read_off_the_machines_memory() {
    let (host, lab) = (qemu().await, Lab::new());
    let mut spec = lab.spec();
    spec.smbios.manufacturer = "a, b=c".into();
    spec.smbios.product = "product".into();
    spec.smbios.serial = "serial-1".into();
    let machine = host.define(&spec, &lab.work_dir("boot")).await.expect("defined");
    let before = machine.look().await.expect("a look").smbios;
    assert!(before.is_err(), "nothing has run: {before:?}");
    machine.power(PowerVerb::On).await.expect("started");
    Guest::of(&*machine).await.boots().await;
    let seen = saw(machine.look().await.expect("a look").smbios);
    assert_eq!(seen.manufacturer, "a, b=c");
    assert_eq!((&*seen.product, &*seen.serial), ("product", "serial-1"));
}

#[tokio::test]
async fn a_defective_host_builds_another_machine_than_it_is_told_to_and_declares_it_unchanged() {
    let (host, lab) = (qemu().await, Lab::new());
    let mut spec = lab.spec();
    spec.cpus.cores = 2;
    let defects = [Defect::VcpuShort, Defect::MemoryShort];
    let host = host.with_defects(&defects).expect("it can have them");
    let machine = host.define(&spec, &lab.work_dir("short")).await.expect("defined");
    assert_eq!(machine.spec(), &spec);
    let look = machine.look().await.expect("a look");
    assert_eq!((saw(look.vcpus).len(), saw(look.memory)), (1, ByteSize::mib(48)));
}

#[tokio::test]
async fn a_saved_machine_gets_a_defect_of_its_disk_and_its_clones_alone_have_it() {
    let (host, lab) = (qemu().await, Lab::new());
    let mut spec = lab.spec();
    spec.disks.push(disk("other", DiskRole::Scratch, Bus::Virtio));
    spec.disks[1].size = ByteSize::mib(1);
    let machine = host.define(&spec, &lab.work_dir("boot")).await.expect("defined");
    machine.power(PowerVerb::On).await.expect("started");
    Guest::of(&*machine).await.boots().await;
    let saving = machine.saving().expect("it can be saved");
    let snapshot = saving.snapshot(&lab.path().join("snapshot")).await.expect("saved");
    let swapped = Defect::SwapDisks { one: "system".into(), other: "other".into() };
    assert!(!swapped.needs_boot());
    let defective = host.with_defects(&[swapped]).expect("it can have it");
    let sector = hospitium_model::Digest::of(
        &std::fs::read(lab.path().join("guest.raw")).expect("the image")[..512],
    );
    for (name, host, disk) in
        [("well", &host as &dyn Host, "system"), ("ill", &*defective, "other")]
    {
        let dir = lab.work_dir(name);
        let cloning = host.cloning().expect("it clones");
        let clone =
            cloning.restore(&snapshot, Generation::Fresh.into(), &dir).await.expect("restored");
        clone.finish().await.expect("ended");
        let medium = clone.media().expect("media").medium(disk).await.expect("from outside");
        assert_eq!(medium.digest(0, 512).expect("read"), sector, "{name}");
    }
}

#[tokio::test]
async fn the_memory_of_a_machine_can_be_had_as_an_elf_file_and_the_machine_goes_on() {
    let (host, lab) = (qemu().await, Lab::new());
    let (machine, mut guest) = booted(&host, &lab, "boot").await;
    let file = lab.path().join("memory.elf");
    machine.dump().expect("it can be dumped").dump_memory(&file).await.expect("dumped");
    let bytes = std::fs::read(&file).expect("there");
    assert!(bytes.starts_with(b"\x7fELF") && bytes.len() > 64 << 20);
    assert_eq!(guest.ask(b'x').await, '1');
}
