//! `kill -9` of a desk at any point loses nothing that it acknowledged.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use hospitium_ledger::{Algorithm, SecretKey};

use super::Store;
use crate::sample::*;
use crate::{Deed, Draft, Side, Visibility};

/// Tells the child where its desk is.
const FOLDER: &str = "HOSPITIUM_DESK_TEST_FOLDER";
/// Before each acknowledged message on the child's output.
const MARK: &str = "acknowledged ";

async fn desk(folder: &Path) -> (Store, SecretKey) {
    let path = folder.join("key.pem");
    let key = match std::fs::read_to_string(&path) {
        Ok(pem) => SecretKey::from_pem(&pem).expect("a key"),
        Err(_) => {
            let key = SecretKey::generate(Algorithm::Ed25519).expect("made");
            std::fs::write(&path, key.to_pem().expect("written").as_bytes()).expect("written");
            key
        }
    };
    let database = folder.join("desk.db");
    (Store::open(database.to_str().expect("UTF-8")).await.expect("opens"), key)
}

#[tokio::test]
#[ignore = "the process that the test below kills"]
async fn a_desk_that_posts_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let (store, key) = desk(Path::new(&folder)).await;
    let id = opening().id;
    if store.load(&id).await.is_err() {
        let draft = Draft { opening: opening(), files: Vec::new(), opened: start(), person: None };
        store.offer(&draft, start(), None, &key).await.expect("offered");
    }
    loop {
        let text = text(&"a note of some length ".repeat(20));
        let deed = Deed::Noted { visibility: Visibility::Both, text };
        let thread = store.post(&id, event(start(), Side::Submitter, deed), &key).await;
        let head = thread.expect("posted").head(Side::Submitter).expect("a message");
        println!("\n{MARK}{}", head.digest);
    }
}

#[tokio::test]
async fn a_desk_killed_at_any_point_has_all_that_it_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..12 {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["store::killed::a_desk_that_posts_until_it_is_killed", "--exact"])
            .args(["--ignored", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut read = 0;
        for line in lines {
            let Ok(line) = line else { break };
            let Some(digest) = line.strip_prefix(MARK) else { continue };
            acknowledged.push(digest.to_owned());
            read += 1;
            if read == 1 + round % 4 {
                // SIGKILL; what it still wrote before is read below.
                child.kill().expect("killed");
            }
        }
        child.wait().expect("ended");
        let (store, _) = desk(folder.path()).await;
        let thread = store.load(&opening().id).await.expect("the case is whole");
        let there: Vec<_> =
            thread.chain(Side::Submitter).iter().map(|sealed| sealed.digest.to_string()).collect();
        let lost: Vec<_> = acknowledged.iter().filter(|digest| !there.contains(digest)).collect();
        assert!(lost.is_empty(), "round {round}: lost {lost:?}");
    }
    assert!(acknowledged.len() >= 12 * 2, "the desk did something: {}", acknowledged.len());
}
