//! `hospitium ask`: is this guest validated on this host?

use anyhow::{Context, Result};
use clap::{Args, ValueHint};
use hospitium_catalog::Reply;
use hospitium_products::Products;
use jiff::civil::Date;

use crate::agreement;
use crate::catalog::{LogArguments, of_logs, open, today};
use crate::failure::End;
use crate::out::{note, out};
use crate::product::SourceArguments;
use crate::view::safe;

#[derive(Debug, Args)]
pub struct AskArguments {
    /// GUEST on HOST, and what is asked of the machine: "rhel 5.3 on hyper-v server 2008, 4 vcpu, 8 GiB"
    #[arg(required = true)]
    pub question: Vec<String>,
    #[command(flatten)]
    pub options: AskOptions,
}

/// What an answer is made from.
#[derive(Debug, Clone, Args)]
pub struct AskOptions {
    /// The catalog: a file, or an address [default: one made on the spot from the logs given]
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
    /// An agreement, whose terms and promises are taken in: a file or a name; may be given several
    /// times [default: all of ./agreements]
    #[arg(long, value_hint = ValueHint::FilePath, value_name = "AGREEMENT")]
    pub agreement: Vec<String>,
    /// The day for which it is asked [default: today, UTC]
    #[arg(long, value_name = "DATE")]
    pub as_of: Option<Date>,
    #[command(flatten)]
    pub sources: SourceArguments,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// `hospitium ask`. Good if a validation holds; bad if it failed, lapsed, or was taken back;
/// unfinished if nothing is known, or it is only planned.
pub async fn ask(arguments: AskArguments) -> Result<End> {
    let products = arguments.options.sources.clone().load()?;
    answer(&arguments.question.join(" "), &products, arguments.options).await
}

/// Answers a question, with what else was given.
pub async fn answer(question: &str, products: &Products, options: AskOptions) -> Result<End> {
    let AskOptions { db, logs, agreement, as_of, json, .. } = options;
    let named = match agreement.is_empty() {
        // Without any, the question can still be answered from the logs.
        true => agreement::named_or_all(agreement).unwrap_or_default(),
        false => agreement,
    };
    let agreements =
        named.iter().map(|named| Ok(agreement::open(named)?.1)).collect::<Result<Vec<_>>>()?;
    // A catalog of the environment is not asked beside logs that are named.
    let catalog = match db.filter(|_| logs.log.is_empty()) {
        Some(db) => open(&db).await?,
        None => {
            if logs.log.is_empty() && agreements.is_empty() {
                note!(
                    "note: neither a catalog nor a log nor an agreement is named, so nothing is known"
                );
            }
            of_logs(&logs).await?
        }
    };
    let as_of = as_of.unwrap_or_else(today);
    let reply = catalog.ask(question, products, &agreements, as_of).await?;
    if json {
        out!("{}", serde_json::to_string(&reply).context("cannot write JSON")?);
    } else {
        show(&reply);
    }
    Ok(match reply {
        Reply::Answer(answer) => match answer.verdict {
            word if word.holds() => End::Good,
            hospitium_catalog::Word::Unknown | hospitium_catalog::Word::Planned => End::Unfinished,
            _ => End::Bad,
        },
        Reply::Unclear { .. } => End::Unfinished,
    })
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
