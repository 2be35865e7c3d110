//! Where questions are asked: products, agreements and a day, made ready once, for any number of
//! questions.

use std::collections::HashMap;

use hospitium_model::{Agreement, Clause, Reach};
use hospitium_plan::obligation::{Because, Grounds, Obligation, Outcome, Plan, State};
use hospitium_products::{Product, ProductId, ProductKind, Products};
use jiff::civil::Date;

use crate::answer::{Answer, Certified, Reply, Said, Word, outside, reservations};
use crate::nearest;
use crate::pair::{Judged, Stands};
use crate::side::{Side, Subjects};
use crate::support::support;
use crate::{Catalog, CatalogError, Limits, Question};

/// Pairs from which a validation may be carried forward that are looked at.
const CARRIED: usize = 32;
/// Lines of one kind that an answer has at most.
const LINES: usize = 20;

/// A catalog with what is needed to ask it.
pub struct Desk<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) products: &'a Products,
    pub(crate) as_of: Date,
    pub(crate) subjects: Subjects,
    pub(crate) logs: Vec<(i64, String, u64)>,
    agreements: &'a [Agreement],
    owed: HashMap<(ProductId, ProductId), Vec<(usize, Obligation)>>,
    problems: Vec<String>,
}

/// A pair that is owed by an agreement, and how that stands.
struct Owed<'d> {
    agreement: &'d Agreement,
    obligation: Obligation,
}

/// What decided.
struct Decision {
    verdict: Word,
    rule: String,
    record: Option<usize>,
    limits: Vec<String>,
}

impl Catalog {
    /// Answers one question. For several, make a [`Desk`] once.
    ///
    /// # Errors
    /// If the question cannot be understood, or the database fails.
    pub async fn ask(
        &self,
        question: &str,
        products: &Products,
        agreements: &[Agreement],
        as_of: Date,
    ) -> Result<Reply, CatalogError> {
        Desk::new(self, products, agreements, as_of).await?.ask(question).await
    }
}

