//! One cell: what it ran on, its checks by subsystem, its skips, console and events.

use hospitium_evidence::{Bundle, Cell};
use hospitium_model::{CellRecord, CheckRecord, GuestKind, MachineSpec, Subsystem, Verdict};

use super::check::CheckView;
use super::picture::{Picture, Pictures};
use super::timeline::Timeline;
use crate::outcome::{Outcome, Tally, is_canary, of_cell, still_runs};
use crate::words::{self, visible};

/// Console lines that stand open.
const CONSOLE: usize = 200;
/// Console lines that are folded before them.
const FOLDED: usize = 2_000;
/// Characters of a console line.
const LINE: usize = 1_000;
/// Events of the timeline that are listed.
const EVENTS: usize = 400;

/// What `cell.html` shows.
pub struct CellView {
    pub anchor: String,
    pub title: String,
    pub guest: String,
    pub host: String,
    pub outcome: Outcome,
    pub counts: String,
    pub failure: Vec<String>,
    pub canary: (Outcome, &'static str),
    pub accelerator: &'static str,
    pub emulated: bool,
    pub accelerator_how: String,
    pub required_not_run: Vec<String>,
    pub facts: Vec<(&'static str, String)>,
    pub observed: Vec<(String, String)>,
    pub inputs: Vec<Input>,
    pub timings: Vec<(&'static str, String)>,
    pub timeline: Option<Timeline>,
    pub groups: Vec<Group>,
    pub skips: Vec<Skip>,
    pub pictures: Vec<Picture>,
    pub pictures_left: Vec<String>,
    pub console: Vec<String>,
    pub console_folded: Vec<String>,
    pub console_left: usize,
    pub events: Vec<Event>,
    pub events_left: usize,
}

pub struct Input {
    pub role: String,
    pub name: String,
    pub size: String,
    pub sha256: String,
}

/// The checks of one subsystem that apply.
pub struct Group {
    pub title: &'static str,
    pub prefix: &'static str,
    pub counts: String,
    pub outcome: Outcome,
    pub checks: Vec<CheckView>,
}

pub struct Skip {
    pub id: String,
    pub requirement: String,
    pub why: &'static str,
    pub reason: String,
}

pub struct Event {
    pub at: String,
    pub machine: String,
    pub source: String,
    pub text: String,
}

impl CellView {
    pub fn of(bundle: &Bundle, index: usize, cell: &Cell, pictures: &mut Pictures<'_>) -> Self {
        let record = &cell.record;
        let (guest, host) = (visible(&record.guest.name, 80), visible(&record.host.name, 80));
        let console: Vec<String> =
            bundle.console(&record.name).lines().map(|line| visible(line, LINE)).collect();
        let folded_end = console.len().saturating_sub(CONSOLE);
        let folded_start = folded_end.saturating_sub(FOLDED);
        let groups = groups(bundle, index, cell, pictures);
        let (rest, pictures_left) = pictures.rest(&record.name);
        let failure = record.failure.as_deref().unwrap_or_default();
        Self {
            anchor: format!("c{index}"),
            title: format!("{guest} on {host}"),
            guest,
            host,
            outcome: of_cell(bundle, cell),
            counts: Tally::of(&cell.checks).words(),
            failure: failure.lines().take(60).map(|line| visible(line, 600)).collect(),
            canary: canary(bundle, cell),
            accelerator: record.host.accelerator.used.name(),
            emulated: !record.host.accelerator.used.is_hardware(),
            accelerator_how: visible(&record.host.accelerator.how, 400),
            required_not_run: record.required_not_run.iter().map(ToString::to_string).collect(),
            facts: facts(record),
            observed: record
                .observed
                .iter()
                .take(100)
                .map(|(name, value)| (visible(name, 80), visible(value, 1_000)))
                .collect(),
            inputs: inputs(record),
            timings: timings(bundle, record),
            timeline: Timeline::of(cell),
            groups,
            skips: cell.checks.iter().filter_map(skip).collect(),
            pictures: rest,
            pictures_left,
            console: console[folded_end..].to_vec(),
            console_folded: console[folded_start..folded_end].to_vec(),
            console_left: folded_start,
            events: events(cell),
            events_left: cell.timeline.len().saturating_sub(EVENTS),
        }
    }
}

fn canary(bundle: &Bundle, cell: &Cell) -> (Outcome, &'static str) {
    if cell.record.canary_failed {
        (Outcome::Pass, "failed, as it must: this cell's harness can tell wrong from right")
    } else if cell.record.failure.is_some() {
        (Outcome::Miss, "did not run")
    } else if still_runs(bundle, cell) {
        (Outcome::Miss, "has not failed yet: this cell still runs")
    } else {
        (Outcome::Fail, "did not fail: the other verdicts of this cell prove nothing")
    }
}

fn groups(bundle: &Bundle, index: usize, cell: &Cell, pictures: &mut Pictures<'_>) -> Vec<Group> {
    let name = &cell.record.name;
    let several = bundle.cells.len() > 1;
    let mut groups: Vec<Group> = Vec::new();
    for subsystem in Subsystem::ALL.into_iter().filter(|s| *s != Subsystem::Canary) {
        let all: Vec<&CheckRecord> =
            cell.checks.iter().filter(|c| c.id.subsystem() == subsystem && !is_canary(c)).collect();
        let applying = all.iter().filter(|c| Outcome::of(c) != Outcome::Skip);
        let mut checks: Vec<CheckView> = applying
            .map(|check| {
                let mut replay = format!("hospitium replay {} {}", bundle.run.id, check.id);
                if several {
                    replay += &format!(" --cell {name}");
                }
                let judged = words::judged_boot(check, &cell.record, bundle.run.started);
                CheckView::of(check, index, visible(&replay, 300), judged, name, pictures)
            })
            .collect();
        if checks.is_empty() {
            continue;
        }
        checks.sort_by_key(|check| check.outcome);
        let tally = Tally::of(all);
        groups.push(Group {
            title: subsystem.title(),
            prefix: subsystem.prefix(),
            counts: tally.words(),
            outcome: tally.worst(),
            checks,
        });
    }
    // Those with trouble first; else in the order of the subsystems.
    groups.sort_by_key(
        |group| {
            if group.outcome.wants_attention() { group.outcome } else { Outcome::Skip }
        },
    );
    groups
}

fn skip(check: &CheckRecord) -> Option<Skip> {
    let Verdict::Skip { why, reason } = &check.verdict else {
        return None;
    };
    Some(Skip {
        id: check.id.to_string(),
        requirement: visible(&check.requirement, 600),
        why: why.words(),
        reason: visible(reason, 600),
    })
}

fn facts(record: &CellRecord) -> Vec<(&'static str, String)> {
    let CellRecord { guest, host, machine, .. } = record;
    let kind = match guest.kind {
        GuestKind::Kernel => "kernel guest: the probe is its init",
        GuestKind::Disk => "disk guest: a whole system",
    };
    let mut facts = vec![(
        "Guest",
        format!("{} {} ({kind})", visible(&guest.name, 80), version(&guest.name, &guest.version)),
    )];
    if let Some(product) = &guest.product {
        facts.push(("Product", visible(product, 120)));
    }
    facts.push((
        "Hypervisor",
        format!("{} {}", visible(&host.kind, 40), visible(&host.version, 80)),
    ));
    facts.push(("Build", visible(&host.build, 160)));
    facts.push(("Machine", machine_words(machine)));
    facts.push((
        "Physical machine",
        format!(
            "{}, {}, {} MiB, Linux {}",
            visible(&host.cpu_model, 120),
            words::plural(host.cpus as usize, "CPU"),
            host.memory_mib,
            visible(&host.kernel, 80)
        ),
    ));
    facts
}

/// The version, unless the name says it already.
fn version(name: &str, version: &str) -> String {
    if name.contains(version) { String::new() } else { visible(version, 80) }
}

fn machine_words(machine: &MachineSpec) -> String {
    let kind = |text: String| text.to_lowercase();
    let mut parts = vec![
        match &machine.machine_type {
            Some(named) => format!("machine type {}", visible(named, 64)),
            None => format!("{} chipset", kind(format!("{:?}", machine.chipset))),
        },
        format!("{:?} firmware", machine.firmware).replace("Bios", "BIOS").replace("Uefi", "UEFI"),
        words::plural(machine.cpus.count() as usize, "vCPU"),
        machine.memory.size.to_string(),
    ];
    if let Some(model) = &machine.cpu_model {
        parts.insert(3, format!("CPU model {}", visible(model, 64)));
    }
    let disks: Vec<_> = machine.disks.iter().take(20).map(|disk| disk.bus.name()).collect();
    if !disks.is_empty() {
        parts.push(format!("disks on {}", disks.join(", ")));
    }
    let nics: Vec<_> =
        machine.nics.iter().take(20).map(|nic| kind(format!("{:?}", nic.model))).collect();
    if !nics.is_empty() {
        parts.push(format!("network {}", nics.join(", ")));
    }
    if let Some(version) = machine.tpm {
        parts.push(format!("TPM {}", version.name()));
    }
    parts.join(" · ")
}

fn inputs(record: &CellRecord) -> Vec<Input> {
    let pins = record.inputs.iter().take(200).map(|pin| Input {
        role: visible(&pin.role, 40),
        name: visible(&pin.name, 200),
        size: words::bytes(pin.size.as_bytes()),
        sha256: pin.sha256.to_string(),
    });
    pins.collect()
}

fn timings(bundle: &Bundle, record: &CellRecord) -> Vec<(&'static str, String)> {
    let timings = &record.timings;
    let mut rows = Vec::new();
    match timings.boot_ms {
        Some(ms) => rows.push(("Boot to the probe's answer", words::duration(ms))),
        None => {
            let of = words::boot_of(record, bundle.run.started).unwrap_or_default();
            rows.push(("Boot", format!("none: the snapshot came from the cache{of}")));
        }
    }
    if let Some(how) = record.observed.get("isolation").filter(|how| !how.starts_with("fork:")) {
        rows.push(("Isolation of checks", visible(how, 100)));
    }
    if let Some(ms) = timings.snapshot_ms {
        rows.push(("Saving the snapshot", words::duration(ms)));
    }
    if let Some(median) = words::median(&timings.clones_ms) {
        let longest = timings.clones_ms.iter().copied().fold(0.0, f64::max);
        let count = timings.clones_ms.len();
        rows.push((
            if every_machine_boots(record) {
                "Boot of a check's machine"
            } else {
                "A clone ready to answer"
            },
            format!(
                "{} median, {} at most, of {count}",
                words::duration(median),
                words::duration(longest)
            ),
        ));
    }
    rows.push(("The whole cell", words::duration(timings.total_ms)));
    rows.push(("CPU time of the virtual machines", words::duration(timings.vmm_cpu_ms)));
    rows.extend(harness(bundle));
    rows
}

/// Whether no check had a clone (`hospitium_run`, what a cell says of its isolation).
fn every_machine_boots(record: &CellRecord) -> bool {
    record.observed.get("isolation").is_some_and(|how| how.starts_with("reboot:"))
}

/// The harness is one process for all cells: what it took stands against what all their machines took.
fn harness(bundle: &Bundle) -> Option<(&'static str, String)> {
    let all = || bundle.cells.iter().map(|cell| &cell.record.timings);
    let own = all().map(|timings| timings.harness_cpu_ms).fold(0.0, f64::max);
    let machines: f64 = all().map(|timings| timings.vmm_cpu_ms).sum();
    let (what, whose) = match bundle.cells.len() {
        1 => ("CPU time of the harness", "theirs"),
        _ => ("CPU time of the harness, all cells", "all virtual machines'"),
    };
    let share = 100.0 * own / machines;
    (machines > 0.0).then(|| (what, format!("{} ({share:.1} % of {whose})", words::duration(own))))
}

fn events(cell: &Cell) -> Vec<Event> {
    let start = cell.timeline.len().saturating_sub(EVENTS);
    let last = cell.timeline[start..].iter().map(|event| Event {
        at: words::duration(event.at_ms),
        machine: visible(&event.machine, 40),
        source: format!("{:?}", event.source).to_lowercase(),
        text: visible(&event.text, 300),
    });
    last.collect()
}
