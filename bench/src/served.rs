//! A `hospitium serve` in a process of its own, optimised, as it would run at a vendor.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// A server that ends with the bench.
#[derive(Debug)]
pub struct Served {
    child: Child,
    /// ADDRESS:PORT.
    pub address: String,
}

impl Served {
    /// Starts one on a free port.
    pub fn start(hospitium: &Path, arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(hospitium);
        for name in ["ENDOFLIFE", "CATALOG", "PARTY", "DESK"] {
            command.env_remove(format!("HOSPITIUM_{name}"));
        }
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(arguments);
        // What it tells of itself is of no use here; what is wrong is seen by the answers.
        let mut child = command
            .current_dir(xtask::root())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", hospitium.display()))?;
        let out = child.stdout.take().context("no pipe")?;
        let mut served = Self { child, address: String::new() };
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).context("reading the server's address")?;
        let address = line.trim().trim_end_matches('/').trim_start_matches("http://");
        ensure!(
            !address.is_empty(),
            "the server did not start: hospitium serve {}",
            arguments.join(" ")
        );
        served.address = address.to_owned();
        Ok(served)
    }

    /// The most memory that it had so far, in bytes.
    pub fn peak_memory(&self) -> Result<u64> {
        crate::memory::peak_memory(self.child.id())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A path as an argument.
pub fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is no UTF-8", path.display()))
}
