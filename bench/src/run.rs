//! A run that goes on, written as a run writes it, without a machine: the server that shows it sees no difference.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hospitium_evidence::{BundleWriter, CellWriter};
use hospitium_model::{
    CheckRecord, Digest, EVIDENCE_FORMAT, PlannedCheck, RunRecord, Tier, TimelineEvent,
    TimelineSource, Verdict,
};
use tokio::sync::watch;

/// How often something happens in it.
const EVERY: Duration = Duration::from_millis(50);
/// A check ends with every so many events.
const EVENTS_OF_A_CHECK: u32 = 10;

/// The run, and its one cell.
pub struct Written {
    // Holds the run's lock, by which it is seen to go on.
    _run: BundleWriter,
    cell: CellWriter,
    began: Instant,
}

impl Written {
    /// Begins a run in this folder.
    pub fn begin(folder: &Path) -> Result<Self> {
        let record = RunRecord {
            format: EVIDENCE_FORMAT,
            id: "20260101-000000-abcd".into(),
            hospitium: env!("CARGO_PKG_VERSION").into(),
            suite: Digest::of(b"suite"),
            started: jiff::Timestamp::now(),
            ended: None,
            seed: 1,
            required: Vec::new(),
            profile: None,
            cells: vec!["cell-a".into()],
            cut_off: None,
            order: Vec::new(),
            not_started: Vec::new(),
            definition: None,
        };
        let run = BundleWriter::create(&folder.join("evidence"), &record)?;
        let cell = run.cell("cell-a")?;
        let plan: Vec<_> = (0..71).map(planned).collect::<Result<_>>()?;
        cell.plan(&plan)?;
        Ok(Self { _run: run, cell, began: Instant::now() })
    }

    /// Goes on until it is told to end.
    pub async fn until(self, mut ended: watch::Receiver<bool>) -> Result<()> {
        for number in 0_u32.. {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = async { drop(ended.wait_for(|ended| *ended).await) } => break,
            }
            let check = planned(number / EVENTS_OF_A_CHECK % 71)?;
            self.cell.timeline(&TimelineEvent {
                at_ms: self.began.elapsed().as_secs_f64() * 1e3,
                machine: check.id.to_string(),
                source: TimelineSource::Harness,
                text: format!("the clone answers for the {number}th time"),
            })?;
            self.cell.console(b"[   12.345678] a line of the guest's console\r\n")?;
            if number % EVENTS_OF_A_CHECK == EVENTS_OF_A_CHECK - 1 {
                self.cell
                    .check(&CheckRecord { took_ms: 500.0, ..check.without_run(Verdict::Pass) })?;
            }
        }
        Ok(())
    }
}

fn planned(number: u32) -> Result<PlannedCheck> {
    Ok(PlannedCheck {
        id: format!("cpu.count/v{number}").parse().context("no id of a check")?,
        requirement: "It works.".into(),
        tier: Tier::Disruptive,
    })
}
