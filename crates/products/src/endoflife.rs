//! endoflife.date: dates by product, in the form of its API (`/api/<product>.json`, a list of
//! cycles; `/api/v1/products/<product>/`, an object) and in that of its product files (YAML).

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use jiff::civil::Date;
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer};

use crate::error::printable;
use crate::{
    Fact, FactValue, FormError, ProductsError, Property, Source, SourceKind, Version, file,
};

/// Largest file that is read; the largest of the real ones has about 60 KiB.
pub(crate) const LARGEST: u64 = 4 << 20;
/// Most cycles of a product.
const MOST_CYCLES: usize = 2_000;

/// A product of endoflife.date.
#[derive(Debug, Clone)]
pub struct EndoflifeProduct {
    /// Its name there: `windows-server`.
    pub name: String,
    /// Its title, if the form has one.
    pub title: Option<String>,
    /// Its cycles.
    pub cycles: Vec<Cycle>,
}

/// A release cycle.
#[derive(Debug, Clone)]
pub struct Cycle {
    /// Its version.
    pub version: Version,
    /// Its own label, if it has one that needs no filling in.
    pub label: Option<String>,
    /// What is said of it.
    pub facts: Vec<Fact>,
}

/// Reads a folder: every `.yaml`, `.yml` and `.json` directly in it or below.
pub fn read_folder(folder: &Path) -> Result<Vec<EndoflifeProduct>, ProductsError> {
    let paths = file::below(folder, &["yaml", "yml", "json"])?;
    if paths.is_empty() {
        return Err(ProductsError::Nothing {
            path: folder.to_owned(),
            what: "endoflife.date products (NAME.yaml or NAME.json)",
            next: "save https://endoflife.date/api/NAME.json there, a file a product",
        });
    }
    paths
        .iter()
        .map(|path| {
            let text = file::text(path, LARGEST)?;
            Ok(read(&file::within(folder, path), &text)?)
        })
        .collect()
}

/// Reads one product; the file's name tells the product and the form.
pub fn read(file: &str, text: &str) -> Result<EndoflifeProduct, FormError> {
    let stem = file.rsplit('/').next().unwrap_or(file);
    let (name, ending) = stem.rsplit_once('.').unwrap_or((stem, "json"));
    let (title, cycles) = match ending {
        "yaml" | "yml" => from_yaml(file, text)?,
        _ => from_json(file, text)?,
    };
    if cycles.len() > MOST_CYCLES {
        let what = format!("more than {MOST_CYCLES} cycles");
        return Err(FormError::at(file, text, 0, 0, what));
    }
    let cycles = cycles
        .into_iter()
        .map(|raw| raw.cycle(file).map_err(|(line, what)| FormError::at(file, text, line, 0, what)))
        .collect::<Result<_, _>>()?;
    Ok(EndoflifeProduct { name: printable(name, 60), title, cycles })
}

type Parts = (Option<String>, Vec<Raw>);

fn from_yaml(file: &str, text: &str) -> Result<Parts, FormError> {
    #[derive(Deserialize)]
    struct Product {
        #[serde(default)]
        title: Option<YamlScalar>,
        releases: Vec<serde_saphyr::Spanned<Fields<YamlScalar>>>,
    }
    let options = serde_saphyr::options! {
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_depth: 32,
            max_documents: 1,
            max_aliases: 0,
            max_anchors: 0,
            max_nodes: 100_000,
            max_total_scalar_bytes: 4 << 20,
        },
    };
    let product: Product = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location();
        let at = |n: Option<u64>| n.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        let (line, column) = (at(place.map(|p| p.line())), at(place.map(|p| p.column())));
        FormError::at(file, text, line, column, format!("no product file: {error}"))
    })?;
    let cycles = product.releases.into_iter().map(|cycle| {
        let line = usize::try_from(cycle.referenced.line()).unwrap_or(0);
        cycle.value.raw(line, |scalar| scalar.0)
    });
    Ok((product.title.map(|title| printable(&title.0, 100)), cycles.collect()))
}

fn from_json(file: &str, text: &str) -> Result<Parts, FormError> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        List(Vec<Fields<JsonScalar>>),
        Product { result: Product },
    }
    #[derive(Deserialize)]
    struct Product {
        label: Option<String>,
        releases: Vec<Fields<JsonScalar>>,
    }
    let wrong = |error: &serde_json::Error| {
        FormError::at(
            file,
            text,
            error.line(),
            error.column(),
            format!("no list of cycles: {error}"),
        )
    };
    // A list is read as one at once, so that an error has its place.
    let list = text.trim_start().starts_with('[');
    let (title, cycles) = if list {
        (None, serde_json::from_str(text).map_err(|error| wrong(&error))?)
    } else {
        match serde_json::from_str(text).map_err(|error| wrong(&error))? {
            Form::List(cycles) => (None, cycles),
            Form::Product { result } => (result.label, result.releases),
        }
    };
    let cycles = cycles.into_iter().map(|cycle| cycle.raw(0, |scalar| scalar.0));
    Ok((title.map(|title| printable(&title, 100)), cycles.collect()))
}

