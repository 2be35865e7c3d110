//! What a person names to be watched, and how it is read.

use std::path::PathBuf;

use hospitium_model::printable;
use hospitium_products::{Builder, Products};
use jiff::civil::Date;

use crate::place::Place;
use crate::{Found, WatchError, databases, debian, feed, images};

/// Most releases that one source may tell of; endoflife.date tells of about ten thousand.
const MOST: usize = 50_000;

/// A source of releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// osinfo-db: a folder or an archive.
    Osinfo(Place),
    /// endoflife.date: a folder, a file, an archive, or an API.
    Endoflife(Place),
    /// A suite of Debian; without a mirror, the lists that apt has.
    Debian {
        /// `bookworm`, `trixie-backports`, `stable`
        suite: String,
        /// The archive's root: a folder or an address.
        mirror: Option<Place>,
    },
    /// An Atom or RSS feed.
    Feed(Place),
    /// Definitions of products.
    Products(Place),
    /// A folder of images.
    Images(PathBuf),
}

/// What reading depends on beside the source.
#[derive(Debug, Clone)]
pub struct Options {
    /// Keys that a suite's list may be signed by, instead of Debian's own.
    pub keyring: Option<PathBuf>,
    /// Where apt keeps its lists, if elsewhere.
    pub lists: Option<PathBuf>,
    /// Debian's name of the architecture.
    pub arch: String,
    /// The day.
    pub as_of: Date,
}

/// What is known here, against which sources are read.
pub struct Ground {
    /// Without endoflife.date, for its cycles are given to what else is known.
    pub without_endoflife: Builder,
    /// With everything.
    pub builder: Builder,
    /// The same, put together.
    pub products: Products,
}

impl Source {
    /// Reads what a person wrote: `KIND:PLACE`, or a place whose kind can be seen.
    pub fn parse(text: &str) -> Result<Self, WatchError> {
        let wrong = |why: &str| WatchError::Source { text: printable(text, 200), why: why.into() };
        let kind = text.split_once(':').filter(|(_, rest)| !rest.starts_with("//"));
        match kind {
            Some(("osinfo", place)) => Ok(Self::Osinfo(Place::parse(place)?)),
            Some(("endoflife", place)) => Ok(Self::Endoflife(Place::parse(place)?)),
            Some(("feed", place)) => Ok(Self::Feed(Place::parse(place)?)),
            Some(("products", place)) => Ok(Self::Products(Place::parse(place)?)),
            Some(("images", folder)) => match Place::parse(folder)? {
                Place::Path(folder) => Ok(Self::Images(folder)),
                Place::Address(_) => Err(wrong("images are watched in a folder")),
            },
            Some(("debian", suite)) => {
                let (suite, mirror) = match suite.split_once('@') {
                    Some((suite, mirror)) => (suite, Some(Place::parse(mirror)?)),
                    None => (suite, None),
                };
                let sound = !suite.is_empty()
                    && suite.len() <= 60
                    && !suite.starts_with(['.', '-', '/'])
                    && !suite.contains("..")
                    && suite.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._/".contains(&b));
                match sound {
                    true => Ok(Self::Debian { suite: suite.to_owned(), mirror }),
                    false => Err(wrong("a suite is called like bookworm or trixie-backports")),
                }
            }
            _ => Self::seen(text),
        }
    }

