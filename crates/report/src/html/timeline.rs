//! The timeline as a picture: the boot, the snapshot, then lanes of clones with each check's bar.

use hospitium_evidence::Cell;
use hospitium_model::{CheckRecord, TimelineSource};

use crate::outcome::{Outcome, is_canary};
use crate::words::{self, visible};

/// Width of the drawing, in its own units, labels left of it not counted.
const WIDTH: f64 = 1000.0;
/// Where it begins, right of the labels.
const LEFT: f64 = 76.0;
/// Height of a lane.
const LANE: f64 = 22.0;
/// Lanes that are drawn at most; what would need more shares the last one.
const LANES: usize = 40;
/// Bars that are drawn at most.
const BARS: usize = 2_000;
/// Marks of the hypervisor's events that are drawn at most.
const MARKS: usize = 200;

/// What `timeline.html` draws.
pub struct Timeline {
    pub view: String,
    pub axis_y: String,
    pub label_y: String,
    pub bottom: String,
    pub ticks: Vec<Tick>,
    pub lanes: Vec<Lane>,
    pub bars: Vec<Bar>,
    pub marks: Vec<Mark>,
    pub summary: String,
}

pub struct Tick {
    pub x: String,
    pub label: String,
}

pub struct Lane {
    pub y: String,
    pub label: String,
}

pub struct Bar {
    pub x: String,
    pub y: String,
    pub width: String,
    pub class: &'static str,
    pub title: String,
    /// Shown in the bar where there is room.
    pub label: String,
    pub label_x: String,
    pub label_y: String,
}

pub struct Mark {
    pub x: String,
    pub y: String,
    pub title: String,
}

/// A clone and the time from its first check's start to its last one's end.
struct Clone<'a> {
    from: f64,
    to: f64,
    shared: bool,
    checks: Vec<&'a CheckRecord>,
}

impl Timeline {
    /// None if nothing took any time that is known.
    pub fn of(cell: &Cell) -> Option<Self> {
        let checks: Vec<&CheckRecord> = cell
            .checks
            .iter()
            .filter(|c| c.took_ms > 0.0 && sane(c.started_ms) && sane(c.took_ms))
            .take(BARS)
            .collect();
        let timings = &cell.record.timings;
        let end = checks.iter().map(|c| c.started_ms + c.took_ms).fold(0.0, f64::max);
        let boot = timings.boot_ms.filter(|ms| sane(*ms)).unwrap_or(0.0);
        let snapshot = timings.snapshot_ms.filter(|ms| sane(*ms)).unwrap_or(0.0);
        let total = end.max(boot + snapshot).max(Some(timings.total_ms).filter(|ms| sane(*ms))?);
        if total <= 0.0 {
            return None;
        }
        let scale = WIDTH / total;
        let mut drawing = Drawing { scale, bars: Vec::new() };
        let mut lanes = vec!["boot".to_owned()];
        if boot > 0.0 {
            let title = format!("boot: {} to the probe's first answer", words::duration(boot));
            drawing.bar(0, 0.0, boot, "boot", title, "boot");
        }
        if snapshot > 0.0 {
            let title = format!("snapshot: {}", words::duration(snapshot));
            drawing.bar(0, boot, snapshot, "snapshot", title, "");
        }
        let clones = clones(&checks);
        let count = clones.len();
        let mut free: Vec<f64> = Vec::new();
        for clone in clones {
            let lane = if clone.shared { None } else { free.iter().position(|t| *t <= clone.from) };
            let lane = lane.unwrap_or_else(|| {
                if lanes.len() < LANES {
                    lanes.push(if clone.shared { "shared".into() } else { "clones".into() });
                    free.push(0.0);
                }
                free.len() - 1
            });
            free[lane] = if clone.shared { f64::INFINITY } else { clone.to };
            for check in clone.checks {
                let outcome = Outcome::of(check);
                // A canary that fails does as it should.
                let class = if is_canary(check) { "canary" } else { outcome.word() };
                let title = format!(
                    "{}: {}, {} from {}",
                    check.id,
                    outcome.word(),
                    words::duration(check.took_ms),
                    words::duration(check.started_ms)
                );
                drawing.bar(
                    lane + 1,
                    check.started_ms,
                    check.took_ms,
                    class,
                    title,
                    check.id.as_str(),
                );
            }
        }
        // Lanes of one label are told once, at the first.
        let lanes: Vec<Lane> = lanes
            .iter()
            .enumerate()
            .map(|(at, label)| Lane {
                y: number(lane_y(at) + LANE * 0.68),
                label: if at > 0 && lanes[at - 1] == *label {
                    String::new()
                } else {
                    label.clone()
                },
            })
            .collect();
        let axis = lane_y(lanes.len()) + 2.0;
        let height = axis + 24.0;
        let boot_words = match timings.boot_ms {
            Some(ms) => format!("booted in {}", words::duration(ms)),
            None => "not booted: the snapshot came from the cache".into(),
        };
        Some(Self {
            view: format!("0 0 {} {}", LEFT + WIDTH + 12.0, number(height)),
            axis_y: number(axis),
            label_y: number(axis + 16.0),
            bottom: number(axis),
            ticks: ticks(total, scale),
            lanes,
            bars: drawing.bars,
            marks: marks(cell, scale, total),
            summary: format!(
                "{boot_words}; {} in {}; {} in all",
                words::plural(checks.len(), "check"),
                words::plural(count, "clone"),
                words::duration(total)
            ),
        })
    }
}

