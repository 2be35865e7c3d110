//! The first page: the question, the agreements, the newest outcomes, and how much there is.

use askama::Template;

use super::{Context, Frame, Row, name, row, sentence};
use crate::SiteError;

/// Newest outcomes that are shown.
const NEWEST: u32 = 12;

/// The page.
#[derive(Debug, Template)]
#[template(path = "home.html")]
pub struct Home {
    frame: Frame,
    agreements: Vec<Deal>,
    newest: Vec<Row>,
    numbers: Vec<(String, &'static str)>,
    damaged: Vec<String>,
    example: Option<(String, String)>,
}

/// An agreement, in a few words.
#[derive(Debug)]
struct Deal {
    title: String,
    href: String,
    summary: String,
    parties: Vec<Party>,
}

/// How a party stands.
#[derive(Debug)]
pub struct Party {
    /// Its name for people.
    pub title: String,
    /// What it has come to owe.
    pub planned: usize,
    /// Of these, what was ever delivered.
    pub delivered: usize,
    /// Of these, what holds.
    pub holding: usize,
    /// Of these, what is late.
    pub late: usize,
}

impl Home {
    /// Makes the page.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn new(context: Context<'_>) -> Result<Self, SiteError> {
        let Context { site, view, .. } = context;
        let frame = context.frame(0, "home");
        let links = &frame.links;
        let mut agreements = Vec::new();
        for (number, agreement) in site.agreements().iter().enumerate() {
            let plan = site.plan(view, number).await?;
            let standings = plan.map(|plan| plan.standings.as_slice()).unwrap_or_default();
            agreements.push(Deal {
                title: name(&agreement.title),
                href: links.agreement(&agreement.id),
                summary: sentence(&agreement.summary),
                parties: parties(agreement, standings),
            });
        }
        let (listed, _) = site.catalog().newest_records(view.as_of, None, NEWEST).await?;
        let newest: Vec<Row> = listed.iter().map(|listed| row(&context, links, listed)).collect();
        let numbers = &view.numbers;
        let numbers = [
            (numbers.records, ["record", "records"]),
            (numbers.pairs, ["pair tried", "pairs tried"]),
            (numbers.notices, ["suspension or withdrawal", "suspensions and withdrawals"]),
            (view.logs.len() as u64, ["log", "logs"]),
            (site.products().len() as u64, ["product known", "products known"]),
        ];
        let numbers = numbers
            .map(|(count, [one, many])| (grouped(count), if count == 1 { one } else { many }));
        let damaged = view.logs.iter().filter(|log| log.damaged > 0);
        let example = listed.first().map(|listed| {
            let guest = context.key(&listed.guest_product, &listed.record.guest);
            let host = context.key(&listed.host_product, &listed.record.host);
            let question = format!("{} on {}, 4 vcpu, 8 GiB", name(guest), name(host));
            (links.question(&question), question)
        });
        Ok(Self {
            agreements,
            newest,
            numbers: numbers.to_vec(),
            damaged: damaged
                .map(|log| format!("{} entries of {} are damaged", log.damaged, name(&log.origin)))
                .collect(),
            example: example.filter(|_| context.live),
            frame,
        })
    }
}

/// How the parties stand, with their names for people.
pub fn parties(
    agreement: &hospitium_model::Agreement,
    standings: &[hospitium_plan::obligation::Standing],
) -> Vec<Party> {
    standings
        .iter()
        .map(|standing| Party {
            title: name(agreement.party(&standing.party).map_or(&standing.party, |p| &p.title)),
            planned: standing.planned,
            delivered: standing.delivered,
            holding: standing.holding,
            late: standing.late,
        })
        .collect()
}

/// A number with its thousands apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}
