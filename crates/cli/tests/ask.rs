//! Questions and machine definitions as people have them: an answer, or what to do to get one.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What the program says under the deal of 2009, and its exit code.
fn said(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_hospitium"))
        .args(arguments)
        .args(["--agreement", "redhat-microsoft-2009"])
        .current_dir(root())
        .env_remove("HOSPITIUM_ENDOFLIFE")
        .env_remove("HOSPITIUM_CATALOG")
        .output()
        .expect("runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

fn ask(question: &str, code: i32, words: &[&str]) {
    let (ended, said) = said(&["ask", question]);
    assert_eq!(ended, Some(code), "{question}: {said}");
    for word in words {
        assert!(said.contains(word), "{question} does not say {word:?}: {said}");
    }
}

fn ask_file(file: &str, more: &[&str], code: i32, words: &[&str]) {
    let file = format!("crates/vmdef/tests/samples/{file}");
    let (ended, said) = said(&[&["ask", &file], more].concat());
    assert_eq!(ended, Some(code), "{file}: {said}");
    for word in words {
        assert!(said.contains(word), "{file} does not say {word:?}: {said}");
    }
}

#[test]
fn every_pair_of_the_deal_of_2009_has_an_answer() {
    let (code, answers) = said(&["catalog", "pairs", "--json", "--as-of", "2009-10-07"]);
    assert_eq!(code, Some(0), "{answers}");
    let answers: serde_json::Value = serde_json::from_str(&answers).expect("JSON");
    let answers = answers.as_array().expect("a list");
    let plan = Command::new(env!("CARGO_BIN_EXE_hospitium"))
        .args(["agreement", "plan", "redhat-microsoft-2009", "--json", "--as-of", "2009-10-07"])
        .current_dir(root())
        .output()
        .expect("runs");
    let plan: serde_json::Value = serde_json::from_slice(&plan.stdout).expect("JSON");
    let owed = plan["obligations"].as_array().expect("a list");
    assert!(owed.len() > 100);
    for owed in owed {
        let of_pair = |answer: &&serde_json::Value| {
            answer["guest-id"] == owed["guest"] && answer["host-id"] == owed["host"]
        };
        let answer = answers.iter().find(of_pair).unwrap_or_else(|| panic!("{owed} has none"));
        // Nothing was delivered: the word says whether it is owed by then.
        let word = match owed["state"]["is"].as_str() {
            Some("planned") => "planned",
            Some("due" | "late") => "pending",
            Some("over") => "not-validated",
            _ => panic!("{owed}"),
        };
        assert_eq!(
            (&answer["verdict"], &answer["rule"]),
            (&word.into(), &owed["rule"]),
            "{answer}"
        );
    }
}

#[test]
fn questions_are_understood_as_people_put_them() {
    // Both sides' lives are over.
    let pair = "not validated: Red Hat Enterprise Linux 5.3 on Microsoft Hyper-V Server 2008";
    for question in [
        "rhel 5.3 on hyper-v server 2008",
        "is rhel 5.3 supported on hyper-v server 2008?",
        "does RHEL 5 U3 run on Microsoft Hyper-V Server 2008",
    ] {
        ask(question, 1, &[pair, "never delivered"]);
    }
    let more = [pair, "4 vCPUs, 8 GiB"];
    ask("rhel 5.3 on hyper-v server 2008 with 4 processors and 8192 MB memory", 1, &more);
    let xen = "Microsoft Windows Server 2003 SP2 on Xen 3.1.0 (RHEL 5.3)";
    ask("windows 2003 server sp2 64 bit on rhel 5.3 xen", 1, &[xen, "x86_64"]);
}

#[test]
fn a_question_that_cannot_be_answered_says_what_to_ask() {
    ask("rhel 5.3", 2, &["ask like this"]);
    ask("rhel 5.3 on hyper-v server 2008, 0 vcpu", 2, &["\"0 vcpu\"", "1 to 65536 vCPUs"]);
    ask("rhel 5 on hyper-v server 2008", 3, &["may be one of these", "rhel5.3"]);
    ask("rhel 5.3 on frobnicator", 3, &["frobnicator"]);
}

#[test]
fn what_nobody_speaks_of_is_unknown_with_what_is_spoken_of_beside_it() {
    let beside = |what: &str| format!("2009 speaks of {what}. Is that what is meant?");
    let of_2000 = beside("Microsoft Windows 2000 Server SP4 on Xen 3.1.0 (RHEL 5.2)");
    ask("win2k on rhel 5.2 xen", 3, &["unknown: ", &of_2000]);
    let edition = beside("Microsoft Windows Server 2008 on Xen 3.1.0 (RHEL 5.2)");
    ask("windows server 2008 standard on rhel 5.2 xen", 3, &["unknown: ", &edition]);
    let arch = beside("this pair for x86_64");
    ask("rhel 5.3 i386 on hyper-v server 2008", 3, &["unknown: ", &arch]);
    let (_, said) = said(&["ask", "solaris 10 on hyper-v server 2008"]);
    assert!(!said.contains("Is that what is meant"), "nothing is near: {said}");
}

#[test]
fn a_definition_is_answered_for_or_says_what_it_does_not_tell() {
    // Every value with its line comes first, then the answer.
    let read = [
        "vCPUs        2  [line 11, vcpu@current]",
        "most vCPUs   4",
        "QEMU 7.2 or later",
        "unknown: ",
    ];
    ask_file("rhel5.xml", &[], 3, &read);
    // The virtual hardware of version 7 is that of ESX 4.0.
    ask_file("win2003.vmx", &[], 3, &["unknown: Microsoft Windows Server 2003 on VMware ESX 4.0"]);
    let which =
        ["the definition tells \"Red Hat Enterprise Linux 6\"", "--guest", "product search"];
    ask_file("rhel6.ovf", &[], 2, &which);
    let none = ["does not tell which system", "--guest"];
    ask_file("hyperv-2008r2.xml", &[], 2, &none);
    ask_file(
        "hyperv-2008.exp",
        &["--guest", "rhel5.3"],
        2,
        &["for Hyper-V and does not tell which version", "--host"],
    );
    let both = ["--guest", "rhel5.3", "--host", "hyper-v server 2008"];
    ask_file(
        "hyperv-2008.exp",
        &both,
        1,
        &["not validated: Red Hat Enterprise Linux 5.3 on Microsoft"],
    );
}

#[test]
fn what_is_missing_is_told_at_once_behind_what_was_read() {
    let all = [
        "erp (Proxmox VE configuration)",
        "Secure Boot  on",
        "--guest",
        "--host",
        "line 11, memory",
    ];
    ask_file("proxmox-9.conf", &[], 2, &all);
    ask_file("xen-hvm.cfg", &[], 2, &["mail (Xen xl configuration)", "for Xen and does not tell"]);
    ask_file(
        "ovirt-4.ovf",
        &[],
        2,
        &["means no one product", "for oVirt", "virtio-scsi, qcow2, 60 GiB"],
    );
    ask_file(
        "debian-12.vbox",
        &[],
        3,
        &["VirtualBox 7.0 or later", "unknown: Debian 12 on Oracle VirtualBox 7.0"],
    );
    ask_file(
        "kubevirt.yaml",
        &["--host", "openshift virtualization 4.18"],
        3,
        &[
            "unknown: Red Hat Enterprise Linux 9.4 on Red Hat OpenShift Virtualization 4.18",
            "Secure Boot",
        ],
    );
    let (code, json) = said(&["ask", "crates/vmdef/tests/samples/proxmox-9.conf", "--json"]);
    let json: serde_json::Value =
        serde_json::from_str(json.lines().next().unwrap_or_default()).expect("JSON");
    assert_eq!(code, Some(2));
    assert_eq!(json["definition"]["vcpus"]["count"]["value"], 12);
    assert_eq!(json["missing"].as_array().map(Vec::len), Some(2), "{json}");
}

#[test]
fn an_encrypted_definition_is_not_answered_with_defaults() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("e.vmx");
    std::fs::write(&path, "displayName = \"ledger\"\nencryption.data = \"x\"\n").expect("written");
    let file = path.to_string_lossy();
    let sides = ["ask", &file, "--guest", "rhel 5.3", "--host", "hyper-v server 2008"];
    let (code, told) = said(&sides);
    assert_eq!(code, Some(2), "{told}");
    for words in ["ledger (VMware .vmx)", "encrypted", "decrypt it", "--machine"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let (code, told) = said(&[&sides[..], &["--machine", "2 vcpu, 4 GiB, bios"]].concat());
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("2 vCPUs, 4 GiB, BIOS"), "{told}");
    let (code, told) = said(&[&sides[..], &["--machine", "2 vcpu, blue"]].concat());
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("\"blue\""), "{told}");
}

