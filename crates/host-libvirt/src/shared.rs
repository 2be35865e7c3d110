//! What all machines of a libvirt share.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hospitium_host::{Choices, Defect, HostError};
use hospitium_model::HostFacts;

use crate::connection::Connection;
use crate::image::DiskPlan;
use crate::place::Place;
use crate::user::User;
use crate::watched::Watched;
use crate::xml::capabilities::DomainCapabilities;
use crate::xml::domain::MadeDisk;
use crate::xml::parts::Layer;

/// A saved machine's UUID, and who goes on from it.
pub(crate) type GoingOn = ([u8; 16], Weak<Watched>);

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What all machines of a libvirt share.
pub(crate) struct Shared {
    pub(crate) connection: Arc<Connection>,
    /// Libvirt's version.
    pub(crate) version: String,
    pub(crate) facts: HostFacts,
    pub(crate) offered: DomainCapabilities,
    pub(crate) choices: Choices,
    pub(crate) user: User,
    /// Libvirt chooses the VMMs' user, and gives files away to it if it is not told otherwise.
    pub(crate) relabels: bool,
    pub(crate) staging: Option<PathBuf>,
    pub(crate) defects: Vec<Defect>,
    /// Who goes on from which saved machine.
    pub(crate) going_on: Arc<Mutex<Vec<GoingOn>>>,
    /// Folders of snapshots that machines of this process go on from.
    pub(crate) owned: Arc<Mutex<Vec<PathBuf>>>,
}

impl Shared {
    /// A disk's images as the VMM of a machine finds them.
    pub(crate) fn made(&self, place: &Place, plan: &DiskPlan) -> Result<MadeDisk, HostError> {
        let mut layers = Vec::new();
        if plan.has_own() {
            layers.extend(plan.top(&place.files));
        }
        for (n, layer) in plan.below.iter().enumerate() {
            let name = format!("{}.below-{n}", plan.disk.id);
            let path = place.readable(&layer.path, &name)?;
            layers.push(Layer { path, format: layer.format.clone() });
        }
        let room = plan.room().filter(|_| plan.has_own());
        let server =
            plan.loses().then(|| place.socket(&plan.socket()).to_string_lossy().into_owned());
        Ok(MadeDisk { disk: plan.disk.clone(), layers, room, server })
    }

    /// The name of an image that belongs to a snapshot; none if it is an input.
    pub(crate) fn owned(&self, path: &Path) -> Option<String> {
        let owned = locked(&self.owned).iter().any(|folder| path.parent() == Some(folder));
        owned.then(|| path.file_name().unwrap_or_default().to_string_lossy().into_owned())
    }
}
