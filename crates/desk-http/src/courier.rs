//! The courier: exchanges with every desk that can be called, when there is something to be sent, and now and then to
//! ask what waits there. It sleeps in between.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hospitium_desk::exchange::Thread;
use hospitium_desk::folder::Exchanged;
use hospitium_desk::{Event, KnownPeer, Office, PartyName, by_itself, store::StoreError};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::bell::Bell;
use crate::exchange::exchange_with;

/// How often another desk is asked that did not call: one that cannot call us is heard no later.
const ASKED: Duration = Duration::from_secs(60);
/// The first wait after a desk did not answer; it doubles up to a quarter of an hour.
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(900);
/// How often it is looked whether a case is idle, and whether a party was added.
const LOOKED: Duration = Duration::from_secs(300);

/// How the last exchange with a desk went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// When.
    pub at: Timestamp,
    /// Why it broke off, if it did.
    pub trouble: Option<String>,
}

/// How the last exchange with each desk went.
#[derive(Debug, Clone, Default)]
pub struct Contacts(Arc<Mutex<BTreeMap<PartyName, Contact>>>);

impl Contacts {
    /// All of them, in the order of their names.
    pub fn all(&self) -> Vec<(PartyName, Contact)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(name, contact)| (name.clone(), contact.clone())).collect()
    }

    /// Notes one; gives the trouble if it is new.
    fn note(&self, name: &PartyName, trouble: Option<String>) -> Option<String> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.get(name).and_then(|contact| contact.trouble.clone());
        let new = trouble.clone().filter(|trouble| known.as_ref() != Some(trouble));
        all.insert(name.clone(), Contact { at: Timestamp::now(), trouble });
        new
    }
}

/// Exchanges until it is told to end. It hears the first bell, and rings the second when something new came. `tell` gets what a person at the server should read.
pub async fn run(
    office: Arc<Office>,
    bells: [Bell; 2],
    contacts: Contacts,
    most: u64,
    mut closing: watch::Receiver<bool>,
    tell: impl Fn(&str) + Send + Sync + 'static,
) {
    let tell: Arc<dyn Fn(&str) + Send + Sync> = Arc::new(tell);
    let [bell, news] = bells;
    let following = {
        let (bell, file, tell) = (bell.clone(), office.bell(), Arc::clone(&tell));
        async move {
            if let Err(error) = bell.follow(&file).await {
                tell(&format!(
                    "warning: what other programs do at this desk goes out within a minute only: {error}"
                ));
                std::future::pending::<()>().await;
            }
        }
    };
    let calls = closing.clone();
    let calling = call_all(&office, [&bell, &news], &contacts, most, &calls, &tell);
    tokio::select! {
        () = following => {}
        () = calling => {}
        () = async { drop(closing.wait_for(|closing| *closing).await) } => {}
    }
}

/// Keeps a task for each desk that can be called.
async fn call_all(
    office: &Arc<Office>,
    [bell, news]: [&Bell; 2],
    contacts: &Contacts,
    most: u64,
    closing: &watch::Receiver<bool>,
    tell: &Arc<dyn Fn(&str) + Send + Sync>,
) {
    let mut calls: JoinSet<PartyName> = JoinSet::new();
    let mut called: Vec<PartyName> = Vec::new();
    let mut rung = bell.listen();
    let mut looked: Option<tokio::time::Instant> = None;
    loop {
        if looked.is_none_or(|at| at.elapsed() >= LOOKED) {
            looked = Some(tokio::time::Instant::now());
            if let Err(error) = timers(office).await {
                tell(&format!("warning: idle cases are not looked at: {error}"));
            }
        }
        match office.peers() {
            Ok(peers) => {
                for peer in peers.into_iter().filter(|peer| peer.address.is_some()) {
                    if called.contains(&peer.name) {
                        continue;
                    }
                    called.push(peer.name.clone());
                    let one = One {
                        office: Arc::clone(office),
                        contacts: contacts.clone(),
                        tell: Arc::clone(tell),
                        most,
                        rung: bell.listen(),
                        news: news.clone(),
                        closing: closing.clone(),
                    };
                    calls.spawn(one.call(peer.name));
                }
            }
            Err(error) => tell(&format!("warning: {}", hospitium_model::chain(&error))),
        }
        tokio::select! {
            Some(ended) = calls.join_next() => {
                if let Ok(name) = ended { called.retain(|known| *known != name) }
            }
            _ = rung.changed() => {}
            () = tokio::time::sleep(LOOKED) => {}
        }
    }
}

/// Warns of and closes idle cases of our customers.
async fn timers(office: &Office) -> Result<(), StoreError> {
    let (ids, _) = office.store.ids().await?;
    for id in ids {
        let thread: Thread = office.store.load(&id).await?;
        let by = thread.us();
        let Some(deed) = by_itself(thread.case(), by, Timestamp::now()) else { continue };
        let event = Event { at: Timestamp::now(), by, person: None, deed };
        office.store.post(&id, event, &office.party().record).await?;
    }
    Ok(())
}

/// What calls one desk.
struct One {
    office: Arc<Office>,
    contacts: Contacts,
    tell: Arc<dyn Fn(&str) + Send + Sync>,
    most: u64,
    rung: watch::Receiver<u64>,
    news: Bell,
    closing: watch::Receiver<bool>,
}

impl One {
    /// Calls it until it is no longer known or has no address. Gives its name back.
    async fn call(mut self, name: PartyName) -> PartyName {
        let mut failures = 0;
        loop {
            self.rung.borrow_and_update();
            let peers = self.office.peers().unwrap_or_default();
            let known = peers.into_iter().find(|peer| peer.name == name);
            let Some(KnownPeer { public, address: Some(address), .. }) = &known else {
                return name;
            };
            let peer = hospitium_desk::folder::Peer {
                name: name.clone(),
                keys: vec![public.record.clone()],
            };
            let made = exchange_with(&self.office, &peer, address, false, self.most).await;
            failures = match &made {
                Ok(done) => {
                    if done.taken > 0 {
                        self.news.ring();
                    }
                    self.told(&name, done);
                    0
                }
                Err(_) => failures + 1,
            };
            let trouble = made.err().map(|error| hospitium_model::chain(&error));
            if let Some(new) = self.contacts.note(&name, trouble) {
                (self.tell)(&format!("warning: {name}: {new}"));
            }
            let wait = match failures {
                0 => ASKED,
                count => backoff(count),
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // A desk that does not answer is not called more often for having more to say.
                _ = self.rung.changed(), if failures == 0 => {}
                () = async { drop(self.closing.wait_for(|closing| *closing).await) } => return name,
            }
        }
    }

    fn told(&self, name: &PartyName, done: &Exchanged) {
        for why in &done.refused {
            (self.tell)(&format!("refused, {name}: {why}"));
        }
    }
}

/// How long to wait after so many failures.
fn backoff(failures: u32) -> Duration {
    let wait = FIRST_WAIT.saturating_mul(1 << failures.saturating_sub(1).min(10));
    wait.min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_desk_that_does_not_answer_is_called_ever_more_seldom() {
        let waits: Vec<u64> = [1, 2, 3, 4, 40].map(|count| backoff(count).as_secs()).into();
        assert_eq!(waits, [5, 10, 20, 40, 900]);
    }
}
