//! `hospitium catalog`: the read model of logs, built and exported.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueHint};
use hospitium_catalog::Catalog;
use serde_json::json;

use crate::config;
use crate::failure::{End, Usage};
use crate::json::{AsJson, print};
use crate::logs::{LogArguments, OwnParty, sources, take_in, tell, tell_refused};
use crate::out::{note, out};
use crate::serve::SiteArguments;
use crate::view::safe;

/// Where a catalog is made if nothing else is said. It is read from there only if that is said.
const USUAL: &str = "catalog.db";

#[derive(Debug, Subcommand)]
pub enum CatalogCommand {
    /// Make the catalog again from logs; every record is verified
    #[command(alias = "build")]
    Rebuild(RebuildArguments),
    /// Write the site as static files, and the catalog as CSV, JSON, Markdown and osinfo deployments
    Export(Box<ExportArguments>),
    /// List every pair that the agreements speak of or that has a record, a line each
    Pairs(Box<PairsArguments>),
}

#[derive(Debug, Args)]
pub struct PairsArguments {
    #[command(flatten)]
    pub own: OwnParty,
    #[command(flatten)]
    pub options: crate::ask::AskOptions,
}

#[derive(Debug, Args)]
pub struct RebuildArguments {
    #[command(flatten)]
    pub own: OwnParty,
    #[command(flatten)]
    pub logs: LogArguments,
    /// The database: a file, or an address such as postgres://USER@HOST/NAME [default: what the configuration says,
    /// else catalog.db]
    #[arg(long, value_name = "FILE|URL", env = "HOSPITIUM_CATALOG", hide_env_values = true)]
    pub db: Option<String>,
    #[command(flatten)]
    pub json: AsJson,
}

#[derive(Debug, Args)]
pub struct ExportArguments {
    #[command(flatten)]
    pub own: OwnParty,
    /// The folder to write to; made if it is not there
    #[arg(value_hint = ValueHint::DirPath)]
    pub folder: PathBuf,
    #[command(flatten)]
    pub site: SiteArguments,
    #[command(flatten)]
    pub json: AsJson,
}

/// `hospitium catalog`.
pub async fn catalog(command: &CatalogCommand) -> Result<End> {
    match command {
        CatalogCommand::Rebuild(arguments) => rebuild(arguments).await,
        CatalogCommand::Export(arguments) => export(arguments).await,
        CatalogCommand::Pairs(arguments) => crate::ask::all_pairs(arguments.options.clone()).await,
    }
}

async fn rebuild(arguments: &RebuildArguments) -> Result<End> {
    let sources = sources(&arguments.logs)?;
    if sources.is_empty() {
        return Err(Usage::error(
            "no log is named, and the configuration has none",
            "hospitium catalog rebuild --log DIR --party DIR",
        ));
    }
    let configured = || config::held().config().db.as_ref().map(|db| db.value.clone());
    let db = arguments.db.clone().or_else(configured).unwrap_or_else(|| USUAL.to_owned());
    let mut catalog = Catalog::open(&db).await.context("the catalog cannot be opened")?;
    let rebuilt = take_in(&mut catalog, &sources).await.context("the catalog is not built")?;
    let digest = catalog.digest().await?;
    let sound = tell(&rebuilt) & tell_refused(&catalog).await?;
    if arguments.json.json {
        print(
            "hospitium-catalog-rebuild/1",
            json!({
                "format": 1, "digest": digest, "logs": rebuilt.logs, "frozen": rebuilt.frozen,
            }),
        );
    } else {
        for log in &rebuilt.logs {
            out!(
                "log       {} · {} entries · {} validations, {} other records, {} left out",
                safe(&log.origin),
                log.entries,
                log.validations,
                log.others,
                log.refused
            );
            if log.known > 0 {
                out!("          {} entries were in before, and are not counted again", log.known);
            }
            if log.unknown > 0 {
                out!(
                    "          {} of kinds that this program does not know, passed over",
                    log.unknown
                );
            }
        }
        for log in &rebuilt.frozen {
            let name = log.origin.as_ref().unwrap_or(&log.folder);
            let entries = log.entries.unwrap_or_default();
            out!("frozen    {} · {entries} entries, as of its last good head", safe(name));
        }
        out!("content   sha256:{digest}");
    }
    Ok(if sound { End::Good } else { End::Bad })
}

async fn export(arguments: &ExportArguments) -> Result<End> {
    let ExportArguments { folder, site, json, .. } = arguments;
    let configured = config::held().config();
    let nothing = configured.logs.is_empty() && configured.db.is_none();
    if site.db.is_none() && site.logs.log.is_empty() && nothing {
        return Err(Usage::error(
            "neither a catalog nor a log is named, and the configuration has none",
            "name a log: hospitium catalog export DIR --log DIR --party DIR; or a catalog: --db FILE",
        ));
    }
    let site = site.clone().open(None, None).await?;
    let catalog = site.catalog();
    let view = site.view().await?;
    let (as_of, desk) = (view.as_of, site.desk(&view));
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let exported =
        hospitium_web::export(&site, folder).await.context("the site cannot be written")?;
    for left_out in &exported.left_out {
        note!("left out: {left_out}");
    }
    let index = folder.join("index.html");
    if !json.json {
        out!("{} ({} files)", index.display(), exported.files);
    }
    let mut tables = Vec::new();
    for name in ["catalog.csv", "catalog.json", "catalog.md", "deployments.xml", "junit.xml"] {
        let path = folder.join(name);
        let doing = || format!("cannot write {}", path.display());
        let mut file = BufWriter::new(File::create(&path).with_context(doing)?);
        match name {
            "catalog.csv" => catalog.export_csv(as_of, &mut file).await,
            "catalog.json" => catalog.export_json(as_of, &mut file).await,
            "catalog.md" => catalog.export_markdown(as_of, &mut file).await,
            "junit.xml" => desk.export_junit(&mut file).await,
            _ => catalog.export_osinfo(as_of, &mut file).await,
        }
        .with_context(doing)?;
        file.flush().with_context(doing)?;
        if !json.json {
            out!("{}", path.display());
        }
        tables.push(path);
    }
    if json.json {
        print(
            "hospitium-catalog-export/1",
            json!({
                "index": index, "files": exported.files, "tables": tables, "left_out": exported.left_out,
            }),
        );
    }
    Ok(End::Good)
}
