//! Which word is given, and by which rule. docs/catalog.md has the order of the rules.

use std::collections::BTreeSet;

use hospitium_model::Agreement;
use hospitium_model::standing::{Rule, Word};
use hospitium_plan::obligation::{Obligation, Trial, Voice, speaking};

use crate::Limits;
use crate::answer::{Said, known_issues, outside, reservations, waived};
use crate::pair::{Judged, Stands};

/// Lines of one kind that an answer has at most.
pub const LINES: usize = 20;

/// A pair that is owed by an agreement, and how that stands.
pub struct Owed<'d> {
    pub agreement: &'d Agreement,
    pub obligation: Obligation,
    /// The certificates that meet what is agreed.
    pub fulfilling: BTreeSet<String>,
}

impl Owed<'_> {
    /// The rule that decides; where some machines of the newest run passed and that holds, the one of
    /// these. What failed beside them is a limit of the answer then.
    fn rule(&self) -> &Rule {
        let beside = self.obligation.rule_on_other_machines.as_ref();
        let holds = |rule: &&Rule| matches!(rule, Rule::AgreementHolds { .. });
        beside.filter(holds).unwrap_or(&self.obligation.rule)
    }
}

/// What decided.
pub struct Decision {
    pub verdict: Word,
    pub rule: Rule,
    /// The place of the certificate in what was judged.
    pub record: Option<usize>,
    pub limits: Vec<String>,
}

impl Decision {
    pub fn new(rule: Rule, record: Option<usize>, limits: Vec<String>) -> Self {
        Self { verdict: rule.word(!limits.is_empty()), rule, record, limits }
    }
}

/// Foreign text, fit for an answer.
pub fn shown(text: &str) -> String {
    hospitium_model::printable(text, 200)
}

/// Of records that count, those that speak: of each party and machine, its newest run.
fn spoken(of_pair: &[Judged]) -> Vec<&Judged> {
    let counting: Vec<&Judged> = of_pair.iter().filter(|judged| judged.counts()).collect();
    let trials: Vec<Trial> = counting.iter().map(|judged| judged.record.trial()).collect();
    let voices = counting.iter().zip(&trials).map(|(judged, trial)| judged.record.voice(trial));
    let voices: Vec<Voice<'_>> = voices.collect();
    speaking(&voices).into_iter().filter_map(|place| counting.get(place).copied()).collect()
}

/// Each party's newest run of those that speak: its records.
fn latest<'j>(spoken: &[&'j Judged]) -> Vec<Vec<&'j Judged>> {
    let mut runs: Vec<Vec<&Judged>> = Vec::new();
    for judged in spoken {
        let record = &judged.record;
        let same_log = |run: &&mut Vec<&Judged>| run.iter().any(|j| j.record.log == record.log);
        match runs.iter_mut().find(same_log) {
            Some(run) => {
                if run.iter().all(|j| j.record.detail.run == record.detail.run) {
                    run.push(judged);
                }
            }
            None => runs.push(vec![judged]),
        }
    }
    runs
}

/// Whether nothing passed in a run.
fn failed(run: &[&Judged]) -> bool {
    run.iter().all(|judged| !judged.record.passed())
}

/// The record of a pair that stands for it in a list, in the order in which an answer without any
/// agreement would decide: a party's newest run in which nothing passed, else what is valid, what has
/// lapsed, the newest. With it, of the others that speak, those that say that it failed.
pub fn in_a_line(of_pair: &[Judged]) -> Option<(&Judged, Vec<&Judged>)> {
    let spoken = spoken(of_pair);
    let runs = latest(&spoken);
    let of_all_failed = runs.iter().find(|run| failed(run)).and_then(|run| run.first());
    let of_stand = |stand| runs.iter().flatten().find(|judged| judged.stands == stand);
    let shown = of_all_failed.or_else(|| of_stand(Stands::Valid));
    let shown = shown.or_else(|| of_stand(Stands::Lapsed)).copied();
    let shown = shown.or_else(|| of_pair.iter().find(|j| j.counts())).or(of_pair.first())?;
    let beside = |judged: &&Judged| !judged.record.passed() && !std::ptr::eq(*judged, shown);
    Some((shown, spoken.into_iter().filter(beside).collect()))
}

/// What parties say, if one says that it passed and another that it failed.
pub fn conflict(of_pair: &[Judged]) -> Vec<Said> {
    let says = |run: &Vec<&Judged>| -> Option<Said> {
        let passed = run.iter().find(|j| j.record.passed());
        let shown = passed.or(run.first())?;
        Some(Said {
            party: shown.record.party.clone(),
            says: if passed.is_some() { "passed" } else { "failed" },
            on: shown.record.validated,
            place: shown.record.place(),
        })
    };
    let said: Vec<Said> = latest(&spoken(of_pair)).iter().filter_map(says).collect();
    let differ = said.iter().any(|s| s.says == "passed") && said.iter().any(|s| s.says == "failed");
    if differ { said } else { Vec::new() }
}

