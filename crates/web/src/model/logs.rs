//! The logs that everything comes from: how large, under which root, and what was not believed.

use askama::Template;

use super::home::grouped;
use super::{Context, Frame, name, sentence};
use crate::Refused;

/// Refused entries that are listed of all logs.
const REFUSED: u32 = 200;

/// Refused heads that are shown.
const HEADS: usize = 20;

/// Both heads as they were signed, line by line.
fn proof(seen: &str, found: &str) -> String {
    let lines = seen.lines().chain([""]).chain(found.lines());
    lines.map(|line| hospitium_report::words::visible(line, 300)).collect::<Vec<_>>().join("\n")
}

/// The page.
#[derive(Debug, Template)]
#[template(path = "logs.html")]
pub struct LogsPage {
    frame: Frame,
    logs: Vec<Log>,
    refused: Vec<(String, u64, String)>,
    heads: Vec<(String, String)>,
    refused_count: u64,
    more: bool,
    mark: String,
}

#[derive(Debug)]
struct Log {
    origin: String,
    party: String,
    size: String,
    root: String,
    known: String,
    cosigners: String,
    frozen: Option<String>,
    usurped: u64,
    damaged: u64,
    refused: u64,
    at_hand: bool,
}

impl LogsPage {
    /// Makes the page.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn new(context: Context<'_>) -> Result<Self, Refused> {
        let frame = context.frame(0, "logs");
        let view = context.view;
        let logs = view.logs.iter().map(|log| Log {
            origin: name(&log.origin),
            party: name(&log.party),
            size: grouped(log.size),
            root: log.root.clone(),
            known: log.known_as_of(),
            cosigners: match log.cosigners.as_slice() {
                [] => "nobody else".to_owned(),
                some => name(&some.join(", ")),
            },
            frozen: log.frozen_words().map(|words| sentence(&words)),
            usurped: log.usurped,
            damaged: log.damaged,
            refused: log.refused,
            at_hand: context.site.log(&log.origin).is_some(),
        });
        let refused = context.site.catalog().refused(REFUSED).await?;
        let heads = context.site.catalog().refused_heads().await?;
        let refused_count = view.logs.iter().map(|log| log.refused).sum();
        Ok(Self {
            more: refused.len() as u64 != refused_count,
            refused_count,
            logs: logs.collect(),
            refused: refused
                .iter()
                .map(|(origin, entry, why)| (name(origin), *entry, sentence(why)))
                .collect(),
            heads: heads
                .iter()
                .take(HEADS)
                .map(|head| (sentence(&head.words()), proof(&head.seen, &head.found)))
                .collect(),
            mark: view.mark.clone(),
            frame,
        })
    }
}
