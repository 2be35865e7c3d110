//! Bytes from a hypervisor to the disk that it is served.
#![no_main]

use std::io::{self, Read, Write};
use std::sync::Mutex;

use hospitium_disk::{Store, serve};
use libfuzzer_sys::fuzz_target;

/// A client that has said everything already and hears nothing.
struct Said<'a>(&'a [u8]);

impl Read for Said<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Said<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fuzz_target!(|bytes: &[u8]| {
    let file = || tempfile::tempfile().expect("a file");
    let store = Store::new(file(), file(), 1 << 20, false).expect("a disk");
    let store = Mutex::new(store);
    let _ = serve(Said(bytes), &store);
    let seen = store.into_inner().expect("whole").seen();
    assert!(seen.unflushed <= 1 << 20);
});