/// Decides. `judged` are the pair's own records, `of_pair`, and behind them those that may be carried
/// forward to it; `owed` are the agreements that speak of the pair and do not leave out what is asked for.
pub fn decide(
    asked: &Limits,
    judged: &[Judged],
    of_pair: &[Judged],
    owed: &[Owed<'_>],
    any_set_aside: bool,
) -> Decision {
    let at = |certificate: &str| judged.iter().position(|j| j.record.place() == certificate);
    let of_rule = |rule: &Rule| rule.record().and_then(|record| at(&record.certificate));
    // What the one who owes it says, by the agreement's own rule. A failure before all else.
    for owed in owed {
        if let rule @ Rule::AgreementFailed { .. } = owed.rule() {
            return Decision::new(rule.clone(), of_rule(rule), Vec::new());
        }
    }
    for owed in owed {
        let rule @ Rule::AgreementHolds { .. } = owed.rule() else { continue };
        let Some(decisive) = of_rule(rule) else { continue };
        let among = Some(&owed.fulfilling);
        return validated(asked, (judged, of_pair), (decisive, among), rule.clone(), Vec::new());
    }
    for owed in owed {
        if let rule @ Rule::AgreementLapsed { .. } = owed.rule() {
            return Decision::new(rule.clone(), of_rule(rule), Vec::new());
        }
    }
    let place = |run: &[&Judged], fits: fn(&Judged) -> bool| {
        run.iter().find(|j| fits(j)).and_then(|j| at(&j.record.place()))
    };
    let by_record = |place: usize| judged.get(place).map_or(Rule::NoRecord, Judged::rule);
    let spoken = spoken(of_pair);
    let runs = latest(&spoken);
    if let Some(record) = runs.iter().find(|run| failed(run)).and_then(|run| place(run, |_| true)) {
        return Decision::new(by_record(record), Some(record), Vec::new());
    }
    let valid = |j: &Judged| j.stands == Stands::Valid;
    if let Some(record) = runs.iter().find_map(|run| place(run, valid)) {
        let mut rule = by_record(record);
        let mut limits = Vec::new();
        if let (Some(owed), Rule::Holds { unfulfilled, .. }) = (owed.first(), &mut rule) {
            *unfulfilled = owed.obligation.rule.deal().cloned();
            let title = shown(&owed.agreement.title);
            limits.push(format!("it does not fulfil what {title} asks for"));
        }
        return validated(asked, (judged, of_pair), (record, None), rule, limits);
    }
    let lapsed = |j: &Judged| j.stands == Stands::Lapsed;
    if let Some(record) = runs.iter().find_map(|run| place(run, lapsed)) {
        return Decision::new(by_record(record), Some(record), Vec::new());
    }
    if any_set_aside && of_pair.iter().any(|j| !j.counts()) {
        return Decision::new(Rule::SetAside, None, Vec::new());
    }
    let rule = owed.first().map_or(Rule::NoRecord, |owed| owed.obligation.rule.clone());
    Decision::new(rule, None, Vec::new())
}

/// Whether a record says of the same machine, later, that it failed.
fn disproves(later: &Judged, earlier: &Judged) -> bool {
    // Most say nothing of the kind: nothing is made ready for these.
    if later.stands != Stands::Failed {
        return false;
    }
    let trials = (later.record.trial(), earlier.record.trial());
    let (later, earlier) = (later.record.voice(&trials.0), earlier.record.voice(&trials.1));
    later.is_of_machine_of(&earlier) && later.is_newer(&earlier)
}

/// A validation that holds: the certificate that covers most of what is asked, and what it leaves. Where an agreement
/// decides, only a certificate that meets its terms, too, takes the place of the decisive one.
fn validated(
    asked: &Limits,
    (judged, of_pair): (&[Judged], &[Judged]),
    (decisive, among): (usize, Option<&BTreeSet<String>>),
    mut rule: Rule,
    of_deals: Vec<String>,
) -> Decision {
    let Some(by) = judged.get(decisive) else {
        return Decision::new(Rule::NoRecord, None, Vec::new());
    };
    // Other certificates of the same party that are valid, the decisive one first.
    let others = judged.iter().enumerate().take(of_pair.len()).filter(|(at, j)| {
        *at != decisive
            && j.stands == Stands::Valid
            && j.record.party == by.record.party
            && among.is_none_or(|among| among.contains(&j.record.place()))
            && !of_pair.iter().any(|other| disproves(other, j))
    });
    let all = std::iter::once((decisive, by)).chain(others);
    let left = |j: &Judged| {
        let mut limits = outside(asked, &j.record);
        limits.extend(reservations(&j.record));
        limits
    };
    let best = all.map(|(at, j)| (at, left(j))).min_by_key(|(_, limits)| limits.len());
    let (record, mut limits) = best.unwrap_or((decisive, Vec::new()));
    if let Rule::AgreementHolds { wider_shown, .. } | Rule::Holds { wider_shown, .. } = &mut rule {
        *wider_shown = record != decisive;
    }
    let spoken = spoken(of_pair);
    // What a party says of one machine is not to be hidden by what is shown of another.
    let of_party = spoken.iter().filter(|j| j.record.party == by.record.party);
    let said = of_party.flat_map(|j| [waived(&j.record), known_issues(&j.record)].concat());
    for words in said.take(LINES) {
        if !limits.contains(&words) {
            limits.push(words);
        }
    }
    let failed: Vec<_> = spoken.iter().filter(|j| !j.record.passed()).collect();
    for Judged { record, .. } in failed.iter().take(LINES) {
        let envelope = &record.detail.envelope;
        limits.push(format!(
            "{} says that it failed on {} with up to {} vCPUs and {} ({})",
            shown(&record.party),
            record.place(),
            envelope.vcpus_max,
            envelope.memory_max,
            shown(&record.detail.machine)
        ));
    }
    if failed.len() > LINES {
        limits.push(format!("{} more records say that it failed", failed.len() - LINES));
    }
    limits.extend(of_deals);
    Decision::new(rule, Some(record), limits)
}
