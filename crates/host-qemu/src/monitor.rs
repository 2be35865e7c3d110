//! A machine's own monitor connection, for what is asked of every QEMU.

use std::io::Read as _;

use async_trait::async_trait;
use hospitium_host::HostError;
use hospitium_host::local::open_left;
use hospitium_qmp::Monitor;
use serde_json::{Value, json};

use crate::machine::QemuMachine;

#[async_trait]
impl Monitor for QemuMachine {
    async fn call(&self, doing: &str, command: &str, arguments: Value) -> Result<Value, HostError> {
        self.qmp.call(doing, command, arguments).await
    }

    async fn memory(&self, address: u64, length: u64) -> Result<Vec<u8>, HostError> {
        let doing = "reading the machine's memory";
        let name = format!("memory-at-{}.bin", self.next_serial());
        let arguments = json!({"val": address, "size": length, "filename": name});
        self.qmp.call(doing, "pmemsave", arguments).await?;
        let path = self.folder.join(&name);
        // The VMM made the file: it may be anything.
        let mut bytes = Vec::new();
        let read = open_left(&path)?.take(length).read_to_end(&mut bytes);
        let _ = std::fs::remove_file(&path);
        read.map_err(HostError::io(doing))?;
        Ok(bytes)
    }
}
