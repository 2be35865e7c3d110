//! The program inside the guest: answers the harness's requests over a serial line or a
//! virtio-serial port.
//!
//! In comes a frame of [`hospitium_wire`] with a request, out goes one with the answer. The probe
//! needs nothing in the guest: no libc, no file, no network, and no memory beyond its own
//! `.bss`. Everything that knows an operating system is in [`os`]; the rest ([`serve`],
//! [`dispatch`], [`pattern`]) would be the same on another.
//!
//!     hospitium-probe [--daemon] [CHANNEL]
//!
//! As process 1 it makes the system usable first and takes its channels from `/etc/hospitium`.

#![no_std]
#![no_main]

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "x86"))))]
compile_error!(
    "the probe exists for Linux on x86 so far; another system is a module beside os/linux, another \
     instruction set a file in os/linux/sys"
);

#[cfg(not(freestanding))]
extern crate std;

mod dispatch;
mod failure;
mod os;
mod pattern;
mod serve;
