//! The canary of a cell: a machine with a real defect, which a regular check has to find.
//!
//! It proves something only if that check passes without the defect: one that fails on this pair in any case finds
//! nothing. Then the next defect is tried.

use std::sync::{Arc, PoisonError};

use hospitium_model::{CheckRecord, TimelineSource, Verdict};
use hospitium_suite::canary::Canary;
use hospitium_suite::{Check, Fault, Lab, checks};

use super::CellRun;
use crate::attempt::in_own_clone;

/// A defect with the check that has to find it.
pub(super) type Candidate = (&'static Canary, &'static Check);

/// What a canary gave.
pub(super) struct Sung {
    record: CheckRecord,
    /// The check's verdict without the defect, if it is not one of the run's checks.
    honest: Option<Verdict>,
}

impl CellRun {
    /// Tries one, and its check without the defect unless that is one of the run's checks. None if the run was stopped.
    pub(super) async fn canary(&self, lab: &Arc<Lab>, (canary, check): Candidate) -> Option<Sung> {
        let work = async {
            let leave = self.permit(lab, check).await;
            self.started(&checks::CANARY, 1);
            let fault = Some(Fault::Defect(canary.defect));
            let (attempt, end) = in_own_clone(lab, "canary", check, fault).await;
            drop(leave);
            self.clone_ended(&end);
            let found = attempt.failed_by_itself;
            let mut record = self.record(&checks::CANARY, attempt, end.console);
            record.requirement = format!("Where {}, {} must fail.", canary.what, canary.found_by);
            if let Verdict::Fail { reason } = &record.verdict
                && !found
            {
                let reason = format!("nothing that {} judges failed: {reason}", canary.found_by);
                record.verdict = Verdict::Error { reason };
            }
            let selected = self.shared.checks.iter().any(|known| known.id == check.id);
            let honest = if selected {
                None
            } else {
                Some(self.by_itself(lab, "canary-without-defect", check).await.verdict)
            };
            Sung { record, honest }
        };
        self.shared.stop.unless(work).await.ok()
    }

    /// A check in a machine of its own without a fault.
    async fn by_itself(&self, lab: &Arc<Lab>, name: &str, check: &'static Check) -> CheckRecord {
        let leave = self.permit(lab, check).await;
        let (attempt, end) = in_own_clone(lab, name, check, None).await;
        drop(leave);
        self.clone_ended(&end);
        self.record(check, attempt, end.console)
    }

    /// Once all checks have ended: the record of the first canary whose check passes without the defect. Where there is
    /// none, the canary is what must fail on any pair.
    pub(super) async fn settle_canary(
        &self,
        lab: &Arc<Lab>,
        first: Sung,
        candidates: &[Candidate],
    ) {
        let mut first = Some(first);
        for candidate @ (_, check) in candidates {
            let sung = match first.take() {
                Some(first) => Some(first),
                None => self.canary(lab, *candidate).await,
            };
            let Some(sung) = sung else { return };
            let honest = sung.honest.or_else(|| self.verdict_of(check));
            if honest == Some(Verdict::Pass) {
                self.put(sung.record);
                return;
            }
            let word = honest.as_ref().map_or("no verdict", Verdict::word);
            let words = format!(
                "the canary shows nothing: {} without the defect gives {word} on this pair, too",
                check.id
            );
            self.sink.say("canary", TimelineSource::Harness, words);
        }
        let last = self.by_itself(lab, "canary-last", &checks::CANARY);
        if let Ok(record) = self.shared.stop.unless(last).await {
            self.put(record);
        }
    }

    fn verdict_of(&self, check: &Check) -> Option<Verdict> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.iter().find(|record| record.id == check.id()).map(|record| record.verdict.clone())
    }
}
