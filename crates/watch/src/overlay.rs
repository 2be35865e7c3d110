//! The overlay: what was seen and is not known here, as a file of definitions that
//! `hospitium agreement plan --products` takes in.

use std::collections::BTreeMap;

use hospitium_products::{Fact, FactValue, Product, Products, SourceKind};
use serde::Serialize;

use crate::State;
use crate::look::HERE;
use crate::state::Known;

#[derive(Serialize)]
struct File {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    line: Vec<Line>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    product: Vec<Definition>,
}

#[derive(Serialize)]
struct Line {
    name: String,
    title: String,
    kind: &'static str,
    ids: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Definition {
    id: String,
    source: String,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    new: Option<New>,
    facts: Vec<Said>,
}

/// What a product needs that nobody here knows.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct New {
    name: String,
    short_ids: Vec<String>,
    line: String,
    release: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    family: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    archs: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    derives_from: Option<String>,
}

#[derive(Serialize)]
struct Said {
    what: hospitium_products::Property,
    value: toml::Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    arch: Option<String>,
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    by: SourceKind,
}

/// The text of the overlay: each product that was seen and that `here` does not have, and what is
/// said of others that `here` does not know.
pub fn write(state: &State, here: &Products) -> String {
    let mut file = File { line: Vec::new(), product: Vec::new() };
    // A line has products with a place in it; what only endoflife.date has may be of none.
    let mut lines: BTreeMap<&str, &Known> = BTreeMap::new();
    for known in state.releases.values().filter(|known| known.build.is_none()) {
        let at_hand = here.get(&known.product);
        let facts: Vec<Said> = known
            .facts()
            .filter(|(label, fact)| label.as_str() != HERE && is_missing(fact, at_hand))
            .filter_map(|(_, fact)| said(fact))
            .collect();
        let from_elsewhere = known.said.keys().any(|label| label != HERE);
        if !from_elsewhere || at_hand.is_some() && facts.is_empty() {
            continue;
        }
        let new = at_hand.is_none().then(|| {
            lines.insert(known.line.as_str(), known);
            new(known, here)
        });
        let source = known.facts().find(|(label, _)| label.as_str() != HERE);
        file.product.push(Definition {
            id: known.product.to_string(),
            source: source
                .map_or_else(|| "seen by hospitium agreement watch".into(), |(_, f)| document(f)),
            new,
            facts,
        });
    }
    for (name, known) in lines {
        if !name.is_empty() && !here.has_line(name) {
            file.line.push(Line {
                name: name.to_owned(),
                title: name.to_owned(),
                kind: kind(known.kind),
                ids: Vec::new(),
            });
        }
    }
    let text = toml::to_string(&file).unwrap_or_default();
    format!(
        "# Written by `hospitium agreement watch`, which replaces it: what it has seen and what is not known \
         otherwise.\n\n{text}"
    )
}

const fn kind(kind: hospitium_products::ProductKind) -> &'static str {
    match kind {
        hospitium_products::ProductKind::Guest => "guest",
        hospitium_products::ProductKind::Host => "host",
    }
}

fn new(known: &Known, here: &Products) -> New {
    // It is taken to drive and to offer what the release before it does.
    let before = here
        .line(&known.line)
        .into_iter()
        .filter(|p| p.kind == known.kind && p.release < known.release)
        .rfind(|p| !p.short().ends_with("unknown"));
    let family = match known.family.is_empty() {
        true => before.map_or_else(String::new, |before| before.family.clone()),
        false => known.family.clone(),
    };
    let archs = match known.archs.is_empty() {
        true => before.map_or_else(Vec::new, |before| before.archs.clone()),
        false => known.archs.clone(),
    };
    New {
        name: known.name.clone(),
        short_ids: vec![known.short.clone()],
        line: known.line.clone(),
        release: known.release.to_string(),
        kind: kind(known.kind),
        family,
        archs: archs.iter().map(|arch| arch.as_str().to_owned()).collect(),
        derives_from: before.map(|before| before.id.to_string()),
    }
}

/// Whether a product does not have this fact, as this kind of source says it.
fn is_missing(fact: &Fact, product: Option<&Product>) -> bool {
    product.is_none_or(|product| {
        !product.facts.iter().any(|known| {
            (known.property, &known.value, &known.arch) == (fact.property, &fact.value, &fact.arch)
        })
    })
}

fn document(fact: &Fact) -> String {
    fact.source.to_string()
}

fn said(fact: &Fact) -> Option<Said> {
    let value = match &fact.value {
        FactValue::Date(day) => toml::Value::Datetime(day.to_string().parse().ok()?),
        FactValue::Flag(flag) => toml::Value::Boolean(*flag),
        FactValue::Text(text) => toml::Value::String(text.clone()),
        FactValue::Count(count) => toml::Value::Integer(i64::try_from(*count).ok()?),
        FactValue::Size(size) => toml::Value::String(size.to_string()),
    };
    Some(Said {
        what: fact.property,
        value,
        arch: fact.arch.as_ref().map(|arch| arch.as_str().to_owned()),
        source: document(fact),
        note: fact.note.as_deref().map(str::to_owned),
        by: fact.source.kind,
    })
}