impl<'a> Desk<'a> {
    /// Makes everything ready for questions as of a day.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn new(
        catalog: &'a Catalog,
        products: &'a Products,
        agreements: &'a [Agreement],
        as_of: Date,
    ) -> Result<Self, CatalogError> {
        let subjects = Subjects::new(catalog.subjects().await?, products);
        let logs = catalog.logs().await?;
        let mut owed: HashMap<_, Vec<_>> = HashMap::new();
        let mut problems = Vec::new();
        for (number, agreement) in agreements.iter().enumerate() {
            let grounds =
                Grounds { products, outcomes: &[], suite: None, as_of, blocked: &|_, _| None };
            let plan = Plan::make(agreement, &grounds);
            let told = plan.problems.into_iter().map(|p| format!("{}: {p}", agreement.id));
            problems.extend(told.take(LINES));
            for obligation in plan.obligations {
                let pair = (obligation.guest.clone(), obligation.host.clone());
                owed.entry(pair).or_default().push((number, obligation));
            }
        }
        Ok(Self { catalog, products, as_of, subjects, logs, agreements, owed, problems })
    }

    /// Answers a question.
    ///
    /// # Errors
    /// If the question cannot be understood, or the database fails.
    pub async fn ask(&self, question: &str) -> Result<Reply, CatalogError> {
        let question = Question::parse(question)?;
        let mut unclear = Vec::new();
        for (guest, host) in &question.sides {
            let guest = self.subjects.side(guest, true, self.products);
            let host = self.subjects.side(host, false, self.products);
            match (guest, host) {
                (Ok(guest), Ok(host)) => {
                    let answer = self.answer(&question, &guest, &host).await?;
                    return Ok(Reply::Answer(Box::new(answer)));
                }
                (guest, host) if unclear.is_empty() => {
                    unclear.extend(guest.err().into_iter().chain(host.err()));
                }
                _ => {}
            }
        }
        Ok(Reply::Unclear { question: question.text, sides: unclear })
    }

    async fn answer(
        &self,
        question: &Question,
        guest: &Side<'_>,
        host: &Side<'_>,
    ) -> Result<Answer, CatalogError> {
        let limits = &question.limits;
        let mut judged = self.of_pair(&guest.subjects, &host.subjects).await?;
        let mut set_aside: Vec<String> =
            judged.iter().filter_map(Judged::set_aside).take(LINES).collect();
        if let Some(arch) = &limits.arch {
            let other = judged.iter().filter(|j| j.record.arch != arch.as_str());
            let why = |j: &Judged| format!("{} is about {}", j.record.place(), j.record.arch);
            set_aside.extend(other.map(why).take(LINES));
            judged.retain(|j| j.record.arch == arch.as_str());
        }
        let own = judged.len();
        let owed = match (guest.product, host.product) {
            (Some(guest), Some(host)) => self.owed(guest, host, limits, &mut judged).await?,
            _ => Vec::new(),
        };
        let (of_pair, _) = judged.split_at(own.min(judged.len()));
        let decision = decide(limits, &judged, of_pair, &owed, !set_aside.is_empty());
        let mut reasons: Vec<String> = Vec::new();
        for owed in &owed {
            let words = owed.obligation.state.word();
            reasons.push(format!("Under {} it stands as {words}.", owed.agreement.title));
            reasons.extend(owed.obligation.reasons.iter().take(LINES).cloned());
        }
        reasons.retain(|reason| !decision.rule.contains(reason.as_str()));
        let certificate =
            decision.record.and_then(|at| judged.get(at)).map(|j| Certified::of(&j.record));
        if decision.verdict == Word::Failed
            && let Some(failed) = certificate.as_ref().map(|c| &c.record.detail.failed)
            && !failed.is_empty()
        {
            let more = failed.len().saturating_sub(LINES);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let listed: Vec<_> = failed.iter().take(LINES).map(|check| shown(check)).collect();
            reasons.insert(0, format!("These checks failed: {}{more}.", listed.join(", ")));
        }
        let mut nearest = Vec::new();
        if decision.verdict != Word::Validated {
            nearest = nearest::nearest(self, guest, host).await?;
        }
        let mut support: Vec<_> = owed
            .iter()
            .filter_map(|owed| support(owed.agreement, &owed.obligation.clause))
            .collect();
        support.dedup();
        Ok(Answer {
            question: question.text.clone(),
            guest: shown(&guest.name),
            guest_id: guest.product.map(|product| product.id.to_string()),
            host: shown(&host.name),
            host_id: host.product.map(|product| product.id.to_string()),
            asked: limits.clone(),
            as_of: self.as_of,
            verdict: decision.verdict,
            rule: decision.rule,
            limits: decision.limits,
            certificate,
            reasons,
            conflict: conflict(of_pair),
            set_aside,
            nearest,
            support,
            warnings: self.warnings(decision.verdict),
        })
    }

    pub(crate) async fn of_pair(
        &self,
        guests: &[i64],
        hosts: &[i64],
    ) -> Result<Vec<Judged>, CatalogError> {
        self.catalog.judged(&self.logs, guests, hosts, self.as_of).await
    }

    fn warnings(&self, verdict: Word) -> Vec<String> {
        let damaged = self.logs.iter().filter(|(_, _, damaged)| *damaged > 0);
        let mut warnings: Vec<String> = damaged
            .map(|(_, origin, damaged)| {
                format!(
                    "{damaged} entries of {origin} are damaged; a withdrawal may be among them. \
                     Get a sound copy of the log"
                )
            })
            .collect();
        // What an agreement names and nobody knows may be the very pair.
        if verdict == Word::Unknown {
            warnings.extend(self.problems.iter().cloned());
        }
        if self.subjects.left_out > 0 {
            let count = self.subjects.left_out;
            warnings.push(format!("{count} guests and hosts of records name no product"));
        }
        warnings
    }

    /// What agreements say of the pair. Records that may be carried forward to it are put behind the
    /// pair's own.
    async fn owed(
        &self,
        guest: &Product,
        host: &Product,
        limits: &Limits,
        judged: &mut Vec<Judged>,
    ) -> Result<Vec<Owed<'a>>, CatalogError> {
        let pair = (guest.id.clone(), host.id.clone());
        let Some(of_pair) = self.owed.get(&pair) else { return Ok(Vec::new()) };
        let of_arch = |obligation: &Obligation| {
            limits.arch.as_ref().is_none_or(|arch| arch.as_str() == obligation.arch)
        };
        let mut all = Vec::new();
        let mut outcomes = outcomes(judged, &pair);
        let mut carried = false;
        for (number, before) in of_pair.iter().filter(|(_, o)| of_arch(o)) {
            let Some(agreement) = self.agreements.get(*number) else { continue };
            let rule = &agreement.validity.carry_forward;
            if !carried && (rule.guests != Reach::None || rule.hosts != Reach::None) {
                carried = true;
                for (pair, more) in self.carried(guest, host).await? {
                    outcomes.extend(self::outcomes(&more, &pair));
                    judged.extend(more);
                }
            }
            let Some(narrowed) = narrowed(agreement, before) else { continue };
            let grounds = Grounds {
                products: self.products,
                outcomes: &outcomes,
                suite: None,
                as_of: self.as_of,
                blocked: &|_, _| None,
            };
            let mut plan = Plan::make(&narrowed, &grounds);
            if plan.obligations.is_empty() {
                continue;
            }
            let mut obligation = plan.obligations.swap_remove(0);
            obligation.because = before.because;
            // The narrowed clause names both; what the agreement itself says of them is kept.
            let named = format!("It is owed because {}.", Because::Named.words());
            let own = format!("It is owed because {}.", before.because.words());
            for reason in obligation.reasons.iter_mut().filter(|reason| **reason == named) {
                reason.clone_from(&own);
            }
            all.push(Owed { agreement, obligation });
        }
        Ok(all)
    }

    /// Records of other versions of both sides.
    async fn carried(
        &self,
        guest: &Product,
        host: &Product,
    ) -> Result<Vec<((ProductId, ProductId), Vec<Judged>)>, CatalogError> {
        let line = |product: &Product, kind: ProductKind| {
            let mut line = self.products.line(&product.line);
            line.retain(|p| {
                p.kind == kind && !self.subjects.of(kind == ProductKind::Guest, p).is_empty()
            });
            line
        };
        let (guests, hosts) = (line(guest, ProductKind::Guest), line(host, ProductKind::Host));
        let mut found = Vec::new();
        let mut left = CARRIED;
        for other_guest in &guests {
            for other_host in &hosts {
                let own = other_guest.id == guest.id && other_host.id == host.id;
                if own || left == 0 {
                    continue;
                }
                let subjects =
                    (self.subjects.of(true, other_guest), self.subjects.of(false, other_host));
                let judged = self.of_pair(&subjects.0, &subjects.1).await?;
                if !judged.is_empty() {
                    left -= 1;
                    found.push(((other_guest.id.clone(), other_host.id.clone()), judged));
                }
            }
        }
        Ok(found)
    }
}

