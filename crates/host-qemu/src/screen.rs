//! Screenshots, from the portable pixmap that QEMU writes.

use std::io::Read as _;
use std::path::Path;

use hospitium_model::ByteSize;
use serde_json::json;

use crate::qmp::Qmp;
use hospitium_host::local::open_left;
use hospitium_host::{HostError, Screenshot};
use hospitium_qmp::parse_picture;

/// 4K in 3 bytes a pixel is 25 MB; nothing shows more.
const LARGEST: ByteSize = ByteSize::mib(64);

/// A picture of the display. The VMM writes it to its `folder`, under a name with this `number`.
pub(crate) async fn screenshot(
    qmp: &Qmp,
    folder: &Path,
    number: u32,
) -> Result<Screenshot, HostError> {
    let name = format!("screen-{number}.ppm");
    let path = folder.join(&name);
    let doing = "taking a screenshot";
    qmp.call(doing, "screendump", json!({"filename": name})).await?;
    let io = |e| HostError::io(format!("reading {}", path.display()))(e);
    // The VMM made the file: it may be anything.
    let mut bytes = Vec::new();
    let file = open_left(&path)?;
    file.take(LARGEST.as_bytes() + 1).read_to_end(&mut bytes).map_err(io)?;
    let _ = std::fs::remove_file(&path);
    let small = bytes.len() as u64 <= LARGEST.as_bytes();
    parse_picture(&bytes).filter(|_| small).ok_or_else(|| HostError::Refused {
        doing: doing.into(),
        why: "what it wrote is no picture of a sane size".into(),
    })
}
