//! Backing files: each must be a plain file below the folder that images may come from.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Format, ImageError, ImageInfo, Raw, probe_as};

/// The most backing files behind each other.
pub const MAX_DEPTH: usize = 16;

/// The image and its backing files, top first. `allowed_root` is the folder that all of them must be
/// in or below, symbolic links followed. `raw` is for the top; what its backing file is,
/// an overlay must say.
pub fn chain(path: &Path, allowed_root: &Path, raw: Raw) -> Result<Vec<ImageInfo>, ImageError> {
    let root = std::fs::canonicalize(allowed_root)
        .map_err(|source| ImageError::Unreadable { path: allowed_root.to_owned(), source })?;
    let mut images = vec![probe_as(path, raw)?];
    let mut met = vec![identity(path)?];
    while let Some(top) = images.last()
        && let Some(backing) = &top.backing
    {
        if images.len() > MAX_DEPTH {
            return Err(ImageError::BackingTooDeep { path: path.to_owned(), most: MAX_DEPTH });
        }
        let name = backing.name.clone();
        let next = resolve(&top.path, &name, &root)?;
        let said = backing.format.clone().ok_or_else(|| ImageError::BackingFormatUnsaid {
            path: top.path.clone(),
            backing: name.clone(),
        })?;
        let id = identity(&next)?;
        if let Some(at) = met.iter().position(|other| *other == id) {
            return Err(ImageError::BackingLoop { path: next, steps: images.len() - 1 - at });
        }
        met.push(id);
        let asked = if said == "raw" { Raw::Asked } else { Raw::WithBootSignature };
        let below = probe_as(&next, asked)?;
        if Format::by_name(&said) != Some(below.format) {
            let (path, found) = (top.path.clone(), below.format.name());
            return Err(ImageError::BackingFormatWrong { path, said, found });
        }
        images.push(below);
    }
    Ok(images)
}

fn identity(path: &Path) -> Result<(u64, u64), ImageError> {
    let meta = std::fs::metadata(path)
        .map_err(|source| ImageError::Unreadable { path: path.to_owned(), source })?;
    Ok((meta.dev(), meta.ino()))
}

/// The file that `backing` names, seen from the overlay.
fn resolve(overlay: &Path, backing: &str, root: &Path) -> Result<PathBuf, ImageError> {
    let path = || overlay.to_owned();
    // QEMU takes "word:" at the beginning for a protocol, unless a slash comes before the colon.
    let first = backing.split('/').next().unwrap_or_default();
    if first.contains(':') {
        return Err(ImageError::BackingProtocol { path: path(), backing: backing.into() });
    }
    let folder = overlay.parent().unwrap_or(Path::new("."));
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let unreadable = |source| ImageError::Unreadable { path: folder.join(backing), source };
    let outside = || ImageError::BackingOutside {
        path: path(),
        backing: backing.into(),
        root: root.to_owned(),
    };
    let full = match std::fs::canonicalize(folder.join(backing)) {
        Ok(full) => full,
        // Whether a file exists outside is none of the image's business.
        Err(_) if backing.starts_with('/') || backing.split('/').any(|part| part == "..") => {
            return Err(outside());
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(ImageError::BackingMissing { path: path(), backing: backing.into() });
        }
        Err(e) => return Err(unreadable(e)),
    };
    if full.starts_with(root) { Ok(full) } else { Err(outside()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::tests::qcow2_over;

    fn write(folder: &Path, name: &str, backing: Option<(&str, Option<&str>)>) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, qcow2_over(backing)).expect("written");
        path
    }

    fn error(path: &Path) -> ImageError {
        let root = path.parent().expect("in a folder");
        chain(path, root, Raw::WithBootSignature).expect_err("refused")
    }

    #[test]
    fn a_chain_in_one_folder_is_followed_to_its_base() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path();
        std::fs::write(at.join("base.raw"), [0; 1024]).expect("written");
        write(at, "middle", Some(("base.raw", Some("raw"))));
        let absolute = at.join("middle");
        let top = write(at, "top", Some((absolute.to_str().expect("UTF-8"), Some("qcow2"))));
        let images = chain(&top, at, Raw::WithBootSignature).expect("a good chain");
        let formats: Vec<Format> = images.iter().map(|image| image.format).collect();
        assert_eq!(formats, [Format::Qcow2, Format::Qcow2, Format::Raw]);
    }

    #[test]
    fn what_leads_out_of_the_folder_is_refused() {
        let outer = tempfile::tempdir().expect("a folder");
        let at = outer.path().join("images");
        std::fs::create_dir(&at).expect("made");
        std::fs::write(outer.path().join("secret"), [0; 512]).expect("written");
        std::os::unix::fs::symlink("../secret", at.join("link")).expect("made");
        for name in ["../secret", "/etc/passwd", "link", "../absent", "/absent"] {
            let top = write(&at, "top", Some((name, Some("raw"))));
            assert!(matches!(error(&top), ImageError::BackingOutside { .. }), "{name}");
        }
        for name in
            ["json:{\"driver\":\"file\"}", "nbd:localhost:10809", "https://a/b", "file:secret"]
        {
            let top = write(&at, "top", Some((name, Some("raw"))));
            assert!(matches!(error(&top), ImageError::BackingProtocol { .. }), "{name}");
        }
    }

    #[test]
    fn loops_depth_and_lies_are_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path();
        let this = write(at, "self", Some(("self", Some("qcow2"))));
        assert!(matches!(error(&this), ImageError::BackingLoop { steps: 0, .. }));
        write(at, "a", Some(("b", Some("qcow2"))));
        let b = write(at, "b", Some(("a", Some("qcow2"))));
        assert!(matches!(error(&b), ImageError::BackingLoop { steps: 1, .. }));
        for n in 0..MAX_DEPTH + 2 {
            write(at, &format!("{n}"), Some((&format!("{}", n + 1), Some("qcow2"))));
        }
        assert!(matches!(error(&at.join("0")), ImageError::BackingTooDeep { .. }));
        let unsaid = write(at, "unsaid", Some(("a", None)));
        assert!(matches!(error(&unsaid), ImageError::BackingFormatUnsaid { .. }));
        write(at, "plain", None);
        let lie = write(at, "lie", Some(("plain", Some("vmdk"))));
        assert!(matches!(error(&lie), ImageError::BackingFormatWrong { found: "qcow2", .. }));
        let gone = write(at, "gone", Some(("nowhere", Some("qcow2"))));
        assert!(matches!(error(&gone), ImageError::BackingMissing { .. }));
    }
}
