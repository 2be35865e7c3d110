//! A made-up Linux guest for tests: folders and files by path, and answers to what else is asked.

use hospitium_model::GuestKind;
use hospitium_wire::{Decoder, Domain, Envelope, MAX_FRAME, Reply, Request, encode, errno};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::LinuxSystem;
use crate::Session;

/// Folders with their names; a name that holds `=` is a file with its content.
pub type Folders = &'static [(&'static str, &'static [&'static str])];

/// What else it answers.
type Answer = for<'a> fn(&Request<'a>) -> Option<Reply<'static>>;

/// A guest with these folders. What nothing answers is not there (`ENOENT`).
pub fn system(kind: GuestKind, folders: Folders, answer: Answer) -> LinuxSystem {
    let (ours, mut guest) = tokio::io::duplex(1 << 16);
    tokio::spawn(async move {
        let mut decoder = Decoder::new();
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = guest.read(&mut buffer).await {
            for &byte in &buffer[..count] {
                let Some(Ok(bytes)) = decoder.push(byte) else { continue };
                let asked: Envelope<Request<'_>> = Decoder::message(bytes).expect("a request");
                let mut frame = [0; MAX_FRAME];
                let mut data = Vec::new();
                let body = match answer(&asked.body) {
                    Some(reply) => reply,
                    None => of_folders(folders, &asked.body, &mut data),
                };
                let reply = encode(&Envelope { seq: asked.seq, body }, &mut frame).expect("fits");
                if guest.write_all(reply).await.is_err() {
                    return;
                }
            }
        }
    });
    LinuxSystem::new(Session::attach(Box::new(ours), None), kind)
}

fn of_folders<'a>(folders: Folders, asked: &Request<'_>, data: &'a mut Vec<u8>) -> Reply<'a> {
    let names = |path: &str| folders.iter().find(|(at, _)| *at == path).map(|(_, names)| *names);
    match *asked {
        Request::List { path, skip } => {
            if let Some(names) = names(path) {
                for name in names.iter().skip(skip as usize) {
                    data.extend_from_slice(name.split('=').next().unwrap_or(name).as_bytes());
                    data.push(0);
                }
                return Reply::Data { data };
            }
        }
        Request::ReadFile { path, offset, .. } => {
            let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
            let content = names(folder).unwrap_or_default().iter().find_map(|name| {
                let (name, content) = name.split_once('=')?;
                (name == file).then_some(content)
            });
            if let Some(content) = content {
                data.extend(content.bytes().skip(offset as usize));
                return Reply::Data { data };
            }
        }
        _ => {}
    }
    Reply::Failed { domain: Domain::Errno, code: errno::ENOENT, call: "open" }
}
