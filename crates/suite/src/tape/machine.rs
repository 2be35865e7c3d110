//! A machine whose answers pass a tape. There may be no machine behind it.

use std::any::Any;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hospitium_host::{
    Attachment, Balloon, ByteStream, Confinement, Destination, Display, Dump, Ended, Event,
    EventClass, EventKind, Facet, HostError, Hotplug, Inject, Inspection, Look, Machine, Media,
    Medium, Moved, Moving, PowerVerb, ProcessFacts, Saving, Screenshot, Sight, Snapshot, Wires,
    WorkDir,
};
use hospitium_model::{Answer, ByteSize, Inability, MachineSpec};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::console::{Noted, played, silent};
use super::{Tape, TappedHost, nobody};

/// A machine whose answers pass a tape.
pub(crate) struct TappedMachine {
    inner: Option<Box<dyn Machine>>,
    tape: Arc<Tape>,
    number: u32,
    name: String,
    spec: MachineSpec,
}

impl TappedMachine {
    /// The machine of this folder's name; none is there as the tape plays.
    pub(crate) fn boxed(
        inner: Option<Box<dyn Machine>>,
        tape: Arc<Tape>,
        name: &str,
        spec: MachineSpec,
    ) -> Box<dyn Machine> {
        let number = tape.number(name);
        Box::new(Self { inner, tape, number, name: name.to_owned(), spec })
    }

    fn inner(&self, question: &str) -> Result<&dyn Machine, HostError> {
        self.inner.as_deref().ok_or_else(|| nobody(question))
    }

    async fn ask<T>(
        &self,
        name: &'static str,
        arguments: Value,
        inner: impl Future<Output = Result<T, HostError>> + Send,
    ) -> Result<T, HostError>
    where
        T: Serialize + serde::de::DeserializeOwned + Send,
    {
        self.tape.ask(self.number, name, arguments, inner).await
    }

    /// Whether the machine has a facet.
    fn facet(
        &self,
        name: &str,
        has: impl FnOnce(&dyn Machine) -> Result<(), Inability>,
    ) -> Result<(), Inability> {
        self.tape.ask_now(self.number, "facet", json!({ "of": name }), || match &self.inner {
            Some(machine) => has(&**machine),
            None => Err(Inability::of_host(nobody("facet").to_string())),
        })
    }
}

impl Drop for TappedMachine {
    fn drop(&mut self) {
        if let (Some(machine), Some((_, recorder))) = (&self.inner, self.tape.recorder()) {
            recorder.events(self.number, machine.events());
        }
    }
}

/// A facet that passes the tape.
macro_rules! facets {
    ($($facet:ident: $kind:path),+ $(,)?) => {
        $(fn $facet(&self) -> Facet<'_, dyn $kind> {
            self.facet(stringify!($facet), |machine| machine.$facet().map(|_| ()))?;
            Ok(self)
        })+
    };
}

#[async_trait]
impl Machine for TappedMachine {
    fn name(&self) -> &str {
        &self.name
    }

    fn spec(&self) -> &MachineSpec {
        &self.spec
    }

    async fn power(&self, verb: PowerVerb) -> Result<(), HostError> {
        let inner = async { self.inner("power")?.power(verb).await };
        self.ask("power", json!({ "verb": verb }), inner).await
    }

    async fn serial(&self, name: &str) -> Result<Box<dyn ByteStream>, HostError> {
        if let Some((_, player)) = self.tape.player() {
            return Ok(match name {
                "console" => played(player.clone(), self.number),
                _ => silent(),
            });
        }
        let stream = self.inner("serial")?.serial(name).await?;
        Ok(match self.tape.recorder() {
            Some((_, recorder)) if name == "console" => {
                let recorder = recorder.clone();
                Box::new(Noted { stream, machine: self.number, recorder })
            }
            _ => stream,
        })
    }

    fn events(&self) -> Vec<Event> {
        match (&self.inner, self.tape.player()) {
            (Some(machine), _) => machine.events(),
            (None, Some((_, player))) => player.events(self.number).0,
            (None, None) => Vec::new(),
        }
    }

