//! What is done to a running machine, beyond its power.

pub(crate) mod dump;
pub(crate) mod hotplug;
pub(crate) mod media;
pub(crate) mod restore;
pub(crate) mod save;
pub(crate) mod screen;
