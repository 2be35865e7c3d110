//! What changed, as Atom (RFC 4287): outcomes, suspensions, withdrawals, and obligations that became
//! due or late; of everything, of an agreement, of a product.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use atom_syndication::{Content, Entry, Feed, FixedDateTime, Link, Person, Text};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hospitium_catalog::{RecordFilter, RecordPage, Stored};
use hospitium_model::Digest;
use hospitium_plan::obligation::{Obligation, State as Stands};
use jiff::ToSpan as _;
use jiff::civil::Date;

use crate::Refused;
use crate::links::{encoded, slug};
use crate::model::{name, sentence};
use crate::site::{Site, View};

/// Entries of a feed, at most.
const ENTRIES: usize = 60;
/// Records that are looked at for an agreement's.
const LOOKED_AT: usize = 500;
/// How long an obligation that became due or late is news, in days.
const NEWS: i64 = 90;

/// Where feeds are.
pub fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/feed.atom", get(all))
        .route("/agreements/{id}/feed.atom", get(agreement))
        .route("/products/{id}/feed.atom", get(product))
}

/// What a feed is about.
enum About {
    All,
    /// An agreement, by its place.
    Agreement(usize),
    /// A product, by its id.
    Product(String),
}

async fn all(State(site): State<Arc<Site>>) -> Result<Response, Refused> {
    make(&site, About::All, "What changed in the catalog", "/feed.atom", "/").await
}

async fn agreement(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let missing = || Refused::NotFound(format!("There is no agreement {id:?} here."));
    let (number, agreement) = site.agreement(&id).ok_or_else(missing)?;
    let page = format!("/agreements/{}", slug(&agreement.id));
    let title = format!("What changed: {}", agreement.title);
    make(&site, About::Agreement(number), &title, &format!("{page}/feed.atom"), &page).await
}

async fn product(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let missing = || Refused::NotFound(format!("There is no product {id:?} here."));
    let product = site.product(&id).ok_or_else(missing)?;
    let page = format!("/products/{}", slug(product.short()));
    let title = format!("What changed: {}", product.name);
    let about = About::Product(product.id.to_string());
    make(&site, about, &title, &format!("{page}/feed.atom"), &page).await
}

/// Something that happened.
struct News {
    on: Date,
    /// What names it among all that its party ever says.
    what: String,
    party: String,
    title: String,
    words: String,
    href: String,
}

async fn make(
    site: &Site,
    about: About,
    title: &str,
    own: &str,
    page: &str,
) -> Result<Response, Refused> {
    let view = site.view().await?;
    let mut news = of_records(site, &view, &about).await?;
    news.extend(of_obligations(site, &view, &about).await?);
    news.sort_by(|a, b| b.on.cmp(&a.on).then_with(|| a.what.cmp(&b.what)));
    news.truncate(ENTRIES);
    let base = site.sources().base.clone().unwrap_or_default();
    let newest = news.iter().map(|news| news.on).max().unwrap_or(view.as_of);
    let mut feed = Feed::default();
    feed.set_title(Text::plain(name(title)));
    // By what it is made from, so that it stays the same wherever it is served.
    let origins: Vec<&str> = view.logs.iter().map(|log| log.origin.as_str()).collect();
    feed.set_id(uuid(&format!("{own}\n{}", origins.join("\n"))));
    feed.set_updated(time(newest));
    feed.set_links(vec![
        link("self", &format!("{base}{own}"), "application/atom+xml"),
        link("alternate", &format!("{base}{page}"), "text/html"),
    ]);
    feed.set_authors(vec![Person { name: "Hospitium".to_owned(), ..Person::default() }]);
    feed.set_entries(news.into_iter().map(|news| entry(news, &base)).collect::<Vec<_>>());
    let kind = (header::CONTENT_TYPE, "application/atom+xml; charset=utf-8");
    Ok(([kind, (header::CACHE_CONTROL, "max-age=300")], feed.to_string()).into_response())
}

fn link(rel: &str, href: &str, kind: &str) -> Link {
    Link {
        rel: rel.to_owned(),
        href: href.to_owned(),
        mime_type: Some(kind.to_owned()),
        ..Link::default()
    }
}

fn entry(news: News, base: &str) -> Entry {
    let mut entry = Entry::default();
    // A tag (RFC 4151): the party is a domain, and the day is when it said so.
    entry.set_id(format!("tag:{},{}:{}", encoded(&news.party), news.on, news.what));
    entry.set_title(Text::plain(news.title));
    entry.set_updated(time(news.on));
    entry.set_authors(vec![Person { name: name(&news.party), ..Person::default() }]);
    entry.set_links(vec![link("alternate", &format!("{base}{}", news.href), "text/html")]);
    entry.set_content(Content {
        content_type: Some("text".to_owned()),
        value: Some(news.words),
        ..Content::default()
    });
    entry
}

fn time(day: Date) -> FixedDateTime {
    format!("{day}T00:00:00Z").parse().unwrap_or_default()
}

