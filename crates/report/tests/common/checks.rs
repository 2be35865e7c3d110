//! The checks of the sample: about fifty a cell, with every way to end among them.

use hospitium_model::{
    CheckRecord, Digest, Finding, GuestSource, HostSource, Observations, SkipReason, Tier, Value,
    Verdict,
};

use super::HOSTILE;

/// Id, requirement, what is observed, unit, tier, milliseconds.
type Row = (&'static str, &'static str, &'static str, &'static str, Tier, f64);

#[rustfmt::skip]
const ROWS: [Row; 50] = [
    ("boot.reach-userland", "The guest reaches user space and answers.", "state", "", Tier::Reads, 4.0),
    ("boot.time-to-ready", "The guest answers within its declared time.", "uptime at the first answer", "s", Tier::Reads, 3.0),
    ("boot.console-clean", "Nothing alarming is on the console or in the kernel log.", "alarming lines", "", Tier::Reads, 9.0),
    ("boot.firmware-kind", "The guest runs on the firmware that was configured.", "firmware", "", Tier::Reads, 2.0),
    ("boot.no-device", "With nothing to boot from the firmware stops and says so.", "firmware's message", "", Tier::Disruptive, 2210.0),
    ("boot.reboot-x3", "The guest reboots three times without harm.", "resets", "", Tier::Reversible, 9400.0),
    ("ident.smbios", "The guest reads the configured SMBIOS strings.", "system UUID", "", Tier::Reads, 5.0),
    ("ident.hypervisor-sig", "The guest knows which hypervisor it is on.", "CPUID 0x40000000", "", Tier::Reads, 2.0),
    ("ident.pci-inventory", "The guest sees each PCI function that the host configured.", "PCI functions", "", Tier::Reads, 11.0),
    ("ident.driver-versions", "Each device has a driver bound.", "devices without a driver", "", Tier::Reads, 14.0),
    ("cpu.count", "Every configured vCPU is online.", "online vCPUs", "", Tier::Reads, 2.0),
    ("cpu.topology", "Sockets, cores and threads are as configured.", "cores in a socket", "", Tier::Reads, 3.0),
    ("cpu.features-vs-host", "The guest has no CPU flag that the host does not offer.", "CPU flags", "", Tier::Reads, 6.0),
    ("cpu.vulnerabilities", "The guest is no worse off than the host.", "unmitigated", "", Tier::Reads, 4.0),
    ("cpu.offline-online", "A vCPU can go away and come back.", "online after it came back", "", Tier::Reversible, 640.0),
    ("mem.size", "The guest has the configured memory.", "memory", "MiB", Tier::Reads, 2.0),
    ("mem.balloon", "The balloon takes memory and gives it back.", "memory given up", "MiB", Tier::Reversible, 1320.0),
    ("mem.hot-add", "Memory that is added comes online.", "memory added", "MiB", Tier::Disruptive, 1880.0),
    ("clk.source", "The clock source is the expected one.", "clock source", "", Tier::Reads, 2.0),
    ("clk.offset", "The guest's wall clock is the host's.", "wall clock", "ms", Tier::Reads, 3.0),
    ("clk.monotonic-smp", "No clock steps back between vCPUs.", "steps back", "", Tier::Reversible, 1040.0),
    ("clk.drift-load", "The clock keeps time under load.", "drift", "ppm", Tier::Reversible, 5200.0),
    ("clk.after-pause", "After a pause the clock is as declared for this system.", "jump", "ms", Tier::Reversible, 2300.0),
    ("clk.after-restore", "After a restore the clock is as declared for this system.", "jump", "ms", Tier::Disruptive, 1450.0),
    ("irq.nmi", "A non-maskable interrupt arrives.", "NMIs counted", "", Tier::Reversible, 510.0),
    ("stor.inventory", "The guest sees each disk with its size and serial.", "disks", "", Tier::Reads, 6.0),
    ("stor.rw-integrity/virtio", "What the guest writes is what the host reads.", "SHA-256 of 8 MiB", "", Tier::Reversible, 860.0),
    ("stor.rw-integrity/nvme", "What the guest writes is what the host reads.", "SHA-256 of 8 MiB", "", Tier::Reversible, 910.0),
    ("stor.flush-durable", "Data the guest flushed is on the medium although the machine dies at once.", "SHA-256 of what was flushed", "", Tier::Disruptive, 1120.0),
    ("stor.hot-add-remove/virtio", "A disk can be added and removed while the guest runs.", "disks after removal", "", Tier::Disruptive, 1710.0),
    ("stor.hot-add-remove/usb", "A disk can be added and removed while the guest runs.", "disks after removal", "", Tier::Disruptive, 2890.0),
    ("stor.resize-online", "A disk grows while the guest runs.", "size", "MiB", Tier::Disruptive, 930.0),
    ("stor.discard", "Discarded blocks are given back to the host.", "allocated", "KiB", Tier::Reversible, 740.0),
    ("stor.enospc", "A full medium pauses the machine; nothing is lost once there is room.", "writes lost", "", Tier::Disruptive, 2120.0),
    ("stor.readonly", "A sealed disk refuses writes.", "write refused", "", Tier::Reversible, 420.0),
    ("stor.cdrom-change", "A disc can be changed while the guest runs.", "volume", "", Tier::Reversible, 1370.0),
    ("net.transfer-integrity", "What is sent is what arrives, both ways.", "SHA-256 of 4 MiB", "", Tier::Reversible, 1240.0),
    ("net.link-flap", "The guest sees the cable pulled and put back.", "link changes", "", Tier::Reversible, 690.0),
    ("net.hot-add-remove", "A network interface can be added and removed.", "interfaces after removal", "", Tier::Disruptive, 1490.0),
    ("power.acpi-button", "The power button shuts the guest down.", "off after", "s", Tier::Disruptive, 3900.0),
    ("power.guest-shutdown", "The guest can power itself off.", "machine state", "", Tier::Disruptive, 2100.0),
    ("life.pause-resume", "A paused guest stands still and goes on.", "ticks while paused", "", Tier::Reversible, 1210.0),
    ("life.save-restore", "A restored guest goes on where it was saved.", "token in memory", "", Tier::Disruptive, 1330.0),
    ("life.snapshot-revert", "After a revert everything since is gone.", "file made since", "", Tier::Disruptive, 1550.0),
    ("life.migrate-live", "The guest moves to another process and goes on.", "pings lost", "", Tier::Disruptive, 2750.0),
    ("con.framebuffer-alive", "What the guest draws is on the screen.", "pixels of the pattern", "%", Tier::Reversible, 830.0),
    ("con.input", "Keys that the host presses arrive.", "keys", "", Tier::Reversible, 560.0),
    ("rng.device", "The random-number device delivers.", "bytes that differ", "", Tier::Reads, 7.0),
    ("iso.memory-zeroed", "Memory a guest is given holds nothing of another.", "bytes not zero", "", Tier::Disruptive, 1900.0),
    ("crash.host-notified", "The host learns of the guest's panic.", "panic events", "", Tier::Disruptive, 2400.0),
];

