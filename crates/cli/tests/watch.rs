//! Watching, as typed: the first look, a release, its obligations, the plan with the overlay.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct Lab(tempfile::TempDir);

impl Lab {
    fn new() -> Self {
        let lab = Self(tempfile::tempdir().expect("a folder"));
        std::fs::create_dir(lab.path("eol")).expect("made");
        lab.says("");
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn says(&self, more: &str) {
        let text = format!(
            "releases:\n{more}  - {{releaseCycle: \"13\", releaseDate: 2025-08-09, eol: 2028-08-09}}\n"
        );
        std::fs::write(self.path("eol/debian.yaml"), text).expect("writes");
    }

    fn watch(&self, more: &[&str]) -> Output {
        self.hospitium(&[&["agreement", "watch", "debian-qemu", "--from", "eol"], more].concat())
    }

    fn hospitium(&self, arguments: &[&str]) -> Output {
        let agreements = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../agreements");
        let config = format!("agreements = [{:?}]", agreements);
        std::fs::write(self.path("hospitium.toml"), config).expect("writes");
        Command::new(env!("CARGO_BIN_EXE_hospitium"))
            .args(arguments)
            .current_dir(self.0.path())
            .env_remove("HOSPITIUM_ENDOFLIFE")
            .env_remove("HOSPITIUM_PRODUCTS")
            .output()
            .expect("runs")
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const FORKY: &str = "  - {releaseCycle: \"97\", releaseDate: 2026-05-05, eol: 2098-01-01}\n";

#[test]
fn a_release_creates_obligations_that_the_plan_then_knows() {
    let lab = Lab::new();
    let day = ["--as-of", "2026-06-01"];
    let first = lab.watch(&day);
    assert_eq!(first.status.code(), Some(0), "{}{}", text(&first.stdout), text(&first.stderr));
    assert!(text(&first.stdout).contains("the first look"), "{}", text(&first.stdout));
    lab.says(FORKY);
    let second = lab.watch(&day);
    let told = text(&second.stdout);
    assert_eq!(second.status.code(), Some(1), "{told}{}", text(&second.stderr));
    assert!(told.contains("1 new release\n") && told.contains("Debian 97"), "{told}");
    assert!(told.contains("endoflife.date, cycle 97 (debian.yaml:2)"), "{told}");
    assert!(told.contains("clause debian-on-qemu takes in all later guests"), "{told}");
    assert!(told.contains("due by 2027-05-05"), "{told}");
    let plan = |more: &[&str]| {
        let plan = lab.hospitium(
            &[&["agreement", "plan", "debian-qemu", "--json"], day.as_slice(), more].concat(),
        );
        text(&plan.stdout)
    };
    assert!(!plan(&[]).contains("debian-on-qemu/debian97/"));
    assert!(plan(&["--products", "watch-products"]).contains("debian-on-qemu/debian97/qemu-7.2"));
    let third = lab.watch(&day);
    assert_eq!(third.status.code(), Some(0), "{}", text(&third.stdout));
    assert!(text(&third.stdout).contains("Nothing is new."));
}

#[test]
fn json_has_the_obligation_with_its_rule() {
    let lab = Lab::new();
    let options = ["--as-of", "2026-06-01", "--json"];
    lab.watch(&options);
    lab.says(FORKY);
    let look: serde_json::Value =
        serde_json::from_slice(&lab.watch(&options).stdout).expect("is JSON");
    assert_eq!(look["news"][0]["product"], "http://debian.org/debian/97");
    let created = look["obliged"][0]["created"].as_array().expect("a list");
    assert_eq!(created.len(), 2);
    assert_eq!(created[0]["obligation"]["due"], "2027-05-05");
}

#[test]
fn a_source_that_cannot_be_read_is_told_and_the_code_says_so() {
    let lab = Lab::new();
    std::fs::write(lab.path("eol/debian.yaml"), "releases: [[[").expect("writes");
    let looked = lab.watch(&[]);
    assert_eq!(looked.status.code(), Some(3));
    assert!(text(&looked.stderr).contains("debian.yaml"), "{}", text(&looked.stderr));
}

#[test]
fn what_cannot_be_carried_out_ends_with_code_2_and_the_next_step() {
    let lab = Lab::new();
    for (bad, why) in [
        (vec!["--from", "nonsense"], "is no source"),
        (vec!["--from", "debian:../x"], "a suite is called"),
        (vec!["--every", "1s"], "too often"),
        (vec!["--debian-arch", "../x"], "no architecture"),
    ] {
        let looked = lab.watch(&bad);
        assert_eq!(looked.status.code(), Some(2), "{bad:?}");
        assert!(text(&looked.stderr).contains(why), "{}", text(&looked.stderr));
        assert!(text(&looked.stderr).contains("next: "), "{}", text(&looked.stderr));
    }
    std::fs::write(lab.path("watch.json"), "{\"format\":99}").expect("writes");
    let looked = lab.watch(&[]);
    assert_eq!(looked.status.code(), Some(2));
    assert!(text(&looked.stderr).contains("form 99"), "{}", text(&looked.stderr));
}

/// Begins to watch again and again; what it says of its next look, and how it ends when asked to.
fn every(lab: &Lab) -> (String, Option<i32>) {
    use std::io::{BufRead, BufReader};
    let mut child = Command::new(env!("CARGO_BIN_EXE_hospitium"))
        .args(["agreement", "watch", "debian-qemu", "--from", "eol", "--every", "6h"])
        .current_dir(lab.0.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("runs");
    let told = BufReader::new(child.stderr.take().expect("piped"));
    let next = told.lines().map_while(Result::ok).find(|line| line.contains("next look in"));
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().expect("kill").success());
    (next.unwrap_or_default(), child.wait().expect("ends").code())
}

#[test]
fn watching_again_and_again_ends_when_it_is_asked_to() {
    let lab = Lab::new();
    lab.watch(&[]);
    assert_eq!(every(&lab), ("next look in 6h".into(), Some(0)));
}

#[test]
fn a_look_that_could_not_read_everything_is_made_again_soon() {
    let lab = Lab::new();
    lab.watch(&[]);
    std::fs::write(lab.path("eol/debian.yaml"), "releases: [[[").expect("writes");
    assert_eq!(every(&lab), ("next look in 1m".into(), Some(0)));
}
