//! What the pages promise: they answer, run nothing that comes from a record, lead out of no folder,
//! and the static site holds together by itself.

use std::path::{Path, PathBuf};

use axum::body::Body;
use axum::http::{Request, StatusCode, header};

use crate::sample::{HOSTILE, World, text, world};

const DAY: jiff::civil::Date = jiff::civil::date(2022, 6, 1);

fn pages(world: &World) -> Vec<String> {
    let fixed = [
        "/",
        "/ask",
        "/ask?q=osa+5.2+on+vmmo+1,+4+vcpu",
        "/ask?q=osa+5.2+on+vmmo+1&as_of=2022-01-31",
        "/ask?q=nothing+that+is+known+on+vmmo+1",
        "/ask?q=%3Cscript%3Ealert(1)%3C/script%3E+on+%E2%80%AEvmmo",
        "/pairs/osa5.2/vmmo1",
        "/agreements/deal",
        "/products",
        "/products/osa5.2",
        "/products/vmmo1",
        "/certificates",
        "/hosts",
        "/hosts/vmmo1/vmmo2",
        "/search?q=osa",
        "/search?q=%27+OR+1=1+--",
        "/logs",
    ];
    let of_records = world.records.iter().map(|record| format!("/certificates/{record}"));
    fixed.into_iter().map(str::to_owned).chain(of_records).collect()
}

#[tokio::test]
async fn every_page_answers_and_runs_nothing() {
    let world = world().await;
    for page in pages(&world) {
        let request = Request::get(&page).body(Body::empty()).expect("is a request");
        let response = world.ask(request).await;
        assert_eq!(response.status(), StatusCode::OK, "{page}");
        let policy = response.headers().get("content-security-policy").expect("is there");
        assert_eq!(policy, crate::serve::POLICY, "{page}");
        let html = text(response).await;
        assert!(html.contains("<html lang=\"en\">") && html.contains("</html>"), "{page}");
        let lower = html.to_lowercase();
        for forbidden in ["<script", "\" onload=", " style=\"", "javascript:", "\u{202e}"] {
            assert!(!lower.contains(forbidden), "{page} has {forbidden:?}");
        }
    }
}

#[tokio::test]
async fn a_hostile_name_is_shown_as_text() {
    let world = world().await;
    let record = world.records.last().expect("is there");
    for page in ["/certificates".to_owned(), format!("/certificates/{record}"), "/".to_owned()] {
        let (_, html) = world.get(&page).await;
        assert!(!html.contains(HOSTILE), "{page}");
        assert!(html.contains("&#60;script&#62;document.title"), "{page} hides the name");
    }
}

#[tokio::test]
async fn an_answer_says_its_word_rule_and_certificate() {
    let world = world().await;
    let (_, html) = world.get("/pairs/osa5.2/vmmo1").await;
    assert!(html.contains("> validated</span>"), "{html}");
    assert!(html.contains("By the terms of The deal it holds."), "{html}");
    assert!(html.contains(&format!("../../certificates/{}", world.records[0])), "{html}");
    let (_, html) = world.get("/pairs/osa5.2/vmmo2").await;
    assert!(html.contains("> failed</span>"), "{html}");
    let (_, html) = world.get("/agreements/deal").await;
    assert!(html.contains("fulfilled") && html.contains("until 2022-08-01"), "{html}");
    let (_, html) = world.get("/hosts/vmmo1/vmmo2").await;
    let (regressions, rest) = html.split_once("Regressions</h2>").expect("has regressions");
    assert!(rest.contains("cpu.count/v0") && !regressions.contains("cpu.count/v0"), "{html}");
}

#[tokio::test]
async fn a_question_of_another_day_is_answered_for_it_and_its_links_keep_to_it() {
    let world = world().await;
    let (_, html) = world.get("/ask?q=osa+5.2+on+vmmo+2&as_of=2022-02-28").await;
    assert!(html.contains("> pending</span>") && html.contains("As of 2022-02-28"), "{html}");
    assert!(html.contains("name=\"as_of\" value=\"2022-02-28\""), "{html}");
    assert!(html.contains("&#38;as_of=2022-02-28\""), "{html}");
    let (_, now) = world.get("/ask?q=osa+5.2+on+vmmo+2").await;
    let (_, same) = world.get("/ask?q=osa+5.2+on+vmmo+2&as_of=").await;
    assert!(now.contains("> failed</span>") && !now.contains("as_of"), "{now}");
    assert_eq!(now, same);
    let (status, html) = world.get("/ask?q=x&as_of=%3Cb%3E").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(html.contains("YYYY-MM-DD") && !html.contains("<b>"), "{html}");
}

