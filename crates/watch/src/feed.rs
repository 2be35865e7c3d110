//! Feeds: Atom (RFC 4287), RSS 2.0 and RSS 1.0. Of each entry its title and its day are looked at.

use hospitium_model::printable;
use hospitium_products::{FactValue, Products, Property};
use hospitium_xml::{self as xml, Element};
use jiff::civil::Date;

use crate::release::seen_fact;
use crate::{Found, Release, WatchError};

/// Largest feed that is read.
pub const LARGEST: u64 = 8 << 20;
/// Most entries of a feed.
const MOST: usize = 10_000;

/// The releases that a feed's entries tell of. `name` is its name in errors and sources.
pub fn read(name: &str, text: &str, products: &Products) -> Result<Found, WatchError> {
    let root = xml::read(name, text, wanted)?;
    let entries: Vec<&Element> = match root.name.as_str() {
        "feed" => root.all("entry").collect(),
        "rss" => root.all("channel").flat_map(|channel| channel.all("item")).collect(),
        "rdf:RDF" => root.all("item").collect(),
        other => {
            return Err(WatchError::Nothing {
                what: name.to_owned(),
                wanted: "feed (Atom or RSS)",
                next: format!("its root is <{}>", printable(other, 60)),
            });
        }
    };
    if entries.len() > MOST {
        let what = name.to_owned();
        return Err(WatchError::TooMuch { what, limit: MOST as u64, unit: "entries" });
    }
    let title = root.first("title").or_else(|| root.first("channel")?.first("title"));
    let title = title.map_or_else(String::new, |title| printable(&title.text, 100));
    let mut found = Found::default();
    let (mut other, mut early) = (0, 0);
    for entry in entries {
        let headline = entry.first("title").map_or("", |title| title.text.as_str());
        let Some(named) = products.read_release(headline) else {
            other += 1;
            continue;
        };
        if named.is_prerelease() {
            early += 1;
            continue;
        }
        let Some(placed) = products.place(&named.line, &named.version) else {
            other += 1;
            continue;
        };
        let document = match title.is_empty() {
            true => format!("{name}: {headline:?}"),
            false => format!("{title}: {headline:?}"),
        };
        let mut facts = Vec::new();
        if let Some(day) = day(entry) {
            facts.push(seen_fact(Property::ReleaseDate, FactValue::Date(day), &document, name));
        }
        let value = FactValue::Text(named.version.to_string());
        facts.push(seen_fact(Property::Build, value, &document, name));
        for fact in &mut facts {
            fact.source.line = entry.line;
        }
        let build = placed.build.as_ref().map(|build| build.to_string());
        found.releases.extend(Release::seen(&placed, &named.line, build, facts));
    }
    if early > 0 {
        found.notes.push(format!("{early} entries tell of what comes before a release"));
    }
    if other > 0 {
        found.notes.push(format!("{other} entries tell of no product that is known"));
    }
    Ok(found)
}

fn wanted(name: &str, _: &Element) -> bool {
    // What entries say at length is not looked at.
    matches!(
        name,
        "channel" | "item" | "entry" | "title" | "published" | "updated" | "pubDate" | "dc:date"
    )
}

/// The day that an entry names, as far as it can be read.
fn day(entry: &Element) -> Option<Date> {
    let text = ["published", "pubDate", "dc:date", "updated"]
        .iter()
        .find_map(|name| entry.first(name))
        .map(|found| found.text.trim())?;
    let iso = text.get(..10).and_then(|day| day.parse().ok());
    iso.or_else(|| jiff::fmt::rfc2822::parse(text).ok().map(|time| time.date()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn products() -> Products {
        hospitium_products::Builder::with_built_in().expect("built in").finish().expect("sound")
    }

    const ATOM: &str = r#"<?xml version="1.0"?>
<feed xmlns="http://www.w3.org/2005/Atom"><title>QEMU</title>
<entry><title>QEMU version 97.1.0 released</title><updated>2026-08-20T09:00:00Z</updated>
<content type="xhtml"><div><p>text &amp; <b>more</b></p></div></content></entry>
<entry><title>QEMU version 10.0.3 released</title><published>2025-07-01T09:00:00Z</published></entry>
<entry><title>QEMU 97.2.0-rc1</title></entry>
<entry><title>A summer of code</title></entry>
</feed>"#;

    const RSS: &str = r#"<rss version="2.0"><channel><title>News</title>
<item><title><![CDATA[Debian 97 "zurg" released]]></title><pubDate>Sat, 09 Aug 2098 12:00:00 +0200</pubDate></item>
</channel></rss>"#;

    #[test]
    fn entries_become_releases_with_their_day_and_who_says_so() {
        let found = read("qemu.atom", ATOM, &products()).expect("reads");
        let keys: Vec<String> = found.releases.iter().map(Release::key).collect();
        assert_eq!(
            keys,
            [
                "http://qemu.org/qemu/97.1",
                "http://qemu.org/qemu/97.1#97.1.0",
                "http://qemu.org/qemu/10.0#10.0.3"
            ]
        );
        assert_eq!(found.releases[0].released(), "2026-08-20".parse().ok());
        let source = found.releases[0].source().expect("a source").to_string();
        assert_eq!(source, "QEMU: \"QEMU version 97.1.0 released\" (qemu.atom:3)");
        assert_eq!(found.notes.len(), 2, "{:?}", found.notes);
    }

    #[test]
    fn rss_is_read_as_well() {
        let found = read("news.rss", RSS, &products()).expect("reads");
        assert_eq!(found.releases[0].key(), "http://debian.org/debian/97");
        assert_eq!(found.releases[0].released(), "2098-08-09".parse().ok());
    }

    #[test]
    fn control_characters_and_markup_in_titles_stay_text_without_them() {
        let title = "QEMU 97.1.0 &#27;[31m&lt;script&gt;&#x202e;released";
        let text = format!("<feed><entry><title>{title}</title></entry></feed>");
        let found = read("x.atom", &text, &products()).expect("reads");
        assert_eq!(found.releases.len(), 2);
        for release in &found.releases {
            let text = format!("{} {}", release.name, release.source().expect("a source"));
            assert!(!text.chars().any(|c| c.is_control() || c == '\u{202e}'), "{text:?}");
        }
    }

    #[test]
    fn a_bomb_of_entities_or_depth_or_entries_is_refused() {
        let products = products();
        let entities = "<!DOCTYPE r [<!ENTITY a \"aaaa\">]><rss><channel>&a;</channel></rss>";
        assert!(read("x", entities, &products).is_err());
        assert!(read("x", &"<channel>".repeat(100_000), &products).is_err());
        let many = format!("<feed>{}</feed>", "<entry/>".repeat(1_000_000));
        assert!(read("x", &many, &products).is_err());
        let many = format!("<feed>{}</feed>", "<entry><title>x</title></entry>".repeat(20_000));
        let error = read("x", &many, &products).expect_err("refused").to_string();
        assert!(error.contains("more than 10000 entries"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn any_title_is_read_or_passed_over(title in "[^<&]{0,60}") {
            let text = format!("<feed><entry><title>QEMU {title}</title></entry></feed>");
            let _ = read("x", &text, &products());
        }
    }
}
