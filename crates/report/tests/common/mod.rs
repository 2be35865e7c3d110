//! A run as real ones look, with hostile strings where a guest could put them.
#![allow(dead_code, reason = "each user takes its part")]

mod checks;

use std::path::Path;

use hospitium_evidence::BundleWriter;
use hospitium_model::{
    Accelerator, AcceleratorProof, Boot, Bus, ByteSize, CellRecord, CheckRecord, Digest, Disk,
    DiskRole, EVIDENCE_FORMAT, GuestFacts, GuestKind, HostFacts, InputPin, MachineSpec, Network,
    Nic, NicModel, OperatingSystem, PlannedCheck, RunRecord, TimelineEvent, TimelineSource,
    Timings,
};

/// What a guest could print to break out of a page, a terminal, a table or an attribute.
pub const HOSTILE: [&str; 7] = [
    "<script>alert('guest')</script>",
    "\"><img src=x onerror=alert(1)>",
    "\x1b[2J\x1b[31mred\x1b]0;title\x07",
    "\u{202e}gnp.exe\u{2066} right to left \u{200f}",
    "]]> &amp; </title></pre></svg>",
    "{{ name }} {% raw %} | a | `b` | [link](javascript:alert(1)) @everyone",
    "\u{0}\u{8}\u{7f}\u{9b}\u{feff}\u{fffe}",
];

const CELLS: [(&str, &str, &str, GuestKind); 3] = [
    ("linux-6.1-qemu-7.2.22", "linux 6.1.0-50-amd64", "6.1.0-50-amd64", GuestKind::Kernel),
    ("linux-6.12-qemu-7.2.22", "linux 6.12.117-amd64", "6.12.117-amd64", GuestKind::Kernel),
    ("debian-12-qemu-7.2.22", "Debian 12", "12.15", GuestKind::Disk),
];

/// Writes the sample into `folder`.
pub fn write(folder: &Path) {
    let run = run();
    let writer = BundleWriter::create(folder, &run).expect("begins");
    for (index, name) in run.cells.iter().enumerate() {
        let cell = writer.cell(name).expect("a cell");
        let checks = checks::of_cell(index);
        let record = record(index, &checks);
        cell.record(&record).expect("its record");
        let plan: Vec<PlannedCheck> = checks
            .iter()
            .map(|c| PlannedCheck {
                id: c.id.clone(),
                requirement: c.requirement.clone(),
                tier: c.tier,
            })
            .collect();
        cell.plan(&plan).expect("its plan");
        for check in &checks {
            cell.check(check).expect("a check");
        }
        for event in events(&record, &checks) {
            cell.timeline(&event).expect("an event");
        }
        cell.console(&console(index)).expect("console");
        cell.file("screens/boot.png", &screen(index)).expect("a screenshot");
        cell.file("screens/framebuffer.png", &screen(index + 3)).expect("a screenshot");
        cell.finish(&record).expect("ends");
    }
    let mut ended = run;
    ended.ended = Some("2026-09-14T10:22:51Z".parse().expect("a time"));
    writer.finish(&ended).expect("finishes");
}

fn run() -> RunRecord {
    RunRecord {
        format: EVIDENCE_FORMAT,
        id: "20260914-102120-7f3a".into(),
        hospitium: "0.1.0".into(),
        suite: Digest::of(b"suite"),
        started: "2026-09-14T10:21:20Z".parse().expect("a time"),
        ended: None,
        seed: 0x5eed,
        required: ["cpu.count", "stor.flush-durable"].map(|id| id.parse().expect("an id")).into(),
        profile: None,
        cells: CELLS.iter().map(|(name, ..)| (*name).into()).collect(),
        cut_off: None,
        order: Vec::new(),
        not_started: Vec::new(),
        definition: None,
    }
}