#[tokio::test]
async fn a_certificate_s_file_is_handed_out_and_verifies() {
    let world = world().await;
    let path = format!("/certificates/{}.{}", world.records[0], hospitium_ledger::SUFFIX);
    let request = Request::get(&path).body(Body::empty()).expect("is a request");
    let response = world.ask(request).await;
    assert_eq!(response.status(), StatusCode::OK);
    let kept = response.headers().get(header::CONTENT_DISPOSITION).expect("is there").clone();
    assert!(kept.to_str().expect("is text").starts_with("attachment; filename=\""));
    let bytes = text(response).await;
    let source = world.site.sources().logs.first().expect("is there");
    let given = hospitium_ledger::Given {
        policy: &source.policy,
        evidence: None,
        log: None,
        now: jiff::Timestamp::now(),
    };
    let explained = hospitium_ledger::verify_bytes(bytes.as_bytes(), given).expect("verifies");
    assert_eq!(explained.record.to_string(), world.records[0]);
}

#[tokio::test]
async fn no_address_leads_out_of_its_folder() {
    let world = world().await;
    std::fs::write(world.folder.path().join("secret"), "the secret").expect("written");
    let digest = &world.records[0];
    for path in [
        format!("/evidence/{digest}/../../secret"),
        format!("/evidence/{digest}/..%2f..%2fsecret"),
        format!("/evidence/{digest}/%2e%2e/%2e%2e/secret"),
        format!("/evidence/..%2f..%2fsecret/{digest}"),
        format!("/evidence/{digest}//etc/passwd"),
        "/certificates/..%2f..%2fsecret".to_owned(),
        format!("/certificates/{}", "g".repeat(64)),
        "/certificates/..%2fsecret.tlog-proof".to_owned(),
        "/agreements/..%2fsecret".to_owned(),
        "/products/..%2f..%2fsecret".to_owned(),
        "/pairs/..%2fsecret/%2e%2e".to_owned(),
        "/hosts/..%2f..%2f/secret".to_owned(),
        "/..%2fsecret".to_owned(),
    ] {
        let (status, html) = world.get(&path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert!(!html.contains("the secret") && html.contains("<h1>"), "{path}");
    }
}

#[tokio::test]
async fn what_cannot_be_a_question_is_refused_in_the_same_look() {
    let world = world().await;
    let long = "x".repeat(60_000);
    for (path, status) in [
        (format!("/ask?q={long}"), StatusCode::URI_TOO_LONG),
        (format!("/search?q={}", "x".repeat(3000)), StatusCode::BAD_REQUEST),
        ("/certificates?after=nonsense".to_owned(), StatusCode::BAD_REQUEST),
        ("/nothing".to_owned(), StatusCode::NOT_FOUND),
        ("/pairs/%ff/vmmo1".to_owned(), StatusCode::BAD_REQUEST),
    ] {
        let (found, html) = world.get(&path).await;
        assert_eq!(found, status, "{:.60}", path);
        assert!(html.len() < 20_000, "{:.60}", path);
    }
    let request = Request::delete("/ask").body(Body::empty()).expect("is a request");
    assert_eq!(world.ask(request).await.status(), StatusCode::METHOD_NOT_ALLOWED);
    let (status, html) = world.get(&format!("/ask?q={}", "x".repeat(2000))).await;
    assert_eq!(status, StatusCode::OK);
    assert!(html.contains("role=\"alert\""), "a question that is too long is told so");
}

#[tokio::test]
async fn sql_in_a_search_finds_nothing_and_breaks_nothing() {
    let world = world().await;
    for text in ["'%20OR%20'1'='1", "%27;DROP%20TABLE%20records;--", "abcd%25", "____"] {
        let (status, html) = world.get(&format!("/search?q={text}")).await;
        assert_eq!(status, StatusCode::OK, "{text}");
        assert!(!html.contains("certificates/"), "{text} finds records: {html}");
    }
    let digits: String = world.records[0].chars().take(8).collect();
    let (_, html) = world.get(&format!("/search?q={digits}")).await;
    assert!(html.contains(&world.records[0]));
    assert_eq!(world.site.catalog().count().await.expect("counts"), 3);
}

#[tokio::test]
async fn a_page_that_is_the_same_is_not_sent_again() {
    let world = world().await;
    let request = Request::get("/products/osa5.2").body(Body::empty()).expect("is a request");
    let tag = world.ask(request).await.headers().get(header::ETAG).expect("is there").clone();
    let request = Request::get("/products/osa5.2")
        .header(header::IF_NONE_MATCH, tag)
        .body(Body::empty())
        .expect("is a request");
    assert_eq!(world.ask(request).await.status(), StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn every_link_of_the_static_site_leads_to_a_file_of_it() {
    let world = world().await;
    let out = world.folder.path().join("out");
    let exported = crate::export(&world.site, &out).await.expect("is written");
    assert!(exported.left_out.is_empty(), "{:?}", exported.left_out);
    let mut files = Vec::new();
    walk(&out, &mut files);
    assert_eq!(files.len(), exported.files);
    let mut links = 0;
    for file in files.iter().filter(|file| file.extension().is_some_and(|e| e == "html")) {
        let html = std::fs::read_to_string(file).expect("reads");
        assert!(!html.to_lowercase().contains("<script"), "{}", file.display());
        for part in html.split("href=\"").skip(1) {
            let href = part.split('"').next().expect("is there");
            if href.starts_with('#') {
                continue;
            }
            let target = file.parent().expect("has one").join(href);
            assert!(target.is_file(), "{} leads to {href}, which is not there", file.display());
            links += 1;
        }
    }
    assert!(links > 50, "{links}");
    for file in ["index.html", "ask.html", "pairs/osa5.2/vmmo1.html", "hosts/vmmo1/vmmo2.html"] {
        assert!(out.join(file).is_file(), "{file}");
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("lists").map(|entry| entry.expect("reads")) {
        match entry.path() {
            path if path.is_dir() => walk(&path, files),
            path => files.push(path),
        }
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_told() {
    let first = crate::serve::listen("127.0.0.1:0").await.expect("listens");
    let address = first.local_addr().expect("is there").to_string();
    let error = crate::serve::listen(&address).await.expect_err("is taken").to_string();
    assert!(error.contains(&address) && error.contains("--listen 127.0.0.1:0"), "{error}");
}

#[tokio::test]
async fn the_server_ends_when_it_is_told_to() {
    let world = world().await;
    let listener = crate::serve::listen("127.0.0.1:0").await.expect("listens");
    let (end, told) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(crate::serve::serve(
        listener,
        world.site.clone(),
        Default::default(),
        async {
            let _ = told.await;
        },
    ));
    end.send(()).expect("is listened to");
    serving.await.expect("ends");
}

#[tokio::test]
async fn a_withdrawal_that_is_logged_while_the_site_runs_is_on_its_pages() {
    use hospitium_ledger::{Certificate, Log, Party, Statement};

    let world = world().await;
    let mut seen = crate::Heads::of(&world.site);
    let look = |source: &hospitium_catalog::LogSource| source.look(jiff::Timestamp::now());
    let none = seen.renew(&world.site, look).await.expect("looks");
    assert!(none.is_none(), "nothing changed");
    let home = world.folder.path().join("b.example");
    let party = Party::open(&home).expect("opens");
    let record = world.records[0].parse().expect("is a digest");
    let at = "2022-05-01T12:00:00Z".parse().expect("is a time");
    let back = Statement::withdrawal("b.example", at, record, "a wrong disk");
    let mut log = Log::open(&home.join("log"), &party).expect("opens");
    Certificate::issue(&mut log, &party, &[back]).expect("issued");
    drop(log);
    let taken = seen.renew(&world.site, look).await.expect("looks").expect("something came");
    assert_eq!((taken.logs[0].known, taken.logs[0].others), (3, 1));
    // Another day's state is made at once; today's within two seconds.
    let sources = world.site.sources();
    let (catalog, products) = (world.site.catalog(), &sources.products);
    let reply = catalog.ask("osa 5.2 on vmmo 1", products, &sources.agreements, DAY).await;
    let hospitium_catalog::Reply::Answer(answer) = reply.expect("answers") else {
        panic!("unclear")
    };
    assert!(!answer.verdict.holds(), "{:?}", answer.rule);
}

#[tokio::test]
async fn the_plan_of_the_api_and_of_the_site_is_the_plan_that_the_command_makes() {
    let world = world().await;
    let site = &world.site;
    let sources = site.sources();
    // As `hospitium plan` makes it: a desk of its own, with the suite named and what cannot be run here.
    let catalog = site.catalog();
    let desk = hospitium_catalog::Desk::new(catalog, &sources.products, &[], DAY);
    let desk = desk.await.expect("is ready");
    let blocked = |_: &hospitium_products::Product, _: &hospitium_products::Product| None;
    let suite = Some(env!("CARGO_PKG_VERSION"));
    let made = desk.plan_with(&sources.agreements[0], suite, &blocked).await.expect("is made");
    let made = serde_json::to_value(&made).expect("is JSON");
    assert!(made["obligations"].as_array().is_some_and(|all| all.len() == 2), "{made}");
    let view = site.view().await.expect("is there");
    let of_site = site.plan(&view, 0).await.expect("is made").expect("is there");
    assert_eq!(serde_json::to_value(of_site).expect("is JSON"), made);
    let (_, text) = world.get("/api/v1/agreements/deal/obligations").await;
    let of_api: serde_json::Value = serde_json::from_str(&text).expect("is JSON");
    assert_eq!(of_api["obligations"], made["obligations"]);
}
