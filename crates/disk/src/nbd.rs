//! The Network Block Device protocol, the server's side of what a hypervisor needs of it.
//!
//! After <https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md>: the fixed newstyle handshake with
//! `NBD_OPT_GO`, `NBD_OPT_INFO`, `NBD_OPT_EXPORT_NAME` and `NBD_OPT_ABORT` (every other option is "unsupported", as the
//! protocol asks), and the baseline commands with simple replies. All numbers are big-endian.

use std::io::{self, Read, Write};
use std::sync::{Mutex, PoisonError};

use crate::store::Store;

const NBDMAGIC: u64 = 0x4e42_444d_4147_4943;
const IHAVEOPT: u64 = 0x4948_4156_454f_5054;
const OPTION_REPLY: u64 = 0x0003_e889_0455_65a9;
const REQUEST: u32 = 0x2560_9513;
const SIMPLE_REPLY: u32 = 0x6744_6698;

/// NBD_FLAG_FIXED_NEWSTYLE and NBD_FLAG_NO_ZEROES; the client's flags have the same places.
const HANDSHAKE: u16 = 0b11;
const NO_ZEROES: u32 = 0b10;
/// NBD_FLAG_HAS_FLAGS, SEND_FLUSH, SEND_FUA, SEND_TRIM, SEND_WRITE_ZEROES.
const TRANSMISSION: u16 = 1 | 1 << 2 | 1 << 3 | 1 << 5 | 1 << 6;
/// NBD_CMD_FLAG_FUA.
const FUA: u16 = 1;

const OPT_EXPORT_NAME: u32 = 1;
const OPT_ABORT: u32 = 2;
const OPT_INFO: u32 = 6;
const OPT_GO: u32 = 7;
const REP_ACK: u32 = 1;
const REP_INFO: u32 = 3;
const REP_ERR_UNSUP: u32 = 1 << 31 | 1;
const REP_ERR_INVALID: u32 = 1 << 31 | 3;
const INFO_EXPORT: u16 = 0;

const EIO: u32 = 5;
const EINVAL: u32 = 22;
const ENOSPC: u32 = 28;

/// Longest option, which is an export's name and some requests for information: "strings … no longer than 4096 bytes".
const LONGEST_OPTION: u32 = 16 << 10;
/// Longest read or write: the most that a client may send to a server that names no limit.
const LONGEST: u32 = 32 << 20;

