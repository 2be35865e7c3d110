//! The connection to a libvirt daemon. Its calls block, so each runs on a thread of its own and is given up
//! on after a time; its events come on the thread of one loop.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};
use std::time::Duration;

use hospitium_host::HostError;
use hospitium_model::escaped;
use tokio::sync::{oneshot, watch};
use virt::connect::Connect;
use virt::error::{Error, ErrorNumber};

use crate::ffi::{self, Listener, Registered, Told};
use crate::watched::Watched;

/// No question takes longer, on a busy computer without hardware virtualization.
pub(crate) const QUESTION: Duration = Duration::from_secs(60);
/// Starting a VMM, saving, going on, writing out the memory.
pub(crate) const WORK: Duration = Duration::from_secs(300);
/// How often the daemon is asked whether it is there, and how many answers may be missing.
const KEEPALIVE: (i32, u32) = (5, 4);

/// A connection, shared by the machines on it.
pub(crate) struct Connection {
    pub(crate) uri: String,
    connect: Arc<Connect>,
    hub: Arc<Hub>,
    registered: Option<Registered>,
}

/// Knows who wants to hear of which domain.
struct Hub {
    machines: Mutex<HashMap<[u8; 16], Weak<Watched>>>,
    qemu_events: std::sync::atomic::AtomicBool,
    lost: watch::Sender<Option<String>>,
}

impl Listener for Hub {
    fn told(&self, uuid: [u8; 16], told: Told) {
        let machine = self.machines().get(&uuid).and_then(Weak::upgrade);
        if let Some(machine) = machine {
            machine.told(&told, self.qemu_events.load(std::sync::atomic::Ordering::SeqCst));
        }
    }

    fn closed(&self, why: &'static str) {
        self.lost.send_replace(Some(why.to_owned()));
        let machines: Vec<_> = self.machines().values().filter_map(Weak::upgrade).collect();
        for machine in machines {
            machine.lost(why);
        }
    }
}

impl Hub {
    fn machines(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 16], Weak<Watched>>> {
        self.machines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the one loop that all connections' events come through.
fn start_loop() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Errors come back from the calls; libvirt is not to print them too.
        virt::error::clear_error_callback();
        if let Err(error) = virt::event::event_register_default_impl() {
            tracing::error!("libvirt's event loop cannot be set up: {error}");
            return;
        }
        let run = || {
            loop {
                if let Err(error) = virt::event::event_run_default_impl() {
                    tracing::error!("libvirt's event loop stopped: {error}");
                    return;
                }
            }
        };
        let started = std::thread::Builder::new().name("libvirt events".into()).spawn(run);
        if let Err(error) = started {
            tracing::error!("libvirt's event loop cannot be started: {error}");
        }
    });
}

/// Runs a blocking call on a thread of its own. A thread that hangs holds up nobody, not even the end of this
/// process.
async fn apart<T: Send + 'static>(
    doing: &str,
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, HostError> {
    let (answer, answered) = oneshot::channel();
    let run = move || {
        // Nobody waits for it any more.
        let _ = answer.send(work());
    };
    std::thread::Builder::new()
        .name("libvirt call".into())
        .spawn(run)
        .map_err(HostError::io(doing))?;
    let late = |_| HostError::TimedOut { what: format!("libvirt, {doing}"), limit };
    tokio::time::timeout(limit, answered).await.map_err(late)?.map_err(|_| HostError::Refused {
        doing: doing.to_owned(),
        why: "the call of libvirt broke off; this is a bug".into(),
    })
}

impl Connection {
    /// Connects to a daemon.
    pub(crate) async fn open(uri: &str) -> Result<Arc<Self>, HostError> {
        start_loop();
        let lost = watch::Sender::new(None);
        let qemu_events = std::sync::atomic::AtomicBool::new(false);
        let hub = Arc::new(Hub { machines: Mutex::default(), qemu_events, lost });
        let (name, listener) = (uri.to_owned(), hub.clone());
        let doing = format!("connecting to {uri}");
        let opened = apart(&doing, QUESTION, move || {
            let connect = Connect::open(Some(&name))?;
            // Without it a daemon that hangs is noticed by the limits of the calls only.
            let _ = connect.set_keep_alive(KEEPALIVE.0, KEEPALIVE.1);
            let registered = ffi::listen(&connect, &listener)?;
            Ok::<_, Error>((connect, registered))
        });
        let (connect, registered) = opened.await?.map_err(|error| unusable(uri, &error))?;
        let told = registered.no_qemu_events.is_none();
        hub.qemu_events.store(told, std::sync::atomic::Ordering::SeqCst);
        Ok(Arc::new(Self {
            uri: uri.to_owned(),
            connect: Arc::new(connect),
            hub,
            registered: Some(registered),
        }))
    }

