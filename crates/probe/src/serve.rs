//! The main loop: frames in, frames out.

use hospitium_wire::{Decoder, Envelope, MAX_FRAME, Refusal, Reply, Request, encode, number_of};

use crate::dispatch::{State, answer};
use crate::failure::Failure;
use crate::os;

/// The buffers of the loop. All zero at first, so that they cost nothing in the file.
pub struct Line {
    decoder: Decoder,
    frame: [u8; MAX_FRAME],
    chunk: [u8; 1024],
}

impl Line {
    /// Empty.
    pub const fn new() -> Self {
        Self { decoder: Decoder::new(), frame: [0; MAX_FRAME], chunk: [0; 1024] }
    }
}

/// Answers requests for ever. Each number is answered at most once in a row; only `Hello`, which
/// changes nothing and carries a nonce, is answered always, so that a second harness that begins
/// to count anew need not wait for a time-out.
pub fn serve(line: &mut Line, state: &mut State, channel: &mut os::Channel<'_>) -> ! {
    let mut last = None;
    loop {
        os::idle(state, channel);
        let count = channel.read(&mut line.chunk);
        for &byte in &line.chunk[..count] {
            let Some(Ok(bytes)) = line.decoder.push(byte) else {
                continue;
            };
            let Ok(Envelope { seq, body }) = Decoder::message::<Envelope<Request<'_>>>(bytes)
            else {
                // A sound frame: from a harness of another version, which need not wait for nothing.
                if let Some(seq) = number_of(bytes).filter(|&seq| last != Some(seq)) {
                    last = Some(seq);
                    let refusal = Failure::refused(Refusal::Unknown, "request").into();
                    send(&mut line.frame, channel, &Envelope { seq, body: refusal });
                }
                continue;
            };
            if last == Some(seq) && !matches!(body, Request::Hello { .. }) {
                continue;
            }
            last = Some(seq);
            let reply = Envelope { seq, body: answer(state, &body).unwrap_or_else(Into::into) };
            send(&mut line.frame, channel, &reply);
            if let Request::Power { action } = body {
                channel.drain();
                os::power::perform(action);
            }
        }
    }
}

fn send(room: &mut [u8; MAX_FRAME], channel: &os::Channel<'_>, reply: &Envelope<Reply<'_>>) {
    if let Ok(frame) = encode(reply, room) {
        channel.write(frame);
    }
}