fn shown(text: &str) -> String {
    hospitium_model::printable(text, 200)
}

/// The agreement with nothing but this pair in it.
fn narrowed(agreement: &Agreement, obligation: &Obligation) -> Option<Agreement> {
    let clause = agreement.clauses.iter().find(|clause| clause.id == obligation.clause)?;
    let within = match (&clause.later, obligation.because) {
        (Some(later), because) if because != Because::Named => later.within,
        _ => None,
    };
    let clause = Clause {
        guests: vec![obligation.guest.to_string()],
        hosts: vec![obligation.host.to_string()],
        within: within.unwrap_or(clause.within),
        later: None,
        ..clause.clone()
    };
    Some(Agreement { clauses: vec![clause], ..agreement.clone() })
}

/// What a plan takes in, newest first, so that of two on one day the later counts. The cells of a
/// run are one outcome, which passed if one did: what failed beside it stands among the limits.
fn outcomes(judged: &[Judged], pair: &(ProductId, ProductId)) -> Vec<Outcome> {
    let mut places: HashMap<(&str, &str, bool), usize> = HashMap::new();
    let mut runs: Vec<&Judged> = Vec::new();
    for judged in judged {
        let record = &judged.record;
        let key = (record.log.as_str(), record.detail.run.as_str(), judged.counts());
        let place = *places.entry(key).or_insert(runs.len());
        match runs.get_mut(place) {
            Some(best) if record.passed() && !best.record.passed() => *best = judged,
            Some(_) => {}
            None => runs.push(judged),
        }
    }
    runs.into_iter()
        .map(|judged| {
            let record = &judged.record;
            Outcome {
                party: record.party.clone(),
                guest: pair.0.clone(),
                host: pair.1.clone(),
                arch: record.arch.clone(),
                passed: record.passed(),
                validated: record.validated,
                emulated: record.emulated,
                suite: record.detail.suite.clone(),
                certificate: record.place(),
                withdrawn: judged.set_aside_on(),
            }
        })
        .collect()
}

