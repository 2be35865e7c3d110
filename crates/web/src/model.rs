//! What pages say, as plain values: made from the site's state, put into words here, turned into HTML
//! by the templates, the same for the server and for the static site.

pub mod agreement;
pub mod answer;
pub mod certificate;
pub mod home;
pub mod hosts;
pub mod logs;
pub mod product;
pub mod search;

use std::sync::Arc;

use hospitium_catalog::{Listed, PairNow, Stands, Stored};
use hospitium_products::{Product, ProductId, Products};

use crate::links::{Links, Written};
use crate::mark::Mark;
use crate::site::{Site, View};

/// Longest name on a page, in characters.
const NAME: usize = 160;
/// Longest sentence on a page, in characters.
const SENTENCE: usize = 2000;

/// A name from outside, fit for a page: what is hidden is shown, what is long is cut.
pub fn name(text: &str) -> String {
    hospitium_report::words::visible(text.trim(), NAME)
}

/// A sentence from outside, fit for a page.
pub fn sentence(text: &str) -> String {
    hospitium_report::words::visible(text.trim(), SENTENCE).replace("⟨LF⟩", " ")
}

/// What every page has.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Where other pages are.
    pub links: Links,
    /// The part of the site that the page is in.
    pub here: &'static str,
    /// The day for which it holds.
    pub as_of: String,
}

/// What pages are made from.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The site.
    pub site: &'a Site,
    /// Its state.
    pub view: &'a View,
    /// Whether a server answers.
    pub live: bool,
    /// Of a static site, which of its pages there are.
    pub written: Option<&'a Arc<Written>>,
}

impl Context<'_> {
    /// The frame of a page so many folders deep.
    pub fn frame(&self, depth: usize, here: &'static str) -> Frame {
        let as_of = self.view.as_of.to_string();
        let links = Links {
            written: self.written.cloned(),
            as_of: self.view.other_day.then_some(self.view.as_of),
            ..Links::new(self.live, depth)
        };
        Frame { links, here, as_of }
    }

    fn products(&self) -> &Products {
        self.site.products()
    }

    /// A product by its id as a record has it.
    fn product(&self, id: &str) -> Option<&Product> {
        let id: ProductId = id.parse().ok()?;
        self.products().get(&id)
    }

    /// The name under which a side of a pair is asked for: its short id, or its name in records.
    fn key<'a>(&'a self, product: &str, name: &'a str) -> &'a str {
        self.product(product).map_or(name, Product::short)
    }
}

/// Text that may lead somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// What is read.
    pub text: String,
    /// Where it leads; nowhere if empty.
    pub href: String,
}

impl Text {
    fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), href: String::new() }
    }

    fn link(text: impl Into<String>, href: impl Into<String>) -> Self {
        Self { text: text.into(), href: href.into() }
    }
}

/// A record in a list.
#[derive(Debug, Clone)]
pub struct Row {
    /// How it stands.
    pub mark: Mark,
    /// The guest.
    pub guest: Text,
    /// The host.
    pub host: Text,
    /// Where the answer for the pair is.
    pub pair: String,
    /// Who says so.
    pub party: String,
    /// When it was validated.
    pub validated: String,
    /// Until when it is valid by itself, if it passed.
    pub until: String,
    /// What has to be said with it, in a few words.
    pub note: String,
    /// Its certificate's page.
    pub certificate: String,
    /// The first digits of the record's name.
    pub short: String,
}

/// A guest or host of a record: its product's page if it has one.
fn side(context: &Context<'_>, links: &Links, product: &str, in_record: &str) -> Text {
    match context.product(product) {
        Some(product) => Text::link(name(&product.name), links.product(product.short())),
        None => Text::plain(name(in_record)),
    }
}

fn row_of(
    context: &Context<'_>,
    links: &Links,
    (guest_product, host_product): (&str, &str),
    stands: &Stands,
    record: &Stored,
) -> Row {
    let guest = context.key(guest_product, &record.guest);
    let host = context.key(host_product, &record.host);
    let mut notes = Vec::new();
    if record.uncertain.is_some() {
        notes.push("its log, or one that bears it out, is not fully known here".to_owned());
    }
    if record.emulated {
        notes.push("emulation only".to_owned());
    }
    match record.detail.waivers.len() {
        0 => {}
        count => notes.push(hospitium_report::words::plural(count, "waiver")),
    }
    match record.detail.failed.len() {
        0 => {}
        count => notes.push(format!("{count} failed")),
    }
    if let Stands::Suspended { reason, .. } | Stands::Withdrawn { reason, .. } = stands {
        notes.push(name(reason));
    }
    Row {
        mark: Mark::from(stands).unless(record.uncertain.is_some()),
        guest: side(context, links, guest_product, &record.guest),
        host: side(context, links, host_product, &record.host),
        pair: links.pair(guest, host),
        party: name(&record.party),
        validated: record.validated.to_string(),
        until: if record.passed() { record.until.to_string() } else { String::new() },
        note: notes.join(", "),
        certificate: links.certificate(&record.digest),
        short: record.digest.chars().take(12).collect(),
    }
}

fn row(context: &Context<'_>, links: &Links, listed: &Listed) -> Row {
    let products = (listed.guest_product.as_str(), listed.host_product.as_str());
    row_of(context, links, products, &listed.stands, &listed.record)
}

fn pair_row(context: &Context<'_>, links: &Links, pair: &PairNow) -> Row {
    let products = (pair.guest_product.as_str(), pair.host_product.as_str());
    let mut row = row_of(context, links, products, &pair.stands, &pair.record);
    row.mark = Mark::from(pair).unless(pair.record.uncertain.is_some());
    if pair.failed_beside > 0 {
        let machines = hospitium_report::words::plural(pair.failed_beside, "other machine");
        let failed = format!("failed on {machines}");
        row.note =
            [failed, row.note].into_iter().filter(|n| !n.is_empty()).collect::<Vec<_>>().join(", ");
    }
    row
}
