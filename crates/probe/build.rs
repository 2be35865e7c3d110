//! Chooses between the two forms of the probe.
//!
//! *Freestanding* is what goes into guests: no libc, no start files, one static executable at a
//! fixed address. It is built by `cargo build -p hospitium-probe --profile probe`, the only
//! profile of this workspace that optimises for size.
//!
//! *Hosted* is the same code started by the C library's `main`. Every other profile builds it,
//! because a build of several packages at once gives all of them one `serde`, with `std`, and a
//! program that holds `std` cannot have its own panic handler.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(freestanding)");
    if std::env::var("OPT_LEVEL").is_ok_and(|level| level == "s") {
        println!("cargo::rustc-cfg=freestanding");
        for argument in [
            "-nostartfiles",
            "-nostdlib",
            "-static",
            "-no-pie",
            "-Wl,--build-id=none",
            "-Wl,-z,norelro",
        ] {
            println!("cargo::rustc-link-arg-bins={argument}");
        }
    }
}
