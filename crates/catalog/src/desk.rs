//! Where questions are asked: products, agreements and a day, made ready once, for any number of
//! questions.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hospitium_model::standing::OfRecord;
use hospitium_model::{Agreement, Clause, Reach};
use hospitium_plan::obligation::{Because, Grounds, Obligation, Outcome, Plan, fulfils};
use hospitium_products::{Product, ProductId, ProductKind, Products};
use jiff::civil::Date;

use crate::answer::{Answer, Certified, Reply, Unclear};
use crate::beside::beside;
use crate::decide::{Decision, LINES, Owed, conflict, decide, shown};
use crate::doubt::Doubts;
use crate::exclude::exclude;
use crate::nearest;
use crate::newest::{DECIDING, Pair};
use crate::pair::Judged;
use crate::side::{Side, Subjects};
use crate::store::LogKnown;
use crate::support::support;
use crate::tell::{LogRow, RefusedHead};
use crate::{Asked, Catalog, CatalogError, Limits, Question, Rule, Word};

/// A catalog with what is needed to ask it.
pub struct Desk<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) products: &'a Products,
    pub(crate) as_of: Date,
    pub(crate) ready: Arc<Ready>,
    pub(crate) agreements: &'a [Agreement],
}

/// What agreements owe, by pair: each with the agreement's number.
type Owes = HashMap<(ProductId, ProductId), Vec<(usize, Obligation)>>;

/// What is made ready once for a day, and can be kept as long as the day and the catalog stay.
pub struct Ready {
    pub(crate) subjects: Subjects,
    pub(crate) logs: Vec<LogKnown>,
    pub(crate) owed: Arc<Owes>,
    problems: Arc<Vec<String>>,
    refused_heads: Vec<RefusedHead>,
    /// Logs on which nothing that rests is certain.
    pub(crate) doubts: Doubts,
    as_of: Date,
}

impl Ready {
    /// Makes everything ready for questions as of a day.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn new(
        catalog: &Catalog,
        products: &Products,
        agreements: &[Agreement],
        as_of: Date,
    ) -> Result<Self, CatalogError> {
        let mut owed = Owes::new();
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
        Self::of(catalog, products, (Arc::new(owed), Arc::new(problems)), as_of).await
    }

    /// The same for the catalog as it is now. What was owed before any record was looked at stays: `products` and the
    /// agreements are those of before.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn again(
        &self,
        catalog: &Catalog,
        products: &Products,
    ) -> Result<Self, CatalogError> {
        let bare = (Arc::clone(&self.owed), Arc::clone(&self.problems));
        Self::of(catalog, products, bare, self.as_of).await
    }

    async fn of(
        catalog: &Catalog,
        products: &Products,
        (owed, problems): (Arc<Owes>, Arc<Vec<String>>),
        as_of: Date,
    ) -> Result<Self, CatalogError> {
        let subjects = Subjects::new(catalog.subjects().await?, products);
        let logs = catalog.logs().await?;
        let mut refused_heads = catalog.refused_heads().await?;
        let doubts = Doubts::of(logs.iter().map(|log| &log.row), &refused_heads);
        refused_heads.truncate(LINES);
        Ok(Self { subjects, logs, owed, problems, refused_heads, doubts, as_of })
    }

    /// Every guest and host as records name it: whether it is a guest, its name, and its product's
    /// id, if that is known.
    pub fn subjects(&self) -> impl Iterator<Item = (bool, &str, Option<&str>)> {
        self.subjects.all()
    }

    /// The products that agreements speak of, guests and hosts, each perhaps several times.
    pub fn owed_products(&self) -> impl Iterator<Item = &ProductId> {
        self.owed.keys().flat_map(|(guest, host)| [guest, host])
    }

    /// The pairs that agreements speak of, guest and host.
    pub(crate) fn owed_pairs(&self) -> impl Iterator<Item = (&ProductId, &ProductId)> {
        self.owed.keys().map(|(guest, host)| (guest, host))
    }

    /// The day.
    pub const fn as_of(&self) -> Date {
        self.as_of
    }
}

