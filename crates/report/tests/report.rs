//! What the four documents promise, shown on a run with hostile strings in it.

mod common;

use std::collections::BTreeSet;
use std::fs;

use common::HOSTILE;
use hospitium_evidence::{Bundle, BundleWriter, recover, so_far};
use hospitium_model::{CheckRecord, PlannedCheck, Verdict};
use hospitium_report::{Outcome, Tally, goes_on, headline, html, json, junit, markdown, write_all};
use quick_xml::Reader;
use quick_xml::events::Event;
use tempfile::tempdir;

fn sample() -> (tempfile::TempDir, Bundle) {
    let dir = tempdir().expect("a folder");
    common::write(&dir.path().join("run"));
    let bundle = Bundle::open(&dir.path().join("run")).expect("opens");
    assert_eq!(bundle.problems, []);
    (dir, bundle)
}

/// Characters that would turn text, act on a terminal, or are illegal in XML.
fn acts(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200f}' | '\u{feff}' | '\u{fffe}')
}

#[test]
fn the_first_sentence_answers() {
    let (_dir, bundle) = sample();
    assert_eq!(
        headline(&bundle),
        "2 kernels and Debian 12 on qemu 7.2.22 (TCG): 141 of 150 checks passed; 4 skipped; \
         1 not run; 1 in error; 1 flaky: net.link-flap; 2 failed: ident.smbios, stor.flush-durable."
    );
    let tally = Tally::of_cells(&bundle.cells);
    let sum: usize = Outcome::ALL.into_iter().map(|outcome| tally.count(outcome)).sum();
    assert_eq!(sum, tally.all());
}

#[test]
fn nothing_of_a_guest_is_markup_or_acts_on_the_page() {
    let (_dir, bundle) = sample();
    let page = html(&bundle, None).expect("a page");
    assert!(!page.contains(acts));
    assert_eq!(page.matches("<script").count(), 1, "only our own");
    assert_eq!(page.matches("</title></pre>").count(), 0);
    for hostile in [HOSTILE[0], HOSTILE[1], "memory.size <b>", "onerror=alert(1)>"] {
        assert!(!page.contains(hostile), "{hostile}");
    }
    assert!(page.contains("⟨ESC⟩[2J") && page.contains("&#60;script&#62;alert"));
}

#[test]
fn the_page_fetches_nothing_and_its_policy_lets_in_only_its_own() {
    let (_dir, bundle) = sample();
    let page = html(&bundle, None).expect("a page");
    for (attribute, accepted) in [("src=\"", "data:image/png;base64,"), ("href=\"", "#")] {
        // What a guest says is escaped, so a quote is one of ours.
        for value in page.split(attribute).skip(1) {
            assert!(value.starts_with(accepted), "{attribute}{}", &value[..40]);
        }
    }
    assert!(!page.contains("url(") && !page.contains("@import") && !page.contains(" style="));
    let policy = page.split("Content-Security-Policy\" content=\"").nth(1).expect("a policy");
    let policy = policy.split('"').next().expect("its end").replace("&#39;", "'");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
}

/// One process works for all cells: against one cell's machines it would look busier than it was.
#[test]
fn the_harness_is_set_against_the_machines_of_all_cells() {
    let (_folder, mut bundle) = sample();
    let last = bundle.cells.len() - 1;
    bundle.cells[last].record.timings.harness_cpu_ms = 2_512.0;
    let machines = 31.4 * bundle.cells.len() as f64;
    let share = format!("2.51 s ({:.1} % of all virtual machines'", 100.0 * 2.512 / machines);
    let page = html(&bundle, None).expect("a page").replace("&#39;", "'").replace("&#x27;", "'");
    assert_eq!(page.matches(&share).count(), bundle.cells.len(), "{share}");
    bundle.cells.truncate(1);
    assert!(html(&bundle, None).expect("a page").contains("1.31 s (4.2 % of theirs)"));
}

