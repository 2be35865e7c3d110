//! `hospitium product`: what is known, what is meant, and errors with the next step.

mod common;

use std::path::PathBuf;
use std::process::Output;

use common::{Place, text};

const RHEL: &str = r#"<libosinfo version="0.0.1">
  <os id="http://redhat.com/rhel/5.3">
    <short-id>rhel5.3</short-id><name>Red Hat Enterprise Linux 5.3</name>
    <version>5.3</version><family>linux</family><distro>rhel</distro>
    <release-date>2009-01-20</release-date><eol-date>2020-03-31</eol-date>
  </os>
</libosinfo>"#;

const CYCLES: &str = r#"[{"cycle": "5", "eol": "2017-03-31", "extendedSupport": "2020-11-30"}]"#;

struct World {
    place: Place,
    osinfo: PathBuf,
    endoflife: PathBuf,
}

impl World {
    fn new() -> Self {
        let place = Place::new();
        let (osinfo, endoflife) = (place.path("osinfo"), place.path("endoflife"));
        for folder in [&osinfo.join("os"), &endoflife] {
            std::fs::create_dir_all(folder).expect("made");
        }
        std::fs::write(osinfo.join("os/rhel.xml"), RHEL).expect("written");
        std::fs::write(endoflife.join("rhel.json"), CYCLES).expect("written");
        Self { place, osinfo, endoflife }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.place.hospitium();
        command.arg("product").args(arguments).arg("--osinfo").arg(&self.osinfo);
        command.arg("--endoflife").arg(&self.endoflife).output().expect("runs")
    }
}

#[test]
fn all_three_ends_of_rhel_5_3_are_shown_with_who_says_so() {
    let world = World::new();
    let output = world.run(&["show", "rhel", "5.3", "x86_64"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for words in [
        "2020-03-31",
        "osinfo-db",
        "2017-03-31",
        "2020-11-30",
        "endoflife.date, cycle 5",
        "said of all of Red Hat Enterprise Linux 5",
        "contradict",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let json = world.run(&["show", "rhel5.3", "--json"]);
    let shown: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(shown["ends"].as_array().map(Vec::len), Some(3));
    assert_eq!(shown["conflicts"][0]["property"], "end-of-life");
}

#[test]
fn a_search_that_may_mean_several_ends_with_1_and_gives_reasons() {
    let world = World::new();
    let output = world.run(&["search", "esx"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("esx3.5") && said.contains("esx4.1"), "{said}");
    assert_eq!(world.run(&["search", "windows", "2003", "sp2"]).status.code(), Some(0));
}

#[test]
fn the_machine_for_a_pair_comes_with_reasons() {
    let world = World::new();
    let output = world.run(&["machine", "rhel 5.3", "hyper-v server 2008", "--json"]);
    let made: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(made["machine"]["disks"][0]["bus"], "ide");
    let choices = made["choices"].as_array().expect("choices");
    assert!(choices.iter().all(|c| c["reason"].as_str().is_some_and(|r| !r.is_empty())));
}

#[test]
fn what_is_not_known_or_not_to_be_read_is_told_with_the_next_step() {
    let world = World::new();
    let refused = |arguments: &[&str], words: &[&str]| {
        let output = world.run(arguments);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        for word in words {
            assert!(said.contains(word), "{arguments:?} does not say {word:?}: {said}");
        }
    };
    refused(&["show", "frobnicator"], &["no product is called", "next:"]);
    refused(&["list", "nonsense"], &["no product is of the line", "rhel"]);
    refused(&["compare", "rhel5.3", "esx4.0"], &["different lines"]);
    let broken = world.osinfo.join("os/broken.xml");
    std::fs::write(&broken, "<libosinfo>\n <os>\n</libosinfo>").expect("written");
    refused(&["list"], &["broken.xml", "no XML"]);
    std::fs::remove_file(&broken).expect("removed");
    std::fs::write(world.endoflife.join("x.yaml"), "releases: [").expect("written");
    refused(&["list"], &["x.yaml"]);
}

#[test]
fn newer_data_is_taken_over_and_later_runs_use_it() {
    let world = World::new();
    let newer = world.place.path("newer");
    std::fs::create_dir_all(newer.join("os/a.example")).expect("made");
    let os = RHEL.replace("http://redhat.com/rhel/5.3", "http://a.example/newos/7");
    let os = os.replace("rhel5.3", "newos7").replace("Red Hat Enterprise Linux 5.3", "Newos 7");
    std::fs::write(newer.join("os/a.example/newos-7.xml"), os).expect("written");
    std::fs::write(newer.join("VERSION"), "20990101").expect("written");
    let run = |arguments: &[&str]| {
        let mut command = world.place.hospitium();
        command.env("XDG_DATA_HOME", world.place.path("data")).env_remove("OSINFO_SYSTEM_DIR");
        command.arg("product").args(arguments).output().expect("runs")
    };
    assert_eq!(run(&["show", "newos 7"]).status.code(), Some(2));
    let output = run(&["update", &newer.to_string_lossy()]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("took over osinfo-db 20990101: 1 product in 1 file"), "{said}");
    let said = text(&run(&["show", "newos 7"]));
    assert!(said.contains("osinfo-db 20990101"), "{said}");
    std::fs::write(newer.join("VERSION"), "20200101").expect("written");
    let output = run(&["update", &newer.to_string_lossy()]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("older than 20990101") && said.contains("--older"), "{said}");
    let said = text(&run(&["update", "/nowhere/at/all"]));
    assert!(said.contains("/nowhere/at/all"), "{said}");
}