    /// The kind of a place, by what is there.
    fn seen(text: &str) -> Result<Self, WatchError> {
        let wrong = |why: &str| WatchError::Source { text: printable(text, 200), why: why.into() };
        let place = Place::parse(text)?;
        if let Place::Path(path) = &place {
            if path.is_dir() {
                if path.join("os").is_dir() || path.join("platform").is_dir() {
                    return Ok(Self::Osinfo(place));
                }
                let files = images::files(path)?;
                let has = |ending: &str| {
                    files.iter().any(|file| file.extension().is_some_and(|e| e == ending))
                };
                return if has("yaml") || has("yml") || has("json") {
                    Ok(Self::Endoflife(place))
                } else if has("toml") {
                    Ok(Self::Products(place))
                } else if files.iter().any(|file| images::is_image(file)) {
                    Ok(Self::Images(path.clone()))
                } else {
                    Err(wrong("the folder holds nothing that tells of releases"))
                };
            }
            if !path.exists() {
                return Err(wrong("there is no such file or folder"));
            }
        }
        let name = place.file_name();
        let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
        if databases::is_archive(&place) {
            match name.contains("osinfo") {
                true => Ok(Self::Osinfo(place)),
                false => Ok(Self::Endoflife(place)),
            }
        } else if ends(&[".xml", ".atom", ".rss", ".rdf", "feed"]) {
            Ok(Self::Feed(place))
        } else if ends(&[".json", ".yaml", ".yml"]) || text.contains("endoflife.date/api") {
            Ok(Self::Endoflife(place))
        } else if ends(&[".toml"]) {
            Ok(Self::Products(place))
        } else {
            Err(wrong("its kind cannot be seen"))
        }
    }

    /// What it is called in what is known and in what is shown.
    pub fn label(&self) -> String {
        match self {
            Self::Osinfo(place) => format!("osinfo:{}", place.shown()),
            Self::Endoflife(place) => format!("endoflife:{}", place.shown()),
            Self::Feed(place) => format!("feed:{}", place.shown()),
            Self::Products(place) => format!("products:{}", place.shown()),
            Self::Images(folder) => format!("images:{}", printable(&folder.to_string_lossy(), 300)),
            Self::Debian { suite, mirror: None } => format!("debian:{suite}"),
            Self::Debian { suite, mirror: Some(mirror) } => {
                format!("debian:{suite}@{}", mirror.shown())
            }
        }
    }

    /// Reads it. This waits for files and for the network.
    pub fn read(&self, ground: &Ground, options: &Options) -> Result<Found, WatchError> {
        let found = match self {
            Self::Osinfo(place) => databases::osinfo(place)?,
            Self::Endoflife(place) => databases::endoflife_date(place, &ground.without_endoflife)?,
            Self::Products(place) => databases::definitions(place)?,
            Self::Images(folder) => images::read(folder, &ground.products)?,
            Self::Feed(place) => {
                let text = place.text(feed::LARGEST)?;
                feed::read(&place.shown(), &text, &ground.products)?
            }
            Self::Debian { suite, mirror } => {
                debian::read(suite, mirror.as_ref(), options, &ground.products)?
            }
        };
        match found.releases.len() > MOST {
            true => {
                let (what, limit) = (self.label(), MOST as u64);
                Err(WatchError::TooMuch { what, limit, unit: "releases" })
            }
            false => Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_by_their_kind_or_by_what_is_there() {
        let label = |text: &str| Source::parse(text).map(|source| source.label());
        assert_eq!(label("debian:bookworm").expect("a suite"), "debian:bookworm");
        let suite = "debian:trixie-backports@http://deb.debian.org/debian";
        assert_eq!(label(suite).expect("a suite"), suite);
        assert_eq!(
            label("https://endoflife.date/api").expect("an API"),
            "endoflife:https://endoflife.date/api"
        );
        assert_eq!(
            label("https://www.qemu.org/feed.xml").expect("a feed"),
            "feed:https://www.qemu.org/feed.xml"
        );
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("rhel.yaml"), "").expect("writes");
        let text = folder.path().to_string_lossy().into_owned();
        assert!(label(&text).expect("a folder").starts_with("endoflife:/"));
    }

    #[test]
    fn what_is_no_source_is_refused_with_the_reason() {
        for (bad, why) in [
            ("debian:../../etc/passwd", "a suite is called"),
            ("debian:", "a suite is called"),
            ("debian:bookworm@ftp://x", "only http"),
            ("images:https://x.example/", "in a folder"),
            ("/no/such/place", "no such file"),
            ("https://x.example/\u{1b}[31m", "printable"),
            ("osinfo:", "no place"),
        ] {
            let error = Source::parse(bad).expect_err(bad).to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