/// Why a connection ended otherwise than by agreement.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// The socket, or the other end went away in the middle of a message.
    #[error("the connection to the disk broke")]
    Io(#[from] io::Error),
    /// What came is not the protocol.
    #[error("what came over the connection to the disk is no NBD: {0}")]
    Broken(&'static str),
}

/// Serves a disk to one client until it disconnects or goes away between two messages.
///
/// # Errors
/// The client goes away in the middle of a message, or sends what is no NBD.
pub fn serve(mut stream: impl Read + Write, store: &Mutex<Store>) -> Result<(), ProtocolError> {
    let size = store.lock().unwrap_or_else(PoisonError::into_inner).size();
    if !handshake(&mut stream, size)? {
        return Ok(());
    }
    let mut buffer = Vec::new();
    while let Some(request) = Request::read(&mut stream)? {
        if request.command == Command::Disconnect {
            return Ok(());
        }
        let error = carry_out(&mut stream, store, &request, &mut buffer)?;
        let mut reply = Vec::with_capacity(16);
        reply.extend(SIMPLE_REPLY.to_be_bytes());
        reply.extend(error.to_be_bytes());
        reply.extend(request.cookie);
        stream.write_all(&reply)?;
        if error == 0 && request.command == Command::Read {
            stream.write_all(&buffer)?;
        }
    }
    Ok(())
}

/// Agrees on the disk. False if the client wants none.
fn handshake(stream: &mut (impl Read + Write), size: u64) -> Result<bool, ProtocolError> {
    let mut hello = Vec::with_capacity(18);
    hello.extend(NBDMAGIC.to_be_bytes());
    hello.extend(IHAVEOPT.to_be_bytes());
    hello.extend(HANDSHAKE.to_be_bytes());
    stream.write_all(&hello)?;
    let flags = u32::from_be_bytes(take(stream)?);
    if flags & !u32::from(HANDSHAKE) != 0 {
        return Err(ProtocolError::Broken("unknown client flags"));
    }
    loop {
        if u64::from_be_bytes(take(stream)?) != IHAVEOPT {
            return Err(ProtocolError::Broken("an option without its magic number"));
        }
        let option = u32::from_be_bytes(take(stream)?);
        let length = u32::from_be_bytes(take(stream)?);
        if length > LONGEST_OPTION {
            return Err(ProtocolError::Broken("an option that is too long"));
        }
        let mut data = vec![0; length as usize];
        stream.read_exact(&mut data)?;
        match option {
            OPT_EXPORT_NAME => {
                let mut answer = export(size);
                if flags & NO_ZEROES == 0 {
                    answer.extend([0; 124]);
                }
                stream.write_all(&answer)?;
                return Ok(true);
            }
            OPT_ABORT => {
                option_reply(stream, option, REP_ACK, &[])?;
                return Ok(false);
            }
            OPT_INFO | OPT_GO if is_info_request(&data) => {
                let mut info = INFO_EXPORT.to_be_bytes().to_vec();
                info.extend(export(size));
                option_reply(stream, option, REP_INFO, &info)?;
                option_reply(stream, option, REP_ACK, &[])?;
                if option == OPT_GO {
                    return Ok(true);
                }
            }
            OPT_INFO | OPT_GO => option_reply(stream, option, REP_ERR_INVALID, &[])?,
            _ => option_reply(stream, option, REP_ERR_UNSUP, &[])?,
        }
    }
}

/// Size and flags of the disk.
fn export(size: u64) -> Vec<u8> {
    let mut bytes = size.to_be_bytes().to_vec();
    bytes.extend(TRANSMISSION.to_be_bytes());
    bytes
}

/// Length of the name, the name, number of the requests for information, the requests.
fn is_info_request(data: &[u8]) -> bool {
    let Some((length, rest)) = data.split_first_chunk::<4>() else { return false };
    let Some(rest) = rest.get(u32::from_be_bytes(*length) as usize..) else { return false };
    let Some((count, requests)) = rest.split_first_chunk::<2>() else { return false };
    requests.len() == 2 * usize::from(u16::from_be_bytes(*count))
}

fn option_reply(stream: &mut impl Write, option: u32, kind: u32, data: &[u8]) -> io::Result<()> {
    let mut reply = Vec::with_capacity(20 + data.len());
    reply.extend(OPTION_REPLY.to_be_bytes());
    reply.extend(option.to_be_bytes());
    reply.extend(kind.to_be_bytes());
    reply.extend((data.len() as u32).to_be_bytes());
    reply.extend(data);
    stream.write_all(&reply)
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Read,
    Write,
    Disconnect,
    Flush,
    Trim,
    WriteZeroes,
    Other,
}

#[derive(Debug)]
struct Request {
    command: Command,
    fua: bool,
    cookie: [u8; 8],
    at: u64,
    length: u32,
}

impl Request {
    /// None if the client has gone away between two requests.
    fn read(stream: &mut impl Read) -> Result<Option<Self>, ProtocolError> {
        let mut magic = [0; 4];
        let mut done = 0;
        while done < magic.len() {
            match stream.read(&mut magic[done..]) {
                Ok(0) if done == 0 => return Ok(None),
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // What a socket says whose other end was killed.
                Err(error) if done == 0 && error.kind() == io::ErrorKind::ConnectionReset => {
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            }
        }
        if u32::from_be_bytes(magic) != REQUEST {
            return Err(ProtocolError::Broken("a request without its magic number"));
        }
        let flags = u16::from_be_bytes(take(stream)?);
        let command = match u16::from_be_bytes(take(stream)?) {
            0 => Command::Read,
            1 => Command::Write,
            2 => Command::Disconnect,
            3 => Command::Flush,
            4 => Command::Trim,
            6 => Command::WriteZeroes,
            _ => Command::Other,
        };
        let cookie = take(stream)?;
        let at = u64::from_be_bytes(take(stream)?);
        let length = u32::from_be_bytes(take(stream)?);
        Ok(Some(Self { command, fua: flags & FUA != 0, cookie, at, length }))
    }
}

/// Does it; the error number for the client, 0 if it was done. What was read is in `buffer`.
fn carry_out(
    stream: &mut impl Read,
    store: &Mutex<Store>,
    request: &Request,
    buffer: &mut Vec<u8>,
) -> Result<u32, ProtocolError> {
    let &Request { command, fua, at, length, .. } = request;
    if matches!(command, Command::Read | Command::Write) {
        if length > LONGEST {
            // What follows could not be told from the next request.
            return Err(ProtocolError::Broken("a request that is too long"));
        }
        buffer.resize(length as usize, 0);
    }
    if command == Command::Write {
        stream.read_exact(buffer)?;
    }
    let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
    if command != Command::Flush && !store.holds(at, length.into()) {
        return Ok(if matches!(command, Command::Write | Command::WriteZeroes) {
            ENOSPC
        } else {
            EINVAL
        });
    }
    let done = match command {
        Command::Read => store.read(at, buffer),
        Command::Write => store.write(at, buffer, fua),
        Command::WriteZeroes => store.zero(at, length.into(), fua),
        Command::Trim => store.trim(at, length.into()),
        Command::Flush => store.flush(),
        Command::Disconnect | Command::Other => return Ok(EINVAL),
    };
    Ok(match done {
        Ok(()) => 0,
        Err(error) if error.kind() == io::ErrorKind::StorageFull => ENOSPC,
        Err(_) => EIO,
    })
}

fn take<const N: usize>(stream: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZE: u64 = 1 << 20;

    fn store() -> Mutex<Store> {
        let file = || tempfile::tempfile().expect("made");
        Mutex::new(Store::new(file(), file(), SIZE, false).expect("made"))
    }

    /// A client that has said everything already, and keeps what it is told.
    struct Said<'a>(&'a [u8], Vec<u8>);

    impl Read for Said<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Said<'_> {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            self.1.write(data)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn option(option: u32, data: &[u8]) -> Vec<u8> {
        [
            &IHAVEOPT.to_be_bytes()[..],
            &option.to_be_bytes(),
            &(data.len() as u32).to_be_bytes(),
            data,
        ]
        .concat()
    }

    fn go() -> Vec<u8> {
        let mut said = 3_u32.to_be_bytes().to_vec();
        // Structured replies first, as QEMU asks for them.
        said.extend(option(8, &[]));
        said.extend(option(OPT_GO, &[0, 0, 0, 0, 0, 1, 0, 3]));
        said
    }

    fn request(command: u16, flags: u16, at: u64, length: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = REQUEST.to_be_bytes().to_vec();
        bytes.extend(flags.to_be_bytes());
        bytes.extend(command.to_be_bytes());
        bytes.extend(*b"cookie!!");
        bytes.extend(at.to_be_bytes());
        bytes.extend(length.to_be_bytes());
        bytes.extend(data);
        bytes
    }

    fn told(store: &Mutex<Store>, said: &[u8]) -> (Result<(), ProtocolError>, Vec<u8>) {
        let mut client = Said(said, Vec::new());
        let ended = serve(&mut client, store);
        (ended, client.1)
    }

    #[test]
    fn what_is_written_is_read_and_a_flush_is_counted() {
        let mut said = go();
        said.extend(request(1, 0, 512, 4, b"word"));
        said.extend(request(3, 0, 0, 0, &[]));
        said.extend(request(0, 0, 510, 8, &[]));
        said.extend(request(2, 0, 0, 0, &[]));
        let store = store();
        let (ended, answers) = told(&store, &said);
        ended.expect("in order");
        assert!(answers.ends_with(b"cookie!!\0\0word\0\0"));
        let seen = store.into_inner().expect("whole").seen();
        assert_eq!((seen.writes, seen.flushes, seen.unflushed), (1, 1, 0));
    }

    #[test]
    fn nothing_reaches_past_the_disks_end() {
        for (command, error) in
            [(0, EINVAL), (1, ENOSPC), (4, EINVAL), (6, ENOSPC), (5, EINVAL), (77, EINVAL)]
        {
            for at in [SIZE - 2, SIZE, u64::MAX] {
                let mut said = go();
                let data: &[u8] = if command == 1 { b"past" } else { &[] };
                said.extend(request(command, 0, at, 4, data));
                let (ended, answers) = told(&store(), &said);
                ended.expect("it goes on");
                let reply = &answers[answers.len() - 16..];
                assert_eq!(reply[4..8], error.to_be_bytes(), "command {command} at {at}");
            }
        }
    }

    #[test]
    fn what_is_no_nbd_ends_the_connection() {
        let long = [go(), request(1, 0, 0, LONGEST + 1, &[])].concat();
        let name = [
            &3_u32.to_be_bytes()[..],
            &option(OPT_GO, &[])[..8],
            &[0, 0, 0, 7, 255, 255, 255, 255],
        ]
        .concat();
        for said in
            [b"GET / HTTP/1.1\r\n\r\n".to_vec(), long, name, [go(), b"garbage!".to_vec()].concat()]
        {
            let (ended, _) = told(&store(), &said);
            assert!(matches!(ended, Err(ProtocolError::Broken(_))), "{ended:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_it_ends_and_stays_within_the_disk(
            with_handshake in any::<bool>(),
            parts in prop::collection::vec(prop_oneof![
                (0_u16..9, 0_u16..3, any::<u64>(), 0_u32..9000, prop::collection::vec(any::<u8>(), 0..200))
                    .prop_map(|(command, flags, at, length, data)| request(command, flags, at % (2 * SIZE), length, &data)),
                prop::collection::vec(any::<u8>(), 0..60),
            ], 0..20)
        ) {
            let mut said = if with_handshake { go() } else { Vec::new() };
            parts.iter().for_each(|part| said.extend(part));
            let store = store();
            let _ = told(&store, &said);
            let seen = store.into_inner().expect("whole").seen();
            prop_assert!(seen.unflushed <= SIZE);
        }
    }
}
