//! `hospitium ask`: is this guest validated on this host?

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueHint};
use hospitium_catalog::{Catalog, Reply};
use hospitium_model::{Agreement, LARGEST_AGREEMENT, read_agreement};
use jiff::civil::Date;

use crate::catalog::{LogArguments, open, sources, tell, today};
use crate::failure::{End, Usage};
use crate::out::{note, out};
use crate::view::safe;

#[derive(Debug, Args)]
pub struct AskArguments {
    /// GUEST on HOST, and what is asked of the machine: "rhel 5.3 on hyper-v server 2008, 4 vcpu, 8 GiB"
    #[arg(required = true)]
    pub question: Vec<String>,
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
    /// An agreement, whose terms and promises are taken in; may be given several times
    #[arg(long, value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub agreement: Vec<PathBuf>,
    /// The day for which it is asked [default: today, UTC]
    #[arg(long, value_name = "DATE")]
    pub as_of: Option<Date>,
    /// Folder of osinfo-db [default: $OSINFO_SYSTEM_DIR, else /usr/share/osinfo if it is there]
    #[arg(long, value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub osinfo: Option<PathBuf>,
    /// endoflife.date's products: a folder, a file, or an address
    #[arg(long, env = "HOSPITIUM_ENDOFLIFE", value_name = "DIR|URL")]
    pub endoflife: Option<String>,
    /// Folder of more definitions (*.toml) beside those that are built in
    #[arg(long, env = "HOSPITIUM_PRODUCTS", value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub products: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// `hospitium ask`. Good if a validation holds; bad if it failed, lapsed, or was taken back;
/// unfinished if nothing is known, or it is only planned.
pub async fn ask(arguments: AskArguments) -> Result<End> {
    let AskArguments { question, db, logs, agreement, as_of, osinfo, endoflife, products, json } =
        arguments;
    let agreements = agreement.iter().map(|path| agreement_of(path)).collect::<Result<Vec<_>>>()?;
    // A catalog of the environment is not asked beside logs that are named.
    let catalog = match db.filter(|_| logs.log.is_empty()) {
        Some(db) => open(&db).await?,
        None => {
            let sources = sources(&logs)?;
            if sources.is_empty() && agreements.is_empty() {
                note!(
                    "note: neither a catalog nor a log nor an agreement is named, so nothing is known"
                );
            }
            let mut catalog =
                Catalog::open("sqlite::memory:").await.context("the catalog cannot be made")?;
            tell(&catalog.rebuild(&sources).await.context("the logs cannot be taken in")?);
            catalog
        }
    };
    let products = crate::product::load(osinfo, endoflife, products)?;
    let as_of = as_of.unwrap_or_else(today);
    let reply = catalog.ask(&question.join(" "), &products, &agreements, as_of).await?;
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

fn agreement_of(path: &Path) -> Result<Agreement> {
    let shown = path.display().to_string();
    let size = std::fs::metadata(path).with_context(|| format!("cannot read {shown}"))?.len();
    if size > LARGEST_AGREEMENT as u64 {
        return Err(Usage::error(
            format!("{shown} has {size} bytes, and an agreement has at most {LARGEST_AGREEMENT}"),
            "name an agreement's file",
        ));
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    Ok(read_agreement(&shown, &text)?)
}
