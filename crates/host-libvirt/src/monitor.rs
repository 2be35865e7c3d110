//! QEMU's own monitor, which libvirt passes questions on to (`virDomainQemuMonitorCommand`): asked only for what
//! libvirt itself does not tell, and never to change a machine.

use async_trait::async_trait;
use hospitium_host::HostError;
use hospitium_model::escaped;
use hospitium_qmp::Monitor;
use serde_json::{Value, json};

use crate::ffi;
use crate::running::LibvirtMachine;

/// `virDomainMemoryPeek` hands out at most so much at once (VIR_DOMAIN remote protocol,
/// REMOTE_DOMAIN_MEMORY_PEEK_BUFFER_MAX).
const PIECE: u64 = 1 << 20;

#[async_trait]
impl Monitor for LibvirtMachine {
    async fn call(&self, doing: &str, command: &str, arguments: Value) -> Result<Value, HostError> {
        let question = json!({"execute": command, "arguments": arguments}).to_string();
        let answer =
            self.ask(doing, move |domain| domain.qemu_monitor_command(&question, 0)).await?;
        read(&answer).map_err(|why| HostError::Refused { doing: doing.to_owned(), why })
    }

    async fn memory(&self, address: u64, length: u64) -> Result<Vec<u8>, HostError> {
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < length {
            let at = address.saturating_add(bytes.len() as u64);
            let piece = usize::try_from((length - bytes.len() as u64).min(PIECE)).unwrap_or(0);
            let doing = "reading the machine's memory";
            bytes.extend(self.ask(doing, move |domain| ffi::peek(domain, at, piece)).await?);
        }
        Ok(bytes)
    }
}

/// The answer's `return`, or QEMU's words of its `error`.
fn read(answer: &str) -> Result<Value, String> {
    let mut answer: Value =
        serde_json::from_str(answer).map_err(|_| "QEMU's answer is no JSON".to_owned())?;
    if let Some(value) = answer.get_mut("return") {
        return Ok(value.take());
    }
    let words = answer.get("error").and_then(|error| error.get("desc")?.as_str());
    Err(escaped(words.unwrap_or("it answered with neither a value nor an error"), 400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_value_or_qemus_words() {
        assert_eq!(read(r#"{"return":{"a":1},"id":"x"}"#), Ok(json!({"a": 1})));
        assert_eq!(read(r#"{"error":{"class":"x","desc":"no\u001b"}}"#), Err("no\\x1b".into()));
        for bad in ["", "{}", "[]", "7", r#"{"error":3}"#] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