#[test]
fn both_observations_rules_and_the_way_back_are_there() {
    let (_dir, bundle) = sample();
    let page = html(&bundle, None).expect("a page");
    for text in [
        "guest saw",
        "host saw",
        "at most 60 ms apart",
        "one witness",
        "only the guest can compare its vCPUs",
        "flaky 1 of 3",
        "unsupported by guest",
        "failed, as it must",
        "Accelerator, measured: TCG",
        "hospitium replay 20260914-102120-7f3a stor.flush-durable --cell debian-12-qemu-7.2.22",
        "data:image/png;base64,",
        "<svg",
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert!(page.contains("<details class=\"check o-fail\""));
    assert_eq!(
        page.matches("<details class=\"check o-skip\"").count(),
        0,
        "skips have their own list"
    );
}

#[test]
fn ids_in_the_page_are_unique_and_links_lead_somewhere() {
    let (_dir, bundle) = sample();
    let page = html(&bundle, None).expect("a page");
    let values = |attribute: &str| -> Vec<String> {
        let parts = page.split(attribute).skip(1);
        parts.map(|part| part.split('"').next().unwrap_or_default().to_owned()).collect()
    };
    let ids = values(" id=\"");
    let unique: BTreeSet<_> = ids.iter().collect();
    assert_eq!(ids.len(), unique.len());
    for target in values("href=\"#").iter().chain(&values("aria-labelledby=\"")) {
        assert!(unique.contains(target), "{target}");
    }
}

#[test]
fn every_element_of_the_page_is_closed_where_it_was_opened() {
    let (_dir, bundle) = sample();
    let page = html(&bundle, None).expect("a page");
    let body =
        page.split("<body>").nth(1).and_then(|p| p.split("<script>").next()).expect("a body");
    let body = body.replace("hidden role", "hidden=\"\" role").replace(" open ", " open=\"\" ");
    let mut reader = Reader::from_str(&body);
    reader.config_mut().check_end_names = false;
    let void = ["meta", "input", "img", "br"];
    let mut stack = Vec::new();
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Start(tag) => {
                let name = tag.name().as_ref().to_owned();
                if !void.contains(&name.as_str()) {
                    stack.push(name);
                }
            }
            Event::End(tag) => {
                let name = tag.name().as_ref().to_owned();
                assert_eq!(stack.pop(), Some(name));
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(stack, Vec::<String>::new());
}

#[test]
fn junit_is_well_formed_and_maps_each_end() {
    let (_dir, bundle) = sample();
    let xml = junit(&bundle).expect("XML");
    assert!(!xml.contains(acts));
    let mut reader = Reader::from_str(&xml);
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Eof => break,
            Event::Start(tag) | Event::Empty(tag) => {
                let mut name = tag.name().as_ref().to_owned();
                for attribute in tag.attributes() {
                    let attribute = attribute.expect("a good attribute");
                    if attribute.key.as_ref() == "type" {
                        name += &format!(" {}", attribute.value);
                    }
                }
                *counts.entry(name).or_default() += 1;
            }
            _ => {}
        }
    }
    let expected = [
        ("testsuite", 3),
        ("testcase", 153),
        ("failure fail", 2),
        ("failure flaky", 1),
        ("error error", 1),
        ("error miss", 1),
        ("skipped", 4),
    ];
    for (name, count) in expected {
        assert_eq!(counts.get(name), Some(&count), "{name}");
    }
    assert!(xml.contains("tests=\"153\" failures=\"3\" errors=\"2\" skipped=\"4\""));
}

#[test]
fn json_says_what_the_page_says() {
    let (_dir, bundle) = sample();
    let text = json(&bundle, None).expect("JSON");
    let value: serde_json::Value = serde_json::from_str(&text).expect("parses");
    assert_eq!(value["headline"], headline(&bundle));
    assert_eq!(value["counts"]["pass"], 141);
    assert_eq!(value["evidence"]["sound"], true);
    assert_eq!(value["evidence"]["manifest_sha256"], bundle.digest.to_string());
    let checks = value["cells"][2]["checks"].as_array().expect("checks");
    let flap = checks.iter().find(|c| c["id"] == "net.link-flap").expect("it is there");
    assert_eq!((&flap["outcome"], &flap["flaky"]["of"]), (&"flaky".into(), &3.into()));
    assert_eq!(flap["findings"][0]["holds"], false);
}

