//! Signed records, the append-only log, cosignatures, and certificates that verify offline.
mod fault;
mod files;
pub mod key;
pub mod log;
pub mod note;
pub mod party;
pub mod proof;
mod text;
mod tile;
mod tree;
mod vkey;
