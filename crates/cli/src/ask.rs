//! Answers: is this guest validated on this host?

use std::collections::BTreeMap;
use std::io::IsTerminal as _;

use anyhow::{Context, Result};
use clap::{Args, ValueHint};
use hospitium_catalog::{Answer, Asked, Catalog, Desk, Reply, Word};
use hospitium_model::Agreement;
use hospitium_products::Products;
use hospitium_report::words::plural;
use jiff::civil::Date;

use crate::deals;
use crate::failure::End;
use crate::logs::{LogArguments, asked_of, of_sources, open, sources, today};
use crate::out::{note, out};
use crate::product::SourceArguments;
use crate::view::{Paint, safe};

/// What an answer is made from.
#[derive(Debug, Clone, Args)]
pub struct AskOptions {
    /// The catalog: a file, or an address [default: what the configuration says, else one made on the spot from
    /// the logs]
    #[arg(
        long,
        value_name = "FILE|URL",
        env = "HOSPITIUM_CATALOG",
        hide_env_values = true,
        conflicts_with = "log"
    )]
    pub db: Option<String>,
    #[command(flatten)]
    pub logs: LogArguments,
    /// An agreement, whose terms and promises are taken in: a file, or one that the configuration has; may be
    /// given several times [default: all that the configuration has]
    #[arg(long, value_hint = ValueHint::FilePath, value_name = "AGREEMENT")]
    pub agreement: Vec<String>,
    /// The day for which it is asked [default: today, UTC]
    #[arg(long, value_name = "DATE", value_parser = hospitium_model::asked_day)]
    pub as_of: Option<Date>,
    #[command(flatten)]
    pub sources: SourceArguments,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// `hospitium catalog pairs`.
pub async fn all_pairs(options: AskOptions) -> Result<End> {
    let products = options.sources.clone().load()?;
    pairs(&products, options).await
}

/// What questions are asked of: the catalog, the agreements, the day.
async fn opened(options: AskOptions) -> Result<(Catalog, Vec<Agreement>, Date)> {
    let AskOptions { db, logs, agreement, as_of, .. } = options;
    // Without any, the question can still be answered from the logs.
    let agreements = deals::open_all(agreement)?;
    let catalog = match asked_of(db, &logs) {
        Some(db) => open(&db).await?,
        None => {
            let sources = sources(&logs)?;
            if sources.is_empty() && agreements.is_empty() {
                note!(
                    "note: neither a catalog nor a log nor an agreement is named, so nothing is known"
                );
            }
            of_sources(&sources).await?
        }
    };
    Ok((catalog, agreements, as_of.unwrap_or_else(today)))
}

/// Most pairs that are listed.
const PAIRS: u32 = 10_000;

/// A line for every pair.
async fn pairs(products: &Products, options: AskOptions) -> Result<End> {
    let json = options.json;
    let (catalog, agreements, as_of) = opened(options).await?;
    let desk = Desk::new(&catalog, products, &agreements, as_of).await?;
    let mut all = desk.owed_pairs();
    let (recorded, count) = desk.recorded_pairs(PAIRS).await?;
    let left_out = count.saturating_sub(recorded.len() as u64);
    all.extend(recorded);
    let mut answers = Vec::new();
    for (guest, host) in &all {
        match desk.ask_pair(guest, host).await? {
            Reply::Answer(answer) => answers.push(*answer),
            Reply::Unclear { .. } => note!("{} on {} may be several", safe(guest), safe(host)),
        }
    }
    if json {
        out!("{}", serde_json::to_string(&answers).context("cannot write JSON")?);
    } else {
        list(&answers, columns());
        out!("{} (as of {as_of}){}", plural(answers.len(), "pair"), counts(&answers));
    }
    if left_out > 0 {
        note!("left out: {left_out} more pairs that have a record");
    }
    Ok(End::Good)
}

/// `: 3 validated, 126 planned`, the best first.
fn counts(answers: &[Answer]) -> String {
    let mut counts: BTreeMap<Word, usize> = BTreeMap::new();
    for answer in answers {
        *counts.entry(answer.verdict).or_default() += 1;
    }
    let words = counts.iter().map(|(word, count)| format!("{count} {}", word.words()));
    let words = words.collect::<Vec<_>>().join(", ");
    if words.is_empty() { String::new() } else { format!(": {words}") }
}

