//! Command names of the release before, which still work for one release and then go.
//!
//! What was typed is rewritten before it is parsed, so there is one implementation of each command. Names that only
//! changed in place (`cache clear`, `log lift`, `catalog build`) and flags are hidden aliases where they are declared.

use std::ffi::OsString;

/// A command by its old words and by its new ones.
const RENAMED: [(&[&str], &[&str]); 9] = [
    (&["check", "list"], &["suite", "list"]),
    (&["check", "show"], &["suite", "show"]),
    (&["check-vm"], &["ask", "--vm"]),
    (&["evidence", "check"], &["verify"]),
    (&["evidence"], &["verify"]),
    (&["verify-bundle", "check"], &["verify"]),
    (&["verify-bundle"], &["verify"]),
    (&["plan"], &["agreement", "plan"]),
    // Its exit codes were others, and a script may know them.
    (&["watch"], &["agreement", "watch", "--old-exit-codes"]),
];

/// What was typed, by the present names; and what to tell a person who typed an old one.
pub fn renamed(typed: Vec<OsString>) -> (Vec<OsString>, Option<String>) {
    let Some(begin) = first_word(&typed) else { return (typed, None) };
    let (words, rest) = typed.split_at(begin);
    let is = |n: usize, word: &str| rest.get(n).is_some_and(|typed| typed == word);
    let renaming =
        RENAMED.iter().find(|(old, _)| old.iter().enumerate().all(|(n, word)| is(n, word)));
    let (old, mut new, mut rest): (String, Vec<&str>, Vec<OsString>) = match renaming {
        Some((old, new)) => (old.join(" "), new.to_vec(), rest[old.len()..].to_vec()),
        None if is(0, "ask") && rest.iter().any(|word| word == "--pairs") => {
            ("ask --pairs".into(), vec!["catalog", "pairs"], without(&rest[1..], "--pairs"))
        }
        None => return (typed, None),
    };
    if old == "plan" {
        if rest.iter().any(|word| word == "--cells") {
            new = vec!["agreement", "cells"];
            rest = without(&rest, "--cells");
        }
        rest = rest.into_iter().map(owed_by).collect();
    }
    let shown: Vec<&str> = new.iter().copied().filter(|word| *word != "--old-exit-codes").collect();
    let told = format!("`hospitium {old}` is now `hospitium {}`", shown.join(" "));
    let all = words.iter().cloned().chain(new.into_iter().map(OsString::from)).chain(rest);
    (all.collect(), Some(told))
}

/// The place of the command's first word, behind the program's name and the options of all commands.
fn first_word(typed: &[OsString]) -> Option<usize> {
    let mut at = 1;
    loop {
        let word = typed.get(at)?.to_str()?;
        at += match word {
            "--cache" => 2,
            _ if word.starts_with('-') => 1,
            _ => return Some(at),
        };
    }
}

fn without(words: &[OsString], unwanted: &str) -> Vec<OsString> {
    words.iter().filter(|word| *word != unwanted).cloned().collect()
}

/// `--party NAME` of `plan`, which was a filter and no folder.
fn owed_by(word: OsString) -> OsString {
    match word.to_str() {
        Some("--party") => "--owed-by".into(),
        Some(text) => match text.strip_prefix("--party=") {
            Some(name) => format!("--owed-by={name}").into(),
            None => word,
        },
        None => word,
    }
}

#[cfg(all(test, feature = "deal"))]
mod tests {
    use clap::FromArgMatches as _;

    use super::*;
    use crate::args::{Arguments, command};

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    /// The old form, and the new one that means the same.
    const TABLE: [(&str, &str); 35] = [
        (
            "case decline c --party p --why duplicate --next-step n --of c-00000000000000000000000000000000",
            "case decline c --party p --because duplicate --next-step n --duplicate-of c-00000000000000000000000000000000",
        ),
        ("check list", "suite list"),
        ("check list stor", "suite list stor"),
        ("check show stor.identity", "suite show stor.identity"),
        ("check-vm vm.xml --guest x --host y", "ask --vm vm.xml --guest x --host y"),
        ("--cache c -v check-vm vm.xml", "--cache c -v ask --vm vm.xml"),
        ("evidence check run --json", "verify run --json"),
        ("evidence run", "verify run"),
        ("verify-bundle check run", "verify run"),
        ("verify-bundle run", "verify run"),
        ("plan deal --why --party a.example", "agreement plan deal --why --owed-by a.example"),
        ("plan deal --party=a.example", "agreement plan deal --owed-by a.example"),
        ("plan deal --log l --policy p --json", "agreement plan deal --log l --policy p --json"),
        (
            "plan deal --cells --guest g --host h --out o",
            "agreement cells deal --guest g --on h --out o",
        ),
        (
            "plan --cells deal --party a.example --strength 3",
            "agreement cells deal --owed-by a.example --strength 3",
        ),
        ("watch deal --from eol --json", "agreement watch deal --from eol --json --old-exit-codes"),
        (
            "watch deal --state s --arch arm64",
            "agreement watch deal --last-look s --debian-arch arm64 --old-exit-codes",
        ),
        ("ask --pairs --agreement deal", "catalog pairs --agreement deal"),
        ("ask --json --pairs", "catalog pairs --json"),
        ("catalog build --log l --db d", "catalog rebuild --log l --db d"),
        ("cache clear", "cache clean"),
        (
            "log lift l --party p --index 0 --reason r",
            "log resume l --party p --index 0 --reason r",
        ),
        ("run --guest g --host qemu --seed 7", "run --guest g --on qemu --seed 7"),
        ("run -g g --host qemu", "run --guest g --on qemu"),
        ("replay run check --host qemu --guest g", "replay run check --on qemu --guest g"),
        ("party show p --policy", "party show p --as-policy"),
        (
            "certify r --party p --guest-product g --host-product h",
            "certify r --party p --guest g --host h",
        ),
        ("case show c --party p --desk d", "case show c --party p --desk-db d"),
        ("case reply c t --party p --customer", "case reply c t --party p --to-customer"),
        ("case todo c t --party p --by us --due 2d", "case todo c t --party p --whose us --due 2d"),
        ("case reproduce c t --party p --by us", "case reproduce c t --party p --whose us"),
        (
            "case person add ann --role customer --party p --desk d",
            "case person add ann --role customer --party p --desk-db d",
        ),
        ("log check l --policy p", "log check l --policy p"),
        ("product list", "product list"),
        (
            "serve --desk p --publish l --publish-policy y",
            "serve --desk p --publish l --publish-policy y",
        ),
    ];

    #[test]
    fn old_names_mean_what_their_new_names_mean() {
        let read = |line: &str| {
            let (typed, told) = renamed(words(&format!("hospitium {line}")));
            let read = command(None).try_get_matches_from(typed);
            let read = read.unwrap_or_else(|error| panic!("{line}: {error}"));
            let read = Arguments::from_arg_matches(&read).expect("fits");
            (format!("{read:?}"), told)
        };
        for (old, new) in TABLE {
            assert_eq!(read(old).0, read(new).0, "{old} is not {new}");
            assert_eq!(read(new).1, None, "{new} is no old name");
        }
        assert_eq!(
            read("watch deal").1.as_deref(),
            Some("`hospitium watch` is now `hospitium agreement watch`")
        );
    }

    #[test]
    fn a_word_that_is_no_command_is_left_alone() {
        for line in
            ["hospitium", "hospitium --cache", "hospitium run plan", "hospitium report check list"]
        {
            assert_eq!(renamed(words(line)), (words(line), None));
        }
    }
}