struct Drawing {
    scale: f64,
    bars: Vec<Bar>,
}

impl Drawing {
    fn bar(
        &mut self,
        lane: usize,
        from: f64,
        took: f64,
        class: &'static str,
        title: String,
        label: &str,
    ) {
        let x = LEFT + from * self.scale;
        let width = (took * self.scale).max(2.0);
        let y = lane_y(lane);
        // About 6 units a character at the label's size.
        let room = width / 6.1;
        #[expect(clippy::cast_precision_loss, reason = "a label is short")]
        let fits = label.len() as f64 + 1.0 < room;
        self.bars.push(Bar {
            x: number(x),
            y: number(y + 2.0),
            width: number(width),
            class,
            title,
            label: if fits { label.to_owned() } else { String::new() },
            label_x: number(x + 4.0),
            label_y: number(y + LANE * 0.66),
        });
    }
}

/// The clones by their start; the one that several checks share first.
fn clones<'a>(checks: &[&'a CheckRecord]) -> Vec<Clone<'a>> {
    let mut clones: Vec<Clone<'a>> = Vec::new();
    let mut names: std::collections::HashMap<&str, usize> = std::collections::HashMap::new();
    for check in checks {
        let (from, to) = (check.started_ms, check.started_ms + check.took_ms);
        let known = names.get(check.clone.as_str()).copied().filter(|_| !check.clone.is_empty());
        match known {
            Some(at) => {
                let clone = &mut clones[at];
                clone.from = clone.from.min(from);
                clone.to = clone.to.max(to);
                clone.checks.push(check);
                clone.shared = true;
            }
            None => {
                names.insert(&check.clone, clones.len());
                clones.push(Clone { from, to, shared: false, checks: vec![check] });
            }
        }
    }
    clones.sort_by(|a, b| b.shared.cmp(&a.shared).then(a.from.total_cmp(&b.from)));
    clones
}

fn marks(cell: &Cell, scale: f64, total: f64) -> Vec<Mark> {
    cell.timeline
        .iter()
        .filter(|event| event.source == TimelineSource::Machine && event.machine == "boot")
        .filter(|event| sane(event.at_ms) && event.at_ms <= total)
        .take(MARKS)
        .map(|event| Mark {
            x: number(LEFT + event.at_ms * scale),
            y: number(lane_y(0)),
            title: format!("{}: {}", words::duration(event.at_ms), visible(&event.text, 120)),
        })
        .collect()
}

/// Round seconds (1, 2 or 5 of a power of ten), five to ten of them.
fn ticks(total: f64, scale: f64) -> Vec<Tick> {
    let rough = total / 8.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * power).find(|n| *n >= rough);
    let step = step.unwrap_or(total).max(total / 20.0);
    let mut ticks = Vec::new();
    let mut at = 0.0;
    while at <= total * 1.0001 {
        let seconds = at / 1000.0;
        let digits = if step < 100.0 { 2 } else { usize::from(step < 1000.0) };
        ticks.push(Tick { x: number(LEFT + at * scale), label: format!("{seconds:.digits$} s") });
        at += step;
    }
    ticks
}

#[expect(clippy::cast_precision_loss, reason = "at most LANES")]
fn lane_y(lane: usize) -> f64 {
    4.0 + lane as f64 * LANE
}

fn sane(ms: f64) -> bool {
    ms.is_finite() && (0.0..1e10).contains(&ms)
}

fn number(n: f64) -> String {
    format!("{n:.1}")
}