#[test]
fn a_product_newer_than_the_data_is_not_known_and_brings_no_unlike_names() {
    let newest = "not known here; the newest known of this line, Microsoft Windows Server, is Microsoft Windows Server 2025";
    ask("windows server 2031 on hyper-v 2019", 3, &[newest]);
    let (_, told) = said(&["ask", "windows server 2031 on hyper-v 2019"]);
    assert!(!told.contains("XP"), "{told}");
    let (_, told) = said(&["ask", "OPNsense 24.1 on qemu 7.2"]);
    assert!(told.contains("is no known product") && !told.contains("Mac OS"), "{told}");
    ask(
        "CentOS 7.6 x64 on ESXi 6.0U2",
        3,
        &["unknown: CentOS 7.6 on VMware ESXi 6.0 Update 2, x86_64"],
    );
}

#[test]
fn a_definition_that_is_none_is_refused_with_the_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |name: &str, bytes: &[u8], words: &[&str]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        let (code, said) = said(&["ask", &path.to_string_lossy()]);
        assert_eq!(code, Some(2), "{name}: {said}");
        for word in words.iter().chain(&[name]) {
            assert!(said.contains(word), "{name} does not say {word:?}: {said}");
        }
        assert!(!said.contains('\u{1b}'), "{name} reaches the terminal: {said:?}");
    };
    refused("cut.xml", b"<domain type='kvm'>\n<name>x</nam>", &["cut.xml:2"]);
    refused("bomb.xml", b"<!DOCTYPE d [<!ENTITY a \"aa\">]><domain>&a;</domain>", &["bomb.xml:1"]);
    refused("bad.json", b"{\"Name\": \"\x1b[2J\", ", &[]);
    refused("other.txt", b"hello\n", &[]);
    let huge = std::fs::File::create(folder.path().join("huge.xml")).expect("made");
    huge.set_len(1 << 30).expect("sparse");
    let (code, said) = said(&["ask", &folder.path().join("huge.xml").to_string_lossy()]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("huge.xml"), "{said}");
}
