//! `/etc/hospitium`: what the builder of the initramfs tells the probe.
//!
//!     channel /dev/ttyS1
//!     module /lib/modules/virtio_console.ko
//!     module /lib/modules/i6300esb.ko nowayout=1
//!     act-as 2.6.18
//!
//! Lines are taken in order; a line that is none of these is passed over.

use super::files;

/// Where channels come from.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// The command line.
    Path(&'a str),
    /// The file.
    Config(&'a Config),
}

impl<'a> Source<'a> {
    /// The n-th channel.
    pub fn channel(self, n: usize) -> Option<&'a str> {
        match self {
            Source::Path(path) => (n == 0).then_some(path),
            Source::Config(config) => config.lines("channel ").nth(n),
        }
    }
}

/// The file's text, at most 16 KiB of it.
pub struct Config {
    text: [u8; 16384],
    used: usize,
}

impl Config {
    /// Empty.
    pub const fn new() -> Self {
        Self { text: [0; 16384], used: 0 }
    }

    /// Reads the file; without one there is nothing to do.
    pub fn load(&mut self, path: &str) {
        self.used = files::read(path, 0, &mut self.text).map_or(0, <[u8]>::len);
    }

    /// What follows `word` on the lines that begin with it.
    pub fn lines(&self, word: &'static str) -> impl Iterator<Item = &str> {
        self.text[..self.used]
            .split(|&byte| byte == b'\n')
            .filter_map(move |line| core::str::from_utf8(line).ok()?.strip_prefix(word))
            .map(str::trim)
    }
}
