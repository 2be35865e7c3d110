//! Which kind of guest it is that a person names.

use std::path::{Path, PathBuf};

use crate::direct::DirectGuest;
use crate::disk::{Definition, DiskError, DiskGuest};
use crate::guest::{Guest, GuestError};
use crate::image::{ImageError, Wrong};
use crate::kernel::KernelGuest;

/// Makes a guest ready from what a person names: a kernel package (`.deb`), a kernel image, a
/// kernel image and its modules' folder joined by `+`, a kernel image, an initrd and a disk image joined by `+`,
/// or a disk image. The bytes say which it is, not the name. What has to be unpacked is kept in
/// `cache`, by digest.
pub fn open(what: &Path, cache: &Path) -> Result<Box<dyn Guest>, GuestError> {
    open_with(what, None, cache)
}

/// The same with words for the end of the kernel's command line, which guests that have a boot loader of
/// their own cannot be given.
pub fn open_with(
    what: &Path,
    append: Option<&str>,
    cache: &Path,
) -> Result<Box<dyn Guest>, GuestError> {
    let words = append.map(str::to_owned);
    let kernel = |kernel: KernelGuest| Ok(Box::new(kernel.with_append(words.clone())) as Box<_>);
    let disk = |disk: DiskGuest| match append {
        Some(_) => Err(GuestError::NoAppend { path: what.to_owned() }),
        None => Ok(Box::new(disk) as Box<_>),
    };
    if let Some(found) = DiskGuest::open(what, cache) {
        return disk(found?);
    }
    if let Some([image, initrd, system]) = files_joined(what) {
        let three = (&*image, &*initrd, &*system);
        return Ok(Box::new(DirectGuest::new(three, words, cache)?));
    }
    if let Some((image, modules)) = kernel_and_modules(what) {
        return kernel(KernelGuest::from_folder(&image, &modules)?);
    }
    let head = read_head(what)
        .map_err(|source| GuestError::Unreadable { path: what.to_owned(), source })?;
    if head.starts_with(b"!<arch>\n") {
        return kernel(KernelGuest::from_package(what, cache)?);
    }
    if crate::kernel::is_bzimage(&head) {
        return kernel(KernelGuest::bare(what)?);
    }
    match DiskGuest::new(what, Definition::default(), cache) {
        Ok(found) => disk(found),
        Err(DiskError::Image(ImageError::Wrong { wrong: Wrong::Unknown, .. })) => {
            Err(GuestError::Unrecognised { path: what.to_owned() })
        }
        Err(other) => Err(other.into()),
    }
}

/// The three files of `vmlinuz+initrd+image`, cut at whichever of the `+` leave files.
fn files_joined(what: &Path) -> Option<[PathBuf; 3]> {
    let text = what.to_str()?;
    if what.exists() {
        return None;
    }
    let cuts: Vec<usize> = text.match_indices('+').map(|(at, _)| at).collect();
    let pairs =
        cuts.iter().enumerate().flat_map(|(n, a)| cuts[n + 1..].iter().map(move |b| (*a, *b)));
    pairs.take(1000).find_map(|(a, b)| {
        let parts = [&text[..a], &text[a + 1..b], &text[b + 1..]].map(PathBuf::from);
        parts.iter().all(|part| part.is_file()).then_some(parts)
    })
}

/// The two halves of `vmlinuz+modules`. Kernel versions hold `+` themselves, so every one is
/// tried, and a file that is there as a whole is not cut.
fn kernel_and_modules(what: &Path) -> Option<(PathBuf, PathBuf)> {
    let text = what.to_str()?;
    if what.exists() {
        return None;
    }
    text.match_indices('+').find_map(|(at, _)| {
        let (kernel, modules) = (Path::new(&text[..at]), Path::new(&text[at + 1..]));
        (kernel.is_file() && modules.is_dir()).then(|| (kernel.to_owned(), modules.to_owned()))
    })
}

fn read_head(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;

    let mut head = Vec::new();
    std::fs::File::open(path)?.take(1024).read_to_end(&mut head)?;
    Ok(head)
}