/// A cycle's fields in all of its forms: product file, API, API v1.
#[derive(Deserialize)]
#[serde(bound(deserialize = "S: Deserialize<'de>"))]
struct Fields<S> {
    #[serde(alias = "releaseCycle", alias = "name")]
    cycle: S,
    #[serde(default = "none", alias = "releaseLabel")]
    label: Option<S>,
    #[serde(default = "none")]
    codename: Option<S>,
    #[serde(default = "none", rename = "releaseDate")]
    release_date: Option<S>,
    #[serde(default = "none", alias = "support", alias = "eoasFrom")]
    eoas: Option<S>,
    #[serde(default = "none", alias = "eolFrom")]
    eol: Option<S>,
    #[serde(default = "none", alias = "extendedSupport", alias = "eoesFrom")]
    eoes: Option<S>,
    #[serde(default = "none", alias = "ltsFrom")]
    lts: Option<S>,
    #[serde(default = "none")]
    latest: Option<S>,
    #[serde(default = "none", rename = "latestReleaseDate")]
    latest_date: Option<S>,
}

fn none<S>() -> Option<S> {
    None
}

/// The same, with all values as text.
struct Raw {
    line: usize,
    cycle: String,
    label: Option<String>,
    dated: Vec<(Property, String)>,
    texts: Vec<(Property, String)>,
}

impl<S> Fields<S> {
    fn raw(self, line: usize, text: impl Fn(S) -> String) -> Raw {
        let given = |pairs: Vec<(Property, Option<S>)>| {
            pairs
                .into_iter()
                .filter_map(|(property, value)| Some((property, text(value?))))
                .filter(|(_, value)| !value.is_empty())
                .collect()
        };
        let dated = given(vec![
            (Property::ReleaseDate, self.release_date),
            (Property::EndOfFullSupport, self.eoas),
            (Property::EndOfLife, self.eol),
            (Property::EndOfExtendedSupport, self.eoes),
            (Property::LongTerm, self.lts),
            (Property::LatestDate, self.latest_date),
        ]);
        let texts =
            given(vec![(Property::Codename, self.codename), (Property::Latest, self.latest)]);
        Raw { line, cycle: text(self.cycle), label: self.label.map(text), dated, texts }
    }
}

impl Raw {
    fn cycle(self, file: &str) -> Result<Cycle, (usize, String)> {
        let file: Arc<str> = printable(file, 300).into();
        let cycle = printable(&self.cycle, 60);
        if cycle.trim().is_empty() {
            return Err((self.line, "a cycle without a name".into()));
        }
        let document: Arc<str> = format!("endoflife.date, cycle {cycle}").into();
        let source = Source {
            kind: SourceKind::Endoflife,
            document,
            file,
            line: u32::try_from(self.line).unwrap_or(0),
        };
        let fact = |property, value| Fact {
            property,
            value,
            arch: None,
            source: source.clone(),
            note: None,
        };
        let mut facts = Vec::new();
        for (property, text) in &self.dated {
            let value = match text.as_str() {
                "true" => FactValue::Flag(true),
                "false" => FactValue::Flag(false),
                text => match text.parse::<Date>() {
                    Ok(date) => FactValue::Date(date),
                    Err(_) => {
                        let text = printable(text, 40);
                        let what = property.words();
                        return Err((
                            self.line,
                            format!(
                                "{what} of cycle {cycle} is {text:?}; it is a day, true or false"
                            ),
                        ));
                    }
                },
            };
            facts.push(fact(*property, value));
        }
        for (property, text) in &self.texts {
            facts.push(fact(*property, FactValue::Text(printable(text, 100))));
        }
        // Labels may hold templates, which only the site fills in.
        let label = self.label.map(|label| printable(&label, 100));
        let label = label.filter(|label| !label.contains("__") && !label.contains("{{"));
        Ok(Cycle { version: Version::new(&cycle), label, facts })
    }
}

/// A YAML scalar as it is written, so that `10.10` stays that.
struct YamlScalar(String);

impl<'de> Deserialize<'de> for YamlScalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

/// A JSON scalar as text.
struct JsonScalar(String);

impl<'de> Deserialize<'de> for JsonScalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;
        impl<'de> Visitor<'de> for Scalar {
            type Value = JsonScalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, true or false")
            }

            fn visit_bool<E>(self, value: bool) -> Result<JsonScalar, E> {
                Ok(JsonScalar(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<JsonScalar, E> {
                Ok(JsonScalar(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<JsonScalar, E> {
                Ok(JsonScalar(value.to_string()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<JsonScalar, E> {
                Ok(JsonScalar(value.to_string()))
            }

            fn visit_str<E>(self, value: &str) -> Result<JsonScalar, E> {
                Ok(JsonScalar(value.to_owned()))
            }

            // API v1: "latest": {"name": "5.11", "date": "2014-09-16", "link": null}
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<JsonScalar, A::Error> {
                let mut name = None;
                while let Some(key) = map.next_key::<String>()? {
                    let value: Option<serde_json::Value> = map.next_value()?;
                    if key == "name" {
                        name = value.and_then(|value| value.as_str().map(str::to_owned));
                    }
                }
                name.map(JsonScalar).ok_or_else(|| A::Error::custom("an object without a name"))
            }
        }
        deserializer.deserialize_any(Scalar)
    }
}
