//! Reads an agreement's file. What is wrong is told with its line and a caret.

use std::collections::BTreeSet;
use std::ops::Range;

use jiff::civil::Date;
use serde::Deserialize;
use toml::Spanned;

use super::{
    AGREEMENT_FORMAT, Agreement, CarryForward, CatalogOf, Clause, Exclusion, Formula, Later,
    PROFILES, Party, Support, Term, Trigger, USUAL_VALIDITY, Validation, Validity,
};
use crate::FormError;
use crate::standing::Assurance;

/// Largest agreement, in bytes.
pub const LARGEST_AGREEMENT: usize = 1 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawAgreement {
    format: Spanned<u32>,
    id: Spanned<String>,
    title: String,
    #[serde(default)]
    summary: String,
    made: Spanned<toml::value::Datetime>,
    ends: Option<Spanned<toml::value::Datetime>>,
    #[serde(default)]
    sources: Vec<String>,
    #[serde(default)]
    party: Vec<Spanned<Party>>,
    #[serde(default)]
    catalog: Vec<Spanned<CatalogOf>>,
    #[serde(default)]
    clause: Vec<RawClause>,
    #[serde(default)]
    validity: RawValidity,
    validation: Option<Spanned<Validation>>,
    support: Option<Support>,
    #[serde(default)]
    exclusion: Vec<Spanned<Exclusion>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawClause {
    id: Spanned<String>,
    party: Spanned<String>,
    guests: Spanned<Vec<Spanned<String>>>,
    hosts: Spanned<Vec<Spanned<String>>>,
    #[serde(default = "usual_arch")]
    arch: String,
    #[serde(default)]
    listed_in: Vec<Spanned<String>>,
    within: Term,
    later: Option<Later>,
    #[serde(default)]
    assurance: Assurance,
}

fn usual_arch() -> String {
    "x86_64".into()
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct RawValidity {
    until: Option<Spanned<String>>,
    warn: Option<Term>,
    carry_forward: CarryForward,
    again_on: Vec<Trigger>,
}

/// A place and what is wrong there.
type Wrong = (Range<usize>, String);

/// Reads an agreement from the text of a file of this name.
///
/// # Errors
///
/// The first thing that is wrong, with its line and column: TOML that is none, a key that is not
/// known, a party or catalog that is not declared, a formula or a span of time that cannot be read.
pub fn read_agreement(file: &str, text: &str) -> Result<Agreement, FormError> {
    if text.len() > LARGEST_AGREEMENT {
        let what =
            format!("an agreement of {} bytes; at most {LARGEST_AGREEMENT} are read", text.len());
        return Err(FormError::at(file, "", 0, 0, what));
    }
    let at = |(place, what): Wrong| FormError::at_offset(file, text, place.start, what);
    let raw: RawAgreement = toml::from_str(text)
        .map_err(|error| at((error.span().unwrap_or_default(), error.message().to_owned())))?;
    checked(raw, text).map_err(at)
}

fn checked(raw: RawAgreement, text: &str) -> Result<Agreement, Wrong> {
    if *raw.format.get_ref() != AGREEMENT_FORMAT {
        let what = format!("this reads agreements of format {AGREEMENT_FORMAT} only");
        return Err((raw.format.span(), what));
    }
    name(&raw.id)?;
    let parties = parties(raw.party)?;
    let known = |party: &str| parties.iter().any(|p| p.name == party);
    let names = || parties.iter().map(|p| p.name.as_str()).collect::<Vec<_>>().join(", ");
    let mut catalogs = Vec::new();
    for catalog in raw.catalog {
        if !known(&catalog.get_ref().kept_by) {
            let what = format!("the catalog is kept by none of the parties ({})", names());
            return Err((catalog.span(), what));
        }
        catalogs.push(catalog.into_inner());
    }
    let mut clauses: Vec<Clause> = Vec::new();
    for clause in raw.clause {
        name(&clause.id)?;
        if clauses.iter().any(|other| other.id == *clause.id.get_ref()) {
            return Err((clause.id.span(), "another clause has this id".into()));
        }
        if !known(clause.party.get_ref()) {
            let what = format!("no [[party]] has this name; there are {}", names());
            return Err((clause.party.span(), what));
        }
        let mut listed_in = Vec::new();
        for catalog in clause.listed_in {
            if !catalogs.iter().any(|c| c.id == *catalog.get_ref()) {
                return Err((catalog.span(), "no [[catalog]] has this id".into()));
            }
            listed_in.push(catalog.into_inner());
        }
        clauses.push(Clause {
            id: clause.id.into_inner(),
            party: clause.party.into_inner(),
            guests: products(clause.guests)?,
            hosts: products(clause.hosts)?,
            arch: clause.arch,
            listed_in,
            within: clause.within,
            later: clause.later,
            assurance: clause.assurance,
        });
    }
    if clauses.is_empty() {
        return Err((0..0, "an agreement without a [[clause]] obliges nobody to anything".into()));
    }
    let made = date(&raw.made)?;
    let ends = raw.ends.as_ref().map(date).transpose()?;
    if let (Some(day), Some(place)) = (ends, &raw.ends)
        && day < made
    {
        return Err((place.span(), format!("it ends before it was made on {made}")));
    }
    let validation = match raw.validation {
        None => Validation::default(),
        Some(validation) => agreed(validation, text)?,
    };
    Ok(Agreement {
        id: raw.id.into_inner(),
        title: raw.title,
        summary: raw.summary,
        made,
        ends,
        sources: raw.sources,
        parties,
        catalogs,
        clauses,
        validity: validity(raw.validity, text)?,
        validation,
        support: raw.support,
        exclusions: exclusions(raw.exclusion)?,
    })
}

fn agreed(raw: Spanned<Validation>, text: &str) -> Result<Validation, Wrong> {
    let place = raw.span();
    let validation = raw.into_inner();
    if !PROFILES.contains(&validation.profile.as_str()) {
        let profile = crate::printable(&validation.profile, 80);
        let what = format!("there is no profile {profile:?}; there is {}", PROFILES.join(", "));
        return Err((key(text, place, "profile"), what));
    }
    if validation.strength > 6 {
        let what = "strength is 1 to 6, or 0 if nothing is asked of the machines";
        return Err((key(text, place, "strength"), what.into()));
    }
    match validation.machines.check() {
        Ok(()) => Ok(validation),
        // What is wrong begins with the parameter's name.
        Err(what) => {
            let name = what.split(' ').next().unwrap_or_default().to_owned();
            Err((key(text, place, &name), what))
        }
    }
}

fn exclusions(raw: Vec<Spanned<Exclusion>>) -> Result<Vec<Exclusion>, Wrong> {
    let narrows = |e: &Exclusion| !(e.guests.is_empty() && e.hosts.is_empty());
    for exclusion in &raw {
        if narrows(exclusion.get_ref()) && !exclusion.get_ref().is_of_machines() {
            let what = "an exclusion that names guests or hosts says also what of their machines is \
                        left out: buses, nics, firmware, vcpus-above or memory-above";
            return Err((exclusion.span(), what.into()));
        }
    }
    Ok(raw.into_iter().map(Spanned::into_inner).collect())
}

/// Where a key of a table stands: its first line from the table's beginning on that begins with it,
/// or where it stands in an inline table.
fn key(text: &str, table: Range<usize>, name: &str) -> Range<usize> {
    let rest = text.get(table.start..).unwrap_or_default();
    let boundary = |at: usize| {
        let before = rest.get(..at).and_then(|t| t.chars().next_back());
        let after = rest.get(at + name.len()..).unwrap_or_default().trim_start();
        before.is_none_or(|c| c.is_whitespace() || "{,".contains(c)) && after.starts_with('=')
    };
    let found = rest.match_indices(name).map(|(at, _)| at).find(|at| boundary(*at));
    found.map_or(table.clone(), |at| table.start + at..table.start + at + name.len())
}

fn parties(raw: Vec<Spanned<Party>>) -> Result<Vec<Party>, Wrong> {
    let mut seen = BTreeSet::new();
    let mut last = 0..0;
    for party in &raw {
        let name = &party.get_ref().name;
        let sound = name.len() <= 253
            && name.contains('.')
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b));
        if !sound {
            let what = format!("a party's name is its domain in lower case, which {name:?} is not");
            return Err((party.span(), what));
        }
        if !seen.insert(name.clone()) {
            return Err((party.span(), format!("{name} is a party already")));
        }
        last = party.span();
    }
    match raw.len() {
        0 | 1 => Err((last, "an agreement has two parties at least; add a [[party]]".into())),
        _ => Ok(raw.into_iter().map(Spanned::into_inner).collect()),
    }
}