    /// For calls of libvirt's streams, within a call.
    pub(crate) fn raw(&self) -> &Connect {
        &self.connect
    }

    /// Why QEMU's own events are not passed on, if they are not.
    pub(crate) fn no_qemu_events(&self) -> Option<&str> {
        self.registered.as_ref()?.no_qemu_events.as_deref()
    }

    /// From now on events of this domain are told to the machine.
    pub(crate) fn watch(&self, uuid: [u8; 16], machine: &Arc<Watched>) {
        self.hub.machines().insert(uuid, Arc::downgrade(machine));
        if let Some(why) = self.lost() {
            machine.lost(&why);
        }
    }

    /// No more events of this domain are told to this machine.
    pub(crate) fn unwatch(&self, uuid: &[u8; 16], machine: &Arc<Watched>) {
        let mut machines = self.hub.machines();
        if machines
            .get(uuid)
            .is_some_and(|other| std::ptr::eq(other.as_ptr(), Arc::as_ptr(machine)))
        {
            machines.remove(uuid);
        }
    }

    /// Why the connection is gone, if it is.
    pub(crate) fn lost(&self) -> Option<String> {
        self.hub.lost.borrow().clone()
    }

    fn gone(&self, why: &str) -> HostError {
        HostError::Unusable {
            vmm: format!("libvirt at {}", self.uri),
            why: format!("the connection is gone: {why}"),
            next: "Look whether its daemon runs (virsh -c URI version), and run again".into(),
        }
    }

    /// A question; see [`Connection::call_within`].
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        doing: &str,
        work: impl FnOnce(&Connect) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, HostError> {
        self.call_within(doing, QUESTION, work).await
    }

    /// Calls libvirt. Ends when the call does, when the connection is lost, or when the time is over.
    pub(crate) async fn call_within<T: Send + 'static>(
        &self,
        doing: &str,
        limit: Duration,
        work: impl FnOnce(&Connect) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, HostError> {
        if let Some(why) = self.lost() {
            return Err(self.gone(&why));
        }
        let connect = self.connect.clone();
        let answer = apart(doing, limit, move || work(&connect));
        let mut lost = self.hub.lost.subscribe();
        let answer = tokio::select! {
            biased;
            answer = answer => answer?,
            _ = lost.wait_for(Option::is_some) => {
                return Err(self.gone(&self.lost().unwrap_or_default()));
            }
        };
        answer.map_err(|error| match self.lost() {
            Some(why) => self.gone(&why),
            None => fault(doing, &error),
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Taking back asks the daemon, which may hang.
        let Some(registered) = self.registered.take() else { return };
        let connect = self.connect.clone();
        let work = move || ffi::unlisten::<Hub>(&connect, &registered);
        let _ = std::thread::Builder::new().name("libvirt close".into()).spawn(work);
    }
}

fn unusable(uri: &str, error: &Error) -> HostError {
    HostError::Unusable {
        vmm: format!("libvirt at {uri}"),
        why: escaped(error.message(), 400),
        next: "Start its daemon (Debian: apt install libvirt-daemon-system, or libvirtd for \
               qemu:///session), or name another: libvirt:URI"
            .into(),
    }
}

/// What a failed call means.
fn fault(doing: &str, error: &Error) -> HostError {
    let (doing, why) = (doing.to_owned(), escaped(error.message(), 400));
    match error.code() {
        ErrorNumber::NoSupport
        | ErrorNumber::ConfigUnsupported
        | ErrorNumber::OperationUnsupported
        | ErrorNumber::ArgumentUnsupported => HostError::Unsupported { what: doing, why },
        _ => HostError::Refused { doing, why },
    }
}
