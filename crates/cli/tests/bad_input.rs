//! Bad input: a clear error with the next step, before anything is started.

mod common;

use std::process::Output;

use common::{Place, text};

fn run(place: &Place, arguments: &[&str]) -> Output {
    place.hospitium().args(arguments).output().expect("runs")
}

fn refused(place: &Place, arguments: &[&str], words: &[&str]) {
    let output = run(place, arguments);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{arguments:?} does not say {word:?}: {said}");
    }
    assert!(!place.path("runs").exists(), "{arguments:?} left a run behind");
}

#[test]
fn a_guest_that_is_no_guest_is_refused_with_the_reason() {
    let place = Place::new();
    let file = |name: &str, bytes: &[u8]| {
        let path = place.path(name);
        std::fs::write(&path, bytes).expect("written");
        path.to_string_lossy().into_owned()
    };
    refused(&place, &["run", "/no/such/image"], &["/no/such/image"]);
    refused(&place, &["run", &file("empty", b"")], &["empty"]);
    refused(&place, &["run", &file("text", b"hello")], &["text"]);
    refused(&place, &["run", &file("cut.qcow2", b"QFI\xfb\0\0\0\x03")], &["cut.qcow2"]);
    refused(&place, &["run", &file("cut.deb", b"!<arch>\ndebian-binary")], &["cut.deb"]);
    refused(&place, &["run", &file("bad.toml", b"imag = 5")], &["bad.toml", "next:"]);
    let wrong = format!("kernel = \"text\"\nsha256 = \"{}\"", "0".repeat(64));
    refused(&place, &["run", &file("wrong.toml", wrong.as_bytes())], &["text"]);
    refused(&place, &["run"], &["no guest is named", "next:"]);
}

#[test]
fn a_host_that_is_no_host_is_refused_with_the_next_step() {
    let place = Place::new();
    let guest = common::kernel().to_string_lossy().into_owned();
    let with = |host: &str, words: &[&str]| refused(&place, &["run", &guest, "--on", host], words);
    with("/no/such/qemu", &["/no/such/qemu", "nstall"]);
    with("root:/no/such/root", &["/no/such/root"]);
    with("hyperv", &["hyperv", "next:"]);
    with("/bin/true", &["/bin/true"]);
}

#[test]
fn a_machine_that_cannot_be_is_refused_before_it_is_started() {
    let place = Place::new();
    let guest = common::kernel().to_string_lossy().into_owned();
    let with = |machine: &[&str], words: &[&str]| {
        let run = ["run", "--accelerator", "tcg", &guest];
        refused(&place, &[&run[..], machine].concat(), words);
    };
    let ide = ["chipset=modern disk=ide cannot be", "ICH9", "next: choose another", "--chipset"];
    with(&["--disk", "ide"], &ide);
    with(&["--disk", "nvme"], &["disk=nvme cannot be on qemu", "clone of a saved one", "--disk"]);
    with(&["--nodes", "2", "--vcpus", "1"], &["nodes=2 vcpus=1 cannot be", "--nodes or --vcpus"]);
    with(&["--disk", "floppy"], &["floppy", "virtio-scsi"]);
    with(&["--nic", "ne2000"], &["ne2000", "e1000e"]);
    with(&["--chipset", "i440"], &["i440", "legacy"]);
    with(&["--channel", "tcp"], &["tcp", "serial"]);
    let named = ["no CPU model \"hasswel\"", "near to it are Haswell", "next: ", "host check"];
    with(&["--cpu", "hasswel"], &named);
    with(&["--cpu", "host"], &["the CPU model host", "it needs KVM"]);
    with(&["--cpu", "max,+vmx"], &["cannot be the name of a CPU model"]);
    with(&["--machine-type", "q35-7"], &["no machine type \"q35-7\"", "pc-q35-7."]);
    with(&["--machine-type", "pc"], &["legacy generation; choose the chipset legacy"]);
}

#[test]
fn checks_and_options_that_do_not_exist_are_refused() {
    let place = Place::new();
    refused(&place, &["run", "--check", "cpu.cuont"], &["cpu.cuont", "cpu.count"]);
    refused(&place, &["run", "--skip", "*"], &["no check is left"]);
    refused(&place, &["run", "--memory", "lots"], &["512 MiB"]);
    refused(&place, &["run", "--vcpus", "0"], &["--vcpus"]);
    refused(&place, &["report", "/no/such/run"], &["/no/such/run", "next:"]);
    refused(&place, &["replay", "/no/such/run", "cpu.count"], &["/no/such/run", "next:"]);
    refused(&place, &["check", "show", "no.such"], &["no.such"]);
}
