//! Notices to people and programs of a vendor about its own cases: who has to act, which clock runs out. They carry no
//! words of a case, because mails and webhooks pass through others' hands.

mod config;
mod mail;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use hospitium_desk::exchange::Thread;
use hospitium_desk::store::{Notice, StoreError};
use hospitium_desk::{Both, Case, Holder, Office, Side, Standing, clocks};
use hospitium_model::Digest;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use config::{Mail, Notify, NotifyError, Tls, Webhook};
pub use webhook::signature;

use crate::bell::Bell;

/// How often clocks are looked at.
const LOOKED: Duration = Duration::from_secs(60);
/// What happened longer ago when it is first seen is not told: an import, a desk that gets notices for the first time.
const NEW: SignedDuration = SignedDuration::from_hours(24);

/// What a notice says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// What happened: the word of a deed, or `clock-warning`, `clock-breach`.
    pub event: String,
    /// When.
    pub at: Timestamp,
    /// The case.
    pub case: String,
    /// By which party; nothing for clocks.
    pub by: Option<String>,
    /// Where the case stands now.
    pub state: String,
    /// Who has to act now.
    pub next: String,
    /// The case's page, if the desk's address is known.
    pub url: Option<String>,
}

/// Tells of what happens, until it is told to end. `base` is the desk's address as browsers see it.
pub async fn run(
    office: Arc<Office>,
    notify: Notify,
    bells: [Bell; 2],
    base: Option<String>,
    mut closing: watch::Receiver<bool>,
    tell: impl Fn(&str) + Send,
) {
    let [mut rung, mut news] = bells.each_ref().map(Bell::listen);
    let notify = Arc::new(notify);
    let mut told_of = String::new();
    loop {
        let now = Timestamp::now();
        let round = async {
            gather(&office, &notify, base.as_deref(), now).await?;
            deliver(&office, &notify).await
        };
        let trouble = match round.await {
            Ok(trouble) => trouble.unwrap_or_default(),
            Err(error) => hospitium_model::chain(&error),
        };
        if !trouble.is_empty() && trouble != told_of {
            tell(&format!("warning: a notice was not sent and is tried again: {trouble}"));
        }
        told_of = trouble;
        let next = office.store.next_notice().await.ok().flatten();
        let wait =
            next.map(|at| u64::try_from(at - Timestamp::now().as_second()).unwrap_or(1).max(1));
        let wait = wait.map_or(LOOKED, |seconds| Duration::from_secs(seconds).min(LOOKED));
        tokio::select! {
            _ = rung.changed() => {}
            _ = news.changed() => {}
            () = tokio::time::sleep(wait) => {}
            () = async { drop(closing.wait_for(|closing| *closing).await) } => return,
        }
    }
}

/// Makes notices of what happened since, and of clocks.
async fn gather(
    office: &Office,
    notify: &Notify,
    base: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let oldest = now.saturating_sub(NEW).unwrap_or(Timestamp::MIN);
    for (id, seen) in office.store.unnoticed().await? {
        let thread = office.store.load(&id).await?;
        let mut notices = Vec::new();
        for side in Side::BOTH {
            let skip = usize::try_from(*seen.of(side)).unwrap_or(usize::MAX);
            for sealed in thread.chain(side).iter().skip(skip) {
                let event = &sealed.message.event;
                if event.at < oldest {
                    continue;
                }
                let by = Some(thread.case().party(side).to_string());
                let told = told(&thread, event.deed.kind().word(), event.at, by, base);
                notices.extend(to_all(notify, &sealed.digest.to_string(), &told));
            }
        }
        let count = |side| thread.chain(side).len() as u64;
        let seen = Both { submitter: count(Side::Submitter), receiver: count(Side::Receiver) };
        office.store.notice(Some((&id, seen)), &notices, now).await?;
    }
    let (ids, _) = office.store.ids().await?;
    for id in ids {
        let thread = office.store.load(&id).await?;
        if !thread.case().state.is_open() {
            continue;
        }
        let mut notices = Vec::new();
        for reading in clocks(thread.case(), now).iter().filter(|reading| reading.is_running()) {
            let word = match reading.standing {
                Standing::Warning => "clock-warning",
                Standing::Breached => "clock-breach",
                _ => continue,
            };
            let lap = &reading.lap;
            let name = format!("{id} {} {} {word}", lap.clock, lap.began);
            let name = Digest::of(name.as_bytes()).to_string();
            notices.extend(to_all(notify, &name, &told(&thread, word, now, None, base)));
        }
        if !notices.is_empty() {
            office.store.notice(None, &notices, now).await?;
        }
    }
    Ok(())
}

fn next(case: &Case) -> String {
    match case.ball() {
        Holder::Submitter => case.party(Side::Submitter).to_string(),
        Holder::Receiver => case.party(Side::Receiver).to_string(),
        Holder::Customer => "the customer".to_owned(),
    }
}

fn told(
    thread: &Thread,
    event: &str,
    at: Timestamp,
    by: Option<String>,
    base: Option<&str>,
) -> Told {
    let case = thread.case();
    Told {
        event: event.to_owned(),
        at,
        case: case.id.to_string(),
        by,
        state: case.state.name().to_owned(),
        next: next(case),
        url: base.map(|base| format!("{base}/desk/cases/{}", case.id)),
    }
}

/// A notice for each that is to be told.
fn to_all<'n>(
    notify: &'n Notify,
    name: &'n str,
    told: &'n Told,
) -> impl Iterator<Item = Notice> + 'n {
    let body = serde_json::to_string(told).unwrap_or_default();
    notify.wanting(&told.event).map(move |to| Notice {
        id: Digest::of(format!("{name} {to}").as_bytes()).to_string(),
        to,
        body: body.clone(),
        tries: 0,
    })
}

/// Sends what is due. Gives the first trouble.
async fn deliver(office: &Office, notify: &Arc<Notify>) -> Result<Option<String>, StoreError> {
    let mut trouble = None;
    for notice in office.store.notices(Timestamp::now()).await? {
        let (config, one) = (Arc::clone(notify), notice.clone());
        // Both senders wait for others.
        let sent = tokio::task::spawn_blocking(move || config.send(&one)).await;
        let sent = sent.unwrap_or_else(|_| Err("sending it broke off; this is a bug".to_owned()));
        let now = Timestamp::now();
        match sent {
            Ok(()) => office.store.told(&notice, now).await?,
            Err(why) => {
                office.store.not_told(&notice, now).await?;
                trouble = trouble.or(Some(why));
            }
        }
    }
    Ok(trouble)
}

impl Notify {
    /// Sends one notice, however it goes.
    fn send(&self, notice: &Notice) -> Result<(), String> {
        if let Some(webhook) = self.webhook.iter().find(|webhook| webhook.name() == notice.to) {
            return webhook::send(webhook, notice, Timestamp::now());
        }
        let address = notice.to.strip_prefix("mail ").and_then(|to| to.parse().ok());
        match (&self.mail, address) {
            (Some(mail), Some(to)) => mail::send(mail, &to, notice),
            // Whom it was for is no longer told: nothing is left to be tried.
            _ => Ok(()),
        }
    }
}
