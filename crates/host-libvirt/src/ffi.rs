//! Calls of libvirt that the crate `virt` has no wrapper for: events, the end of a connection, and a few
//! questions. All that is unsafe in this driver is here.

use std::ffi::{CStr, CString, c_char, c_int, c_longlong, c_uint, c_ulonglong, c_void};
use std::ptr;
use std::sync::Arc;

use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::Error;
use virt::sys;

/// What libvirt told of a domain, in its own numbers (libvirt-domain.h).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// `virDomainEventType` and the detail that belongs to it.
    Lifecycle { event: u32, detail: i32 },
    /// It was reset; libvirt does not say by whom.
    Rebooted,
    /// `virDomainEventWatchdogAction`.
    Watchdog { action: u32 },
    /// A disk had an error, by its alias; `enospc` is the one reason that libvirt tells.
    DiskError { alias: String, reason: String },
    /// A device is gone, by its alias.
    Removed { alias: String },
    /// The guest did not let go of a device, by its alias.
    NotRemoved { alias: String },
    /// A tray moved, by the drive's alias.
    Tray { alias: String, open: bool },
    /// The balloon's new size in KiB.
    Balloon { kib: u64 },
    /// An event of QEMU's own, as libvirt passes it on.
    Qemu { name: String, seconds: i64, micros: u32, details: String },
}

/// Who hears what libvirt tells. Called on the thread of the event loop.
pub(crate) trait Listener: Send + Sync + 'static {
    /// An event of the domain of this UUID.
    fn told(&self, uuid: [u8; 16], told: Told);
    /// The connection is gone.
    fn closed(&self, why: &'static str);
}

/// What was registered, so that it can be taken back.
pub(crate) struct Registered {
    callbacks: Vec<c_int>,
    /// Why QEMU's own events are not passed on, if they are not.
    pub no_qemu_events: Option<String>,
}

type Opaque<L> = Arc<L>;

/// The listener behind a callback's pointer.
///
/// # Safety
/// `opaque` is what [`leak`] made of an `Arc<L>`, and [`free`] was not called with it yet.
unsafe fn listener<'a, L>(opaque: *mut c_void) -> &'a Opaque<L> {
    // SAFETY: the caller's promise.
    unsafe { &*opaque.cast::<Opaque<L>>() }
}

fn leak<L>(listener: &Arc<L>) -> *mut c_void {
    Box::into_raw(Box::new(listener.clone())).cast()
}

unsafe extern "C" fn free<L>(opaque: *mut c_void) {
    // SAFETY: libvirt calls this once, for the pointer that `leak` made, after the last call of the callback.
    drop(unsafe { Box::from_raw(opaque.cast::<Opaque<L>>()) });
}

/// Text of libvirt's, copied; empty if there is none.
///
/// # Safety
/// `text` is null or a C string that lives during the call.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Passes on what was told of a domain.
///
/// # Safety
/// As for [`listener`], and `domain` is a domain that lives during the call.
unsafe fn pass<L: Listener>(domain: sys::virDomainPtr, opaque: *mut c_void, told: Told) {
    let mut uuid = [0_u8; 16];
    // SAFETY: VIR_UUID_BUFLEN is 16; the domain lives during the call.
    if unsafe { sys::virDomainGetUUID(domain, uuid.as_mut_ptr()) } == 0 {
        // SAFETY: the caller's promise.
        unsafe { listener::<L>(opaque) }.told(uuid, told);
    }
}

/// A callback: its name, its own parameters, and what they tell.
macro_rules! callback {
    ($name:ident, ($($parameter:ident: $kind:ty),*) $(-> $result:ident)?, $told:expr $(, $value:expr)?) => {
        unsafe extern "C" fn $name<L: Listener>(
            _connect: sys::virConnectPtr,
            domain: sys::virDomainPtr,
            $($parameter: $kind,)*
            opaque: *mut c_void,
        ) $(-> $result)? {
            // SAFETY: libvirt calls this with a domain, strings and the pointer of `leak`, all alive.
            unsafe { pass::<L>(domain, opaque, $told) };
            $($value)?
        }
    };
}

callback!(lifecycle, (event: c_int, detail: c_int) -> c_int,
    Told::Lifecycle { event: event.cast_unsigned(), detail }, 0);
callback!(rebooted, (), Told::Rebooted);
callback!(watchdog, (action: c_int), Told::Watchdog { action: action.cast_unsigned() });
callback!(disk_error, (_path: *const c_char, alias: *const c_char, _action: c_int, reason: *const c_char),
    Told::DiskError { alias: text(alias), reason: text(reason) });
callback!(removed, (alias: *const c_char), Told::Removed { alias: text(alias) });
callback!(not_removed, (alias: *const c_char), Told::NotRemoved { alias: text(alias) });
callback!(tray, (alias: *const c_char, reason: c_int),
    Told::Tray { alias: text(alias), open: reason.cast_unsigned() == sys::VIR_DOMAIN_EVENT_TRAY_CHANGE_OPEN });
