//! What goes with `hospitium case import`, as it is typed.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueHint};
use hospitium_desk::{Engineer, Line, Minutes, PartyName};

use super::place::DeskArguments;
use crate::ask::AskOptions;
use crate::failure::Usage;

#[derive(Debug, Args)]
pub struct ImportArguments {
    /// The file
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// A request as TSANet Connect gives it: signed by nobody, so all of it is kept as heard
    #[arg(long)]
    pub tsanet: bool,
    /// The case here that the request is [default: the one that has it already, or our number of it]
    #[arg(long, value_name = "CASE", requires = "tsanet")]
    pub case: Option<String>,
    /// The vendor that sent the request, for a new case: a domain
    #[arg(long, value_name = "PARTY", requires = "tsanet")]
    pub vendor: Option<PartyName>,
    /// The request came to us, even if the file says OUTBOUND
    #[arg(long, requires = "vendor")]
    pub received: bool,
    /// The guest, down to its build, for a new case [default: as a file of this program says]
    #[arg(long, value_name = "PRODUCT", requires = "tsanet")]
    pub guest: Option<String>,
    /// The host, down to its build, for a new case [default: as a file of this program says]
    #[arg(long, value_name = "PRODUCT", requires = "tsanet")]
    pub host: Option<String>,
    /// The customer, for a new case [default: as the file says]
    #[arg(long, value_name = "NAME", requires = "tsanet")]
    pub customer: Option<Line>,
    /// The other vendor's engineer, on that vendor's own domain [default: as the file says]
    #[arg(long, value_name = "ENGINEER", requires = "tsanet")]
    pub engineer: Option<Engineer>,
    /// In what working time the other vendor answers, once it approved [default: the agreed time]
    #[arg(long, value_name = "TIME", requires = "tsanet")]
    pub respond_within: Option<Minutes>,
    #[command(flatten)]
    pub desk: DeskArguments,
    #[command(flatten)]
    pub ask: AskOptions,
}

impl ImportArguments {
    /// Refuses what has no effect with an export of a case.
    pub fn check(&self) -> Result<()> {
        let asks = self.ask.as_of.is_some() || !self.ask.agreement.is_empty();
        match asks {
            true => Err(Usage::error(
                "an exported case has its verdict in it, so the catalog is not asked",
                "leave --as-of and --agreement out; they go with --tsanet",
            )),
            false => Ok(()),
        }
    }
}