#[test]
fn markdown_has_no_markup_of_a_guest() {
    let (_dir, bundle) = sample();
    let text = markdown(&bundle, None);
    assert!(!text.contains(acts));
    assert!(!text.contains("<script") && !text.contains("javascript:") && !text.contains("@every"));
    assert!(text.contains("| ✕ fail | `stor.flush-durable` |"));
    assert!(text.contains("| ≈ flaky 1 of 3 | `net.link-flap` |"));
    assert!(text.contains("unsupported by host"));
    let rows = text.lines().filter(|line| line.starts_with('|'));
    let bad = rows.filter(|row| ![4, 5, 11].contains(&row.replace("\\|", "").matches('|').count()));
    assert_eq!(bad.collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn unsound_evidence_is_said_first_in_each_document() {
    let (dir, _) = sample();
    let path = dir.path().join("run/cells/debian-12-qemu-7.2.22/checks/cpu.count.json");
    let text = fs::read_to_string(&path).expect("reads").replace("online", "offline");
    fs::write(&path, text).expect("writes");
    let bundle = Bundle::open(&dir.path().join("run")).expect("opens");
    let page = html(&bundle, None).expect("a page");
    assert!(page.contains("2 things wrong with this evidence") && page.contains("was altered"));
    assert!(headline(&bundle).contains("140 of 150"), "{}", headline(&bundle));
    assert!(junit(&bundle).expect("XML").contains("type=\"evidence\""));
    assert!(json(&bundle, None).expect("JSON").contains("\"sound\": false"));
    assert!(markdown(&bundle, None).contains("evidence is not sound"));
}

#[test]
fn a_run_cut_off_before_anything_ran_has_a_report_too() {
    let (dir, bundle) = sample();
    let folder = dir.path().join("cut");
    let mut run = bundle.run.clone();
    run.ended = None;
    drop(BundleWriter::create(&folder, &run).expect("begins"));
    recover(&folder).expect("recovers");
    let bundle = Bundle::open(&folder).expect("opens");
    assert_eq!(headline(&bundle), "No guest on no host: no check ran.");
    let out = dir.path().join("out");
    for path in write_all(&bundle, None, &out).expect("writes") {
        let text = fs::read_to_string(path).expect("reads");
        assert!(text.len() > 100);
    }
    assert!(markdown(&bundle, None).contains("never began"));
    // Again over the first: replaced.
    write_all(&bundle, None, &out).expect("writes");
}

#[test]
fn a_run_that_goes_on_says_so_and_blames_nothing_for_not_having_ended() {
    let (dir, bundle) = sample();
    let (folder, copy) = (dir.path().join("going"), dir.path().join("copy"));
    let mut run = bundle.run.clone();
    run.ended = None;
    let writer = BundleWriter::create(&folder, &run).expect("begins");
    let first = &bundle.cells[0];
    let cell = writer.cell(&first.record.name).expect("a cell");
    let mut record = first.record.clone();
    record.canary_failed = false;
    cell.record(&record).expect("its record");
    let planned = |check: &CheckRecord| PlannedCheck {
        id: check.id.clone(),
        requirement: check.requirement.clone(),
        tier: check.tier,
    };
    cell.plan(&first.checks.iter().map(planned).collect::<Vec<_>>()).expect("its plan");
    let passed = first.checks.iter().find(|check| check.verdict == Verdict::Pass).expect("one");
    cell.check(passed).expect("written");
    so_far(&folder, &copy).expect("copies");

    let bundle = Bundle::open(&copy).expect("opens");
    assert!(goes_on(&bundle));
    assert_eq!(bundle.problems.iter().map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);
    let page = html(&bundle, None).expect("lays out");
    assert!(page.contains("http-equiv=\"refresh\"") && page.contains("still runs."));
    assert!(!page.contains("wrong with this evidence") && !page.contains("prove nothing"));
    let short = markdown(&bundle, None);
    assert!(short.contains("The run still goes on") && !short.contains("What did not pass"));
    let (_dir, ended) = sample();
    assert!(!html(&ended, None).expect("lays out").contains("http-equiv=\"refresh\""));
}

#[test]
fn a_check_that_reads_says_of_when_the_boot_is_that_it_judged() {
    let (_dir, mut bundle) = sample();
    let page = html(&bundle, None).expect("lays out");
    assert!(!page.contains("judged a boot"), "booted in this run");
    for (booted, words) in [
        (Some("2026-09-02T10:21:20Z"), "judged a boot of 2026-09-02, 12 days before this run"),
        (Some("2026-09-14T07:21:20Z"), "judged a boot of 2026-09-14, 3 hours before this run"),
        (None, "judged a boot of an unknown day"),
    ] {
        bundle.cells.truncate(1);
        let cell = &mut bundle.cells[0].record;
        cell.timings.boot_ms = None;
        cell.booted = booted.map(|at| at.parse().expect("a time"));
        let page = html(&bundle, None).expect("lays out");
        let reads = |check: &&CheckRecord| {
            check.tier == hospitium_model::Tier::Reads
                && check.verdict.ran()
                && !check.id.as_str().starts_with("canary")
        };
        let reads = bundle.cells[0].checks.iter().filter(reads).count();
        assert_eq!(page.matches(words).count(), reads, "{words}");
        assert!(markdown(&bundle, None).contains("the snapshot came from the cache"));
    }
}
