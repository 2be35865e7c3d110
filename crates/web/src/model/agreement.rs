//! An agreement's page: each clause as a matrix of guests and hosts, planned against delivered, and
//! the rules.

use std::collections::{BTreeMap, HashMap};

use askama::Template;
use hospitium_model::{Agreement, Clause, Day, Reach, Trigger};
use hospitium_plan::obligation::{Because, Obligation};

use super::home::{Party, parties};
use super::{Context, Frame, Text, name, sentence};
use crate::Refused;
use crate::mark::Mark;

/// Columns of one matrix.
const COLUMNS: usize = 24;
/// Rows of one matrix.
const ROWS: usize = 200;
/// Problems that are listed.
const PROBLEMS: usize = 50;

/// The page.
#[derive(Debug, Template)]
#[template(path = "agreement.html")]
pub struct AgreementPage {
    frame: Frame,
    title: String,
    summary: String,
    terms: Vec<(&'static str, String)>,
    sources: Vec<Text>,
    parties: Vec<Party>,
    clauses: Vec<Matrix>,
    formula: String,
    formula_words: String,
    rules: Vec<(&'static str, String)>,
    support: Vec<String>,
    exclusions: Vec<(String, String)>,
    problems: Vec<String>,
}

/// A clause.
#[derive(Debug)]
struct Matrix {
    id: String,
    heading: String,
    caption: String,
    terms: Vec<(&'static str, String)>,
    counts: Vec<(Mark, usize)>,
    columns: Vec<Text>,
    rows: Vec<(Text, Vec<Option<Cell>>)>,
    left_out: String,
}

/// An obligation in a matrix.
#[derive(Debug)]
struct Cell {
    mark: Mark,
    when: String,
    href: String,
    why: String,
}

impl AgreementPage {
    /// Makes the page of the agreement whose address ends so.
    ///
    /// # Errors
    /// If there is none, or the database fails.
    pub async fn new(context: Context<'_>, slug: &str) -> Result<Self, Refused> {
        let Context { site, view, .. } = context;
        let mut all = site.agreements().iter().enumerate();
        let found = all.find(|(_, agreement)| crate::links::slug(&agreement.id) == slug);
        let plan = match found {
            Some((number, agreement)) => site.plan(view, number).await?.map(|p| (agreement, p)),
            None => None,
        };
        let Some((agreement, plan)) = plan else {
            return Err(Refused::NotFound("There is no such agreement here.".into()));
        };
        let frame = context.frame(1, "agreements");
        let mut clauses = Vec::new();
        for clause in &agreement.clauses {
            let owed: Vec<_> = plan.obligations.iter().filter(|o| o.clause == clause.id).collect();
            clauses.push(matrix(&context, &frame, agreement, clause, &owed));
        }
        let validity = &agreement.validity;
        let ends = agreement.ends.map_or("it is open-ended".to_owned(), |day| day.to_string());
        let supports = agreement.clauses.first();
        let support = supports.and_then(|c| hospitium_catalog::support(agreement, &c.id));
        let mut support = support.map(|support| support.words).unwrap_or_default();
        // Who validates differs by clause and stands there.
        support.retain(|words| !words.ends_with("owes the validation."));
        Ok(Self {
            title: name(&agreement.title),
            summary: sentence(&agreement.summary),
            terms: vec![("Made", agreement.made.to_string()), ("Ends", ends)],
            sources: agreement.sources.iter().take(PROBLEMS).map(|s| source(s)).collect(),
            parties: parties(agreement, &plan.standings),
            clauses,
            formula: sentence(validity.until.as_str()),
            formula_words: formula_words(validity.until.as_str()),
            rules: rules(agreement),
            support: support.iter().map(|words| sentence(words)).collect(),
            exclusions: agreement
                .exclusions
                .iter()
                .map(|exclusion| (name(&exclusion.what), sentence(&exclusion.words)))
                .collect(),
            problems: plan
                .problems
                .iter()
                .cloned()
                .chain(plan.doubts())
                .take(PROBLEMS)
                .map(|problem| sentence(&problem))
                .collect(),
            frame,
        })
    }
}

/// Where terms were published; an address of the web can be followed.
fn source(text: &str) -> Text {
    let shown = sentence(text);
    let web = text.starts_with("https://") || text.starts_with("http://");
    let plain = !text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '"');
    if web && plain && text.len() < 500 { Text::link(shown, text) } else { Text::plain(shown) }
}

const fn reach(reach: Reach) -> &'static str {
    match reach {
        Reach::None => "no other version",
        Reach::Major => "later versions of the same major version",
        Reach::All => "all later versions",
    }
}

fn rules(agreement: &Agreement) -> Vec<(&'static str, String)> {
    let validity = &agreement.validity;
    let carry = &validity.carry_forward;
    let down = if carry.down_level { ", and to earlier ones within that reach" } else { "" };
    let carried = match (carry.guests, carry.hosts) {
        (Reach::None, Reach::None) => "A validation holds for the very versions tested.".to_owned(),
        (guests, hosts) => format!(
            "A validation is carried forward without a new run to, of the guest, {}; of the host, \
             {}{down}.",
            reach(guests),
            reach(hosts)
        ),
    };
    let again: Vec<&str> = validity
        .again_on
        .iter()
        .map(|trigger| match trigger {
            Trigger::HostMinor => "a minor version of the host",
            Trigger::HostMajor => "a major version of the host",
            Trigger::GuestMinor => "a minor version or service pack of the guest",
            Trigger::GuestMajor => "a major version of the guest",
            Trigger::Driver => "another paravirtual driver in the guest",
            Trigger::Suite => "a changed suite",
        })
        .collect();
    let asked = &agreement.validation;
    let emulation = if asked.emulation { "counts, and is said" } else { "does not count" };
    let mut rules = vec![
        ("Carried forward", carried),
        ("Warned", format!("{} before the last day it is called about to lapse.", validity.warn)),
        (
            "Asked for",
            format!(
                "Profile {}; every combination of {} values of the machine's configuration is met; a \
                 run under emulation {emulation}; cosigned by {} other {}.",
                name(&asked.profile),
                asked.strength,
                asked.cosigners,
                if asked.cosigners == 1 { "party" } else { "parties" }
            ),
        ),
    ];
    if !again.is_empty() {
        rules.insert(1, ("Due again on", format!("{}.", again.join(", "))));
    }
    rules
}

/// The formula, read aloud.
fn formula_words(formula: &str) -> String {
    let mut words = String::new();
    let mut rest = formula;
    while let Some(c) = rest.chars().next() {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(rest.len());
        let (word, after) = rest.split_at(end.max(c.len_utf8()));
        let day = Day::ALL.iter().find(|day| day.name() == word);
        match (word, day) {
            ("min", _) => words.push_str("the earliest of "),
            ("max", _) => words.push_str("the latest of "),
            (_, Some(day)) => words.push_str(day.words()),
            ("+", _) => words.push_str("plus"),
            ("-", _) => words.push_str("minus"),
            (",", _) => words.push(';'),
            (other, _) => words.push_str(other),
        }
        rest = after;
    }
    sentence(&words)
}

fn matrix(
    context: &Context<'_>,
    frame: &Frame,
    agreement: &Agreement,
    clause: &Clause,
    owed: &[&Obligation],
) -> Matrix {
    let links = &frame.links;
    let (mut guests, mut hosts) = (Vec::new(), Vec::new());
    let mut cells: HashMap<(&str, &str), &Obligation> = HashMap::new();
    let mut counts: BTreeMap<&str, (Mark, usize)> = BTreeMap::new();
    for owed in owed {
        let (guest, host) = (owed.guest.as_str(), owed.host.as_str());
        if !guests.iter().any(|(id, _)| *id == guest) {
            guests.push((guest, &owed.guest_name));
        }
        if !hosts.iter().any(|(id, _)| *id == host) {
            hosts.push((host, &owed.host_name));
        }
        cells.insert((guest, host), owed);
        let mark = Mark::from(&owed.state).unless(owed.uncertain.is_some());
        let count = counts.entry(mark.word).or_insert((mark, 0));
        count.1 += 1;
    }
    // The longer side goes down the page.
    let turned = hosts.len() > guests.len();
    let (down, across) = if turned { (&hosts, &guests) } else { (&guests, &hosts) };
    let head = |id: &str, own: &str| match context.product(id) {
        Some(product) => Text::link(name(own), links.product(product.short())),
        None => Text::plain(name(own)),
    };
    let cell = |owed: &Obligation| {
        let guest = context.key(owed.guest.as_str(), &owed.guest_name).to_owned();
        let host = context.key(owed.host.as_str(), &owed.host_name).to_owned();
        let later = match owed.because {
            Because::Named => "",
            _ => " (a later version)",
        };
        Cell {
            mark: Mark::from(&owed.state).unless(owed.uncertain.is_some()),
            when: owed.state.when(),
            href: links.pair(&guest, &host),
            why: format!("{} on {}{later}", name(&owed.guest_name), name(&owed.host_name)),
        }
    };
    let rows = down.iter().take(ROWS).map(|(row, title)| {
        let of_row = across.iter().take(COLUMNS).map(|(column, _)| {
            let key = if turned { (*column, *row) } else { (*row, *column) };
            cells.get(&key).map(|owed| cell(owed))
        });
        (head(row, title), of_row.collect::<Vec<_>>())
    });
    let rows: Vec<_> = rows.collect();
    let shown: usize = rows.iter().map(|(_, cells)| cells.iter().flatten().count()).sum();
    let left_out = match owed.len().saturating_sub(shown) {
        0 => String::new(),
        count => format!(
            "{count} more pairs are owed and not shown here; `hospitium agreement plan {}` lists all.",
            name(&agreement.id)
        ),
    };
    let party = agreement.party(&clause.party).map_or(clause.party.as_str(), |p| p.title.as_str());
    let listed: Vec<String> = clause
        .listed_in
        .iter()
        .map(|id| {
            let catalog = agreement.catalogs.iter().find(|catalog| catalog.id == *id);
            name(catalog.map_or(id, |catalog| &catalog.title))
        })
        .collect();
    let mut terms =
        vec![("Due", format!("{} after the latest of the deal and both releases", clause.within))];
    if let Some(later) = &clause.later {
        let within = later.within.map_or_else(String::new, |term| format!(", within {term}"));
        terms.push((
            "Later versions",
            format!("of guests: {}; of hosts: {}{within}", reach(later.guests), reach(later.hosts)),
        ));
    }
    if !listed.is_empty() {
        terms.push(("Listed in", listed.join("; ")));
    }
    Matrix {
        id: crate::links::slug(&clause.id),
        heading: format!("{} validates", name(party)),
        caption: format!(
            "{}: {} down the page, {} across; {}",
            name(&clause.id),
            if turned { "hosts" } else { "guests" },
            if turned { "guests" } else { "hosts" },
            name(&clause.arch)
        ),
        terms,
        counts: counts.into_values().collect(),
        columns: across.iter().take(COLUMNS).map(|(id, title)| head(id, title)).collect(),
        rows,
        left_out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_is_read_aloud() {
        let words = formula_words("min(validated + 12 months, guest-end-of-life)");
        assert!(words.starts_with("the earliest of (the validation plus 12 months; "), "{words}");
    }
}