/// A version 8 UUID (RFC 9562, section 5.8) of a text.
fn uuid(text: &str) -> String {
    let digits = Digest::of(text.as_bytes()).to_string();
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default().to_owned();
    format!(
        "urn:uuid:{}-{}-8{}-8{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 15),
        part(15, 18),
        part(18, 30)
    )
}

async fn of_records(site: &Site, view: &View, about: &About) -> Result<Vec<News>, Refused> {
    let desk = site.desk(view);
    let pairs: Option<BTreeSet<(String, String)>> = match about {
        About::Agreement(number) => Some(match site.plan(view, *number).await? {
            Some(plan) => {
                let pair = |owed: &Obligation| (owed.guest.to_string(), owed.host.to_string());
                plan.obligations.iter().map(pair).collect()
            }
            None => BTreeSet::new(),
        }),
        _ => None,
    };
    let ask =
        async |filter: RecordFilter, most: usize| match desk.records(&filter, None, most).await {
            Ok(RecordPage::Records(records, _)) => Ok(records),
            Ok(RecordPage::Unclear(_)) => Ok(Vec::new()),
            Err(error) => Err(Refused::from(error)),
        };
    let listed = match about {
        About::All => ask(RecordFilter::default(), ENTRIES).await?,
        About::Agreement(_) => ask(RecordFilter::default(), LOOKED_AT).await?,
        About::Product(id) => {
            let side = Some(id.clone());
            let guest = RecordFilter { guest: side.clone(), ..RecordFilter::default() };
            let host = RecordFilter { host: side, ..RecordFilter::default() };
            let mut both = ask(guest, ENTRIES).await?;
            both.extend(ask(host, ENTRIES).await?);
            both
        }
    };
    let mut news: Vec<News> = listed
        .into_iter()
        .filter(|listed| {
            let pair = (listed.guest_product.clone(), listed.host_product.clone());
            pairs.as_ref().is_none_or(|pairs| pairs.contains(&pair))
        })
        .map(|listed| of_record(&listed.record))
        .collect();
    let product = match about {
        About::Product(id) => Some(id.as_str()),
        _ => None,
    };
    for notice in desk.newest_notices(LOOKED_AT.try_into().unwrap_or(u32::MAX)).await? {
        let record = &notice.about;
        let pair = (notice.guest_product.clone(), notice.host_product.clone());
        let fits = pairs.as_ref().is_none_or(|pairs| pairs.contains(&pair))
            && product.is_none_or(|id| pair.0 == id || pair.1 == id);
        if !fits {
            continue;
        }
        let word = if notice.withdrawal { "Withdrawn" } else { "Suspended" };
        let until = notice.until.map_or_else(String::new, |day| format!(" until {day}"));
        news.push(News {
            on: notice.issued,
            what: format!("{}/{}", word.to_lowercase(), notice.entry),
            party: record.party.clone(),
            title: format!("{word}: {} on {}", name(&record.guest), name(&record.host)),
            words: sentence(&format!(
                "{} says of its record of {}{until}: {}",
                record.party, record.validated, notice.reason
            )),
            href: format!("/certificates/{}", record.digest),
        });
        if news.len() > 4 * ENTRIES {
            break;
        }
    }
    Ok(news)
}

fn of_record(record: &Stored) -> News {
    let word = if record.passed() { "Validated" } else { "Failed" };
    let words = match record.passed() {
        true => format!("{}, valid until {}.", record.party, record.until),
        false => format!("{}; failed: {}.", record.party, record.detail.failed.join(", ")),
    };
    News {
        on: record.validated,
        what: format!("record/{}", record.digest),
        party: record.party.clone(),
        title: format!("{word}: {} on {}", name(&record.guest), name(&record.host)),
        words: sentence(&words),
        href: format!("/certificates/{}", record.digest),
    }
}

async fn of_obligations(site: &Site, view: &View, about: &About) -> Result<Vec<News>, Refused> {
    let mut news = Vec::new();
    for (number, agreement) in site.agreements().iter().enumerate() {
        if matches!(about, About::Agreement(wanted) if *wanted != number) {
            continue;
        }
        let Some(plan) = site.plan(view, number).await? else { continue };
        for owed in &plan.obligations {
            if let About::Product(id) = about
                && owed.guest.as_str() != id
                && owed.host.as_str() != id
            {
                continue;
            }
            let (word, on, by) = match owed.state {
                Stands::Due { by } => ("due", owed.from, by),
                Stands::Late { by } => ("late", by.tomorrow().ok(), by),
                _ => continue,
            };
            let Some(on) = on else { continue };
            let old = view.as_of.checked_sub(NEWS.days()).is_ok_and(|oldest| on < oldest);
            if on > view.as_of || old {
                continue;
            }
            news.push(News {
                on,
                what: format!("{word}/{}/{}", encoded(&agreement.id), encoded(&owed.id)),
                party: owed.party.clone(),
                title: format!(
                    "Now {word}: {} on {}",
                    name(&owed.guest_name),
                    name(&owed.host_name)
                ),
                words: sentence(&format!(
                    "{} owes this by {}, by {by}.",
                    owed.party, agreement.title
                )),
                href: format!("/agreements/{}", slug(&agreement.id)),
            });
        }
    }
    Ok(news)
}
