//! What the catalog promises: each word by its rule, nothing unverified taken in, the same content
//! from the same logs. It is promised of every database: `HOSPITIUM_TEST_POSTGRES` has the tests run on
//! PostgreSQL.

mod assurance;
mod contradicts;
mod definitions;
mod freeze;
mod issues;
mod junit;
mod lists;
mod machines;
mod rebuild;
mod resume;
mod uncertain;
mod words;

use hospitium_ledger::{Algorithm, Certificate, Log, LogFolder, Party, Policy, Statement};
use hospitium_model::{Agreement, read_agreement};
use hospitium_products::{Builder, Definitions, Products};
use jiff::Timestamp;
use jiff::civil::{Date, date};

use crate::sample::{Sample, database};
use crate::{Answer, Catalog, LogSource, Reply};

const PRODUCTS: &str = r#"
line = [
  { name = "osa", title = "Osa", ids = ["http://a.example/osa/"] },
  { name = "vmmo", title = "Vmmo", kind = "host", ids = ["http://b.example/vmmo/"] },
]
[[product]]
id = "http://a.example/osa/5.2"
source = "A"
name = "Osa 5.2"
short-ids = ["osa5.2"]
line = "osa"
release = "5.2"
facts = [{ what = "release-date", value = 2020-05-21 }]
[[product]]
id = "http://a.example/osa/5.10"
source = "A"
name = "Osa 5.10"
short-ids = ["osa5.10"]
line = "osa"
release = "5.10"
facts = [{ what = "release-date", value = 2021-09-02 }]
[[product]]
id = "http://a.example/osa/6"
source = "A"
name = "Osa 6"
short-ids = ["osa6"]
line = "osa"
release = "6"
facts = [{ what = "release-date", value = 2022-11-10 }]
[[product]]
id = "http://b.example/vmmo/1"
source = "B"
name = "Vmmo 1"
short-ids = ["vmmo1"]
kind = "host"
line = "vmmo"
release = "1"
facts = [{ what = "release-date", value = 2020-10-01 }]
[[product]]
id = "http://b.example/vmmo/2"
source = "B"
name = "Vmmo 2"
short-ids = ["vmmo2"]
kind = "host"
line = "vmmo"
release = "2"
facts = [{ what = "release-date", value = 2021-10-22 }]
"#;

const DEAL: &str = r#"
format = 1
id = "deal"
title = "The deal"
made = 2022-01-01
party = [{ name = "a.example", title = "A" }, { name = "b.example", title = "B", desk = "+1 555" }]
[[clause]]
id = "osa-on-vmmo"
party = "b.example"
guests = ["osa5.2"]
hosts = ["vmmo1"]
within = "6 months"
[validity]
until = "validated + 6 months"
[validation]
strength = 0
cosigners = 0
[support]
call = "either"
needs = "both"
owner = "first-called"
"#;

pub const OSA: (&str, &str) = ("Osa 5.2", "http://a.example/osa/5.2");
pub const OSA_510: (&str, &str) = ("Osa 5.10", "http://a.example/osa/5.10");
pub const VMMO: (&str, &str) = ("Vmmo 1", "http://b.example/vmmo/1");
pub const VMMO_2: (&str, &str) = ("Vmmo 2", "http://b.example/vmmo/2");
pub const QUESTION: &str = "osa 5.2 on vmmo 1";

pub fn products() -> Products {
    let mut builder = Builder::empty();
    builder.add_definitions(Definitions::read("products", PRODUCTS).expect("reads"));
    builder.finish().expect("finishes")
}

pub fn deal() -> Agreement {
    read_agreement("deal", DEAL).expect("reads")
}

pub fn at(day: &str) -> Timestamp {
    format!("{day}T12:00:00Z").parse().expect("is a time")
}

/// Parties with their logs, in a folder that goes away.
pub struct World {
    pub folder: tempfile::TempDir,
    parties: Vec<Party>,
}

impl World {
    pub fn new(names: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("made");
        let make = |name: &&str| Party::init(&folder.path().join(name), name, Algorithm::Ed25519);
        let parties = names.iter().map(|name| make(name).expect("made")).collect();
        Self { folder, parties }
    }

    pub fn party(&mut self, name: &str) -> &mut Party {
        self.parties.iter_mut().find(|party| party.public.name == name).expect("is there")
    }

    pub fn log(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name).join("log")
    }

    /// Signs, appends, and gives what names each record.
    pub fn say(&mut self, name: &str, statements: &[Statement]) -> Vec<hospitium_model::Digest> {
        let folder = self.log(name);
        let party = self.party(name);
        let mut log = Log::open(&folder, party).expect("opens");
        let made = Certificate::issue(&mut log, party, statements).expect("issued");
        made.iter().map(Certificate::record).collect()
    }

    pub fn sources(&self) -> Vec<LogSource> {
        self.parties
            .iter()
            .filter(|party| self.log(&party.public.name).exists())
            .map(|party| LogSource {
                folder: LogFolder::new(&self.log(&party.public.name)),
                policy: Policy::parse("policy", party.public.policy().as_bytes()).expect("reads"),
            })
            .collect()
    }

    pub async fn catalog(&self) -> Catalog {
        let mut catalog = database::catalog().await.expect("opens");
        catalog.rebuild(&self.sources()).await.expect("rebuilds");
        catalog
    }

    pub async fn ask(&self, question: &str, agreements: &[Agreement], as_of: Date) -> Answer {
        let catalog = self.catalog().await;
        match catalog.ask(question, &products(), agreements, as_of).await.expect("answers") {
            Reply::Answer(answer) => *answer,
            Reply::Unclear { sides, .. } => panic!("unclear: {sides:?}"),
        }
    }
}

/// A sample of `b.example` on the usual pair.
pub fn sample(day: &str) -> Sample {
    Sample::new("b.example", OSA, VMMO, at(day))
}

pub fn statement(sample: &Sample) -> Statement {
    sample.statement().expect("is one")
}

pub const DAY: Date = date(2022, 6, 1);
