//! Kernel modules.

use hospitium_wire::errno;

use super::memory::FileMap;
use super::sys::{self, Text};
use crate::failure::{Failure, Result};

/// Largest module, in bytes; the largest of Debian's kernels (amdgpu) has 30 MB.
const LARGEST: usize = 256 << 20;

/// Loads a module. By init_module, because finit_module came with 3.8.
pub fn load(path: &str, parameters: &str) -> Result<()> {
    let file = sys::open(path, sys::O_RDONLY, 0)?;
    let length = usize::try_from(sys::size(&file)?).unwrap_or(usize::MAX);
    if length == 0 || length > LARGEST {
        return Err(Failure::invalid("init_module"));
    }
    let image = FileMap::of(&file, length)?;
    let parameters = Text::new(parameters)?;
    let arguments = [image.arg(), length, parameters.arg(), 0, 0, 0];
    // SAFETY: the image is mapped for its length, the parameters are NUL-ended.
    match unsafe { sys::call(sys::INIT_MODULE, arguments) } {
        Err(failure) if failure.is(&[errno::EEXIST]) => Ok(()),
        other => other.map(drop),
    }
}

/// Unloads a module, unless something uses it.
pub fn unload(name: &str) -> Result<()> {
    sys::on_path(sys::DELETE_MODULE, name, sys::arg(sys::O_NONBLOCK), 0).map(drop)
}
