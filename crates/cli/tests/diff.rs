//! Two runs are compared: on the terminal, for programs, and at the top of the report.

mod common;

use common::{Place, says};
use serde_json::Value;

#[test]
fn what_changed_between_two_runs_is_told_and_a_regression_is_an_exit_code() {
    let place = Place::new();
    for (out, checks) in [("both", &["cpu.count", "mem.size"][..]), ("one", &["cpu.count"])] {
        let (code, _, errors) = place.start(out, checks).end();
        assert_eq!(code, Some(0), "{errors}");
    }
    says(&place, 0, &["diff", "one", "both"], &["no regression", "not there → pass", "mem.size"]);
    let lost = ["Regressions (1)", "pass → not there", "mem.size", "1 regression"];
    says(&place, 1, &["diff", "both", "one/evidence.tar.zst"], &lost);
    let output = place.hospitium().args(["diff", "both", "one", "--json"]).output().expect("runs");
    assert_eq!(output.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(found["cells"][0]["matched"], "same");
    assert_eq!(found["cells"][0]["regressions"][0]["check"], "mem.size");
    says(&place, 0, &["report", "one", "--against", "both"], &["report.html"]);
    let page = std::fs::read_to_string(place.path("one/report.html")).expect("written");
    assert!(page.contains("Changed since") && page.contains("1 regression"));
    let refused = ["JUnit", "--against", "next:"];
    says(&place, 2, &["report", "one", "--against", "both", "--format", "junit"], &refused);
    says(&place, 2, &["diff", "one", "/no/such/run"], &["/no/such/run", "next:"]);
}