/// The checks of the `cell`-th cell, at the times at which two clones at once would run them.
pub fn of_cell(cell: usize) -> Vec<CheckRecord> {
    let boot = if cell == 2 { 15_300.0 } else { 3_250.0 + 420.0 * cell as f64 };
    let mut shared = boot + 90.0;
    let mut lanes = [boot + 160.0, boot + 165.0];
    let mut checks = Vec::new();
    for (number, row) in ROWS.iter().enumerate() {
        let mut check = check(row, cell);
        if matches!(check.verdict, Verdict::Skip { .. }) {
            checks.push(check);
            continue;
        }
        if check.tier == Tier::Reads {
            check.started_ms = shared;
            check.clone = "tier0".into();
            shared += check.took_ms + 1.0;
        } else {
            let lane = usize::from(lanes[1] < lanes[0]);
            check.started_ms = lanes[lane];
            check.clone = format!("clone-{number}");
            lanes[lane] += check.took_ms + 12.0;
        }
        checks.push(check);
    }
    let mut canary = blank("canary.must-fail", "This must fail.", Tier::Reads, 2.0);
    canary.observations = Observations::of([Finding::same(
        "a coin that differs",
        GuestSource::Kernel.saw(1),
        HostSource::Hypervisor.saw(2),
    )]);
    canary.verdict = canary.observations.judge();
    canary.started_ms = shared;
    canary.clone = "tier0".into();
    checks.push(canary);
    checks
}

