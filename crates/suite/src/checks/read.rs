//! Reading what a Linux guest shows in its pseudo file systems.

use hospitium_system::{Session, SessionError};
use hospitium_wire::{Domain, errno};

use crate::CheckError;

/// The most that is read of one file: `/proc/interrupts` of a large machine is the longest.
const MOST: u64 = 1 << 20;

/// A file as text, white space around it cut off.
pub async fn text(guest: &Session, path: &str) -> Result<String, CheckError> {
    let bytes = guest.read_file(path, MOST).await?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// The same, `None` if the file is not there or its driver has nothing to say.
pub async fn text_if_there(guest: &Session, path: &str) -> Result<Option<String>, CheckError> {
    match guest.read_file(path, MOST).await {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).trim().to_owned())),
        Err(SessionError::Guest { domain: Domain::Errno, code: errno, .. })
            if [errno::ENOENT, errno::EIO, errno::EINVAL, errno::EOPNOTSUPP, 19, 6]
                .contains(&errno) =>
        {
            Ok(None)
        }
        Err(other) => Err(other.into()),
    }
}

/// Names in a folder, empty if it is not there.
pub async fn names(guest: &Session, path: &str) -> Result<Vec<String>, CheckError> {
    match guest.list(path).await {
        Ok(mut names) => {
            names.sort();
            Ok(names)
        }
        Err(SessionError::Guest { domain: Domain::Errno, code: errno::ENOENT, .. }) => {
            Ok(Vec::new())
        }
        Err(other) => Err(other.into()),
    }
}

/// A number in a file, decimal or with `0x`.
pub async fn number(guest: &Session, path: &str) -> Result<i64, CheckError> {
    let text = text(guest, path).await?;
    parse(&text).ok_or_else(|| CheckError::unreadable(path, &text))
}

/// Memory that the kernel has, in MiB: `MemTotal` of `/proc/meminfo`.
pub async fn total_mib(guest: &Session) -> Result<f64, CheckError> {
    let info = text(guest, "/proc/meminfo").await?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib: Option<f64> =
        line.and_then(|text| text.trim().trim_end_matches("kB").trim().parse().ok());
    kib.map(|kib| kib / 1024.0).ok_or_else(|| CheckError::unreadable("MemTotal", &info))
}

/// Decimal or `0x…`.
pub fn parse(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The numbers of a kernel list such as `0-3,5`, at most 4096 of them.
pub fn cpu_list(text: &str) -> Option<Vec<u32>> {
    let mut all = Vec::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        if last < first || last - first > 4096 || all.len() > 4096 {
            return None;
        }
        all.extend(first..=last);
    }
    Some(all)
}

/// The last component of a symbolic link's target, `None` if there is no such link.
pub async fn link_name(guest: &Session, path: &str) -> Result<Option<String>, CheckError> {
    match guest.read_link(path).await {
        Ok(target) => Ok(target.rsplit('/').next().map(str::to_owned)),
        Err(SessionError::Guest { domain: Domain::Errno, code: errno::ENOENT, .. }) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

/// The kernel's log as text, oldest first.
pub async fn kernel_log(guest: &Session) -> Result<String, CheckError> {
    Ok(String::from_utf8_lossy(&guest.kernel_log().await?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_lists_read_and_hostile_ones_are_refused() {
        assert_eq!(cpu_list("0-2,5"), Some(vec![0, 1, 2, 5]));
        assert_eq!(cpu_list(""), Some(vec![]));
        for bad in ["a", "3-1", "0-99999999", "1,,x"] {
            assert_eq!(cpu_list(bad), None, "{bad}");
        }
    }
}