/// Columns of the terminal that standard output is; none if it is none, or does not tell.
fn columns() -> Option<usize> {
    let stdout = std::io::stdout();
    let size =
        stdout.is_terminal().then(|| rustix::termios::tcgetwinsize(stdout).ok()).flatten()?;
    (size.ws_col > 0).then_some(size.ws_col.into())
}

/// A line for each. On a terminal that is `columns` wide the rule is cut to fit; all of it is shown where the list
/// goes to a file, or when the pair is asked for.
fn list(answers: &[Answer], columns: Option<usize>) {
    let paint = Paint::stdout();
    let widest = |of: fn(&Answer) -> &str, most: usize| {
        answers.iter().map(|answer| safe(of(answer)).chars().count().min(most)).max().unwrap_or(0)
    };
    let words = widest(|answer| answer.verdict.words(), 22);
    let (guests, hosts) = (widest(|answer| &answer.guest, 44), widest(|answer| &answer.host, 36));
    for answer in answers {
        let colour = match answer.verdict {
            Word::Validated => "pass",
            Word::ValidatedWithLimits | Word::Lapsed => "flaky",
            Word::Failed | Word::NotValidated => "fail",
            Word::Pending | Word::Planned | Word::Excluded | Word::Unknown => "skip",
        };
        let word = format!("{:<words$}", answer.verdict.words());
        let pair = format!("{:<guests$} on {:<hosts$}", safe(&answer.guest), safe(&answer.host));
        let taken = word.chars().count() + pair.chars().count() + 4;
        let rule = match columns {
            Some(columns) => cut(&safe(&answer.rule_words), columns.saturating_sub(taken)),
            None => safe(&answer.rule_words),
        };
        out!("{}  {pair}  {}", paint.verdict(colour, &word), paint.dim(&rule));
    }
}

/// At most `room` characters, the last of them an ellipsis if something is missing.
fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(room.saturating_sub(1)).collect();
    if room > 0 {
        short.push('…');
    }
    short
}

/// What the catalog says, and for which day.
pub async fn reply(
    question: impl Asked,
    products: &Products,
    options: AskOptions,
) -> Result<(Reply, Date)> {
    let (catalog, agreements, as_of) = opened(options).await?;
    Ok((catalog.ask(question, products, &agreements, as_of).await?, as_of))
}

/// Answers a question, with what else was given.
pub async fn answer(question: impl Asked, products: &Products, options: AskOptions) -> Result<End> {
    let json = options.json;
    let (reply, _) = reply(question, products, options).await?;
    if json {
        out!("{}", serde_json::to_string(&reply).context("cannot write JSON")?);
    } else {
        show(&reply);
    }
    Ok(end(&reply))
}

/// How a command ends that gave this reply. Good if a validation holds; bad if it failed, lapsed, was taken back, was
/// never delivered or is left out; unfinished if nothing is known, or it is planned or pending only.
pub fn end(reply: &Reply) -> End {
    match reply {
        Reply::Answer(answer) => match answer.verdict {
            word if word.holds() && answer.certain => End::Good,
            word if word.holds() => End::Unfinished,
            word if word.is_open() => End::Unfinished,
            _ => End::Bad,
        },
        Reply::Unclear { .. } => End::Unfinished,
    }
}

fn show(reply: &Reply) {
    match reply {
        Reply::Answer(answer) => {
            out!("{}", safe(&answer.headline()));
            for (label, line) in answer.lines() {
                out!("  {label:<12} {}", safe(&line));
            }
        }
        Reply::Unclear { sides, .. } => {
            for side in sides {
                let text = safe(&side.text);
                if let Some(why) = &side.why {
                    out!("the {} {text}: {}", side.side, safe(why));
                    for (short, name) in &side.candidates {
                        out!("  {:<20} {}", safe(short), safe(name));
                    }
                    continue;
                }
                if side.candidates.is_empty() {
                    out!("the {} {text:?} is no known product", side.side);
                    continue;
                }
                out!("the {} {text:?} may be one of these; ask for one of them", side.side);
                for (short, name) in &side.candidates {
                    out!("  {:<20} {}", safe(short), safe(name));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn what_is_cut_fits_and_says_that_it_was() {
        assert_eq!(cut("as long", 7), "as long");
        assert_eq!(cut("as long", 6), "as lo…");
        assert_eq!(cut("ééé", 2), "é…");
        assert_eq!(cut("as long", 1), "…");
        assert_eq!(cut("as long", 0), "");
    }
}
