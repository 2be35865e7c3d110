//! The requests that only Linux has, and what is held for them.

use hospitium_wire::{LinuxRequest, MAX_DATA, Refusal, Reply};

use super::log::Snapshot;
use super::{device, files, input, module, older};
use crate::dispatch::{SLOTS, done, held, slot};
use crate::failure::{Failure, Result};

/// What is held between requests.
pub struct Own {
    log: Snapshot,
    inputs: [Option<input::Device>; SLOTS],
    watchdog: Option<device::Watchdog>,
    /// The input device whose power key is obeyed.
    pub power_button: Option<input::Device>,
}

impl Own {
    /// Nothing held. All zero, so that it costs nothing in the file.
    pub const fn new() -> Self {
        Self {
            log: Snapshot::new(),
            inputs: [const { None }; SLOTS],
            watchdog: None,
            power_button: None,
        }
    }

    /// Answers a request. `data` is for the answer, `room` for what passes through.
    pub fn answer<'a>(
        &'a mut self,
        request: &LinuxRequest<'a>,
        data: &'a mut [u8; MAX_DATA],
        room: &'a mut [u8],
    ) -> Result<Reply<'a>> {
        Ok(match *request {
            LinuxRequest::MakeNode { path, node, major, minor } => {
                done(files::make_node(path, node, major, minor))?
            }
            LinuxRequest::Mount { source, target, kind, flags, data } => {
                done(files::mount(source, target, kind, flags, data))?
            }
            LinuxRequest::Unmount { target } => done(files::unmount(target))?,
            LinuxRequest::LoadModule { path, parameters } => done(module::load(path, parameters))?,
            LinuxRequest::UnloadModule { name } => done(module::unload(name))?,
            LinuxRequest::Ioctl { path, request, argument } => {
                let (result, argument) = device::ioctl(path, request, argument, room)?;
                Reply::Ioctl { result, argument }
            }
            LinuxRequest::InputOpen { slot: number, path } => {
                let slot = slot(&mut self.inputs, number)?;
                *slot = None;
                *slot = Some(input::Device::open(path)?);
                Reply::Done
            }
            LinuxRequest::InputRead { slot, limit_ms } => {
                Reply::Input { events: held(&mut self.inputs, slot)?.read(limit_ms, data)? }
            }
            LinuxRequest::ObeyPowerButton { path } => {
                self.power_button = Some(input::Device::open(path)?);
                Reply::Done
            }
            LinuxRequest::WatchdogArm { path, seconds } => {
                let watchdog = match self.watchdog.take() {
                    Some(armed) => armed,
                    None => device::Watchdog::open(path)?,
                };
                // Kept even if the time-out is refused: dropping it would not stop it.
                let watchdog = self.watchdog.insert(watchdog);
                Reply::Count { count: watchdog.arm(seconds)? }
            }
            LinuxRequest::WatchdogDisarm => match self.watchdog.take() {
                Some(watchdog) => done(watchdog.disarm())?,
                None => {
                    return Err(Failure::refused(Refusal::Empty, "watchdog"));
                }
            },
            LinuxRequest::ActAs { release } => done(older::act_as(release))?,
            LinuxRequest::KernelLog { offset } => {
                Reply::Data { data: self.log.from(offset, MAX_DATA)? }
            }
        })
    }
}