fn blank(id: &str, requirement: &str, tier: Tier, took_ms: f64) -> CheckRecord {
    CheckRecord {
        id: id.parse().expect("an id"),
        requirement: requirement.into(),
        tier,
        verdict: Verdict::Pass,
        observations: Observations::new(),
        attempts: Vec::new(),
        repeats: None,
        started_ms: 0.0,
        took_ms,
        console: Vec::new(),
        artifacts: Vec::new(),
        clone: String::new(),
    }
}

fn check(row: &Row, cell: usize) -> CheckRecord {
    let (id, requirement, what, unit, tier, took) = *row;
    let mut check = blank(id, requirement, tier, took * (1.0 + 0.2 * cell as f64));
    if let Some((why, reason)) = skipped(id, cell) {
        check.verdict = Verdict::Skip { why, reason: reason.into() };
        check.took_ms = 0.0;
        return check;
    }
    check.observations = Observations::of([finding(id, what, unit)]);
    match id {
        "clk.monotonic-smp" => {
            let why = "only the guest can compare its vCPUs' clocks";
            check.observations =
                Observations::of([Finding::guest_is(what, GuestSource::Kernel.saw(0), 0)])
                    .only_one_witness(why);
        }
        "cpu.features-vs-host" => {
            let flags = |names: &[&str]| names.iter().map(|n| Value::from(*n)).collect::<Vec<_>>();
            let guest = flags(&["fpu", "sse2", "nx", "lm", "cx16"]);
            let host = flags(&["fpu", "sse2", "sse4_2", "nx", "lm", "cx16", "svm"]);
            check.observations = Observations::of([Finding::guest_subset(
                what,
                GuestSource::Kernel.saw(guest),
                HostSource::Hypervisor.saw(host),
            )]);
        }
        "ident.driver-versions" => {
            let seen = HOSTILE.map(Value::from).to_vec();
            let recorded =
                Finding::recorded("drivers").inside(GuestSource::Kernel.saw(Value::List(seen)));
            check.observations.push(recorded);
        }
        "boot.reboot-x3" => {
            for n in 1..=3 {
                let name = format!("boot id after reset {n} is new");
                check.observations.push(Finding::same(
                    name,
                    GuestSource::Kernel.saw(true),
                    HostSource::Hypervisor.saw(true),
                ));
            }
            check.observations.note("median of the three: 2.9 s");
        }
        "con.framebuffer-alive" => check.artifacts.push("screens/framebuffer.png".into()),
        _ => {}
    }
    if cell == 2 {
        spoil(&mut check, what);
    }
    check.verdict = match check.verdict {
        Verdict::Pass => check.observations.judge(),
        other => other,
    };
    check
}

fn skipped(id: &str, cell: usize) -> Option<(SkipReason, &'static str)> {
    match (id, cell) {
        ("stor.hot-add-remove/usb", 0) => {
            Some((SkipReason::UnsupportedByGuest, "the kernel package has no usb-storage module"))
        }
        ("boot.reboot-x3", 0 | 1) => {
            Some((SkipReason::NotRequired, "a kernel guest's reboot is its boot; boot.* covers it"))
        }
        ("mem.hot-add", 2) => Some((
            SkipReason::UnsupportedByHost,
            "machine is full: memory.max equals memory.size <b>",
        )),
        _ => None,
    }
}