fn products(raw: Spanned<Vec<Spanned<String>>>) -> Result<Vec<String>, Wrong> {
    if raw.get_ref().is_empty() {
        return Err((raw.span(), "name one product at least".into()));
    }
    let mut products: Vec<String> = Vec::new();
    for product in raw.into_inner() {
        let text = product.get_ref().trim();
        if text.is_empty() || text.len() > 200 || text.contains(char::is_control) {
            let what = "a product's name has 1 to 200 printable characters".into();
            return Err((product.span(), what));
        }
        if products.iter().any(|other| other == text) {
            return Err((product.span(), "this product is named already".into()));
        }
        products.push(text.to_owned());
    }
    Ok(products)
}

fn validity(raw: RawValidity, text: &str) -> Result<Validity, Wrong> {
    let until = match raw.until {
        None => Formula::new(USUAL_VALIDITY).map_err(|error| (0..0, error.what))?,
        Some(until) => Formula::new(until.get_ref()).map_err(|error| {
            // The value begins with its quotation marks, one or three.
            let value = text.get(until.span()).unwrap_or_default();
            let quotes = value.bytes().take_while(|b| matches!(b, b'"' | b'\'')).count();
            let quotes = if quotes >= 3 { 3 } else { 1 };
            let start = until.span().start + quotes + error.place.start;
            (start..start, error.what)
        })?,
    };
    Ok(Validity {
        until,
        warn: raw.warn.unwrap_or(Term::days(60)),
        carry_forward: raw.carry_forward,
        again_on: raw.again_on,
    })
}

