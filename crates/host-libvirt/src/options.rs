//! Which libvirt, and how it is used.

use std::path::PathBuf;

/// How a libvirt is to be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LibvirtOptions {
    /// The connection, as `virsh -c` takes it: `qemu:///session`, `qemu:///system`, either with `?socket=PATH`.
    pub uri: String,
    /// Where files go that the VMMs' user can't be given access to in a machine's own folder; the system's
    /// folder for temporary files if none. Sockets go into a folder of a short name.
    pub staging: Option<PathBuf>,
}

impl LibvirtOptions {
    /// The libvirt at this URI, with everything else left to the driver.
    pub fn new(uri: impl Into<String>) -> Self {
        Self { uri: uri.into(), staging: None }
    }
}

/// The path that a URI names as its daemon's socket, if it names one.
pub(crate) fn socket(uri: &str) -> Option<PathBuf> {
    let (_, query) = uri.split_once('?')?;
    query.split('&').find_map(|part| part.strip_prefix("socket=")).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_found_where_a_uri_names_one() {
        assert_eq!(socket("qemu:///session?a=b&socket=/x/y"), Some("/x/y".into()));
        assert_eq!(socket("qemu:///session"), None);
    }
}
