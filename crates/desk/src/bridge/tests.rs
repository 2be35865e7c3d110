//! What is promised of files of TSANet Connect.

mod hostile;
mod round_trip;
mod since;
mod withheld;

use hospitium_ledger::SecretKey;
use jiff::Timestamp;

use super::{
    Carried, Given, Incoming, IncomingError, LARGEST, Opened, OpeningError, OutgoingError,
    ReadError, Receiving, Request, THROUGH, TOLD, answers, create_request, incoming, pair, read,
    whole_case,
};
use crate::exchange::{Pair, Thread};
use crate::sample::*;
use crate::*;

/// A desk of either side, with its key.
struct Desk(Pair);

fn bridged() -> Opening {
    Opening { channel: Channel::Bridge, ..opening() }
}

impl Desk {
    fn new() -> Self {
        Self(Pair::new())
    }

    fn key(&self, side: Side) -> &SecretKey {
        self.0.key(side)
    }

    fn offer(&self, opening: Opening) -> Thread {
        let key = self.key(Side::Submitter);
        Thread::offer(opening, &[], start(), start(), None, key).expect("offered")
    }

    /// Begins the case at the receiver.
    fn receive(&self, request: &Request) -> Thread {
        let opened = opening_of(request, receiving()).expect("opens");
        let key = self.key(Side::Receiver);
        let Opened { opening, at, person, heard, .. } = opened;
        Thread::begin_heard(opening, at, person, &heard, key).expect("begins")
    }

    /// Takes a request in; gives what was told and how much was new.
    fn hear(&self, thread: &mut Thread, request: &Request) -> (Incoming, usize) {
        self.hear_at(thread, request, later(start(), 30 * DAY))
    }

    fn hear_at(&self, thread: &mut Thread, request: &Request, now: Timestamp) -> (Incoming, usize) {
        let new = incoming(thread, request, &Given::default(), now).expect("of this case");
        let key = self.key(thread.us());
        let mut count = 0;
        for (event, heard) in new.parts.clone() {
            count += usize::from(thread.hear(event, heard, key).expect("legal").is_some());
        }
        (new, count)
    }
}

fn opening_of(request: &Request, given: Receiving) -> Result<Opened, OpeningError> {
    super::opening(request, given, later(start(), 30 * DAY))
}

fn receiving() -> Receiving {
    let Opening { configuration, verdict, terms, .. } = opening();
    Receiving {
        id: CaseId::from_bytes([9; 16]),
        us: text("host.example"),
        vendor: text("guest.example"),
        engineer: None,
        customer: None,
        configuration,
        verdict,
        terms,
    }
}

fn read_text(json: &str) -> Request {
    read(json.as_bytes()).unwrap_or_else(|error| panic!("{error}: {json}"))
}

fn read_value(value: &serde_json::Value) -> Request {
    read_text(&value.to_string())
}

/// A request that the other vendor sent, with these fields instead.
fn sent(more: serde_json::Value) -> serde_json::Value {
    let mut request = serde_json::json!({
        "id": 4711,
        "submitCompanyName": "Guest Company",
        "submitterCaseNumber": "G-1001",
        "receiveCompanyName": "Host Company",
        "summary": "the clock drifts",
        "description": "ten minutes an hour",
        "priority": "HIGH",
        "status": "OPEN",
        "createdAt": "2026-03-02T08:00:00.092Z",
        "testCase": true,
        "submitterContactDetails": { "name": "Ann Smith", "email": "ann@guest.example", "phone": "" },
        "customFields": [
            { "id": 1, "section": "CONTACT_SECTION", "fieldName": "Customer Company", "value": "Customer Inc." }
        ],
        "caseNotes": [],
        "caseResponses": []
    });
    let (request_map, more) = (request.as_object_mut().expect("an object"), more);
    for (name, value) in more.as_object().expect("an object") {
        request_map.insert(name.clone(), value.clone());
    }
    request
}

fn approval() -> serde_json::Value {
    serde_json::json!({
        "id": 17, "type": "APPROVAL", "caseNumber": "H-77", "engineerName": "Bo Lind",
        "engineerEmail": "bo@support.host.example", "nextSteps": "we look at the trace",
        "createdAt": "2026-03-02T09:00:00Z"
    })
}

fn their_note(id: u32, words: &str) -> serde_json::Value {
    serde_json::json!({
        "id": id, "companyName": "Host Company", "creatorName": "Bo Lind", "summary": words,
        "description": words, "status": "ENTERED", "createdAt": "2026-03-02T10:00:00Z"
    })
}

/// What is told has these words in it.
fn tells(told: &[String], words: &str) -> bool {
    told.iter().any(|line| line.contains(words))
}
