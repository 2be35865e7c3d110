//! The pages in a real browser: every kind of page, light and dark, by axe-core's rules; no script of
//! a hostile name runs, and the content security policy has nothing to report. Needs Chromium, Node,
//! and the packages that `cargo xtask test` fetches (HOSPITIUM_BROWSER names their `node_modules`).

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::sample::{HOSTILE, RUN, begin, ended, finish, world};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium and packages of npm; cargo xtask test has them"]
async fn every_kind_of_page_is_accessible_and_runs_no_script_of_others() {
    let modules = std::env::var("HOSPITIUM_BROWSER").expect("HOSPITIUM_BROWSER is set");
    let chromium = std::env::var("HOSPITIUM_CHROMIUM").unwrap_or("/usr/bin/chromium".into());
    let world = world().await;
    let (writer, cell) = begin(&world, RUN);
    ended(&cell, "cpu.count", hospitium_model::Verdict::Pass);
    ended(&cell, "net.link", hospitium_model::Verdict::Fail { reason: HOSTILE.into() });
    cell.console(format!("{HOSTILE}\r\n[    0.0] Linux version 6.1\r\n").as_bytes())
        .expect("written");
    let listener = crate::serve::listen("127.0.0.1:0").await.expect("listens");
    let base = format!("http://{}", listener.local_addr().expect("has one"));
    let (end, ending) = tokio::sync::oneshot::channel::<()>();
    let site = Arc::clone(&world.site);
    let serving = tokio::spawn(async move {
        crate::serve::serve(listener, site, Default::default(), async { drop(ending.await) }).await
    });
    let [passed, failed, hostile] = &world.records[..] else { panic!("three records") };
    let hostile_pair = format!("/pairs/{}/vmmo1", crate::links::slug(HOSTILE));
    let pages = [
        ("home", "/".to_owned()),
        ("ask", "/ask".to_owned()),
        ("answer", "/ask?q=osa+5.2+on+vmmo+1".to_owned()),
        ("answer-failed", "/ask?q=osa+5.2+on+vmmo+2,+64+vcpu".to_owned()),
        ("unclear", "/ask?q=osa+on+nothing".to_owned()),
        ("pair-hostile", hostile_pair),
        ("agreement", "/agreements/deal".to_owned()),
        ("products", "/products".to_owned()),
        ("product", "/products/osa5.2".to_owned()),
        ("product-host", "/products/vmmo1".to_owned()),
        ("certificates", "/certificates".to_owned()),
        ("certificate", format!("/certificates/{passed}")),
        ("certificate-failed", format!("/certificates/{failed}")),
        ("certificate-hostile", format!("/certificates/{hostile}")),
        ("hosts", "/hosts".to_owned()),
        ("differences", "/hosts/vmmo1/vmmo2".to_owned()),
        ("search", "/search?q=osa".to_owned()),
        (
            "search-hostile",
            "/search?q=%3Cscript%3Edocument.title%3D%27run%20by%27%3C/script%3E".to_owned(),
        ),
        ("logs", "/logs".to_owned()),
        ("runs", "/runs".to_owned()),
        ("run", format!("/runs/{RUN}")),
        ("api", "/api/v1".to_owned()),
    ];
    let screenshots = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/screenshots");
    std::fs::create_dir_all(&screenshots).expect("made");
    let asked = json!({
        "modules": modules,
        "chromium": chromium,
        "base": base,
        "pages": pages.iter().map(|(name, address)| json!({ "name": name, "address": address })).collect::<Vec<_>>(),
        "screenshots": screenshots,
        "follow": format!("/runs/{RUN}"),
    });
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/browser.mjs");
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
        let mut cell = Some((cell, writer));
        for line in BufReader::new(node.stderr.take().expect("is piped")).lines() {
            let line = line.expect("is text");
            if line == "following" {
                // The browser sees the page of a run that goes on; now it ends.
                let (cell, writer) = cell.take().expect("ends once");
                finish(cell, writer);
                continue;
            }
            errors.push_str(&line);
            errors.push('\n');
        }
        let mut output = String::new();
        node.stdout.take().expect("is piped").read_to_string(&mut output).expect("is text");
        let status = node.wait().expect("ends");
        assert!(status.success(), "{errors}");
        serde_json::from_str::<Value>(&output).expect("is JSON")
    });
    let told = told.await.expect("ends");
    let _ = end.send(());
    serving.await.expect("ends");
    let wrong = told["wrong"].as_array().expect("is a list");
    assert!(wrong.is_empty(), "{}", serde_json::to_string_pretty(wrong).expect("is JSON"));
    let passes = told["passes"].as_object().expect("is there");
    assert_eq!(passes.len(), 2 * pages.len());
    assert!(passes.values().all(|rules| rules.as_u64().is_some_and(|rules| rules > 0)), "{told}");
}
