//! `hospitium party`: make a party, show it, change its key.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Subcommand, ValueEnum, ValueHint};
use hospitium_ledger::{Algorithm, Log, Party, Peers, PublicParty};
use jiff::Timestamp;
use serde_json::json;

use crate::failure::End;
use crate::json::{AsJson, print};
use crate::keys;
use crate::out::out;

#[derive(Debug, Subcommand)]
pub enum PartyCommand {
    /// Make keys for a party, and a policy that trusts it
    Init {
        /// The folder; made if it is not there, and never overwritten
        #[arg(value_hint = ValueHint::DirPath)]
        folder: PathBuf,
        /// The domain that names the party, such as vendor.example
        #[arg(long)]
        name: String,
        /// How its records are signed; checkpoints and cosignatures are always Ed25519
        #[arg(long, value_enum, default_value_t = AlgorithmArgument::Ed25519)]
        algorithm: AlgorithmArgument,
        #[command(flatten)]
        json: AsJson,
    },
    /// The public keys of a party, from its folder or its party.toml
    Show {
        /// The folder, or a party.toml
        #[arg(value_hint = ValueHint::AnyPath)]
        party: PathBuf,
        /// Its policy, to be extended, instead
        #[arg(long, alias = "policy", conflicts_with = "json")]
        as_policy: bool,
        /// One JSON object (docs/command-line.md)
        #[arg(long)]
        json: bool,
    },
    /// Trust another party: fetch its keys, compare their fingerprint, and keep them in peers
    Trust(crate::trust::TrustArguments),
    /// List the other parties that are trusted, with their fingerprints
    Peers {
        /// One's own party
        #[arg(long, value_hint = ValueHint::DirPath, value_name = "DIR")]
        party: PathBuf,
        /// One JSON object (docs/command-line.md)
        #[arg(long)]
        json: bool,
    },
    /// Make a new key for records; the change is recorded in the log, signed with the old key
    Rekey {
        /// The party's folder
        #[arg(value_hint = ValueHint::DirPath)]
        folder: PathBuf,
        /// Why
        #[arg(long)]
        reason: String,
        /// The party's log [default: the folder's log]
        #[arg(long, value_hint = ValueHint::DirPath, value_name = "DIR")]
        log: Option<PathBuf>,
        #[command(flatten)]
        json: AsJson,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AlgorithmArgument {
    Ed25519,
    /// ECDSA over P-256, for those who verify with cosign
    P256,
}

/// `hospitium party`.
pub fn party(command: &PartyCommand) -> Result<End> {
    match command {
        PartyCommand::Init { folder, name, algorithm, json } => {
            let algorithm = match algorithm {
                AlgorithmArgument::Ed25519 => Algorithm::Ed25519,
                AlgorithmArgument::P256 => Algorithm::EcdsaP256,
            };
            let party = Party::init(folder, name, algorithm).context("the party cannot be made")?;
            // Its first head, of no entries: others can fetch the log, and cosign it, before there is a record.
            let log = folder.join("log");
            Log::open(&log, &party).context("the party is made, and its log is not")?;
            if json.json {
                let (public, policy) = (folder.join("party.toml"), folder.join("policy"));
                print(
                    "hospitium-party-init/1",
                    json!({
                        "party": keys::value(&party.public), "public": public, "policy": policy, "log": log,
                        "secret": folder.join("secret"),
                    }),
                );
                return Ok(End::Good);
            }
            keys::show(&party.public);
            out!("public    {}", folder.join("party.toml").display());
            out!("policy    {}", folder.join("policy").display());
            out!("log       {}", log.display());
            out!(
                "secret    {} (keep a copy where nobody else reads)",
                folder.join("secret").display()
            );
        }
        PartyCommand::Show { party, as_policy, json } => {
            let public = PublicParty::read(party).context("the party cannot be read")?;
            if *as_policy {
                out!("{}", public.policy().trim_end());
            } else if *json {
                out!("{}", json!({ "schema": "hospitium-party/1", "party": keys::value(&public) }));
            } else {
                keys::show(&public);
            }
        }
        PartyCommand::Trust(arguments) => return crate::trust::trust(arguments),
        PartyCommand::Peers { party, json } => peers(party, *json)?,
        PartyCommand::Rekey { folder, reason, log, json } => {
            rekey(folder, reason, log.as_deref(), *json)?;
        }
    }
    Ok(End::Good)
}

/// `hospitium party peers`.
fn peers(folder: &Path, as_json: bool) -> Result<()> {
    PublicParty::read(folder).context("one's own party cannot be read")?;
    let peers = Peers::of(folder).all().context("a peer cannot be read")?;
    if as_json {
        let all: Vec<_> = peers.iter().map(|(_, public)| keys::value(public)).collect();
        out!("{}", json!({ "schema": "hospitium-peers/1", "peers": all }));
        return Ok(());
    }
    for (n, (_, public)) in peers.iter().enumerate() {
        if n > 0 {
            out!("");
        }
        keys::show(public);
    }
    if peers.is_empty() {
        out!(
            "nobody is trusted yet; hospitium party trust https://other.example --party {}",
            folder.display()
        );
    }
    Ok(())
}

fn rekey(folder: &Path, reason: &str, log: Option<&Path>, json: AsJson) -> Result<()> {
    let changed = hospitium_ledger::rekey(folder, log, reason, Timestamp::now())
        .context("the key was not changed")?;
    if json.json {
        print(
            "hospitium-party-rekey/1",
            json!({
                "party": keys::value(&changed.public), "resumed": changed.resumed, "log": changed.log,
                "entry": changed.entry,
            }),
        );
        return Ok(());
    }
    keys::show(&changed.public);
    if changed.resumed {
        out!("went on   with a change of key that had been cut off");
    }
    out!("recorded  entry {} of {}", changed.entry, changed.log.display());
    out!(
        "give others the new party.toml; a copy of the log shows them that it follows the old key"
    );
    Ok(())
}
