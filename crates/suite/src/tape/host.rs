//! A host whose answers pass a tape. There may be no host behind it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use hospitium_host::{
    Choices, Cloning, Continuation, Defect, Destination, Facet, Host, HostClock, HostError,
    HostWitness, ImageRef, ImageStore, Isolation, Load, Machine, MemoryFrom, PhysicalCpu, Sight,
    Snapshot, WorkDir,
};
use hospitium_model::{Answer, ByteSize, Capability, HostFacts, Inability, MachineSpec};
use serde_json::json;

use super::{HOST, Tape, TappedMachine, nobody};

/// A host whose answers pass a tape.
pub(crate) struct TappedHost {
    inner: Option<Arc<dyn Host>>,
    tape: Arc<Tape>,
    facts: HostFacts,
    isolation: Isolation,
    offers: Vec<(Capability, Answer)>,
}

impl TappedHost {
    /// Before a host that is there.
    pub(crate) fn before(inner: Arc<dyn Host>, tape: Arc<Tape>) -> Arc<dyn Host> {
        let (facts, isolation) = (inner.facts().clone(), inner.isolation());
        Arc::new(Self { inner: Some(inner), tape, facts, isolation, offers: Vec::new() })
    }

    /// The host that a tape plays.
    pub(crate) fn played(tape: Arc<Tape>) -> Option<Arc<dyn Host>> {
        let (pair, _) = tape.player()?;
        let (facts, isolation, offers) = (pair.host.clone(), pair.isolation, pair.offers.clone());
        Some(Arc::new(Self { inner: None, tape, facts, isolation, offers }))
    }

    /// The host behind it.
    pub(crate) const fn inner(&self) -> Option<&Arc<dyn Host>> {
        self.inner.as_ref()
    }

    fn there(&self, question: &str) -> Result<&Arc<dyn Host>, HostError> {
        self.inner.as_ref().ok_or_else(|| nobody(question))
    }
}

impl Destination for TappedHost {
    fn facts(&self) -> &HostFacts {
        &self.facts
    }
}

#[async_trait]
impl Host for TappedHost {
    fn offers(&self, what: Capability) -> Answer {
        if let Some(host) = &self.inner {
            return host.offers(what);
        }
        let known = self.offers.iter().find(|(known, _)| *known == what);
        let unknown =
            || Answer::No("the transcript does not say whether the host offers it".into());
        known.map_or_else(unknown, |(_, answer)| answer.clone())
    }

    fn choices(&self) -> Facet<'_, Choices> {
        match &self.inner {
            Some(host) => host.choices(),
            None => Err(Inability::of_host("a transcript does not say what the host offers")),
        }
    }

    fn isolation(&self) -> Isolation {
        self.isolation
    }

    async fn clock(&self) -> Result<HostClock, HostError> {
        let inner = async { self.there("clock")?.clock().await };
        self.tape.ask(HOST, "host clock", json!({}), inner).await
    }

    fn witness(&self) -> Facet<'_, dyn HostWitness> {
        let there = || match &self.inner {
            Some(host) => host.witness().map(|_| ()),
            None => Err(Inability::of_host(nobody("witness").to_string())),
        };
        self.tape.ask_now(HOST, "facet", json!({ "of": "witness" }), there)?;
        Ok(self)
    }

    fn store(&self) -> &dyn ImageStore {
        self
    }

    async fn define(
        &self,
        spec: &MachineSpec,
        dir: &WorkDir,
    ) -> Result<Box<dyn Machine>, HostError> {
        let mut made = None;
        let inner = async {
            made = Some(self.there("define")?.define(spec, dir).await?);
            Ok::<_, HostError>(())
        };
        let () = self.tape.ask(HOST, "define", json!({ "name": dir.name }), inner).await?;
        Ok(TappedMachine::boxed(made, self.tape.clone(), &dir.name, spec.clone()))
    }

    fn cloning(&self) -> Facet<'_, dyn Cloning> {
        let there = || match &self.inner {
            Some(host) => host.cloning().map(|_| ()),
            None => Err(Inability::of_host(nobody("cloning").to_string())),
        };
        self.tape.ask_now(HOST, "facet", json!({ "of": "cloning" }), there)?;
        Ok(self)
    }

    fn with_defects(&self, defects: &[Defect]) -> Result<Arc<dyn Host>, Inability> {
        match &self.inner {
            Some(host) => Ok(Self::before(host.with_defects(defects)?, self.tape.clone())),
            None => Err(Inability::of_host("a transcript has no other host")),
        }
    }
}

