//! `agreement cells --model`: models of other tools, covered.

mod common;

use common::{Place, says};
use serde_json::Value;

const PICT: &str = "\
firmware: bios, uefi
bus: virtio, sata, ide
nic: virtio, e1000, rtl8139
vcpus: 1, 2, ~-1
IF [firmware] = \"uefi\" THEN [bus] <> \"ide\";
";
const ACTS: &str = "\
[System]
Name: machine
[Parameter]
firmware (enum) : bios, uefi
bus (enum) : virtio, sata, ide
nic (enum) : virtio, e1000, rtl8139
[Constraint]
firmware = \"uefi\" => bus != \"ide\"
";

/// The table on standard output, with its header.
fn table(place: &Place, arguments: &[&str]) -> Vec<Vec<String>> {
    let all = [&["agreement", "cells"], arguments].concat();
    let output = place.hospitium().args(&all).output().expect("runs");
    assert_eq!(output.status.code(), Some(0), "{all:?}: {}", common::text(&output));
    let told = String::from_utf8(output.stdout).expect("UTF-8");
    told.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

/// Each two values of the first two columns that may stand together do.
fn covers(rows: &[Vec<String>]) {
    for firmware in ["bios", "uefi"] {
        for bus in ["virtio", "sata", "ide"] {
            let there = rows.iter().any(|row| row[0] == firmware && row[1] == bus);
            assert_eq!(there, (firmware, bus) != ("uefi", "ide"), "{firmware} {bus}: {rows:?}");
        }
    }
}

#[test]
fn models_of_pict_acts_and_casa_are_covered_and_printed_as_pict_does() {
    let place = Place::new();
    let write = |name: &str, text: &str| std::fs::write(place.path(name), text).expect("written");
    write("machine.txt", PICT);
    write("machine.acts", ACTS);
    write("small.model", "2\n3\n2 2 2\n");
    write("small.constraints", "1\n2\n- 0 - 2\n");
    let rows = table(&place, &["--model", "machine.txt"]);
    assert_eq!(rows[0], ["firmware", "bus", "nic", "vcpus"]);
    covers(&rows[1..]);
    // A negative value is marked, and stands with each ordinary one.
    assert!(rows.iter().any(|row| row[3] == "~-1"), "{rows:?}");
    covers(&table(&place, &["--model", "machine.acts"])[1..]);
    let small = table(&place, &["--model", "small.model"]);
    assert!(small[1..].iter().all(|row| (row[0].as_str(), row[1].as_str()) != ("v0", "v2")));

    // Rows that are there already come first; one that breaks a constraint is told.
    write("done.txt", "firmware\tbus\tnic\tvcpus\nuefi\tsata\te1000\t2\nuefi\tide\te1000\t2\n");
    let rows = table(&place, &["--model", "machine.txt", "--given", "done.txt"]);
    assert_eq!(rows[1], ["uefi", "sata", "e1000", "2"]);
    let given = ["agreement", "cells", "--model", "machine.txt", "--given", "done.txt"];
    says(&place, 0, &given, &["left out: given row 2 breaks", "at strength 2"]);

    let json = ["agreement", "cells", "--model", "machine.acts", "--strength", "3", "--json"];
    let output = place.hospitium().args(json).output().expect("runs");
    let object: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(object["schema"], "hospitium-covering/1");
    assert_eq!(object["rows"].as_array().map(Vec::len), Some(15));
}

#[test]
fn a_model_that_cannot_be_covered_is_refused_with_its_place_and_the_next_step() {
    let place = Place::new();
    let write = |name: &str, text: &str| std::fs::write(place.path(name), text).expect("written");
    write("bad.txt", "a: 1, 2\nb: 1\nIF [c] = 1 THEN [a] = 2;\n");
    write("none.txt", "a: 1, 2\nb: 1, 2\nIF [a] > 0 THEN [b] > 5;\n");
    write("machine.txt", PICT);
    let cells = |more: &[&'static str]| [&["agreement", "cells"], more].concat();
    for (more, words) in [
        (&["--model", "bad.txt"][..], &["bad.txt is not read", "bad.txt:3", "next: "][..]),
        (&["--model", "none.txt"], &["cannot be covered", "exclude each other"]),
        (&["--model", "absent.txt"], &["absent.txt cannot be read", "next: "]),
        (&["--model", "machine.txt", "--strength", "5"], &["strength 5", "another --strength"]),
        (&["--model", "machine.txt", "debian-qemu"], &["cannot be used with"]),
        (&["--model", "machine.txt", "--out", "plan.json"], &["cannot be used with"]),
        (&["debian-qemu", "--given", "x"], &["cannot be used with"]),
        (&[], &["AGREEMENT"]),
    ] {
        says(&place, 2, &cells(more), words);
    }
}
