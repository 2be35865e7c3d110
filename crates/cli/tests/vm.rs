//! `run --vm`: a guest in the machine as a definition has it, and what of it cannot be built.

mod common;

use common::{Place, kernel, says};
use serde_json::Value;

const DEFINITION: &str = r#"<domain type="kvm">
  <name>golden</name>
  <memory unit="MiB">640</memory>
  <vcpu>3</vcpu>
  <os><type arch="x86_64" machine="pc-q35-7.1">hvm</type></os>
  <cpu mode="custom"><model>NoSuchModel</model></cpu>
  <devices>
    <disk type="file" device="disk">
      <source file="/images/golden.qcow2"/><target dev="vda" bus="virtio"/>
    </disk>
    <disk type="file" device="cdrom"><target dev="sda" bus="sata"/></disk>
    <interface type="network"><source network="default"/><model type="e1000e"/></interface>
    <video><model type="qxl"/></video>
  </devices>
</domain>
"#;

#[test]
fn a_guest_runs_in_the_machine_of_a_definition_and_what_is_not_built_is_a_limit_of_the_report() {
    let place = Place::new();
    std::fs::write(place.path("golden.xml"), DEFINITION).expect("written");
    let mut arguments = place.run_arguments("out", &["cpu.count"]);
    arguments.extend(["--vm".to_owned(), "golden.xml".to_owned()]);
    let output = place.hospitium().args(&arguments).output().expect("runs");
    let said = common::text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let limits = ["NoSuchModel", "an optical drive", "video qxl"];
    for limit in limits {
        let told = said.lines().any(|line| line.starts_with("limit: ") && line.contains(limit));
        assert!(told, "{limit} is not told before the run: {said}");
    }
    assert!(said.contains("3 vCPUs [line 4, "), "{said}");

    let read = |name: &str| std::fs::read_to_string(place.path(name)).expect("reads");
    let run: Value = serde_json::from_str(&read("out/evidence/run.json")).expect("JSON");
    let kept = run["definition"]["limits"].to_string();
    let cell = run["cells"][0].as_str().expect("a cell");
    let cell: Value =
        serde_json::from_str(&read(&format!("out/evidence/cells/{cell}/cell.json"))).expect("JSON");
    let machine = cell["machine"].to_string();
    for word in ["pc-q35-7.1", "e1000e", "640 MiB"] {
        assert!(machine.contains(word), "{word} is not in {machine}");
    }
    assert_eq!(cell["machine"]["cpus"]["sockets"], 3, "{machine}");
    let (page, text) = (read("out/report.html"), read("out/report.md"));
    for limit in limits {
        assert!(kept.contains(limit), "{limit}: {kept}");
        assert!(page.contains(limit) && text.contains(limit), "{limit} is not in the report");
    }
    // The same evidence is sound for whoever reads it.
    says(&place, 0, &["verify", "out"], &[]);
}

#[test]
fn a_definition_that_no_machine_can_be_built_after_is_refused_before_anything_starts() {
    let place = Place::new();
    let kernel = kernel();
    let kernel = kernel.to_str().expect("UTF-8");
    std::fs::write(place.path("golden.xml"), DEFINITION).expect("written");
    let arm = DEFINITION.replace("x86_64", "aarch64").replace("pc-q35-7.1", "virt-7.1");
    std::fs::write(place.path("arm.xml"), arm).expect("written");
    std::fs::write(place.path("none.txt"), "a shopping list\n").expect("written");
    let huge = DEFINITION.replace("<vcpu>3<", "<vcpu>700<");
    std::fs::write(place.path("huge.xml"), huge).expect("written");
    let run = |more: &[&'static str]| [&["run", kernel, "--out", "out"], more].concat();
    for (more, words) in [
        (&["--vm", "arm.xml"][..], &["aarch64", "no driver here", "next: "][..]),
        (&["--vm", "huge.xml"], &["700 vCPUs", "1 to 256"]),
        (&["--vm", "none.txt"], &["none.txt is not read", "next: "]),
        (&["--vm", "absent.xml"], &["absent.xml is not read"]),
        (&["--vm", "golden.xml", "--vcpus", "2"], &["--vm", "--vcpus"]),
        (&["--vm", "golden.xml", "--on", "qemu", "--on", "/x/qemu"], &["for one host"]),
    ] {
        says(&place, 2, &run(more), words);
    }
    says(&place, 2, &["run", "--vm", "golden.xml"], &["<GUEST>"]);
    assert!(!place.path("out").exists());
}
