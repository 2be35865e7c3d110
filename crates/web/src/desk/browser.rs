//! The story of one case in a real browser, without scripts. Needs what the browser test of the site needs.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use hospitium_desk::sample::{accepted, outcome, started, text as words};
use hospitium_desk::{CaseId, Deed, Side, Visibility};
use serde_json::{Value, json};

use super::tests::{DeskWorld, PASSWORD};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium and packages of npm; cargo xtask test has them"]
async fn a_case_is_opened_worked_on_and_closed_in_a_browser_without_scripts() {
    let modules = std::env::var("HOSPITIUM_BROWSER").expect("HOSPITIUM_BROWSER is set");
    let chromium = std::env::var("HOSPITIUM_CHROMIUM").unwrap_or("/usr/bin/chromium".into());
    let desk = Arc::new(DeskWorld::new().await);
    let listener = crate::serve::listen("127.0.0.1:0").await.expect("listens");
    let base = format!("http://{}", listener.local_addr().expect("has one"));
    let (end, ending) = tokio::sync::oneshot::channel::<()>();
    let site = Arc::clone(&desk.world.site);
    let serving = tokio::spawn(async move {
        crate::serve::serve(listener, site, Default::default(), async { drop(ending.await) }).await
    });
    let screenshots = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/screenshots");
    std::fs::create_dir_all(&screenshots).expect("made");
    let asked = json!({
        "modules": modules, "chromium": chromium, "base": base, "screenshots": screenshots,
        "password": PASSWORD,
    });
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/desk/browser.mjs");
    let (runtime, other) = (tokio::runtime::Handle::current(), Arc::clone(&desk));
    let told = tokio::task::spawn_blocking(move || {
        let mut node = Command::new("node")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("node runs");
        let mut input = node.stdin.take().expect("is piped");
        input.write_all(asked.to_string().as_bytes()).expect("takes it");
        drop(input);
        let mut errors = String::new();
        for line in BufReader::new(node.stderr.take().expect("is piped")).lines() {
            let line = line.expect("is text");
            match line.strip_prefix("offered ") {
                Some(id) => runtime.block_on(other_vendor(&other, &id.parse().expect("an id"))),
                None => errors.push_str(&(line + "\n")),
            }
        }
        let mut output = String::new();
        node.stdout.take().expect("is piped").read_to_string(&mut output).expect("is text");
        assert!(node.wait().expect("ends").success(), "{errors}");
        serde_json::from_str::<Value>(&output).expect("is JSON")
    });
    let told = told.await.expect("ends");
    let _ = end.send(());
    serving.await.expect("ends");
    let wrong = told["wrong"].as_array().expect("is a list");
    assert!(wrong.is_empty(), "{}", serde_json::to_string_pretty(wrong).expect("is JSON"));
    let seen = told["seen"].as_object().expect("is there");
    assert_eq!(seen.len(), 2 * 9);
    assert!(seen.values().all(|rules| rules.as_u64().is_some_and(|rules| rules > 0)), "{told}");
}

/// What the other vendor does: it takes the case, asks itself something, and solves it.
async fn other_vendor(desk: &DeskWorld, id: &CaseId) {
    let note = "The lockups begin with build 6.0.6002; trying an older one.";
    for deed in [
        accepted().1,
        started().1,
        Deed::Noted { visibility: Visibility::Both, text: words(note) },
        Deed::Proposed { outcome: Box::new(outcome()) },
    ] {
        desk.does_in(id, Side::Receiver, deed).await;
    }
}