#[async_trait]
impl Cloning for TappedHost {
    async fn restore(
        &self,
        snapshot: &Snapshot,
        how: Continuation,
        dir: &WorkDir,
    ) -> Result<Box<dyn Machine>, HostError> {
        let mut made = None;
        let inner = async {
            let host = self.there("restore")?;
            made = Some(host.cloning()?.restore(snapshot, how, dir).await?);
            Ok::<_, HostError>(())
        };
        let mut arguments = json!({ "name": dir.name, "generation": how.generation });
        if how.memory != MemoryFrom::default() {
            arguments["memory"] = json!(how.memory);
        }
        let () = self.tape.ask(HOST, "restore", arguments, inner).await?;
        Ok(TappedMachine::boxed(made, self.tape.clone(), &dir.name, snapshot.spec.clone()))
    }

    /// Of the harness's own files, so not recorded.
    fn intact(&self, snapshot: &Snapshot) -> Result<(), HostError> {
        match &self.inner {
            Some(host) => host.cloning()?.intact(snapshot),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl HostWitness for TappedHost {
    async fn load(&self) -> Load {
        if let Some(Ok(witness)) = self.inner.as_ref().map(|host| host.witness()) {
            return witness.load().await;
        }
        let unseen = || Inability::of_host("no check asks for it");
        Load { short_of_cpu: Err(unseen()), average: Err(unseen()) }
    }

    async fn cpu(&self) -> Sight<PhysicalCpu> {
        let inner = async { Ok::<_, HostError>(self.there("cpu")?.witness()?.cpu().await) };
        seen(self.tape.ask(HOST, "host cpu", json!({}), inner).await)
    }

    async fn vulnerabilities(&self) -> Sight<BTreeMap<String, String>> {
        let inner = async {
            Ok::<_, HostError>(self.there("vulnerabilities")?.witness()?.vulnerabilities().await)
        };
        seen(self.tape.ask(HOST, "host vulnerabilities", json!({}), inner).await)
    }

    async fn free_memory(&self) -> Sight<ByteSize> {
        let inner =
            async { Ok::<_, HostError>(self.there("free_memory")?.witness()?.free_memory().await) };
        seen(self.tape.ask(HOST, "host memory", json!({}), inner).await)
    }

    async fn computer(&self) -> Sight<String> {
        match self.inner.as_ref().map(|host| host.witness()) {
            Some(Ok(witness)) => witness.computer().await,
            _ => Err(Inability::of_host("no check asks for it")),
        }
    }

    async fn has_process(&self, pid: u32) -> Sight<bool> {
        let inner = async {
            Ok::<_, HostError>(self.there("has_process")?.witness()?.has_process(pid).await)
        };
        seen(self.tape.ask(HOST, "host has process", json!({ "pid": pid }), inner).await)
    }
}

fn seen<T>(told: Result<Sight<T>, HostError>) -> Sight<T> {
    told.unwrap_or_else(|error| Err(Inability::of_host(error.to_string())))
}

#[async_trait]
impl ImageStore for TappedHost {
    async fn put(&self, file: &Path) -> Result<ImageRef, HostError> {
        match &self.inner {
            Some(host) => host.store().put(file).await,
            // A machine that is played opens no file.
            None => Ok(ImageRef { path: file.to_owned() }),
        }
    }
}
