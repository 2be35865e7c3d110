//! The operating system. Another one is another folder with the same names.

mod linux;

pub use linux::*;
