//! A stream of bytes in both directions.

use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes both ways: a console, the probe's channel, a network cable.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}
