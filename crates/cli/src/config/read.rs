//! The configuration's form: each key with its line; a key that is not known is an error that names the near one.

use std::path::Path;

use anyhow::Result;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{At, Config, ConfiguredLog, RunDefault, Trusted, beside};
use crate::failure::Usage;

/// Options of `run` that may have a default here. What a machine is like is not among them: it would change what a
/// run means.
const RUN: [&str; 8] =
    ["on", "accelerator", "isolation", "jobs", "memory-budget", "boot-limit", "cache-size", "skip"];

/// Reads the text of a configuration.
///
/// # Errors
/// The first thing that is wrong, with its line.
pub fn read(file: &Path, text: &str) -> Result<Config> {
    let reader = Reader { file, text };
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| reader.line(span.start));
        reader.wrong(line, error.message(), "docs/command-line.md shows what it can say")
    })?;
    let mut config = Config { file: Some(file.to_owned()), ..Config::default() };
    for (key, value) in table.get_ref() {
        match key.get_ref().as_ref() {
            "party" => {
                for (key, value) in reader.table(value, &["folder"])? {
                    debug_assert_eq!(key, "folder");
                    config.party = Some(reader.path(value)?);
                }
            }
            "trust" => {
                for item in reader.array(value)? {
                    config.trust.push(reader.trusted(item)?);
                }
            }
            "log" => {
                for item in reader.array(value)? {
                    config.logs.push(reader.log(item)?);
                }
            }
            "agreements" => {
                for item in reader.array(value)? {
                    config.agreements.push(reader.path(item)?);
                }
            }
            "catalog" => {
                for (_, value) in reader.table(value, &["db"])? {
                    config.db = Some(reader.place(value)?);
                }
            }
            "run" => {
                for (key, value) in reader.table(value, &RUN)? {
                    let option = RUN.into_iter().find(|known| *known == key).unwrap_or_default();
                    config.run.push(RunDefault { option, values: reader.words(value)? });
                }
            }
            unknown => {
                let known = ["party", "trust", "log", "agreements", "catalog", "run"];
                return Err(reader.unknown(reader.line(key.span().start), unknown, &known));
            }
        }
    }
    Ok(config)
}

struct Reader<'a> {
    file: &'a Path,
    text: &'a str,
}

impl<'a> Reader<'a> {
    fn line(&self, at: usize) -> usize {
        1 + self.text.bytes().take(at).filter(|byte| *byte == b'\n').count()
    }

    fn wrong(&self, line: usize, what: &str, next: &str) -> anyhow::Error {
        Usage::error(format!("{}:{line}: {what}", self.file.display()), next)
    }

    fn unknown(&self, line: usize, key: &str, known: &[&str]) -> anyhow::Error {
        let near = known.iter().map(|known| (strsim::jaro_winkler(known, key), *known));
        let near = near.filter(|(like, _)| *like > 0.75).max_by(|a, b| a.0.total_cmp(&b.0));
        let next = match near {
            Some((_, near)) => format!("did you mean {near}? known here: {}", known.join(", ")),
            None => format!("known here: {}", known.join(", ")),
        };
        let key = hospitium_model::printable(key, 80);
        self.wrong(line, &format!("there is no key {key:?}"), &next)
    }

    fn other(&self, value: &Spanned<DeValue<'_>>, wanted: &str) -> anyhow::Error {
        let found = value.get_ref().type_str();
        self.wrong(
            self.line(value.span().start),
            &format!("{wanted} belongs here, and this is a value of type {found}"),
            "docs/command-line.md shows what it can say",
        )
    }