    async fn wait_event(
        &self,
        from: usize,
        what: &str,
        limit: Duration,
        wanted: &(dyn for<'a> Fn(&'a EventKind) -> bool + Send + Sync),
    ) -> Result<(usize, Event), HostError> {
        let Some((_, player)) = self.tape.player() else {
            return self.inner("wait_event")?.wait_event(from, what, limit, wanted).await;
        };
        let end = tokio::time::Instant::now() + limit;
        let mut moved = player.watch();
        loop {
            moved.mark_unchanged();
            let (events, next) = player.events(self.number);
            for (n, event) in events.into_iter().enumerate().skip(from) {
                if wanted(&event.kind) {
                    return Ok((n, event));
                }
                if let EventKind::Died(ended) = event.kind {
                    return Err(HostError::Ended { doing: format!("waiting for {what}"), ended });
                }
            }
            if tokio::time::Instant::now() >= end {
                return Err(HostError::TimedOut { what: what.to_owned(), limit });
            }
            let until = next.map_or(end, |next| next.min(end));
            tokio::select! {
                _ = moved.changed() => {}
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }

    fn observes(&self, class: EventClass) -> Answer {
        let arguments = json!({ "class": class });
        let inner = || Ok::<_, HostError>(self.inner("observes")?.observes(class));
        let told = self.tape.ask_now(self.number, "observes", arguments, inner);
        told.unwrap_or_else(|error| Answer::No(error.to_string()))
    }

    async fn look(&self) -> Result<Look, HostError> {
        self.ask("look", json!({}), async { self.inner("look")?.look().await }).await
    }

    async fn inspect(&self) -> Result<Inspection, HostError> {
        self.inner("inspect")?.inspect().await
    }

    async fn ended(&self) -> Ended {
        match &self.inner {
            Some(machine) => machine.ended().await,
            None => std::future::pending().await,
        }
    }

    async fn finish(&self) -> Result<Ended, HostError> {
        let told = self.ask("finish", json!({}), async { self.inner("finish")?.finish().await });
        told.await
    }

    fn said(&self) -> Result<Vec<String>, Inability> {
        self.tape.ask_now(self.number, "said", json!({}), || match &self.inner {
            Some(machine) => machine.said(),
            None => Err(Inability::of_host(nobody("said").to_string())),
        })
    }

    fn command(&self) -> Vec<String> {
        self.inner.as_ref().map(|machine| machine.command()).unwrap_or_default()
    }

    fn viewer(&self) -> Option<String> {
        self.inner.as_ref().and_then(|machine| machine.viewer())
    }

    facets!(
        hotplug: Hotplug,
        wires: Wires,
        media: Media,
        display: Display,
        inject: Inject,
        balloon: Balloon,
        confinement: Confinement,
        saving: Saving,
        moving: Moving,
        dump: Dump,
    );
}

#[async_trait]
impl Hotplug for TappedMachine {
    async fn attach(&self, what: &Attachment) -> Result<(), HostError> {
        let inner = async { self.inner("attach")?.hotplug()?.attach(what).await };
        self.ask("attach", json!({ "what": what }), inner).await
    }

    async fn detach(&self, id: &str) -> Result<(), HostError> {
        let inner = async { self.inner("detach")?.hotplug()?.detach(id).await };
        self.ask("detach", json!({ "id": id }), inner).await
    }
}

#[async_trait]
impl Wires for TappedMachine {
    async fn frames(&self, nic: &str) -> Result<Box<dyn ByteStream>, HostError> {
        if self.tape.player().is_some() {
            return Ok(silent());
        }
        self.inner("frames")?.wires()?.frames(nic).await
    }

    async fn set_link(&self, nic: &str, up: bool) -> Result<(), HostError> {
        let inner = async { self.inner("set_link")?.wires()?.set_link(nic, up).await };
        self.ask("set_link", json!({ "nic": nic, "up": up }), inner).await
    }
}

#[async_trait]
impl Media for TappedMachine {
    async fn medium(&self, disk: &str) -> Result<Medium, HostError> {
        let inner = async { self.inner("medium")?.media()?.medium(disk).await };
        self.ask("medium", json!({ "disk": disk }), inner).await
    }

    async fn resize_disk(&self, id: &str, size: ByteSize) -> Result<(), HostError> {
        let inner = async { self.inner("resize_disk")?.media()?.resize_disk(id, size).await };
        self.ask("resize_disk", json!({ "id": id, "size": size }), inner).await
    }

    async fn grow_backing(&self, id: &str, room: ByteSize) -> Result<(), HostError> {
        let inner = async { self.inner("grow_backing")?.media()?.grow_backing(id, room).await };
        self.ask("grow_backing", json!({ "id": id, "room": room }), inner).await
    }

    async fn change_medium(&self, id: &str, image: Option<&Path>) -> Result<(), HostError> {
        let inner = async { self.inner("change_medium")?.media()?.change_medium(id, image).await };
        let arguments = json!({ "id": id, "in": image.is_some() });
        self.ask("change_medium", arguments, inner).await
    }
}

#[async_trait]
impl Display for TappedMachine {
    async fn screenshot(&self) -> Result<Screenshot, HostError> {
        let inner = async { self.inner("screenshot")?.display()?.screenshot().await };
        self.ask("screenshot", json!({}), inner).await
    }

    async fn send_key(&self, key: &str) -> Result<(), HostError> {
        let inner = async { self.inner("send_key")?.display()?.send_key(key).await };
        self.ask("send_key", json!({ "key": key }), inner).await
    }
}

#[async_trait]
impl Inject for TappedMachine {
    async fn nmi(&self) -> Result<(), HostError> {
        self.ask("nmi", json!({}), async { self.inner("nmi")?.inject()?.nmi().await }).await
    }
}

#[async_trait]
impl Balloon for TappedMachine {
    async fn set_balloon(&self, size: ByteSize) -> Result<(), HostError> {
        let inner = async { self.inner("set_balloon")?.balloon()?.set_balloon(size).await };
        self.ask("set_balloon", json!({ "size": size }), inner).await
    }
}

#[async_trait]
impl Confinement for TappedMachine {
    async fn process(&self) -> Result<ProcessFacts, HostError> {
        let inner = async { self.inner("process")?.confinement()?.process().await };
        self.ask("process", json!({}), inner).await
    }

    async fn overhead(&self) -> Result<Sight<ByteSize>, HostError> {
        let inner = async { self.inner("overhead")?.confinement()?.overhead().await };
        self.ask("overhead", json!({}), inner).await
    }

    async fn vcpu_times(&self) -> Result<Sight<BTreeMap<u32, Duration>>, HostError> {
        let inner = async { self.inner("vcpu_times")?.confinement()?.vcpu_times().await };
        self.ask("vcpu_times", json!({}), inner).await
    }
}

#[async_trait]
impl Saving for TappedMachine {
    async fn snapshot(&self, folder: &Path) -> Result<Snapshot, HostError> {
        let inner = async { self.inner("snapshot")?.saving()?.snapshot(folder).await };
        self.ask("snapshot", json!({}), inner).await
    }
}

/// What is told of a machine that was moved.
#[derive(Serialize, Deserialize)]
struct MovedForm {
    downtime: Duration,
    same_vmm: bool,
    same_host: bool,
}

#[async_trait]
impl Moving for TappedMachine {
    async fn migrate(&self, to: &dyn Destination, dir: &WorkDir) -> Result<Moved, HostError> {
        let mut arrived = None;
        // The driver wants its own type behind it.
        let host = (to as &dyn Any).downcast_ref::<TappedHost>().and_then(TappedHost::inner);
        let inner = async {
            let host = host.ok_or_else(|| nobody("migrate"))?;
            let moved = self.inner("migrate")?.moving()?.migrate(&**host, dir).await?;
            arrived = Some(moved.machine);
            let Moved { downtime, same_vmm, same_host, .. } = moved;
            Ok(MovedForm { downtime, same_vmm, same_host })
        };
        let MovedForm { downtime, same_vmm, same_host } =
            self.ask("migrate", json!({}), inner).await?;
        let machine = Self::boxed(arrived, self.tape.clone(), &dir.name, self.spec.clone());
        Ok(Moved { machine, downtime, same_vmm, same_host })
    }
}

#[async_trait]
impl Dump for TappedMachine {
    async fn dump_memory(&self, file: &Path) -> Result<(), HostError> {
        let inner = async { self.inner("dump_memory")?.dump()?.dump_memory(file).await };
        self.ask("dump_memory", json!({}), inner).await
    }
}