fn finding(id: &str, what: &str, unit: &str) -> Finding {
    match (unit, id) {
        ("ms", _) => Finding::within(
            what,
            unit,
            GuestSource::Kernel.saw(1_003.2),
            HostSource::Hypervisor.saw(1_000.0),
            60.0,
        ),
        ("ppm", _) => Finding::within(
            what,
            unit,
            GuestSource::Kernel.saw(11.4),
            HostSource::Hypervisor.saw(0.0),
            200.0,
        ),
        ("s", _) => Finding::within(
            what,
            unit,
            GuestSource::Kernel.saw(3.18),
            HostSource::Hypervisor.saw(3.214),
            0.5,
        ),
        ("%", _) => Finding::within(
            what,
            unit,
            GuestSource::Kernel.saw(100.0),
            HostSource::Hypervisor.saw(99.8),
            1.0,
        ),
        ("MiB" | "KiB", _) => Finding::within(
            what,
            unit,
            GuestSource::Kernel.saw(256.0),
            HostSource::Hypervisor.saw(256.0),
            8.0,
        ),
        _ if what.starts_with("SHA-256") => {
            let digest = Digest::of(id.as_bytes());
            Finding::same(what, GuestSource::Kernel.saw(digest), HostSource::Hypervisor.saw(digest))
        }
        _ if what.ends_with("UUID") => {
            let uuid = "5b1f7e0c-4f0a-4d0c-9b0e-6d2f1a7c9e11";
            Finding::same_as(
                what,
                GuestSource::Kernel.saw(uuid),
                HostSource::Hypervisor.saw(uuid),
                uuid,
            )
        }
        (_, "clk.source") => Finding::same_as(
            what,
            GuestSource::Kernel.saw("tsc"),
            HostSource::Hypervisor.saw("tsc"),
            "tsc",
        ),
        (_, "boot.firmware-kind") => {
            Finding::same(what, GuestSource::Kernel.saw("BIOS"), HostSource::Hypervisor.saw("BIOS"))
        }
        (_, "ident.hypervisor-sig") => Finding::same(
            what,
            GuestSource::Kernel.saw("TCGTCGTCGTCG"),
            HostSource::Hypervisor.saw("TCGTCGTCGTCG"),
        ),
        _ => Finding::same_as(what, GuestSource::Kernel.saw(2), HostSource::Hypervisor.saw(2), 2),
    }
}

/// Makes the third cell one that has everything in it that can go wrong.
fn spoil(check: &mut CheckRecord, what: &str) {
    match check.id.as_str() {
        "stor.flush-durable" => {
            let lost = Finding::same(
                what,
                GuestSource::Kernel.saw(Digest::of(b"written")),
                HostSource::Hypervisor.saw(Digest::of(b"found")),
            );
            check.observations = Observations::of([
                lost,
                Finding::same(
                    "bytes that the guest had acknowledged",
                    GuestSource::Kernel.saw(1_048_576),
                    HostSource::Hypervisor.saw(983_040),
                ),
                Finding::recorded("flushes")
                    .inside(GuestSource::Kernel.saw(16))
                    .outside(HostSource::Hypervisor.saw(16)),
            ]);
            check.console = (0..6)
                .map(|n| {
                    format!("[   12.{n}] sd 0:0:0:0: [sda] Synchronize Cache(10) {}", HOSTILE[n])
                })
                .collect();
            check.attempts = vec![check.observations.judge(); 3];
        }
        "net.link-flap" => {
            check.observations = Observations::of([Finding::same(
                what,
                GuestSource::Kernel.saw(3),
                HostSource::Hypervisor.saw(4),
            )]);
            let failed = check.observations.judge();
            check.attempts = vec![failed.clone(), Verdict::Pass, Verdict::Pass];
            check.verdict = failed;
        }
        "ident.smbios" => {
            let hostile = HOSTILE.concat() + &"A".repeat(3_000);
            check.observations = Observations::of([
                Finding::same(
                    what,
                    GuestSource::Kernel.saw(hostile),
                    HostSource::Hypervisor.saw("5b1f7e0c-4f0a-4d0c-9b0e-6d2f1a7c9e11"),
                ),
                Finding::same(
                    "manufacturer",
                    GuestSource::Kernel.saw("Hospitium"),
                    HostSource::Hypervisor.saw("Hospitium"),
                ),
            ]);
        }
        "life.migrate-live" => {
            let reason = "the second QEMU ended before the migration did: killed by signal 9; \
                          see its last lines below, then try again";
            check.observations = Observations::new();
            check.verdict = Verdict::Error { reason: reason.into() };
            check.console = vec!["qemu-system-x86_64: terminating on signal 9".into()];
        }
        "crash.host-notified" => {
            check.observations = Observations::new();
            let reason = "the clone's time of 60 s was over while waiting for the panic event";
            check.verdict = Verdict::Miss { reason: reason.into() };
        }
        _ => {}
    }
}