    /// The keys and values of a table, all of which are known.
    fn table<'v>(
        &self,
        value: &'v Spanned<DeValue<'a>>,
        known: &[&str],
    ) -> Result<Vec<(&'v str, &'v Spanned<DeValue<'a>>)>> {
        let Some(table) = value.get_ref().as_table() else {
            return Err(self.other(value, "a table"));
        };
        let mut all = Vec::new();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                return Err(self.unknown(self.line(key.span().start), name, known));
            }
            all.push((name, value));
        }
        Ok(all)
    }

    fn array<'v>(&self, value: &'v Spanned<DeValue<'a>>) -> Result<&'v [Spanned<DeValue<'a>>]> {
        match value.get_ref().as_array() {
            Some(array) => Ok(array),
            None => Err(self.other(value, "a list")),
        }
    }

    fn string(&self, value: &Spanned<DeValue<'_>>) -> Result<At<String>> {
        let text = value.get_ref().as_str().filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| self.other(value, "a text"))?;
        Ok(At { value: text.to_owned(), line: self.line(value.span().start) })
    }

    fn path(&self, value: &Spanned<DeValue<'_>>) -> Result<At<std::path::PathBuf>> {
        let At { value, line } = self.string(value)?;
        Ok(At { value: beside(self.file, &value), line })
    }

    /// An address as it stands, or a path.
    fn place(&self, value: &Spanned<DeValue<'_>>) -> Result<At<String>> {
        let At { value: text, line } = self.string(value)?;
        let is_address = text.contains("://") || text.starts_with("sqlite:");
        let value = match is_address {
            true => text,
            false => beside(self.file, &text).to_string_lossy().into_owned(),
        };
        Ok(At { value, line })
    }

    /// One word or several, as an option takes them.
    fn words(&self, value: &Spanned<DeValue<'_>>) -> Result<At<Vec<String>>> {
        let word = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
            DeValue::Integer(number) => Ok(number.to_string()),
            _ => self.string(value).map(|at| at.value),
        };
        let line = self.line(value.span().start);
        let value = match value.get_ref().as_array() {
            Some(array) => array.iter().map(word).collect::<Result<_>>()?,
            None => vec![word(value)?],
        };
        Ok(At { value, line })
    }

    fn trusted(&self, item: &Spanned<DeValue<'a>>) -> Result<Trusted> {
        let (mut party, mut fingerprint) = (None, None);
        for (key, value) in self.table(item, &["party", "fingerprint"])? {
            match key {
                "party" => party = Some(self.path(value)?),
                _ => fingerprint = Some(self.string(value)?),
            }
        }
        let line = self.line(item.span().start);
        match (party, fingerprint) {
            (Some(party), Some(fingerprint)) => Ok(Trusted { party, fingerprint }),
            (None, _) => Err(self.wrong(
                line,
                "a party that is trusted has no `party`: the file with its keys",
                "add: party = \"other.example.toml\" (its party.toml)",
            )),
            (_, None) => Err(self.wrong(
                line,
                "a party that is trusted has no `fingerprint`: anybody could put other keys there",
                "compare it by voice: hospitium party show FILE; then add: fingerprint = \"12345 …\"",
            )),
        }
    }

    fn log(&self, item: &Spanned<DeValue<'a>>) -> Result<ConfiguredLog> {
        let (mut source, mut copy, mut policy) = (None, None, None);
        for (key, value) in self.table(item, &["source", "copy", "policy"])? {
            match key {
                "source" => source = Some(self.place(value)?),
                "copy" => copy = Some(self.path(value)?),
                _ => policy = Some(self.path(value)?),
            }
        }
        let line = self.line(item.span().start);
        let source = source.ok_or_else(|| {
            self.wrong(
                line,
                "a log has no `source`",
                "add its folder, or the address where it is published: source = \"vendor/log\"",
            )
        })?;
        if source.value.contains("://") != copy.is_some() {
            return Err(self.wrong(
                line,
                "`copy` is the folder of a log whose `source` is an address, and goes with one only",
                "add copy = \"copies/other\" (`hospitium log mirror` fills it), or leave it out",
            ));
        }
        Ok(ConfiguredLog { source, copy, policy })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config> {
        read(Path::new("/home/ann/hospitium.toml"), text)
    }

    #[test]
    fn each_key_is_read_with_its_line_and_paths_are_relative_to_the_file() {
        let config = parse(
            "agreements = [\"deals\", \"/srv/a.toml\"]\n\
             [party]\nfolder = \"vendor\"\n\
             [[trust]]\nparty = \"other.toml\"\nfingerprint = \"12345 67890\"\n\
             [[log]]\nsource = \"vendor/log\"\n\
             [[log]]\nsource = \"https://other.example/log\"\ncopy = \"copy\"\npolicy = \"joint\"\n\
             [catalog]\ndb = \"postgres://ann@db/catalog\"\n\
             [run]\non = [\"qemu\", \"/opt/qemu\"]\njobs = 3\n",
        )
        .expect("reads");
        let at = |line: usize, path: &str| Some(At { value: Path::new(path).to_owned(), line });
        assert_eq!(config.party, at(3, "/home/ann/vendor"));
        assert_eq!(config.agreements[1].value, Path::new("/srv/a.toml"));
        assert_eq!(config.trust[0].fingerprint.line, 6);
        assert_eq!(config.logs[0].source.value, "/home/ann/vendor/log");
        assert_eq!(config.logs[1].copy, at(11, "/home/ann/copy"));
        assert_eq!(config.logs[1].source.value, "https://other.example/log");
        assert_eq!(config.db.expect("there").value, "postgres://ann@db/catalog");
        let run: Vec<_> = config.run.iter().map(|d| (d.option, d.values.value.join(" "))).collect();
        assert_eq!(run, [("jobs", "3".to_owned()), ("on", "qemu /opt/qemu".to_owned())]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_the_near_name() {
        for (text, words) in [
            (
                "[party]\nfoldr = \"x\"",
                ":2: there is no key \"foldr\"\n  next: did you mean folder?",
            ),
            (
                "\nagrements = []",
                ":2: there is no key \"agrements\"\n  next: did you mean agreements?",
            ),
            ("[run]\nvcpus = 4", ":2: there is no key \"vcpus\"\n  next: known here: on"),
            ("[party]\nfolder = 5", ":2: a text belongs here"),
            ("party = \"x\"", ":1: a table belongs here"),
            ("log = 1", ":1: a list belongs here"),
            ("[[trust]]\nparty = \"x\"", "has no `fingerprint`"),
            ("[[trust]]\nfingerprint = \"1\"", "has no `party`"),
            ("[[log]]\npolicy = \"x\"", "has no `source`"),
            ("[[log]]\nsource = \"https://x\"", "`copy` is the folder"),
            ("[[log]]\nsource = \"x\"\ncopy = \"y\"", "`copy` is the folder"),
            ("a = 1\na = 2", ":2: "),
            ("x = [", ":1: "),
        ] {
            let error = parse(text).expect_err(text);
            let told = crate::failure::words(&error);
            assert!(told.contains(words), "{text:?}: {told}");
        }
    }

    #[test]
    fn every_default_of_run_is_an_option_of_run() {
        use clap::CommandFactory as _;
        let command = crate::args::Arguments::command();
        let run = command.find_subcommand("run").expect("there");
        for option in RUN {
            assert!(run.get_arguments().any(|arg| arg.get_long() == Some(option)), "{option}");
        }
    }
}
