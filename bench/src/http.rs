//! Requests over the loopback interface, each on a connection of its own, as a browser's or another desk's would come.

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The bytes of an answer that are kept; of a longer one the rest is counted only.
const KEPT: usize = 1 << 20;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// HTTP.
    pub status: u16,
    /// The beginning of it, its head included.
    pub bytes: Vec<u8>,
    /// The bytes of the whole body.
    pub body: u64,
}

impl Answer {
    /// The body's beginning, as text.
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        text.split_once("\r\n\r\n").map_or_else(String::new, |(_, body)| body.to_owned())
    }
}

/// Asks for a page with further header lines, each ended by `\r\n`.
pub async fn get(address: &str, path: &str, headers: &str) -> Result<Answer> {
    let mut stream = connect(address).await?;
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await?;
    read(stream).await
}

/// Asks for a page that has to be there; gives the bytes of its body.
pub async fn page(address: &str, path: &str) -> Result<u64> {
    let answer = get(address, path, "").await?;
    ensure!(answer.status == 200, "{path} is answered with {}", answer.status);
    Ok(answer.body)
}

/// Sends a body: a head, `zeros` times a chunk of zeros, and a tail.
pub async fn post(
    address: &str,
    path: &str,
    headers: &str,
    (head, zeros, tail): (&[u8], u64, &[u8]),
) -> Result<Answer> {
    let stream = connect(address).await?;
    let chunk = vec![0; 1 << 16];
    let length = head.len() as u64 + zeros * chunk.len() as u64 + tail.len() as u64;
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    let (from, mut to) = stream.into_split();
    let sending = async {
        to.write_all(request.as_bytes()).await?;
        to.write_all(head).await?;
        for _ in 0..zeros {
            to.write_all(&chunk).await?;
        }
        to.write_all(tail).await
    };
    // One that refuses answers before it has read everything.
    let (sent, answer) = tokio::join!(sending, read(from));
    let answer = answer?;
    ensure!(sent.is_ok() || answer.status >= 300, "{path}: the body broke off: {sent:?}");
    Ok(answer)
}

async fn connect(address: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await;
    let stream = stream.with_context(|| format!("connecting to {address}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn read(mut stream: impl tokio::io::AsyncRead + Unpin) -> Result<Answer> {
    let (mut bytes, mut all) = (Vec::new(), 0_u64);
    let mut chunk = vec![0; 1 << 16];
    loop {
        let got = stream.read(&mut chunk).await.context("reading an answer")?;
        if got == 0 {
            break;
        }
        all += got as u64;
        let room = KEPT.saturating_sub(bytes.len()).min(got);
        bytes.extend_from_slice(chunk.get(..room).unwrap_or_default());
    }
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").context("no answer")?;
    let line = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned();
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = all - end as u64 - 4;
    Ok(Answer { status: status.context("no status")?, bytes, body })
}