/// Each party's newest run that counts: its records.
fn latest(of_pair: &[Judged]) -> Vec<Vec<&Judged>> {
    let mut runs: Vec<Vec<&Judged>> = Vec::new();
    for judged in of_pair.iter().filter(|judged| judged.counts()) {
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

fn conflict(of_pair: &[Judged]) -> Vec<Said> {
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
    let said: Vec<Said> = latest(of_pair).iter().filter_map(says).collect();
    let differ = said.iter().any(|s| s.says == "passed") && said.iter().any(|s| s.says == "failed");
    if differ { said } else { Vec::new() }
}

fn decide(
    asked: &Limits,
    judged: &[Judged],
    of_pair: &[Judged],
    owed: &[Owed<'_>],
    any_set_aside: bool,
) -> Decision {
    let at = |certificate: &str| judged.iter().position(|j| j.record.place() == certificate);
    let by = |owed: &Owed<'_>, what: &str| {
        let first = owed.obligation.reasons.first().map(String::as_str).unwrap_or_default();
        format!("By the terms of {} {what}. {first}", owed.agreement.title)
    };
    let plain = |verdict, rule, record| Decision { verdict, rule, record, limits: Vec::new() };
    // What the one who owes it says, by the agreement's own rule. A failure before all else.
    for owed in owed {
        if let State::Failed { certificate, .. } = &owed.obligation.state {
            return plain(Word::Failed, by(owed, "it failed"), at(certificate));
        }
    }
    for owed in owed {
        let (State::Fulfilled { certificate, .. } | State::AboutToLapse { certificate, .. }) =
            &owed.obligation.state
        else {
            continue;
        };
        let Some(decisive) = at(certificate) else { continue };
        let mut rule = by(owed, "it holds");
        if let State::AboutToLapse { until, .. } = &owed.obligation.state {
            rule.push_str(&format!(" It is about to lapse, on {until}."));
        }
        if let Some(other) = judged.get(decisive).filter(|_| decisive >= of_pair.len()) {
            let (guest, host) = (shown(&other.record.guest), shown(&other.record.host));
            rule.push_str(&format!(
                " What was tested is {guest} on {host}; the agreement carries that forward."
            ));
        }
        return validated(asked, judged, of_pair, decisive, rule);
    }
    for owed in owed {
        if let State::Lapsed { certificate, .. } = &owed.obligation.state {
            return plain(Word::Lapsed, by(owed, "it lapsed"), at(certificate));
        }
    }
    let place = |run: &[&Judged], fits: fn(&Judged) -> bool| {
        run.iter().find(|j| fits(j)).and_then(|j| at(&j.record.place()))
    };
    let runs = latest(of_pair);
    let failed = |run: &&Vec<&Judged>| run.iter().all(|j| !j.record.passed());
    if let Some(record) = runs.iter().find(failed).and_then(|run| place(run, |_| true)) {
        let rule = "The newest record of a party that counts says that a required check failed, and \
                    no agreement says whose word is the one that counts.";
        return plain(Word::Failed, rule.into(), Some(record));
    }
    let valid = |j: &Judged| j.stands == Stands::Valid;
    if let Some(record) = runs.iter().find_map(|run| place(run, valid)) {
        let found = judged.get(record).map(|j| (&j.record.detail.decided_by, j.record.until));
        let (decided_by, until) =
            found.map_or((String::new(), None), |(by, until)| (shown(by), Some(until)));
        let until = until.map_or_else(String::new, |day| format!(" until {day}"));
        let rule = format!("A certificate is valid by its own rule{until}: {decided_by}.");
        let mut decision = validated(asked, judged, of_pair, record, rule);
        if let Some(owed) = owed.first() {
            let title = &owed.agreement.title;
            decision.limits.push(format!("it does not fulfil what {title} asks for"));
            decision.verdict = Word::ValidatedWithLimits;
        }
        return decision;
    }
    let lapsed = |j: &Judged| j.stands == Stands::Lapsed;
    if let Some(record) = runs.iter().find_map(|run| place(run, lapsed)) {
        let until = judged.get(record).map(|j| j.record.until.to_string()).unwrap_or_default();
        let rule = format!("The newest certificate was valid by its own rule until {until}.");
        return plain(Word::Lapsed, rule, Some(record));
    }
    if any_set_aside && of_pair.iter().any(|j| !j.counts()) {
        let rule = "Every record of the pair was withdrawn or is suspended.";
        return plain(Word::NotValidated, rule.into(), None);
    }
    if let Some(owed) = owed.first() {
        let what = match owed.obligation.state {
            State::Over { .. } => "it was owed, and it was never delivered",
            _ => "it is owed, and it is not delivered yet",
        };
        return plain(Word::Planned, by(owed, what), None);
    }
    let rule = "No log here has a record of the pair, and no agreement here speaks of it. That is \
                no statement that it does not work.";
    plain(Word::Unknown, rule.into(), None)
}

/// A validation that holds: the certificate that covers most of what is asked, and what it leaves.
fn validated(
    asked: &Limits,
    judged: &[Judged],
    of_pair: &[Judged],
    decisive: usize,
    mut rule: String,
) -> Decision {
    let Some(by) = judged.get(decisive) else {
        let verdict = Word::Unknown;
        return Decision { verdict, rule, record: None, limits: Vec::new() };
    };
    // Other certificates of the same party that are valid, the decisive one first.
    let others = judged.iter().enumerate().take(of_pair.len()).filter(|(at, j)| {
        *at != decisive && j.stands == Stands::Valid && j.record.party == by.record.party
    });
    let all = std::iter::once((decisive, by)).chain(others);
    let left = |j: &Judged| {
        let mut limits = outside(asked, &j.record);
        limits.extend(reservations(&j.record));
        limits
    };
    let best = all.map(|(at, j)| (at, left(j))).min_by_key(|(_, limits)| limits.len());
    let (record, mut limits) = best.unwrap_or((decisive, Vec::new()));
    if record != decisive {
        rule.push_str(" Of the valid certificates, the one shown covers the most.");
    }
    for run in latest(of_pair) {
        for bad in run.iter().filter(|j| !j.record.passed()).take(LINES) {
            let Judged { record, .. } = bad;
            let envelope = &record.detail.envelope;
            limits.push(format!(
                "{} says that it failed on {} with up to {} vCPUs and {}",
                shown(&record.party),
                record.place(),
                envelope.vcpus_max,
                envelope.memory_max
            ));
        }
    }
    let verdict = if limits.is_empty() { Word::Validated } else { Word::ValidatedWithLimits };
    Decision { verdict, rule, record: Some(record), limits }
}