/// A short name: it becomes a part of file names and addresses.
fn name(text: &Spanned<String>) -> Result<(), Wrong> {
    let sound = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
    let id = text.get_ref();
    match !id.is_empty() && id.len() <= 64 && id.bytes().all(sound) && !id.starts_with(['-', '.']) {
        true => Ok(()),
        false => Err((
            text.span(),
            "an id has 1 to 64 lower-case letters, digits, hyphens and points, and begins with a letter or digit".into(),
        )),
    }
}

fn date(value: &Spanned<toml::value::Datetime>) -> Result<Date, Wrong> {
    let wrong = || (value.span(), "a day, such as 2009-02-16, was expected".to_owned());
    match value.get_ref() {
        toml::value::Datetime { date: Some(date), time: None, offset: None } => {
            date.to_string().parse().map_err(|_| wrong())
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::agreement::Reach;

    const GOOD: &str = r#"
format = 1
id = "a-b-2020"
title = "A and B"
made = 2020-01-31

[[party]]
name = "a.example"
title = "A"

[[party]]
name = "b.example"
title = "B"

[[catalog]]
id = "list"
title = "B's list"
kept-by = "b.example"

[[clause]]
id = "a-on-b"
party = "b.example"
guests = ["a 1.0"]
hosts = ["b 2", "b 3"]
listed-in = ["list"]
within = "6 months"
later = { guests = "all", hosts = "major" }

[validity]
until = "validated + 1 year"

[[exclusion]]
what = "patents"
words = "Nothing is said of patents."
"#;

    fn wrong(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from), "{from}");
        read_agreement("deal.toml", &GOOD.replacen(from, to, 1)).expect_err("is wrong").to_string()
    }

    #[test]
    fn an_agreement_is_read_whole() {
        let deal = read_agreement("deal.toml", GOOD).expect("reads");
        assert_eq!(deal.made.to_string(), "2020-01-31");
        assert_eq!(deal.parties.len(), 2);
        let clause = &deal.clauses[0];
        assert_eq!(
            (clause.guests.len(), clause.hosts.len(), clause.within),
            (1, 2, Term::months(6))
        );
        let later = clause.later.as_ref().expect("is there");
        assert_eq!((later.guests, later.hosts), (Reach::All, Reach::Major));
        assert_eq!(deal.validity.until.as_str(), "validated + 1 year");
        assert_eq!(
            deal.validation,
            Validation::default(),
            "emulation does not count unless agreed"
        );
    }

    #[test]
    fn an_error_shows_file_line_and_caret() {
        let error = wrong("party = \"b.example\"\nguests", "party = \"c.example\"\nguests");
        assert_eq!(
            error,
            "deal.toml:22:9: no [[party]] has this name; there are a.example, b.example\n\
             22 | party = \"c.example\"\n   |         ^"
        );
        let error = wrong("validated + 1 year", "validated + 1 yaer");
        assert!(error.starts_with("deal.toml:30:22: "), "{error}");
        assert!(error.contains("a span of time such as 12 months"), "{error}");
    }

    #[test]
    fn a_wrong_value_of_a_machine_is_shown_where_it_stands() {
        let error = wrong(
            "[validity]",
            "[validation]\nstrength = 3\n[validation.machines]\nfirmware = [\"bios\"]\nvcpus = [2, 2]\n[validity]",
        );
        assert!(
            error.starts_with("deal.toml:33:1: vcpus names 2 twice\n33 | vcpus = [2, 2]"),
            "{error}"
        );
        let deal =
            GOOD.replace("[validity]", "[validation.machines]\ndisk = [\"sata\"]\n[validity]");
        let deal = read_agreement("f", &deal).expect("reads");
        assert_eq!(deal.validation.machines.disk, [crate::Bus::Sata]);
        assert_eq!(deal.validation.machines.vcpus, [1, 2, 4], "the rest is as usual");
    }

    #[test]
    fn what_cannot_be_meant_is_told() {
        for (from, to, says) in [
            ("format = 1", "format = 2", "format 1 only"),
            ("title = \"A and B\"", "titel = \"A and B\"", "unknown field `titel`"),
            ("made = 2020-01-31", "made = 2020-01-31T10:00:00", "a day, such as"),
            ("made = 2020-01-31", "made = 2020-02-31", ""),
            ("made = 2020-01-31", "made = 2020-01-31\nends = 2019-01-01", "before it was made"),
            ("name = \"b.example\"", "name = \"a.example\"", "is a party already"),
            ("name = \"b.example\"", "name = \"B\"", "domain in lower case"),
            ("kept-by = \"b.example\"", "kept-by = \"x.example\"", "none of the parties"),
            ("listed-in = [\"list\"]", "listed-in = [\"lists\"]", "no [[catalog]]"),
            ("guests = [\"a 1.0\"]", "guests = []", "one product at least"),
            ("[\"b 2\", \"b 3\"]", "[\"b 2\", \"b 2\"]", "named already"),
            ("within = \"6 months\"", "within = \"soon\"", "no span of time"),
            ("within = \"6", "assurance = \"agreed\"\nwithin = \"6", "unknown variant `agreed`"),
            ("id = \"a-b-2020\"", "id = \"../a\"", "an id has"),
            ("[validity]", "[validation]\nstrength = 7\n[validity]", "strength is 1 to 6"),
            ("[validity]", "[validation]\nprofile = \"strict\"\n[validity]", "no profile"),
            (
                "[validity]",
                "[validation.machines]\ndisk = [\"scsi\"]\n[validity]",
                "unknown variant",
            ),
            ("[validity]", "[validation.machines]\ndisks = [\"ide\"]\n[validity]", "unknown field"),
            ("[validity]", "[validation.machines]\nmemory = [\"1 MiB\"]\n[validity]", "16 MiB"),
            ("[validity]", "[validation]\nmachines = { nic = [] }\n[validity]", "no value"),
        ] {
            let error = wrong(from, to);
            assert!(error.contains(says) && error.contains("deal.toml:"), "{to}: {error}");
        }
    }

    #[test]
    fn a_deal_with_oneself_or_about_nothing_is_none() {
        let one = GOOD.replacen("[[party]]\nname = \"b.example\"\ntitle = \"B\"\n", "", 1);
        assert!(read_agreement("f", &one).expect_err("one party").what().contains("two parties"));
        let nothing = &GOOD[..GOOD.find("[[clause]]").expect("is there")];
        assert!(
            read_agreement("f", nothing).expect_err("no clause").what().contains("obliges nobody")
        );
    }

    #[test]
    fn a_file_too_large_is_not_looked_at() {
        let large = "#".repeat(LARGEST_AGREEMENT + 1);
        assert!(read_agreement("f", &large).expect_err("large").what().contains("at most"));
    }

    proptest! {
        #[test]
        fn no_damage_to_a_file_makes_the_reader_panic(at in 0..GOOD.len(), with in "[\"\\[\\]a-z=\n\\{é]{0,4}") {
            let mut text = GOOD.to_owned();
            if text.is_char_boundary(at) {
                text.insert_str(at, &with);
            }
            let _ = read_agreement("f", &text);
        }
    }
}
