//! What a cell's checks say about the cell as a whole.

use hospitium_model::{
    CellRecord, CheckId, CheckRecord, Finding, HostSource, Observations, Subsystem, Verdict,
};

/// The check that fails when the guest does not come up.
pub const REACH_USERLAND: &str = "boot.reach-userland";

/// Fills in what follows from the checks: whether the canary failed, which required checks did
/// not run to an end, and whether the cell proves anything at all.
pub fn close(record: &mut CellRecord, checks: &[CheckRecord], required: &[CheckId]) {
    let canary = checks.iter().find(|check| check.id.subsystem() == Subsystem::Canary);
    record.canary_failed =
        canary.is_some_and(|check| matches!(check.verdict, Verdict::Fail { .. }));
    record.required_not_run = required
        .iter()
        .filter(|id| !checks.iter().any(|check| check.id == **id && is_answered(&check.verdict)))
        .cloned()
        .collect();
    if record.failure.is_none() && !record.canary_failed {
        record.failure = Some(match canary.map(|check| &check.verdict) {
            Some(Verdict::Pass) => {
                "the canary, which must fail, passed: this cell's verdicts prove nothing".into()
            }
            Some(other) => format!(
                "the canary, which must fail, came to no end ({}): this cell's verdicts prove nothing",
                other.reason()
            ),
            None => "the canary, which must fail, was not run: this cell's verdicts prove nothing"
                .into(),
        });
    }
}

/// Ran to an end, or does not apply by declared facts.
fn is_answered(verdict: &Verdict) -> bool {
    verdict.ran() || matches!(verdict, Verdict::Skip { .. })
}

/// The record of a guest that did not come up, with what the host saw of it.
pub fn did_not_come_up(mut record: CheckRecord, words: &str) -> CheckRecord {
    let mut lines = words.lines();
    let first = lines.next().unwrap_or_default();
    let mut seen = Observations::of([Finding::host_is(
        "the probe answers",
        HostSource::Hypervisor.saw(false),
        true,
    )])
    .only_one_witness("the guest never came to answer");
    seen.note(first);
    record.console = lines.map(|line| line.trim_start_matches([' ', '|']).to_owned()).collect();
    record.verdict = Verdict::Fail { reason: first.to_owned() };
    record.observations = seen;
    record
}

#[cfg(test)]
pub(crate) mod tests {
    use hospitium_model::{
        Accelerator, AcceleratorProof, Boot, ByteSize, Digest, GuestFacts, GuestKind, HostFacts,
        MachineSpec, OperatingSystem, Tier, Timings,
    };

    use super::*;

    pub fn cell() -> CellRecord {
        CellRecord {
            name: "cell".into(),
            guest: GuestFacts {
                name: "guest".into(),
                kind: GuestKind::Kernel,
                os: OperatingSystem::Linux,
                product: None,
                version: String::new(),
                digest: Digest::of(b""),
                manages_devices: false,
            },
            host: HostFacts {
                name: "host".into(),
                kind: "fake".into(),
                version: String::new(),
                build: String::new(),
                vmm: Digest::of(b""),
                firmware: vec![],
                accelerator: AcceleratorProof { used: Accelerator::Tcg, how: String::new() },
                cpu_model: String::new(),
                cpus: 1,
                memory_mib: 1,
                kernel: String::new(),
            },
            machine: MachineSpec::new(ByteSize::mib(64), Boot::Nothing),
            inputs: vec![],
            timings: Timings::default(),
            booted: None,
            failure: None,
            canary_failed: false,
            required_not_run: vec![],
            observed: std::collections::BTreeMap::new(),
        }
    }

    fn check(id: &str, verdict: Verdict) -> CheckRecord {
        CheckRecord {
            id: id.parse().expect("a good id"),
            requirement: String::new(),
            tier: Tier::Reads,
            verdict,
            observations: Observations::new(),
            attempts: vec![],
            repeats: None,
            started_ms: 0.0,
            took_ms: 0.0,
            console: vec![],
            artifacts: vec![],
            clone: String::new(),
        }
    }

    fn fail() -> Verdict {
        Verdict::Fail { reason: "x".into() }
    }

    #[test]
    fn a_cell_whose_canary_did_not_fail_proves_nothing() {
        for canary in [Some(Verdict::Pass), Some(Verdict::Error { reason: "x".into() }), None] {
            let mut record = cell();
            let mut checks = vec![check("cpu.count", Verdict::Pass)];
            checks.extend(canary.map(|verdict| check("canary.must-fail", verdict)));
            close(&mut record, &checks, &[]);
            assert!(!record.canary_failed);
            assert!(record.failure.is_some_and(|why| why.contains("prove nothing")));
        }
        let mut record = cell();
        close(&mut record, &[check("canary.must-fail", fail())], &[]);
        assert!(record.canary_failed && record.failure.is_none());
    }

    #[test]
    fn a_required_check_is_answered_only_by_running_or_by_not_applying() {
        let miss = Verdict::Miss { reason: "x".into() };
        let error = Verdict::Error { reason: "x".into() };
        let skip =
            Verdict::Skip { why: hospitium_model::SkipReason::NotRequired, reason: "x".into() };
        let ids = ["cpu.count", "cpu.topology", "mem.size", "mem.numa", "clk.source", "irq.msi"];
        let required: Vec<CheckId> = ids.iter().map(|id| id.parse().expect("a good id")).collect();
        let verdicts = [Verdict::Pass, fail(), skip, miss, error];
        let checks: Vec<_> = ids.iter().zip(verdicts).map(|(id, v)| check(id, v)).collect();
        let mut record = cell();
        close(&mut record, &checks, &required);
        assert_eq!(record.required_not_run, required[3..]);
    }

    #[test]
    fn a_guest_that_does_not_come_up_fails_by_what_was_observed() {
        let record = did_not_come_up(check(REACH_USERLAND, Verdict::Pass), "it panicked\n  | line");
        assert_eq!(record.observations.judge().word(), "fail");
        assert_eq!(record.verdict.reason(), "it panicked");
        assert_eq!(record.console, ["line"]);
    }
}
