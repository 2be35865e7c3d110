//! What a disk holds: its content now, and of that what would be there after a power cut.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use rustix::fs::{FallocateFlags, SeekFrom, fallocate, seek};
use rustix::io::Errno;

use crate::extents::Extents;

/// Content is copied in pieces of this size.
const PIECE: usize = 64 << 10;

/// What came to a disk so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Writes, those of zeros included.
    pub writes: u64,
    /// Flushes that were carried out.
    pub flushes: u64,
    /// Flushes that were acknowledged and not carried out, since the disk lies on purpose.
    pub ignored: u64,
    /// Bytes written that no flush has made last yet; after a power cut, those that were lost. More than these where
    /// a guest writes to very many places, since what is between some of them counts, too.
    pub unflushed: u64,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { writes, flushes, unflushed, ignored } = self;
        write!(
            f,
            "a disk that the hypervisor writes to by NBD and that keeps only what is flushed: {writes} writes \
             and {flushes} flushes reached it, {unflushed} bytes were not flushed"
        )?;
        if *ignored > 0 {
            write!(f, ", {ignored} flushes were dropped on purpose")?;
        }
        Ok(())
    }
}

/// The content of a disk.
#[derive(Debug)]
pub struct Store {
    /// What lasts.
    lasting: File,
    /// What is there now.
    now: File,
    size: u64,
    /// Where the two may differ.
    pending: Extents,
    seen: Seen,
    lies: bool,
    on: bool,
}

impl Store {
    /// A disk of `size` bytes that begins with what `lasting` holds. `now` is an empty file of its own. One that `lies`
    /// acknowledges flushes and does not carry them out.
    ///
    /// # Errors
    /// The content cannot be copied.
    pub fn new(lasting: File, now: File, size: u64, lies: bool) -> io::Result<Self> {
        let length = lasting.metadata()?.len();
        copy(&lasting, &now, 0, length)?;
        let (pending, seen) = (Extents::default(), Seen::default());
        Ok(Self { lasting, now, size, pending, seen, lies, on: true })
    }

    /// Bytes that it holds.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// What came to it so far.
    pub fn seen(&self) -> Seen {
        Seen { unflushed: self.pending.bytes(), ..self.seen }
    }

    /// False if `length` bytes from `at` on are not all on the disk.
    pub const fn holds(&self, at: u64, length: u64) -> bool {
        match at.checked_add(length) {
            Some(end) => end <= self.size,
            None => false,
        }
    }

    /// Reads from `at` on; what was never written is zero.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        read_or_zero(&self.now, at, buffer)
    }

    /// Writes at `at`. With `lasts` it is there after a power cut, as if flushed.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&mut self, at: u64, data: &[u8], lasts: bool) -> io::Result<()> {
        self.now.write_all_at(data, at)?;
        self.wrote(at, at + data.len() as u64, lasts)
    }

    /// Writes zeros.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn zero(&mut self, at: u64, length: u64, lasts: bool) -> io::Result<()> {
        punch(&self.now, at, length)?;
        self.wrote(at, at + length, lasts)
    }

    /// Gives blocks back. Their content counts for nothing any more, so this needs no flush.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn trim(&mut self, at: u64, length: u64) -> io::Result<()> {
        punch(&self.now, at, length)?;
        if !self.on {
            return Ok(());
        }
        punch(&self.lasting, at, length)?;
        self.pending.remove(at, at + length);
        Ok(())
    }

    fn wrote(&mut self, from: u64, to: u64, lasts: bool) -> io::Result<()> {
        self.seen.writes += 1;
        self.pending.add(from, to);
        if lasts && !self.lies && self.on {
            copy(&self.now, &self.lasting, from, to)?;
            self.pending.remove(from, to);
        }
        Ok(())
    }

    /// Makes last all that was written.
    ///
    /// # Errors
    /// The file cannot be written; what was not is still to be made last.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.lies {
            self.seen.ignored += 1;
            return Ok(());
        }
        self.seen.flushes += 1;
        self.settle()
    }

    /// The same without a flush: a disk that keeps its power writes everything at some time.
    ///
    /// # Errors
    /// As [`Store::flush`].
    pub fn settle(&mut self) -> io::Result<()> {
        if !self.on {
            return Ok(());
        }
        let pending = self.pending.take();
        for (n, (from, to)) in pending.iter().enumerate() {
            if let Err(error) = copy(&self.now, &self.lasting, from, to) {
                pending.iter().skip(n).for_each(|(from, to)| self.pending.add(from, to));
                return Err(error);
            }
        }
        Ok(())
    }

    /// The power goes: nothing is made last from now on.
    pub const fn cut(&mut self) {
        self.on = false;
    }

    /// Copies what lasts into an empty file.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn copy_lasting(&self, to: &File) -> io::Result<()> {
        let length = self.lasting.metadata()?.len();
        copy(&self.lasting, to, 0, length)?;
        to.set_len(length)
    }
}

/// Reads from `at` on, with zeros past the end of the file.
fn read_or_zero(file: &File, at: u64, buffer: &mut [u8]) -> io::Result<()> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], at + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer[done..].fill(0);
    Ok(())
}

