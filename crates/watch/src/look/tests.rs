use std::path::PathBuf;

use hospitium_model::read_agreement;
use hospitium_plan::obligation::{Outcome, Trial};
use hospitium_products::{Builder, Property};
use jiff::civil::date;

use super::*;
use crate::place::Place;

const PRODUCTS: &str = r#"
line = [
  { name = "os", title = "Os", ids = ["http://a.example/os/"], endoflife = "os" },
  { name = "vmm", title = "Vmm", kind = "host", ids = ["http://b.example/vmm/"] },
]
[[product]]
id = "http://a.example/os/5"
source = "A"
name = "Os 5"
short-ids = ["os5"]
line = "os"
release = "5"
facts = [{ what = "release-date", value = 2024-05-21 }]
[[product]]
id = "http://b.example/vmm/1"
source = "B"
name = "Vmm 1"
short-ids = ["vmm1"]
kind = "host"
line = "vmm"
release = "1"
facts = [{ what = "release-date", value = 2024-10-01 }]
"#;

const DEAL: &str = r#"
format = 1
id = "deal"
title = "Deal"
made = 2024-02-16
party = [{ name = "a.example", title = "A" }, { name = "b.example", title = "B" }]
[[clause]]
id = "os-on-vmm"
party = "b.example"
guests = ["os5"]
hosts = ["vmm1"]
within = "6 months"
later = { guests = "all", hosts = "none", within = "3 months" }
[validity]
until = "min(validated + 24 months, guest-end-of-life, next-version + 3 months)"
[validation]
strength = 0
cosigners = 0
"#;

const TODAY: Date = date(2026, 11, 23);

/// A machine of its own: what is known here, a folder that is watched, state and overlay.
struct Lab {
    folder: tempfile::TempDir,
    here: String,
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("eol")).expect("made");
        Self { folder, here: PRODUCTS.to_owned() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ground(&self) -> Ground {
        let mut builder = Builder::empty();
        builder.add_definitions(Definitions::read("here.toml", &self.here).expect("reads"));
        let products = builder.clone().finish().expect("sound");
        Ground { without_endoflife: builder.clone(), builder, products }
    }

    fn says(&self, cycles: &str) {
        std::fs::write(self.path("eol/os.yaml"), format!("releases:\n{cycles}")).expect("writes");
    }

    fn look_with(&self, outcomes: &[Outcome]) -> Result<Look, WatchError> {
        let deal = read_agreement("deal", DEAL).expect("reads");
        let deals = [Deal { agreement: &deal, outcomes, suite: None, as_of: TODAY }];
        let options = Options { keyring: None, lists: None, arch: "amd64".into(), as_of: TODAY };
        let sources = [Source::Endoflife(Place::Path(self.path("eol")))];
        let (state, overlay) = (self.path("state.json"), self.path("p/seen.toml"));
        look(&sources, &self.ground(), &options, &deals, &state, &overlay)
    }

    fn look(&self) -> Look {
        self.look_with(&[]).expect("looks")
    }

    fn with_overlay(&self) -> Products {
        let mut builder = self.ground().builder;
        let text = std::fs::read_to_string(self.path("p/seen.toml")).expect("there");
        builder.add_definitions(Definitions::read("seen.toml", &text).expect("reads"));
        builder.finish().expect("sound")
    }
}

const OLD: &str = "  - {releaseCycle: \"5\", releaseDate: 2024-05-21, eol: 2029-01-01}\n";
const NEW: &str = "  - {releaseCycle: \"6\", releaseDate: 2026-11-20, eol: 2031-01-01}\n";

fn outcome() -> Outcome {
    Outcome {
        party: "b.example".into(),
        guest: "http://a.example/os/5".parse().expect("an id"),
        host: "http://b.example/vmm/1".parse().expect("an id"),
        arch: "x86_64".into(),
        passed: true,
        validated: date(2026, 10, 1),
        emulated: false,
        suite: "1".into(),
        certificate: "c".into(),
        trial: Trial::default(),
        withdrawn: None,
        set_aside: Default::default(),
        until: None,
        told: hospitium_plan::obligation::Told {
            profile: Some(hospitium_model::STANDARD.into()),
            ..Default::default()
        },
    }
}

#[test]
fn at_the_first_look_everything_counts_as_seen_and_the_second_finds_nothing() {
    let lab = Lab::new();
    lab.says(OLD);
    let first = lab.look();
    assert!(first.sources.iter().all(|source| source.first));
    assert!(!first.has_news() && !first.obliges());
    let second = lab.look();
    assert!(second.sources.iter().all(|source| !source.first));
    assert!(!second.has_news(), "{:?}", second.news);
}

#[test]
fn a_new_release_creates_the_obligation_that_a_later_version_rule_takes_in() {
    let lab = Lab::new();
    lab.says(OLD);
    lab.look();
    lab.says(&format!("{OLD}{NEW}"));
    let look = lab.look();
    assert_eq!(look.news.len(), 1, "{:?}", look.news);
    assert_eq!(look.news[0].release.name, "Os 6");
    let source = look.news[0].release.source().expect("a source").to_string();
    assert!(source.starts_with("endoflife.date, cycle 6 (os.yaml"), "{source}");
    let [owed] = look.obliged[0].created.as_slice() else { panic!("{:?}", look.obliged) };
    assert_eq!(owed.obligation.id, "os-on-vmm/os6/vmm1");
    assert_eq!(owed.obligation.due, Some(date(2027, 2, 20)));
    assert_eq!(owed.because_of.as_str(), "http://a.example/os/6");
    assert_eq!(owed.rule, "clause os-on-vmm takes in all later guests, within 3 months");
    assert!(look.obliges());
    assert!(!lab.look().has_news(), "told once");
}

