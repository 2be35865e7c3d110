//! Two hosts held against each other: what becomes of every guest when one takes the other's place.

use std::collections::BTreeMap;

use askama::Template;
use hospitium_catalog::{Becomes, PairNow};
use hospitium_products::{Product, ProductKind};

use super::{Context, Frame, Text, name, side};
use crate::mark::Mark;
use crate::{Refused, SiteError};

/// Guests of each host that are looked at.
const GUESTS: usize = 200;
/// Checks that are named of one pair.
const CHECKS: usize = 20;
/// Hosts that can be chosen from.
const HOSTS: usize = 400;

/// The choice of two hosts.
#[derive(Debug, Template)]
#[template(path = "hosts.html")]
pub struct HostsPage {
    frame: Frame,
    hosts: Vec<(String, String)>,
    neighbours: Vec<(Text, String)>,
}

impl HostsPage {
    /// Makes the page.
    ///
    /// # Errors
    /// None at present.
    pub fn new(context: Context<'_>) -> Result<Self, SiteError> {
        let frame = context.frame(0, "hosts");
        let tried = tried(&context);
        let neighbours = neighbours(&context).into_iter().map(|(a, b)| {
            let title = format!("{} → {}", name(&a.name), name(&b.name));
            (Text::link(title, frame.links.differences(a.short(), b.short())), name(&a.line))
        });
        Ok(Self {
            hosts: tried
                .iter()
                .take(HOSTS)
                .map(|host| (crate::links::slug(host.short()), name(&host.name)))
                .collect(),
            neighbours: neighbours.take(HOSTS).collect(),
            frame,
        })
    }
}

/// Hosts of which there is a record, by line and release.
fn tried<'a>(context: &Context<'a>) -> Vec<&'a Product> {
    let products = context.site.products();
    let known = context.site.of_records(context.view);
    let mut hosts: Vec<&Product> =
        products.iter().filter(|p| p.kind == ProductKind::Host && known.contains(&p.id)).collect();
    hosts.sort_by(|a, b| (&a.line, &a.release).cmp(&(&b.line, &b.release)));
    hosts
}

/// Each host of which there is a record, with the next later one of its line.
pub fn neighbours<'a>(context: &Context<'a>) -> Vec<(&'a Product, &'a Product)> {
    let hosts = tried(context);
    let pairs = hosts.iter().zip(hosts.iter().skip(1));
    pairs.filter(|(a, b)| a.line == b.line).map(|(a, b)| (*a, *b)).collect()
}

/// The differences.
#[derive(Debug, Template)]
#[template(path = "differences.html")]
pub struct Differences {
    frame: Frame,
    before: Text,
    after: Text,
    turned: String,
    regressions: Vec<Change>,
    improvements: Vec<Change>,
    untried: Vec<Change>,
    only_after: Vec<Change>,
    same: Vec<Change>,
    more: bool,
}

/// A guest on both.
#[derive(Debug)]
struct Change {
    guest: Text,
    before: Option<Cell>,
    after: Option<Cell>,
    broke: Vec<String>,
    mended: Vec<String>,
}

#[derive(Debug)]
struct Cell {
    mark: Mark,
    when: String,
    href: String,
}

impl Differences {
    /// The lists, what is worst first: title, what stands in it, the guests.
    fn sections(&self) -> [(&'static str, &'static str, &[Change]); 5] {
        [
            (
                "Regressions",
                "Valid before, not valid after; or a check fails that did not",
                &self.regressions,
            ),
            ("Not tried yet", "There is a record on the first, none on the second", &self.untried),
            (
                "Improvements",
                "Not valid before, valid after; or a check passes that failed",
                &self.improvements,
            ),
            ("The same", "No difference in the word or in the failed checks", &self.same),
            ("Only on the second", "There is no record on the first", &self.only_after),
        ]
    }

    /// Makes the page of two hosts, each by the end of its address.
    ///
    /// # Errors
    /// If one is not known, or the database fails.
    pub async fn new(context: Context<'_>, before: &str, after: &str) -> Result<Self, Refused> {
        let host = |slug: &str| {
            let found = context.site.product(slug).filter(|p| p.kind == ProductKind::Host);
            found
                .ok_or_else(|| Refused::NotFound(format!("No host here has this short id: {slug}")))
        };
        let (before, after) = (host(before)?, host(after)?);
        let frame = context.frame(2, "hosts");
        let links = &frame.links;
        let desk = context.site.desk(context.view);
        let (of_before, more_before) = desk.pairs_of(false, before, GUESTS).await?;
        let (of_after, more_after) = desk.pairs_of(false, after, GUESTS).await?;
        let mut guests: BTreeMap<String, (Option<&PairNow>, Option<&PairNow>)> = BTreeMap::new();
        let key = |pair: &PairNow| match pair.guest_product.as_str() {
            "" => pair.guest.clone(),
            id => id.to_owned(),
        };
        for pair in &of_before {
            guests.entry(key(pair)).or_default().0 = Some(pair);
        }
        for pair in &of_after {
            guests.entry(key(pair)).or_default().1 = Some(pair);
        }
        let title = |host: &Product| Text::link(name(&host.name), links.product(host.short()));
        let mut page = Self {
            before: title(before),
            after: title(after),
            turned: links.differences(after.short(), before.short()),
            regressions: Vec::new(),
            improvements: Vec::new(),
            untried: Vec::new(),
            only_after: Vec::new(),
            same: Vec::new(),
            more: more_before || more_after,
            frame: frame.clone(),
        };
        for (a, b) in guests.into_values() {
            let decided = hospitium_catalog::Change::of(a, b);
            let list = match decided.becomes {
                Becomes::Regression => &mut page.regressions,
                Becomes::Untried => &mut page.untried,
                Becomes::Improvement => &mut page.improvements,
                Becomes::New => &mut page.only_after,
                Becomes::Same => &mut page.same,
            };
            list.push(change(&context, &frame, a, b, &decided));
        }
        Ok(page)
    }
}

fn change(
    context: &Context<'_>,
    frame: &Frame,
    before: Option<&PairNow>,
    after: Option<&PairNow>,
    decided: &hospitium_catalog::Change,
) -> Change {
    let links = &frame.links;
    let cell = |pair: &PairNow| Cell {
        mark: pair.into(),
        when: pair.record.validated.to_string(),
        href: links.certificate(&pair.record.digest),
    };
    let named = |checks: &[String]| -> Vec<String> {
        checks.iter().take(CHECKS).map(|c| name(c)).collect()
    };
    let guest = after.or(before);
    Change {
        guest: guest.map_or_else(
            || Text::plain(""),
            |pair| side(context, links, &pair.guest_product, &pair.guest),
        ),
        before: before.map(cell),
        after: after.map(cell),
        broke: named(&decided.broke),
        mended: named(&decided.mended),
    }
}
