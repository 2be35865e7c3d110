//! The kernel's random numbers.

use super::sys::{self, EAGAIN};
use super::{files, older};
use crate::failure::Result;
use hospitium_wire::errno;

// include/uapi/linux/random.h.
const RNDADDENTROPY: u64 = 0x4008_5203;
const RNDRESEEDCRNG: u64 = 0x5207;

/// struct rand_pool_info with 32 bytes.
#[repr(C)]
struct Pool {
    bits: i32,
    bytes: i32,
    entropy: [u8; 32],
}

/// Mixes fresh entropy into the kernel's pool, credits it, and has the generator take it up now
/// rather than minutes later.
pub fn adopt(entropy: &[u8; 32]) -> Result<()> {
    let fd = sys::open("/dev/urandom", sys::O_RDWR, 0)?;
    sys::write_all(&fd, entropy)?;
    let mut pool = Pool { bits: 256, bytes: 32, entropy: *entropy };
    // SAFETY: RNDADDENTROPY reads a struct rand_pool_info with as many bytes as it says.
    unsafe { sys::ioctl(&fd, RNDADDENTROPY, &mut pool) }?;
    // Linux 4.17; refused while the generator has not begun, which is as good.
    let _ = sys::plain(sys::IOCTL, [fd.arg(), RNDRESEEDCRNG as usize, 0, 0, 0, 0]);
    Ok(())
}

/// Fills the buffer. Never waits: before the kernel has gathered entropy, or where it has no
/// getrandom (3.17), from `/dev/urandom`.
pub fn random(out: &mut [u8]) -> Result<&[u8]> {
    const GRND_NONBLOCK: usize = 1;
    if older::lacks_getrandom() {
        return files::read("/dev/urandom", 0, out);
    }
    let (at, length) = (out.as_mut_ptr() as usize, out.len());
    // SAFETY: the buffer is good for its length.
    match unsafe { sys::call(sys::GETRANDOM, [at, length, GRND_NONBLOCK, 0, 0, 0]) } {
        // Up to 256 bytes come whole.
        Ok(count) => Ok(&out[..count]),
        Err(failure) if failure.is(&[EAGAIN, errno::ENOSYS]) => files::read("/dev/urandom", 0, out),
        Err(failure) => Err(failure),
    }
}
