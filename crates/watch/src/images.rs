//! A folder of images: which releases their names tell of. Nothing in them is opened.

use std::path::{Path, PathBuf};

use hospitium_model::printable;
use hospitium_products::{FactValue, Products, Property};

use crate::release::seen_fact;
use crate::{Found, Release, WatchError};

/// What images end with.
const ENDINGS: [&str; 10] =
    ["qcow2", "img", "raw", "vmdk", "vdi", "vhd", "vhdx", "iso", "ova", "deb"];
/// Most entries of a folder that are looked at.
const MOST: usize = 50_000;

/// The files of a folder, in the order of their names; folders in it are not entered.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, WatchError> {
    let cause = |cause| WatchError::Read { path: folder.to_owned(), cause };
    let mut found = Vec::new();
    for (seen, entry) in std::fs::read_dir(folder).map_err(cause)?.enumerate() {
        if seen >= MOST {
            return Err(WatchError::TooMuch {
                what: printable(&folder.to_string_lossy(), 300),
                limit: MOST as u64,
                unit: "files",
            });
        }
        let path = entry.map_err(cause)?.path();
        if path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Whether it is called as an image is.
pub fn is_image(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

/// The releases that the images in a folder are of.
pub fn read(folder: &Path, products: &Products) -> Result<Found, WatchError> {
    let mut found = Found::default();
    let mut nameless = Vec::new();
    for path in files(folder)?.into_iter().filter(|path| is_image(path)) {
        let name = printable(&path.file_name().unwrap_or_default().to_string_lossy(), 120);
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let placed = products
            .read_release(&stem)
            .and_then(|named| Some((products.place(&named.line, &named.version)?, named.line)));
        let Some((placed, line)) = placed else {
            nameless.push(name);
            continue;
        };
        let meta = std::fs::metadata(&path)
            .map_err(|cause| WatchError::Read { path: path.clone(), cause })?;
        let changed = meta
            .modified()
            .ok()
            .and_then(|time| jiff::Timestamp::try_from(time).ok())
            .map_or_else(String::new, |time| time.strftime(", %Y-%m-%d %H:%M:%S").to_string());
        // A file that is written anew under its name is another build.
        let build = format!("image {name} ({} bytes{changed})", meta.len());
        let document = format!("an image in {}", folder.display());
        let fact = seen_fact(Property::Build, FactValue::Text(name.clone()), &document, &name);
        found.releases.extend(Release::seen(&placed, &line, Some(build), vec![fact]));
    }
    if let Some(first) = nameless.first() {
        found.notes.push(format!(
            "{} images whose names tell of no product that is known were passed over, such as {first}",
            nameless.len()
        ));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_tell_of_products_and_a_changed_file_is_another_build() {
        let folder = tempfile::tempdir().expect("a folder");
        let put = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("writes");
        };
        put("debian-13-genericcloud-amd64.qcow2", "a");
        put("holiday.img", "b");
        put("notes about debian 12.txt", "c");
        let products = hospitium_products::Builder::with_built_in().expect("built in");
        let products = products.finish().expect("sound");
        let keys = || {
            let found = read(folder.path(), &products).expect("reads");
            assert!(found.notes[0].contains("holiday.img"), "{:?}", found.notes);
            found.releases.iter().map(Release::key).collect::<Vec<_>>()
        };
        let first = keys();
        assert_eq!(first.len(), 1, "{first:?}");
        assert!(first[0].starts_with("http://debian.org/debian/13#image debian-13"), "{first:?}");
        put("debian-13-genericcloud-amd64.qcow2", "larger");
        assert_ne!(keys(), first);
    }
}
