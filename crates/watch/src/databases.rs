//! osinfo-db, endoflife.date and definitions as sources of releases.

use std::sync::Arc;

use hospitium_products::osinfo::Osinfo;
use hospitium_products::{
    Builder, Definitions, Fact, Product, ProductId, Property, SourceKind, endoflife, read_endoflife,
};

use crate::archive::{self, Member};
use crate::place::Place;
use crate::{Found, Release, WatchError};

/// Largest single definition file.
const LARGEST_DEFINITION: u64 = 1 << 20;

/// A place that may be an archive.
pub fn is_archive(place: &Place) -> bool {
    let name = place.file_name();
    let packed = |end: &str| name.ends_with(end) || name.contains(&format!("{end}."));
    packed(".tar") || name.ends_with(".tgz")
}

/// osinfo-db: a folder, or an archive as its makers publish it.
pub fn osinfo(place: &Place) -> Result<Found, WatchError> {
    let osinfo = match place {
        Place::Path(path) if path.is_dir() => Osinfo::read(path)?,
        place => {
            let members = archive::members(place, &[".xml", "VERSION"])?;
            let version = members.iter().find(|(name, _)| name.ends_with("/VERSION"));
            let version = version.map(|(_, text)| hospitium_model::printable(text.trim(), 40));
            let document: Arc<str> =
                version.map_or("osinfo-db".into(), |version| format!("osinfo-db {version}").into());
            let mut osinfo = Osinfo::default();
            for (name, text) in &members {
                // Below the archive's own folder: osinfo-db-20221130/os/debian.org/debian-11.xml
                let within = name.split_once('/').map_or(name.as_str(), |(_, rest)| rest);
                let part = within.split('/').next().unwrap_or_default();
                if matches!(part, "os" | "platform") && name.ends_with(".xml") {
                    osinfo.add(within, text, &document)?;
                }
            }
            osinfo
        }
    };
    let ids: Vec<ProductId> = osinfo.products.iter().map(|product| product.id.clone()).collect();
    if ids.is_empty() {
        return Err(nothing(place, "osinfo-db files (os/*/*.xml)"));
    }
    let mut builder = Builder::with_built_in()?;
    builder.add_osinfo(osinfo);
    let products = builder.finish()?;
    let mut releases: Vec<Release> = ids
        .iter()
        .filter_map(|id| products.get(id))
        .map(|product| Release::of_product(product, Some(SourceKind::Osinfo)))
        .collect();
    releases.sort_by_key(Release::key);
    releases.dedup_by_key(|release| release.key());
    Ok(Found { releases, notes: Vec::new() })
}

/// endoflife.date: a folder, a file, an archive of files, or the address of an API. Its cycles are
/// given to the products of `ground`.
pub fn endoflife_date(place: &Place, ground: &Builder) -> Result<Found, WatchError> {
    let read = match place {
        place if is_archive(place) => {
            let members = archive::members(place, &[".json", ".yaml", ".yml"])?;
            let read = |(name, text): &Member| Ok(endoflife::read(name, text)?);
            members.iter().map(read).collect::<Result<Vec<_>, WatchError>>()?
        }
        place => read_endoflife(&place.shown())?,
    };
    if read.is_empty() {
        return Err(nothing(place, "endoflife.date products (NAME.json or NAME.yaml)"));
    }
    let mut builder = ground.clone();
    for product in read {
        builder.add_endoflife(product);
    }
    let products = builder.finish()?;
    let mut releases = Vec::new();
    for product in products.iter().filter(|product| product.edition.is_none()) {
        let said = product.facts.iter().any(|fact| fact.source.kind == SourceKind::Endoflife);
        if said {
            releases.push(Release::of_product(product, Some(SourceKind::Endoflife)));
            releases.extend(latest(product));
        }
    }
    Ok(Found { releases, notes: Vec::new() })
}

/// The newest build of a product, as endoflife.date has it.
fn latest(product: &Product) -> Option<Release> {
    let by = |property| {
        let own = |fact: &&Fact| fact.source.kind == SourceKind::Endoflife && fact.note.is_none();
        product.facts.iter().filter(own).find(move |fact| fact.property == property)
    };
    let build = by(Property::Latest)?;
    let text = hospitium_model::printable(&build.value.to_string(), 100);
    if hospitium_products::Version::new(&text).same_release(&product.release) {
        return None;
    }
    let mut release = Release::of_product(product, Some(SourceKind::Endoflife));
    release.build = Some(text);
    release.facts = by(Property::LatestDate)
        .map(|fact| Fact { property: Property::ReleaseDate, ..fact.clone() })
        .into_iter()
        .chain([build.clone()])
        .collect();
    Some(release)
}

/// Definitions of products: a folder or an archive of `*.toml`, or one file.
pub fn definitions(place: &Place) -> Result<Found, WatchError> {
    let members: Vec<Member> = match place {
        Place::Path(path) if path.is_dir() => {
            let mut files = Vec::new();
            for path in crate::images::files(path)? {
                if path.extension().is_some_and(|ending| ending == "toml") {
                    let place = Place::Path(path);
                    files.push((place.shown(), place.text(LARGEST_DEFINITION)?));
                }
            }
            files
        }
        place if is_archive(place) => archive::members(place, &[".toml"])?,
        place => vec![(place.file_name(), place.text(LARGEST_DEFINITION)?)],
    };
    if members.is_empty() {
        return Err(nothing(place, "definitions of products (*.toml)"));
    }
    let before = Builder::with_built_in()?;
    let mut builder = before.clone();
    for (name, text) in &members {
        builder.add_definitions(Definitions::read(name, text)?);
    }
    let (before, after) = (before.finish()?, builder.finish()?);
    let releases = after
        .iter()
        .filter(|product| before.get(&product.id) != Some(product))
        .map(|product| Release::of_product(product, None))
        .collect();
    Ok(Found { releases, notes: Vec::new() })
}

fn nothing(place: &Place, what: &'static str) -> WatchError {
    WatchError::Nothing {
        what: place.shown(),
        wanted: what,
        next: "look whether the place is right".into(),
    }
}
