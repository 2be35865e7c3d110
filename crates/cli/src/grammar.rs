//! Tests of the command line as a whole: its words, and what flags mean.

use std::collections::{BTreeMap, BTreeSet};

use clap::Command;

use crate::args::command;

/// Each visible flag, by its long name: the kinds of value that it takes, and where.
type Flags = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

fn flags(command: &Command, path: &str, all: &mut Flags) {
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
        let Some(long) = arg.get_long() else { continue };
        let kind = match arg.get_action().takes_values() {
            true => {
                let names = arg.get_value_names().unwrap_or_default();
                names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" ")
            }
            false => String::new(),
        };
        let kinds = all.entry(long.to_owned()).or_default();
        kinds.entry(kind).or_default().insert(path.to_owned());
    }
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        flags(inner, &format!("{path} {}", inner.get_name()), all);
    }
}

/// Flags whose values have more than one form in places, and mean the same: a run for its evidence, a folder where a
/// command has no more than a folder.
const FORMS: [(&str, &[&str]); 3] = [
    // Evidence: one bundle, or for a site a folder of them.
    ("evidence", &["BUNDLE", "DIR"]),
    // A log: its folder, or where it is published.
    ("log", &["DIR", "URL|DIR"]),
    // Where the outcome goes: one file, or a folder of several.
    ("out", &["DIR", "FILE", "OUT"]),
];

#[test]
fn a_flag_takes_one_kind_of_value_everywhere() {
    let mut all = Flags::new();
    flags(&command(None), "", &mut all);
    let mut several = Vec::new();
    for (flag, kinds) in all {
        let forms = FORMS.iter().find(|(of, _)| *of == flag).map_or(&[][..], |(_, forms)| *forms);
        let unlike = kinds.keys().filter(|kind| !forms.contains(&kind.as_str())).count();
        if kinds.len() > 1 && unlike > 0 {
            several.push(format!("--{flag}: {kinds:?}"));
        }
    }
    assert_eq!(several, Vec::<String>::new());
}

#[test]
#[cfg(feature = "deal")]
fn the_nouns_have_the_verbs_of_the_grammar() {
    let command = command(None);
    let verbs = |noun: &str| -> BTreeSet<String> {
        let noun = command.find_subcommand(noun).unwrap_or_else(|| panic!("no {noun}"));
        noun.get_subcommands().map(|verb| verb.get_name().to_owned()).collect()
    };
    for (noun, wanted) in [
        ("guest", "list check add"),
        ("host", "list check add"),
        ("suite", "list show profiles"),
        ("product", "list show search compare machine update"),
        ("agreement", "check show plan cells watch"),
        ("party", "init show rekey trust peers"),
        ("log", "show check cosign mirror endorse suspend resume withdraw waive"),
        ("catalog", "rebuild export pairs"),
        ("case", "open list show reply assign reproduce close export import"),
        ("cache", "list clean"),
    ] {
        let verbs = verbs(noun);
        for verb in wanted.split(' ') {
            assert!(verbs.contains(verb), "{noun} has no {verb}");
        }
    }
    for verb in ["run", "replay", "report", "diff", "certify", "verify", "ask", "serve", "config"] {
        assert!(command.find_subcommand(verb).is_some(), "no {verb}");
    }
    for old in ["check", "check-vm", "plan", "watch", "evidence"] {
        assert!(command.find_subcommand(old).is_none(), "{old} is a name of before");
    }
}

#[test]
#[cfg(feature = "deal")]
fn an_option_that_has_no_effect_is_refused() {
    for line in [
        "agreement plan deal --why --json",
        "verify c --all --json",
        "ask debian on qemu --policy p",
        "run g --no-cache --cache-size 1GiB",
        "run g --no-cache --fresh-boot",
        "run g --bisect --soak 2h",
        "run g --plan p --vcpus 2",
        "log endorse c --party p --reviewed --run r --reason x",
        "party show p --as-policy --json",
        "case reply c t --party p --to-customer --internal",
        "certify r --party p --agreement a --months 3",
    ] {
        let words = ["hospitium"].into_iter().chain(line.split(' '));
        let refused = command(None).try_get_matches_from(words);
        let kind = refused.err().unwrap_or_else(|| panic!("{line} is accepted")).kind();
        let wanted = [
            clap::error::ErrorKind::ArgumentConflict,
            clap::error::ErrorKind::MissingRequiredArgument,
        ];
        assert!(wanted.contains(&kind), "{line}: {kind}");
    }
}

/// Commands without `--json`, and why.
const WITHOUT_JSON: [(&str, &str); 5] = [
    ("replay", "a person's prompt and console"),
    ("report", "--format json"),
    ("serve", "runs until it is ended; its answers are the API's"),
    ("completions", "a script for a shell"),
    ("man", "files for `man`"),
];

#[test]
fn every_command_has_json_or_a_reason() {
    fn walk(command: &Command, path: &str, above: bool, without: &mut BTreeSet<String>) {
        let json = command.get_arguments().find(|arg| arg.get_long() == Some("json"));
        let verbs: Vec<_> =
            command.get_subcommands().filter(|verb| verb.get_name() != "help").collect();
        if verbs.is_empty() && json.is_none() && !above {
            without.insert(path.to_owned());
        }
        let global = above || json.is_some_and(clap::Arg::is_global_set);
        for verb in verbs {
            walk(verb, format!("{path} {}", verb.get_name()).trim(), global, without);
        }
    }
    let mut without = BTreeSet::new();
    walk(&command(None), "", false, &mut without);
    let mut known: BTreeSet<String> =
        WITHOUT_JSON.iter().map(|(command, _)| (*command).to_owned()).collect();
    if cfg!(not(feature = "deal")) {
        known.remove("serve");
    }
    assert_eq!(without, known);
}