impl Catalog {
    /// Answers one question. For several, make a [`Desk`] once.
    ///
    /// # Errors
    /// If the question cannot be understood, or the database fails.
    pub async fn ask(
        &self,
        question: impl Asked,
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
        let ready = Arc::new(Ready::new(catalog, products, agreements, as_of).await?);
        Ok(Self::at(catalog, products, agreements, ready))
    }

    /// A desk where everything is ready. `ready` is to be made from the same catalog, products and
    /// agreements.
    pub fn at(
        catalog: &'a Catalog,
        products: &'a Products,
        agreements: &'a [Agreement],
        ready: Arc<Ready>,
    ) -> Self {
        Self { catalog, products, as_of: ready.as_of, ready, agreements }
    }

    /// Answers a question.
    ///
    /// # Errors
    /// If the question cannot be understood, or the database fails.
    pub async fn ask(&self, question: impl Asked) -> Result<Reply, CatalogError> {
        let question = question.question()?;
        let guests = question.guests();
        if guests.len() > 1 {
            return Ok(self.several(question, &guests));
        }
        let mut unclear = Vec::new();
        for (guest, host) in &question.sides {
            let guest = self.ready.subjects.side(guest, true, self.products);
            let host = self.ready.subjects.side(host, false, self.products);
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

    /// A question that names several guests, each to be asked for alone.
    fn several(&self, question: Question, guests: &[String]) -> Reply {
        let side = |text: &String| self.ready.subjects.side(text, true, self.products);
        let named = |text: &String| match side(text) {
            Ok(Side { product: Some(product), .. }) => {
                vec![(product.short().to_owned(), product.name.clone())]
            }
            Ok(Side { name, .. }) => vec![(shown(&name), shown(&name))],
            Err(unclear) => unclear.candidates,
        };
        let candidates = guests.iter().take(LINES).flat_map(named).collect();
        let text = shown(&guests.join(", "));
        let why = Some(format!("the question names {} guests", guests.len()));
        let sides = vec![Unclear { side: "guest", text, candidates, why }];
        Reply::Unclear { question: question.text, sides }
    }

    pub(crate) async fn answer(
        &self,
        question: &Question,
        guest: &Side<'_>,
        host: &Side<'_>,
    ) -> Result<Answer, CatalogError> {
        let limits = &question.limits;
        let (mut judged, mut cut) = self.of_pair(&guest.subjects, &host.subjects).await?;
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
            (Some(guest), Some(host)) => {
                self.owed(guest, host, limits, &mut judged, &mut cut).await?
            }
            _ => Vec::new(),
        };
        let (of_pair, _) = judged.split_at(own.min(judged.len()));
        let (owed, excluded) = exclude(owed, limits, self.products);
        let decision = match excluded.first() {
            Some(rule) if owed.is_empty() => Decision::new(rule.clone(), None, Vec::new()),
            _ => decide(limits, &judged, of_pair, &owed, !set_aside.is_empty()),
        };
        // One that says otherwise may be among those that were not looked at.
        let decision = match decision.verdict.holds() && cut {
            true => {
                let rule = Rule::TooMany { looked_at: judged.len() as u64 };
                Decision::new(rule, decision.record, decision.limits)
            }
            false => decision,
        };
        let decision = match decision.record.filter(|_| decision.verdict.holds()) {
            Some(at) => {
                let shown = judged.get(at).map(|judged| &judged.record);
                let against = shown.map(|record| self.contradicts(record, guest, host));
                let mut limits = decision.limits;
                limits.extend(against.unwrap_or_default());
                Decision::new(decision.rule, decision.record, limits)
            }
            None => decision,
        };
        let rule_words = decision.rule.words();
        let mut reasons: Vec<String> = Vec::new();
        for owed in &owed {
            let words = owed.obligation.state.word();
            reasons.push(format!("Under {} it stands as {words}.", owed.agreement.title));
            reasons.extend(owed.obligation.reasons.iter().take(LINES).cloned());
        }
        reasons.extend(excluded.iter().map(Rule::words));
        reasons.retain(|reason| !rule_words.contains(reason.as_str()));
        if decision.verdict == Word::Unknown {
            reasons.extend(beside(self, guest.product, host.product));
        }
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
        // By the agreement where one decides, which counts its own parties only; else as the record stands.
        let decisive = decision.rule.record().filter(|_| decision.verdict.holds());
        // What is told of assurance is of the certificate that is told.
        let told = decision.record.and_then(|at| judged.get(at)).map(|j| &j.record);
        let other = |of: &OfRecord| told.filter(|told| told.place() != of.certificate);
        let mut assured_by = decisive.map_or_else(Vec::new, |record| {
            other(record).map_or(&record.assured_by, |told| &told.assured_by).clone()
        });
        let assurance = decisive.map(|_| hospitium_model::standing::assurance(&assured_by));
        assured_by.truncate(LINES);
        let is_read = |row: &LogRow| {
            let endorsed = |j: &Judged| j.record.endorsed.iter().any(|by| by.log_id == row.id);
            judged.iter().any(|j| j.record.log_id == row.id || endorsed(j))
        };
        let rows = self.ready.logs.iter().map(|log| &log.row);
        let rests: Vec<&LogRow> = rows.filter(|row| is_read(row)).collect();
        let mut warnings = self.warnings(decision.verdict);
        let unknown = judged.iter().flat_map(|j| j.record.unknown.iter().map(|of| (&j.record, of)));
        warnings.extend(unknown.take(LINES).map(|(record, of)| of.words(record)));
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
            rule_words,
            limits: decision.limits,
            certificate,
            reasons,
            conflict: conflict(of_pair),
            set_aside,
            nearest,
            support,
            certain: judged.iter().all(|judged| judged.record.uncertain.is_none()),
            assurance,
            assured_by,
            heads: rests.into_iter().map(LogRow::as_of).collect(),
            warnings,
        })
    }

    pub(crate) async fn of_pair(
        &self,
        guests: &[i64],
        hosts: &[i64],
    ) -> Result<(Vec<Judged>, bool), CatalogError> {
        let pairs = self.catalog.met(guests, hosts).await?;
        Ok(self.catalog.judged(&pairs, self.as_of, DECIDING, &self.ready.doubts).await?.of(&pairs))
    }

    /// The same of every guest with every host that have a record, in their order; of so many pairs.
    pub(crate) async fn of_products(
        &self,
        guests: &[&Product],
        hosts: &[&Product],
        most: usize,
    ) -> Result<Vec<OfProducts>, CatalogError> {
        let place = |guest: bool, products: &[&Product]| -> HashMap<i64, usize> {
            let subjects = |(place, product): (usize, &&Product)| {
                self.ready.subjects.of(guest, product).into_iter().map(move |id| (id, place))
            };
            products.iter().enumerate().flat_map(subjects).collect()
        };
        let (of_guests, of_hosts) = (place(true, guests), place(false, hosts));
        let mut met: BTreeMap<(usize, usize), Vec<Pair>> = BTreeMap::new();
        for (guest, place) in &of_guests {
            for host in self.catalog.partners("guest", *guest).await? {
                if let Some(of_host) = of_hosts.get(&host) {
                    met.entry((*place, *of_host)).or_default().push((*guest, host));
                }
            }
        }
        let wanted: Vec<_> = met.into_iter().take(most).collect();
        let pairs: Vec<Pair> = wanted.iter().flat_map(|(_, pairs)| pairs.iter().copied()).collect();
        let mut last =
            self.catalog.judged(&pairs, self.as_of, DECIDING, &self.ready.doubts).await?;
        let mut found = Vec::new();
        for ((guest, host), pairs) in wanted {
            let (judged, cut) = last.of(&pairs);
            if let (Some(guest), Some(host)) = (guests.get(guest), hosts.get(host)) {
                let pair = (guest.id.clone(), host.id.clone());
                found.push(OfProducts { pair, judged, cut });
            }
        }
        found.retain(|of| !of.judged.is_empty());
        Ok(found)
    }

    fn warnings(&self, verdict: Word) -> Vec<String> {
        let mut warnings = Vec::new();
        for refused in &self.ready.refused_heads {
            warnings.push(refused.words());
        }
        warnings
            .extend(self.ready.logs.iter().filter_map(|log| log.row.frozen_words()).take(LINES));
        for LogKnown { row: LogRow { origin, damaged, unread, usurped, .. }, .. } in
            &self.ready.logs
        {
            if *damaged > 0 {
                warnings.push(format!(
                    "{damaged} entries of {origin} are damaged; a withdrawal may be among them. \
                     Get a sound copy of the log"
                ));
            }
            if *usurped > 0 {
                warnings.push(format!(
                    "{usurped} entries of {origin} announce another key of its party, and the key before did not sign \
                     them: nothing signed with such a key is taken in. Call the party"
                ));
            }
            if *unread > 0 {
                warnings.push(format!(
                    "{unread} entries of {origin} are signed by its party and cannot be read here; a \
                     withdrawal may be among them. A later hospitium may read them"
                ));
            }
        }
        // What an agreement names and nobody knows may be the very pair.
        if verdict == Word::Unknown {
            warnings.extend(self.ready.problems.iter().cloned());
        }
        if self.ready.subjects.left_out > 0 {
            let count = self.ready.subjects.left_out;
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
        cut: &mut bool,
    ) -> Result<Vec<Owed<'a>>, CatalogError> {
        let pair = (guest.id.clone(), host.id.clone());
        let Some(of_pair) = self.ready.owed.get(&pair) else { return Ok(Vec::new()) };
        let of_arch = |obligation: &Obligation| {
            limits.arch.as_ref().is_none_or(|arch| arch.as_str() == obligation.arch)
        };
        let mut all = Vec::new();
        let mut outcomes = outcomes(judged, &pair, &self.ready.logs);
        let mut carried = false;
        for (number, before) in of_pair.iter().filter(|(_, o)| of_arch(o)) {
            let Some(agreement) = self.agreements.get(*number) else { continue };
            let rule = &agreement.validity.carry_forward;
            if !carried && (rule.guests != Reach::None || rule.hosts != Reach::None) {
                carried = true;
                for of in self.carried(guest, host).await? {
                    outcomes.extend(self::outcomes(&of.judged, &of.pair, &self.ready.logs));
                    judged.extend(of.judged);
                    *cut |= of.cut;
                }
            }
            let Some(narrowed) = narrowed(agreement, before) else { continue };
            let grounds = Grounds {
                products: self.products,
                outcomes: &outcomes,
                suite: Some(env!("CARGO_PKG_VERSION")),
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
            let clause = narrowed.clauses.first();
            let meets = |outcome: &&Outcome| {
                clause.is_some_and(|clause| fulfils((&narrowed, clause), outcome, &grounds))
            };
            let fulfilling = outcomes.iter().filter(meets).map(|o| o.certificate.clone()).collect();
            all.push(Owed { agreement, obligation, fulfilling });
        }
        Ok(all)
    }

    /// Records of other versions of both sides.
    async fn carried(
        &self,
        guest: &Product,
        host: &Product,
    ) -> Result<Vec<OfProducts>, CatalogError> {
        let line = |product: &Product, kind: ProductKind| {
            let mut line = self.products.line(&product.line);
            line.retain(|p| {
                p.kind == kind && !self.ready.subjects.of(kind == ProductKind::Guest, p).is_empty()
            });
            line
        };
        let (guests, hosts) = (line(guest, ProductKind::Guest), line(host, ProductKind::Host));
        // All of them: which of them counts, and is the newest, is the plan's to say.
        let mut found = self.of_products(&guests, &hosts, usize::MAX).await?;
        found.retain(|of| of.pair.0 != guest.id || of.pair.1 != host.id);
        Ok(found)
    }
}

/// What was said last of a guest on a host that are known products.
pub(crate) struct OfProducts {
    /// The guest's and the host's id.
    pub pair: (ProductId, ProductId),
    /// The newest first.
    pub judged: Vec<Judged>,
    /// Whether there is more that may decide than was looked at.
    pub cut: bool,
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

/// What a plan takes in.
pub(crate) fn outcomes(
    judged: &[Judged],
    pair: &(ProductId, ProductId),
    logs: &[LogKnown],
) -> Vec<Outcome> {
    let outcome = |judged: &Judged| {
        let (guest, host) = pair.clone();
        judged.record.outcome(guest, host, judged.set_aside_on(), logs)
    };
    judged.iter().map(outcome).collect()
}
