//! An image's SHA-256, and a memory of it so that gigabytes are not read at every start.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use hospitium_model::Digest;

use super::ImageError;

/// SHA-256 of the file's bytes.
pub fn digest(path: &Path) -> Result<Digest, ImageError> {
    let read = |source| ImageError::Unreadable { path: path.to_owned(), source };
    let all = File::open(path).and_then(Digest::of_all);
    Ok(all.map_err(read)?.0)
}

/// The same, remembered in the folder `cache` for as long as the file's path, size, time of change
/// and inode stay what they are. A cache that cannot be read or written costs time only.
pub fn cached_digest(path: &Path, cache: &Path) -> Result<Digest, ImageError> {
    let read = |source| ImageError::Unreadable { path: path.to_owned(), source };
    let key = || -> Result<Digest, ImageError> {
        let full = std::fs::canonicalize(path).map_err(read)?;
        let meta = std::fs::metadata(&full).map_err(read)?;
        // The change time as well: a modification time can be set back.
        Ok(Digest::of(
            format!(
                "{full:?} {} {} {} {}.{:09} {}.{:09}",
                meta.dev(),
                meta.ino(),
                meta.size(),
                meta.mtime(),
                meta.mtime_nsec(),
                meta.ctime(),
                meta.ctime_nsec(),
            )
            .as_bytes(),
        ))
    };
    let before = key()?;
    let entry = cache.join(before.to_string());
    if let Ok(text) = std::fs::read_to_string(&entry)
        && let Ok(known) = text.trim().parse()
    {
        return Ok(known);
    }
    let found = digest(path)?;
    // Not remembered if it was written to in the meantime.
    if key()? == before {
        let kept = std::fs::create_dir_all(cache)
            .and_then(|()| hospitium_files::replace(&entry, found.to_string().as_bytes()));
        if let Err(e) = kept {
            tracing::debug!("the digest of {} is not remembered: {e}", path.display());
        }
    }
    Ok(found)
}

/// An error unless `found` is what was expected, if anything was.
pub fn check_digest(
    path: &Path,
    expected: Option<Digest>,
    found: Digest,
) -> Result<(), ImageError> {
    match expected {
        Some(expected) if expected != found => {
            Err(ImageError::WrongDigest { path: path.to_owned(), expected, found })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_remembered_and_forgotten_when_the_file_changes() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, cache) = (folder.path().join("image"), folder.path().join("cache"));
        std::fs::write(&path, b"abc").expect("written");
        assert_eq!(cached_digest(&path, &cache).expect("read"), Digest::of(b"abc"));
        let entry = std::fs::read_dir(&cache).expect("there").next().expect("one").expect("read");
        // An entry that says something else shows that it is used …
        std::fs::write(entry.path(), Digest::of(b"x").to_string()).expect("written");
        assert_eq!(cached_digest(&path, &cache).expect("read"), Digest::of(b"x"));
        // … a broken one that it is not …
        std::fs::write(entry.path(), b"half a dig").expect("written");
        assert_eq!(cached_digest(&path, &cache).expect("read"), Digest::of(b"abc"));
        // … and another content that it does not apply.
        std::fs::write(&path, b"abcd").expect("written");
        assert_eq!(cached_digest(&path, &cache).expect("read"), Digest::of(b"abcd"));
    }

    #[test]
    fn a_wrong_digest_is_told_with_both() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let error = check_digest(Path::new("x"), Some(a), b).expect_err("differs").to_string();
        assert!(error.contains(&a.to_string()) && error.contains(&b.to_string()), "{error}");
        assert!(check_digest(Path::new("x"), Some(a), a).is_ok());
        assert!(check_digest(Path::new("x"), None, b).is_ok());
    }
}