fn record(index: usize, checks: &[CheckRecord]) -> CellRecord {
    let (name, guest, version, kind) = CELLS[index];
    let is_disk = kind == GuestKind::Disk;
    let disk = |id: &str, role, bus| Disk {
        id: id.into(),
        role,
        bus,
        image: None,
        format: None,
        size: ByteSize::mib(64),
        serial: String::new(),
        logical_sector: 0,
        physical_sector: 0,
        read_only: false,
        power_loss_log: true,
        room: None,
    };
    let mut machine = MachineSpec::new(
        ByteSize::mib(if is_disk { 512 } else { 256 }),
        Boot::Devices { order: vec!["system".into()] },
    );
    machine.disks = vec![
        disk("system", DiskRole::System, Bus::Virtio),
        disk("scratch", DiskRole::Scratch, Bus::VirtioScsi),
    ];
    machine.nics = vec![Nic {
        id: "net0".into(),
        model: NicModel::Virtio,
        mac: "52:54:00:12:34:56".into(),
        network: Network::Harness,
        queues: 1,
    }];
    let pin = |role: &str, size, name: &str| InputPin {
        role: role.into(),
        sha256: Digest::of(name.as_bytes()),
        size: ByteSize::bytes(size),
        name: name.into(),
    };
    let mut observed = std::collections::BTreeMap::new();
    observed.insert("kernel".into(), format!("Linux version {version} (gcc-12) #1 SMP"));
    observed.insert("command-line".into(), format!("console=ttyS0 {}", HOSTILE[0]));
    observed.insert("clocksource".into(), "tsc".into());
    CellRecord {
        name: name.into(),
        guest: GuestFacts {
            name: guest.into(),
            kind,
            os: OperatingSystem::Linux,
            product: is_disk.then(|| "http://debian.org/debian/12".into()),
            version: version.into(),
            digest: Digest::of(guest.as_bytes()),
            manages_devices: is_disk,
        },
        host: HostFacts {
            name: "qemu 7.2.22 (TCG)".into(),
            kind: "qemu".into(),
            version: "7.2.22".into(),
            build: "Debian 1:7.2+dfsg-7+deb12u18".into(),
            vmm: Digest::of(b"vmm"),
            firmware: vec![("bios".into(), Digest::of(b"seabios"))],
            accelerator: AcceleratorProof {
                used: Accelerator::Tcg,
                how: "KVM: /dev/kvm is not there; TCG is used".into(),
            },
            cpu_model: "AMD EPYC 7763 64-Core Processor".into(),
            cpus: 2,
            memory_mib: 24_064,
            kernel: "6.1.0-50-amd64".into(),
        },
        machine,
        inputs: vec![
            pin(if is_disk { "image" } else { "kernel" }, 8_228_352 * (1 + index as u64), guest),
            pin("vmm", 16_640_008, "/usr/bin/qemu-system-x86_64"),
            pin("firmware", 262_144, "bios-256k.bin"),
            pin("probe", 198_144, "hospitium-probe"),
            pin("suite", 21_003_221, "hospitium 0.1.0"),
        ],
        timings: Timings {
            boot_ms: Some(if is_disk { 15_240.0 } else { 3_180.0 + 420.0 * index as f64 }),
            snapshot_ms: Some(36.4),
            clones_ms: (0..40).map(|n| 68.0 + f64::from(n % 13) * 4.1).collect(),
            total_ms: checks.iter().map(|c| c.started_ms + c.took_ms).fold(0.0, f64::max) + 300.0,
            vmm_cpu_ms: 31_400.0,
            harness_cpu_ms: 1_310.0,
        },
        booted: Some("2026-09-14T10:21:20Z".parse().expect("a time")),
        failure: None,
        canary_failed: true,
        required_not_run: Vec::new(),
        observed,
    }
}

fn events(record: &CellRecord, checks: &[CheckRecord]) -> Vec<TimelineEvent> {
    let event = |at_ms, machine: &str, source, text: &str| TimelineEvent {
        at_ms,
        machine: machine.into(),
        source,
        text: text.into(),
    };
    let boot = record.timings.boot_ms.unwrap_or_default();
    let mut events = vec![
        event(0.0, "boot", TimelineSource::Harness, "machine defined"),
        event(48.0, "boot", TimelineSource::Machine, "RESUME"),
        event(900.0, "boot", TimelineSource::Console, "Booting from ROM.."),
        event(1200.0, "boot", TimelineSource::Console, HOSTILE[2]),
        event(boot - 2.0, "boot", TimelineSource::Probe, "hello: probe 0.1.0, protocol 1"),
        event(boot + 10.0, "boot", TimelineSource::Machine, "STOP"),
    ];
    for check in checks.iter().filter(|check| check.took_ms > 0.0) {
        let text = format!("{} starts", check.id);
        events.push(event(check.started_ms, &check.clone, TimelineSource::Check, &text));
        let text = format!("{} ends: {}", check.id, check.verdict.word());
        let end = check.started_ms + check.took_ms;
        events.push(event(end, &check.clone, TimelineSource::Check, &text));
    }
    events.sort_by(|a, b| a.at_ms.total_cmp(&b.at_ms));
    events
}

fn console(index: usize) -> Vec<u8> {
    let mut text = String::new();
    text += "\x1bc\x1b[?7l\x1b[2JSeaBIOS (version 1.16.2-debian-1.16.2-1)\r\n";
    for n in 0..480 {
        text += &format!(
            "[{:>5}.{:06}] {}\r\n",
            n / 90,
            n * 11_273 % 1_000_000,
            [
                "clocksource: tsc-early: mask: 0xffffffffffffffff max_cycles: 0x1fb633008a4",
                "pci 0000:00:02.0: [1af4:1001] type 00 class 0x010000",
                "virtio_blk virtio1: [vda] 131072 512-byte logical blocks (67.1 MB/64.0 MiB)",
                "ACPI: PM: Power Button [PWRF]",
                "NET: Registered PF_INET6 protocol family",
            ][n % 5]
        );
    }
    for hostile in HOSTILE {
        text += &format!("{hostile}\r\n");
    }
    text += &"x".repeat(5_000 + index);
    text += "\r\nhospitium-probe: ready\r\n";
    let mut bytes = text.into_bytes();
    bytes.extend(b"\xff\xfe broken \x80 bytes\n");
    bytes
}

/// A picture that looks like a text console.
fn screen(seed: usize) -> Vec<u8> {
    let (width, height) = (720, 400);
    let mut pixels = vec![0u8; width * height];
    for line in 0..20 {
        let length = 12 + (line * 37 + seed * 91) % 60;
        for column in (0..length).filter(|column| (column * 7 + line * 3) % 6 != 0) {
            for y in 0..10 {
                for x in 0..6 {
                    let on = (x * 3 + y * 5 + column * 11 + line * 7) % 4 != 0;
                    pixels[(line * 18 + 8 + y) * width + 10 + column * 9 + x] =
                        if on { 190 } else { 0 };
                }
            }
        }
    }
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(&pixels).expect("pixels");
    writer.finish().expect("ends");
    bytes
}
