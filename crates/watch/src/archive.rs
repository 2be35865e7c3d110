//! Tar archives of databases: names and texts of their files, read in memory; nothing is put on the
//! disk, so a name cannot lead anywhere.

use std::io::Read;

use hospitium_model::printable;

use crate::WatchError;
use crate::place::{Place, unpack};

/// Largest archive, packed; osinfo-db's has 200 KiB.
const LARGEST: u64 = 64 << 20;
/// Most that may come out of one.
const UNPACKED: u64 = 512 << 20;
/// Largest file in one.
const LARGEST_FILE: u64 = 4 << 20;
/// Most files in one; osinfo-db has about a thousand.
const MOST: usize = 50_000;

/// A file of an archive: its name, and its text.
pub type Member = (String, String);

/// The files whose names end so, in the order of their names.
pub fn members(place: &Place, endings: &[&str]) -> Result<Vec<Member>, WatchError> {
    let bytes = place.bytes(LARGEST)?;
    let what = place.shown();
    let cause = |cause| WatchError::Packed { what: what.clone(), cause };
    let too_much = |limit, unit| WatchError::TooMuch { what: what.clone(), limit, unit };
    let mut archive = tar::Archive::new(unpack(&bytes).map_err(cause)?.take(UNPACKED + 1));
    let mut found = Vec::new();
    let (mut seen, mut kept) = (0, 0_u64);
    for entry in archive.entries().map_err(cause)? {
        let mut entry = entry.map_err(cause)?;
        seen += 1;
        if seen > MOST {
            return Err(too_much(MOST as u64, "files"));
        }
        let name = printable(&String::from_utf8_lossy(&entry.path_bytes()), 300);
        if !entry.header().entry_type().is_file() || !endings.iter().any(|end| name.ends_with(end))
        {
            continue;
        }
        let mut text = Vec::new();
        entry.by_ref().take(LARGEST_FILE + 1).read_to_end(&mut text).map_err(cause)?;
        kept += text.len() as u64;
        if text.len() as u64 > LARGEST_FILE || kept > UNPACKED {
            return Err(WatchError::TooMuch {
                what: format!("{name} in {what}"),
                limit: LARGEST_FILE,
                unit: "bytes",
            });
        }
        found.push((name, String::from_utf8_lossy(&text).into_owned()));
    }
    if archive.into_inner().limit() == 0 {
        return Err(too_much(UNPACKED, "bytes when unpacked"));
    }
    found.sort();
    Ok(found)
}