callback!(balloon, (kib: c_ulonglong), Told::Balloon { kib });
callback!(qemu, (name: *const c_char, seconds: c_longlong, micros: c_uint, details: *const c_char),
    Told::Qemu { name: text(name), seconds, micros, details: text(details) });

unsafe extern "C" fn closed<L: Listener>(
    _connect: sys::virConnectPtr,
    reason: c_int,
    opaque: *mut c_void,
) {
    let why = match reason.cast_unsigned() {
        sys::VIR_CONNECT_CLOSE_REASON_EOF => "the daemon closed it",
        sys::VIR_CONNECT_CLOSE_REASON_KEEPALIVE => "the daemon no longer answers",
        sys::VIR_CONNECT_CLOSE_REASON_CLIENT => "it was closed here",
        _ => "it broke",
    };
    // SAFETY: libvirt calls this with the pointer of `leak`, which is freed after it.
    unsafe { listener::<L>(opaque) }.closed(why);
}

/// Has `to` hear of all domains of a connection, and of its end.
pub(crate) fn listen<L: Listener>(connect: &Connect, to: &Arc<L>) -> Result<Registered, Error> {
    macro_rules! generic {
        ($callback:expr, $kind:ty) => {
            // SAFETY: libvirt casts each callback back to the type that belongs to its event
            // (virConnectDomainEventRegisterAny).
            unsafe {
                std::mem::transmute::<$kind, sys::virConnectDomainEventGenericCallback>(Some(
                    $callback,
                ))
            }
        };
    }
    let events = [
        (
            sys::VIR_DOMAIN_EVENT_ID_LIFECYCLE,
            generic!(lifecycle::<L>, sys::virConnectDomainEventCallback),
        ),
        (sys::VIR_DOMAIN_EVENT_ID_REBOOT, Some(rebooted::<L> as _)),
        (
            sys::VIR_DOMAIN_EVENT_ID_WATCHDOG,
            generic!(watchdog::<L>, sys::virConnectDomainEventWatchdogCallback),
        ),
        (
            sys::VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON,
            generic!(disk_error::<L>, sys::virConnectDomainEventIOErrorReasonCallback),
        ),
        (
            sys::VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
            generic!(removed::<L>, sys::virConnectDomainEventDeviceRemovedCallback),
        ),
        (
            sys::VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED,
            generic!(not_removed::<L>, sys::virConnectDomainEventDeviceRemovalFailedCallback),
        ),
        (
            sys::VIR_DOMAIN_EVENT_ID_TRAY_CHANGE,
            generic!(tray::<L>, sys::virConnectDomainEventTrayChangeCallback),
        ),
        (
            sys::VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE,
            generic!(balloon::<L>, sys::virConnectDomainEventBalloonChangeCallback),
        ),
    ];
    let mut registered = Registered { callbacks: Vec::new(), no_qemu_events: None };
    for (id, callback) in events {
        let opaque = leak(to);
        // SAFETY: the connection is open; a null domain means all; callback, pointer and its end belong together.
        let number = unsafe {
            sys::virConnectDomainEventRegisterAny(
                connect.as_ptr(),
                ptr::null_mut(),
                id.cast_signed(),
                callback,
                opaque,
                Some(free::<L>),
            )
        };
        if number < 0 {
            let error = Error::last_error();
            // SAFETY: libvirt did not take the pointer.
            unsafe { free::<L>(opaque) };
            return Err(error);
        }
        registered.callbacks.push(number);
    }
    let opaque = leak(to);
    // SAFETY: as above; a null name means all events.
    let number = unsafe {
        sys::virConnectDomainQemuMonitorEventRegister(
            connect.as_ptr(),
            ptr::null_mut(),
            ptr::null(),
            Some(qemu::<L>),
            opaque,
            Some(free::<L>),
            0,
        )
    };
    if number < 0 {
        registered.no_qemu_events = Some(Error::last_error().message().to_owned());
        // SAFETY: libvirt did not take the pointer.
        unsafe { free::<L>(opaque) };
    }
    let opaque = leak(to);
    // SAFETY: as above.
    let done = unsafe {
        sys::virConnectRegisterCloseCallback(
            connect.as_ptr(),
            Some(closed::<L>),
            opaque,
            Some(free::<L>),
        )
    };
    if done < 0 {
        let error = Error::last_error();
        // SAFETY: libvirt did not take the pointer.
        unsafe { free::<L>(opaque) };
        return Err(error);
    }
    Ok(registered)
}

