//! `hospitium guest add`, `hospitium host add`: a definition of what a person named, which then has a short name.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use hospitium_model::{Digest, GuestKind};
use hospitium_run::Places;
use serde::Serialize;
use serde_json::json;

use crate::args::AcceleratorArgument;
use crate::failure::{End, Usage};
use crate::json::{AsJson, print};
use crate::libvirt;
use crate::open::{Wishes, guest, host};
use crate::out::out;
use crate::view::safe;

/// A definition as it is written; `definition.rs` and the guest crate read it.
#[derive(Debug, Default, Serialize)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modules: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    product: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binary: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
}

/// `hospitium guest add`: the guest is opened first, and pinned by its digest.
pub fn guest_add(
    name: &str,
    what: &str,
    product: Option<String>,
    places: &Places,
    json: AsJson,
) -> Result<End> {
    let file = free("guests", name)?;
    let opened = guest(what, places, &Wishes::default())?;
    let facts = opened.guest.facts();
    let whole = |path: &str| {
        let path = Path::new(path);
        path.canonicalize().with_context(|| format!("cannot find {}", path.display()))
    };
    let sha256 = Some(facts.digest);
    let mut written = Written { product, sha256, ..Written::default() };
    match facts.kind {
        GuestKind::Disk if Path::new(what).is_file() => written.image = Some(whole(what)?),
        GuestKind::Kernel if Path::new(what).is_file() => written.kernel = Some(whole(what)?),
        GuestKind::Kernel if what.matches('+').count() == 1 => {
            let (kernel, modules) = what.split_once('+').unwrap_or((what, ""));
            (written.kernel, written.modules) = (Some(whole(kernel)?), Some(whole(modules)?));
        }
        _ => {
            return Err(Usage::error(
                format!("{what} is of several files that a definition cannot have together"),
                "name it as it is: hospitium run KERNEL+INITRD+IMAGE",
            ));
        }
    }
    write(&file, &written)?;
    match json.json {
        true => print(
            "hospitium-guest-add/1",
            json!({ "name": name, "file": file, "guest": facts.name, "sha256": facts.digest }),
        ),
        false => out!("{}: {}; hospitium run {name}", file.display(), safe(&facts.name)),
    }
    Ok(End::Good)
}

/// `hospitium host add`: the host is tried first.
pub async fn host_add(name: &str, what: &str, places: &Places, json: AsJson) -> Result<End> {
    let file = free("hosts", name)?;
    let opened = host(what, places, AcceleratorArgument::Auto).await?;
    let mut written = Written { kind: Some("qemu"), ..Written::default() };
    if let Some(uri) = libvirt::uri(what) {
        written = Written { kind: Some(libvirt::PREFIX), uri: Some(uri), ..Written::default() };
    } else if let Some(root) = what.strip_prefix("root:") {
        let root = Path::new(root).canonicalize();
        written.root = Some(root.with_context(|| format!("cannot find the folder of {what}"))?);
    } else if what.contains('/') {
        let binary = Path::new(what).canonicalize();
        written.binary = Some(binary.with_context(|| format!("cannot find {what}"))?);
    }
    write(&file, &written)?;
    let host = &opened.host.facts().name;
    match json.json {
        true => {
            print("hospitium-host-add/1", json!({ "name": name, "file": file, "host": host }));
        }
        false => {
            out!("{}: {}; hospitium run GUEST --on {name}", file.display(), safe(host));
        }
    }
    Ok(End::Good)
}

/// The definition's file, which must not be there yet.
fn free(folder: &str, name: &str) -> Result<PathBuf> {
    let good = (1..=64).contains(&name.len())
        && !name.starts_with(['.', '-'])
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if !good {
        return Err(Usage::error(
            format!("{name:?} is no name for a definition"),
            "take letters, digits, dots, dashes and underscores, such as debian-12",
        ));
    }
    let file = Path::new(folder).join(format!("{name}.toml"));
    if std::fs::symlink_metadata(&file).is_ok() {
        return Err(Usage::error(
            format!("{} is there already", file.display()),
            "take another name, or remove the file",
        ));
    }
    Ok(file)
}

fn write(path: &Path, written: &Written) -> Result<()> {
    let doing = || format!("cannot write {}", path.display());
    let text = toml::to_string(written).with_context(doing)?;
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).with_context(doing)?;
    // Never over another one, even if it came meanwhile.
    let mut file = std::fs::File::create_new(path).with_context(doing)?;
    file.write_all(text.as_bytes()).with_context(doing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{GuestDefinition, HostDefinition, read};

    #[test]
    fn what_is_written_is_read_as_the_same_guest_or_host() {
        let folder = tempfile::tempdir().expect("a folder");
        let sha256 = Some(Digest::of(b"x"));
        let kernel = Written { kernel: Some("/a.deb".into()), sha256, ..Written::default() };
        let file = folder.path().join("guests/kernel.toml");
        write(&file, &kernel).expect("written");
        let GuestDefinition::Kernel(read_again) = GuestDefinition::read(&file).expect("reads")
        else {
            panic!("no kernel")
        };
        assert_eq!((read_again.kernel, read_again.sha256), ("/a.deb".into(), sha256));
        assert!(write(&file, &kernel).is_err(), "never over another one");

        let image = Written { image: Some("/a.qcow2".into()), sha256, ..Written::default() };
        let file = folder.path().join("guests/image.toml");
        write(&file, &image).expect("written");
        assert!(matches!(GuestDefinition::read(&file), Ok(GuestDefinition::Disk(_))));

        let root = Some("/srv/qemu".into());
        let file = folder.path().join("hosts/other.toml");
        write(&file, &Written { kind: Some("qemu"), root: root.clone(), ..Written::default() })
            .expect("written");
        assert_eq!(read::<HostDefinition>(&file).expect("reads").root, root);
    }

    #[test]
    fn a_name_is_no_path() {
        for bad in ["", "../x", "a/b", ".x", "-x", "a b", "ä"] {
            assert!(free("guests", bad).is_err(), "{bad}");
        }
        assert_eq!(
            free("guests", "debian-12.5_a").expect("good"),
            Path::new("guests/debian-12.5_a.toml")
        );
    }
}