#[test]
fn what_lapses_earlier_because_of_a_release_is_told_with_both_days() {
    let lab = Lab::new();
    lab.says(OLD);
    lab.look_with(&[outcome()]).expect("looks");
    lab.says(&format!("{OLD}{NEW}"));
    let look = lab.look_with(&[outcome()]).expect("looks");
    let [moved] = look.obliged[0].moved.as_slice() else { panic!("{:?}", look.obliged) };
    assert_eq!((moved.before, moved.after), (Some(date(2028, 10, 1)), Some(date(2027, 2, 20))));
    assert!(moved.is_earlier());
}

#[test]
fn an_end_of_life_that_comes_forward_is_a_change_and_may_end_what_holds() {
    let lab = Lab::new();
    lab.says(OLD);
    lab.look_with(&[outcome()]).expect("looks");
    lab.says(&OLD.replace("2029-01-01", "2027-03-31"));
    let look = lab.look_with(&[outcome()]).expect("looks");
    assert!(look.news.is_empty());
    assert_eq!(look.changes.len(), 1, "{:?}", look.changes);
    let [moved] = look.obliged[0].moved.as_slice() else { panic!("{:?}", look.obliged) };
    assert_eq!((moved.before, moved.after), (Some(date(2028, 10, 1)), Some(date(2027, 3, 31))));
}

#[test]
fn a_life_that_goes_on_for_longer_brings_back_what_was_over() {
    let lab = Lab::new();
    lab.says(&OLD.replace("2029-01-01", "2026-01-01"));
    lab.look();
    lab.says(OLD);
    let look = lab.look();
    let [owed] = look.obliged[0].created.as_slice() else { panic!("{:?}", look.obliged) };
    assert_eq!(owed.obligation.id, "os-on-vmm/os5/vmm1");
}

#[test]
fn the_overlay_knows_what_was_seen_with_its_source_and_its_rank() {
    let lab = Lab::new();
    lab.says(&format!("{OLD}{NEW}"));
    lab.look();
    let products = lab.with_overlay();
    let os = products.resolve("os 6").expect("known by its overlay");
    assert_eq!(os.released(), Some(date(2026, 11, 20)));
    let fact = os.best(Property::ReleaseDate).expect("a day");
    assert_eq!(fact.source.kind, hospitium_products::SourceKind::Endoflife);
    assert!(fact.source.document.contains("endoflife.date, cycle 6"), "{}", fact.source);
    // What is said of a product that is known here is added, and takes no precedence.
    let os = products.resolve("os 5").expect("known");
    assert_eq!(os.ends().len(), 1);
}

#[test]
fn a_source_that_fails_is_told_and_what_it_said_still_counts() {
    let lab = Lab::new();
    lab.says(&format!("{OLD}{NEW}"));
    lab.look();
    lab.says("  - [not, a, cycle]\n");
    let look = lab.look();
    assert!(look.is_partial());
    assert!(look.sources[1].error.as_deref().is_some_and(|why| why.contains("os.yaml")));
    lab.with_overlay().resolve("os 6").expect("still there");
    lab.says(&format!("{OLD}{NEW}"));
    assert!(!lab.look().has_news(), "a failure forgets nothing");
}

#[test]
fn what_has_come_to_be_known_here_is_new_as_well() {
    let mut lab = Lab::new();
    lab.says(OLD);
    lab.look();
    lab.here.push_str(
        "[[product]]\nid = \"http://a.example/os/7\"\nsource = \"A\"\nname = \"Os 7\"\nshort-ids = [\"os7\"]\n\
         line = \"os\"\nrelease = \"7\"\nfacts = [{ what = \"release-date\", value = 2026-10-01 }]\n",
    );
    let look = lab.look();
    assert_eq!(look.news[0].source, HERE);
    assert_eq!(look.obliged[0].created.len(), 1);
    let overlay = std::fs::read_to_string(lab.path("p/seen.toml")).expect("there");
    assert!(!overlay.contains("os/7"), "what is known here needs no overlay");
}

#[test]
fn a_hostile_database_ends_the_look_at_it_and_no_other() {
    let lab = Lab::new();
    let many: String = (0..3_000).map(|n| format!("  - {{releaseCycle: \"{n}\"}}\n")).collect();
    lab.says(&many);
    let look = lab.look();
    assert!(look.is_partial());
    assert!(look.sources[0].error.is_none());
    lab.says("  - {releaseCycle: \"6\\u001b[31m\", releaseDate: 2026-11-20}\n");
    let look = lab.look();
    assert!(look.sources[1].error.is_none(), "{:?}", look.sources[1].error);
    let overlay = std::fs::read_to_string(lab.path("p/seen.toml")).expect("there");
    assert!(!overlay.contains("u001b") && !overlay.contains('\u{1b}'), "{overlay}");
}