/// Takes back what was registered: a connection with callbacks is never closed.
pub(crate) fn unlisten<L: Listener>(connect: &Connect, registered: &Registered) {
    for number in &registered.callbacks {
        // SAFETY: the connection is open, or lost, which libvirt notices.
        unsafe { sys::virConnectDomainEventDeregisterAny(connect.as_ptr(), *number) };
    }
    // SAFETY: as above.
    unsafe { sys::virConnectUnregisterCloseCallback(connect.as_ptr(), Some(closed::<L>)) };
}

fn checked(done: c_int) -> Result<(), Error> {
    if done < 0 { Err(Error::last_error()) } else { Ok(()) }
}

/// Injects a non-maskable interrupt.
pub(crate) fn inject_nmi(domain: &Domain) -> Result<(), Error> {
    // SAFETY: the domain lives during the call.
    checked(unsafe { sys::virDomainInjectNMI(domain.as_ptr(), 0) })
}

/// Bytes of the machine's physical memory.
pub(crate) fn peek(domain: &Domain, address: u64, length: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0_u8; length];
    // SAFETY: the buffer has `length` bytes; the domain lives during the call.
    let done = unsafe {
        sys::virDomainMemoryPeek(
            domain.as_ptr(),
            address,
            length,
            bytes.as_mut_ptr().cast(),
            sys::VIR_MEMORY_PHYSICAL,
        )
    };
    checked(done).map(|()| bytes)
}

/// Saves a domain's state to a file; the domain is no more then.
pub(crate) fn save(domain: &Domain, file: &CString) -> Result<(), Error> {
    // SAFETY: the domain and the name live during the call; a null definition means its own.
    let done = unsafe {
        sys::virDomainSaveFlags(
            domain.as_ptr(),
            file.as_ptr(),
            ptr::null(),
            sys::VIR_DOMAIN_SAVE_PAUSED,
        )
    };
    checked(done)
}

/// Asks the guest to let go of a device by its alias.
pub(crate) fn detach_alias(domain: &Domain, alias: &CString) -> Result<(), Error> {
    // SAFETY: the domain and the name live during the call.
    let done = unsafe {
        sys::virDomainDetachDeviceAlias(
            domain.as_ptr(),
            alias.as_ptr(),
            sys::VIR_DOMAIN_AFFECT_LIVE,
        )
    };
    checked(done)
}

/// Types keys by their Linux event codes.
pub(crate) fn send_keys(domain: &Domain, codes: &[u32], hold_ms: u32) -> Result<(), Error> {
    let mut codes = codes.to_vec();
    // SAFETY: the array has as many codes as are said; the domain lives during the call.
    let done = unsafe {
        sys::virDomainSendKey(
            domain.as_ptr(),
            sys::VIR_KEYCODE_SET_LINUX,
            hold_ms,
            codes.as_mut_ptr(),
            c_int::try_from(codes.len()).unwrap_or(c_int::MAX),
            0,
        )
    };
    checked(done)
}

/// What a disk has done.
pub(crate) struct BlockCounters {
    pub writes: u64,
    pub flushes: u64,
}

/// Counts of a disk by libvirt's name of it (`virDomainBlockStatsFlags`).
pub(crate) fn block_counters(domain: &Domain, target: &str) -> Result<BlockCounters, Error> {
    let name = CString::new(target).unwrap_or_default();
    let mut count: c_int = 0;
    // SAFETY: with no room for parameters, only their number is told.
    let asked = unsafe {
        sys::virDomainBlockStatsFlags(
            domain.as_ptr(),
            name.as_ptr(),
            ptr::null_mut(),
            &mut count,
            0,
        )
    };
    checked(asked)?;
    let room = usize::try_from(count).unwrap_or(0);
    // SAFETY: all zeros is a parameter without a name.
    let mut parameters: Vec<sys::virTypedParameter> = vec![unsafe { std::mem::zeroed() }; room];
    // SAFETY: the array has as many elements as are said; the numbers of disks hold no strings to free.
    let asked = unsafe {
        let all = parameters.as_mut_ptr();
        sys::virDomainBlockStatsFlags(domain.as_ptr(), name.as_ptr(), all, &mut count, 0)
    };
    checked(asked)?;
    parameters.truncate(usize::try_from(count).unwrap_or(0));
    let number = |wanted: &CStr| {
        let found = parameters.iter().find(|parameter| {
            let field = parameter.field.map(c_char::cast_unsigned);
            CStr::from_bytes_until_nul(&field).is_ok_and(|field| field == wanted)
        });
        let found = found.filter(|one| one.type_.cast_unsigned() == sys::VIR_TYPED_PARAM_LLONG);
        // SAFETY: the type says that the value is a long long.
        found.map_or(0, |one| u64::try_from(unsafe { one.value.l }).unwrap_or(0))
    };
    Ok(BlockCounters {
        writes: number(sys::VIR_DOMAIN_BLOCK_STATS_WRITE_REQ),
        flushes: number(sys::VIR_DOMAIN_BLOCK_STATS_FLUSH_REQ),
    })
}
