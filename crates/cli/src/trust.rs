//! `hospitium party trust`: another party's keys, believed once a person has compared their fingerprint.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueHint};
use hospitium_federation::HttpSource;
use hospitium_ledger::{
    Bounds, Fingerprint, LogFolder, PARTY_LIMIT, PUBLIC, Peers, Policy, PublicParty, Source as _,
    followed, pull,
};
use jiff::Timestamp;
use serde_json::json;

use crate::failure::{End, Usage};
use crate::federation;
use crate::json::print;
use crate::out::{note, out};
use crate::view::safe;

#[derive(Debug, Args)]
pub struct TrustArguments {
    /// Where the other party's server is, or its party.toml
    #[arg(value_name = "URL|FILE", value_hint = ValueHint::AnyPath)]
    pub from: String,
    /// One's own party, whose peers it joins
    #[arg(long, value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub party: PathBuf,
    /// The fingerprint as the other party told it over another channel; it is compared instead of asking
    #[arg(long, value_name = "DIGITS")]
    pub fingerprint: Option<String>,
    /// Ask nothing, on a terminal either; the fingerprint has to be given
    #[arg(long, requires = "fingerprint")]
    pub yes: bool,
    /// The other party's log, where its keys are others than those that are known: an address or a folder [default: the one
    /// that its server publishes]
    #[arg(long, value_name = "URL|DIR")]
    pub log: Option<String>,
    /// One JSON object (docs/command-line.md); asks nothing, so that the fingerprint has to be given
    #[arg(long, requires = "fingerprint")]
    pub json: bool,
}

/// What was fetched.
struct Fetched {
    public: PublicParty,
    /// Where its server publishes its log, if it does.
    log: Option<String>,
}

/// `hospitium party trust`.
pub fn trust(arguments: &TrustArguments) -> Result<End> {
    let us = PublicParty::read(&arguments.party).context("one's own party cannot be read")?;
    let fetched = fetch(&arguments.from)?;
    let name = fetched.public.name.clone();
    if name == us.name {
        return Err(Usage::error(
            format!("{} is one's own party", safe(&name)),
            "name another party's server or party.toml",
        ));
    }
    if !arguments.json {
        crate::keys::show(&fetched.public);
    }
    let given = arguments.fingerprint.as_deref().map(str::parse::<Fingerprint>).transpose();
    let given = given.context("the fingerprint cannot be compared")?;
    let peers = Peers::of(&arguments.party);
    let known = peers.known(&name).context("a peer cannot be read")?;
    let is_known = match &known {
        Some((path, known)) if known.fingerprint() != fetched.public.fingerprint() => {
            follows(arguments, &peers, &fetched, (path, known))?;
            note!("its keys follow those that are known, by changes of key in its log");
            true
        }
        known => known.is_some(),
    };
    // A fingerprint that was given has to be right in any case.
    if let Some(given) = &given
        && *given != fetched.public.fingerprint()
    {
        return Err(Usage::error(
            format!(
                "these keys of {} are not those of the fingerprint: nothing is trusted",
                safe(&name)
            ),
            "ask the other party, over another channel than its server, for its fingerprint",
        ));
    }
    if !is_known
        && (given.is_none()
            || (!arguments.yes && !arguments.json && std::io::stdin().is_terminal()))
    {
        ask(&name)?;
    }
    let (path, policy) = peers
        .trust(&fetched.public, fetched.log.as_deref())
        .context("the party cannot be kept among the peers")?;
    if arguments.json {
        let party = crate::keys::value(&fetched.public);
        print(
            "hospitium-party-trust/1",
            json!({ "party": party, "public": path, "policy": policy }),
        );
        return Ok(End::Good);
    }
    out!("trusted   {}", path.display());
    out!("policy    {}", policy.display());
    Ok(End::Good)
}

/// Its public part, and where its log is.
fn fetch(from: &str) -> Result<Fetched> {
    let base = from.trim_end_matches('/');
    if !from.contains("://") {
        let path = Path::new(from);
        let public = PublicParty::read(path).context("the other party cannot be read")?;
        return Ok(Fetched { public, log: None });
    }
    let (base, file) = match base.rsplit_once('/') {
        Some((base, file)) if file.ends_with(".toml") => (base, file),
        _ => (base, PUBLIC),
    };
    let source = federation::source(base)?;
    let bytes = source
        .get(file, PARTY_LIMIT)?
        .with_context(|| format!("{} publishes no {file}: no party is served there", safe(base)))?;
    let address = format!("{base}/{file}");
    let public = PublicParty::parse(Path::new(&address), &bytes)
        .context("what is published there is no party")?;
    let log = format!("{base}/log");
    let publishes = HttpSource::new(&log).get("checkpoint", PARTY_LIMIT);
    Ok(Fetched { public, log: matches!(publishes, Ok(Some(_))).then_some(log) })
}

/// Asks the person at the terminal.
fn ask(name: &str) -> Result<()> {
    let refused = |what: &str| {
        Usage::error(
            format!("nothing is trusted: {what}"),
            "compare the digits with the other party by voice; a script gives them with --fingerprint",
        )
    };
    if !std::io::stdin().is_terminal() {
        return Err(refused("nobody is here to compare the fingerprint"));
    }
    note!(
        "Call {}, at a number that you know, and let it read its digits out: hospitium party show DIR.",
        safe(name)
    );
    note!("Are all of them the same? Type yes:");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("the answer cannot be read")?;
    if answer.trim() == "yes" { Ok(()) } else { Err(refused("the fingerprint was not confirmed")) }
}

/// Whether other keys than those that are known follow them in the party's log. What is refused is kept beside the peer.
fn follows(
    arguments: &TrustArguments,
    peers: &Peers,
    fetched: &Fetched,
    (path, known): (&Path, &PublicParty),
) -> Result<()> {
    let refused = |error: anyhow::Error| -> anyhow::Error {
        let what = match peers.refuse(&fetched.public) {
            Ok(kept) => format!("both are kept: {} and {}", path.display(), kept.display()),
            Err(error) => format!("what came cannot be kept: {error}"),
        };
        Usage::because(
            error,
            format!("{} shows other keys than those that are trusted; {what}", safe(&known.name)),
            "nothing changed here. Call the other party: either its log shows the change (--log), or somebody else \
             answers",
        )
    };
    let Some(log) = arguments.log.as_ref().or(fetched.log.as_ref()) else {
        return Err(refused(anyhow::anyhow!("no log is at hand that could show a change of key")));
    };
    // Believed as far as what is known goes: the log's key.
    let policy = Policy::parse("the known keys", known.policy().as_bytes())?;
    let copy = peers.log_of(known);
    let looked = || -> Result<()> {
        let (source, now) = (federation::source(log)?, Timestamp::now());
        let pulled = pull(&copy, &*source, &policy, now, Bounds::default(), &mut |_, _| {})?;
        Ok(followed(&LogFolder::new(&copy), &pulled.trusted.head, known, &fetched.public)?)
    };
    looked().map_err(refused)
}