/// Makes a hole. Past the end of the file there is one already.
fn punch(file: &File, at: u64, length: u64) -> io::Result<()> {
    if length == 0 {
        return Ok(());
    }
    let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match fallocate(file, how, at, length) {
        Err(Errno::OPNOTSUPP) => {
            let end = (at + length).min(file.metadata()?.len());
            let zeros = vec![0; PIECE];
            let mut at = at;
            while at < end {
                let some = (end - at).min(PIECE as u64) as usize;
                file.write_all_at(&zeros[..some], at)?;
                at += some as u64;
            }
            Ok(())
        }
        done => Ok(done?),
    }
}

/// Makes `to` hold what `from` holds between two places, holes included.
fn copy(from: &File, to: &File, begin: u64, end: u64) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    let mut at = begin;
    while at < end {
        let data = match seek(from, SeekFrom::Data(at)) {
            Ok(data) => data.clamp(at, end),
            // No more data.
            Err(Errno::NXIO) => end,
            Err(error) => return Err(error.into()),
        };
        punch(to, at, data - at)?;
        if data == end {
            break;
        }
        let hole = seek(from, SeekFrom::Hole(data))?.clamp(data, end);
        at = data;
        while at < hole {
            let some = (hole - at).min(PIECE as u64) as usize;
            read_or_zero(from, at, &mut buffer[..some])?;
            to.write_all_at(&buffer[..some], at)?;
            at += some as u64;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZE: u64 = 1 << 16;

    fn store(lies: bool) -> (Store, File) {
        let (lasting, now) =
            (tempfile::tempfile().expect("made"), tempfile::tempfile().expect("made"));
        let outside = lasting.try_clone().expect("cloned");
        (Store::new(lasting, now, SIZE, lies).expect("made"), outside)
    }

    fn content(file: &File) -> Vec<u8> {
        let mut all = vec![0; SIZE as usize];
        read_or_zero(file, 0, &mut all).expect("read");
        all
    }

    #[derive(Debug, Clone)]
    enum Step {
        Write(u64, Vec<u8>, bool),
        Zero(u64, u64, bool),
        Flush,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..SIZE - 9000, prop::collection::vec(any::<u8>(), 1..9000), any::<bool>())
                .prop_map(|(at, data, lasts)| Step::Write(at, data, lasts)),
            (0..SIZE - 9000, 1_u64..9000, any::<bool>())
                .prop_map(|(at, length, lasts)| Step::Zero(at, length, lasts)),
            Just(Step::Flush),
        ]
    }

    proptest! {
        #[test]
        fn after_a_power_cut_there_is_what_was_flushed_and_nothing_else(
            steps in prop::collection::vec(step(), 0..30),
            // Few enough for ranges to be taken together, and the usual bound.
            most in prop_oneof![1_usize..4, Just(1 << 16)],
        ) {
            let (mut store, outside) = store(false);
            store.pending = Extents::bounded(most);
            let (mut now, mut lasting) = (vec![0; SIZE as usize], vec![0; SIZE as usize]);
            for step in steps {
                let (at, data, lasts) = match step {
                    Step::Flush => {
                        store.flush().expect("flushed");
                        lasting.clone_from(&now);
                        continue;
                    }
                    Step::Write(at, data, lasts) => {
                        store.write(at, &data, lasts).expect("written");
                        (at, data, lasts)
                    }
                    Step::Zero(at, length, lasts) => {
                        store.zero(at, length, lasts).expect("written");
                        (at, vec![0; length as usize], lasts)
                    }
                };
                let range = at as usize..at as usize + data.len();
                now[range.clone()].copy_from_slice(&data);
                if lasts {
                    lasting[range].copy_from_slice(&data);
                }
            }
            let mut read = vec![1; SIZE as usize];
            store.read(0, &mut read).expect("read");
            prop_assert!(read == now, "it reads back what was written");
            store.cut();
            store.flush().expect("acknowledged");
            store.settle().expect("nothing is done");
            prop_assert!(content(&outside) == lasting, "no more and no less than what was flushed");
        }
    }

    #[test]
    fn a_disk_that_lies_keeps_nothing_and_one_that_keeps_its_power_keeps_all() {
        for lies in [true, false] {
            let (mut store, outside) = store(lies);
            store.write(4096, b"word", true).expect("written");
            store.write(8192, b"more", false).expect("written");
            store.flush().expect("acknowledged");
            let kept = content(&outside);
            assert_eq!(kept[4096..4100] == *b"word" && kept[8192..8196] == *b"more", !lies);
            assert_eq!(
                (store.seen().flushes, store.seen().ignored),
                if lies { (0, 1) } else { (1, 0) }
            );
            assert_eq!(store.seen().unflushed, if lies { 8 } else { 0 });
            store.settle().expect("written");
            assert_eq!(content(&outside)[4096..4100], *b"word");
        }
    }

    #[test]
    fn blocks_that_are_given_back_take_no_room() {
        use std::os::unix::fs::MetadataExt as _;
        let (mut store, outside) = store(false);
        store.write(0, &[7; 32 << 10], false).expect("written");
        store.flush().expect("flushed");
        let before = outside.metadata().expect("there").blocks();
        store.trim(0, 32 << 10).expect("trimmed");
        assert!(outside.metadata().expect("there").blocks() < before);
        assert_eq!(store.seen().unflushed, 0);
    }
}
