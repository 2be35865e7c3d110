//! Questions of machine definitions, and questions as people put them: no *validated* goes beyond what was tested.

use hospitium_vmdef::{VmDefinition, read_text};

use super::*;
use crate::{Missing, Question, Untold, Word, question_of, question_with};

fn vm(arch: &str, machine: &str, more: &str) -> VmDefinition {
    let text = format!(
        "<domain type='kvm'><os><type arch='{arch}' machine='{machine}'>hvm</type></os><vcpu>2</vcpu><memory unit='MiB'>768</memory>{more}</domain>"
    );
    read_text("vm", text.as_bytes()).expect("a definition")
}

fn devices(list: &str) -> String {
    format!("<devices>{list}</devices>")
}

const VIRTIO: &str = "<disk type='file'><target dev='vda' bus='virtio'/></disk><interface type='bridge'><model type='virtio'/></interface>";

fn question(vm: &VmDefinition) -> Question {
    let named = |name: &str| Some(name.to_owned());
    question_of(vm, named("osa 5.2"), named("vmmo 1"), &products()).expect("a question")
}

async fn answered(question: &Question) -> Answer {
    let mut world = World::new(&["b.example"]);
    world.say("b.example", &[statement(&sample("2022-03-01"))]);
    let catalog = world.catalog().await;
    match catalog.ask(question, &products(), &[], DAY).await.expect("answers") {
        Reply::Answer(answer) => *answer,
        Reply::Unclear { sides, .. } => panic!("unclear: {sides:?}"),
    }
}

#[tokio::test]
async fn a_machine_as_it_was_tested_is_validated() {
    let answer = answered(&question(&vm("x86_64", "pc-q35-8.2", &devices(VIRTIO)))).await;
    // The sample's record says nothing of its host's version, so the machine type alone is left.
    assert_eq!(answer.limits.len(), 1, "{:#?}", answer.limits);
    let answer = answered(&question(&vm("x86_64", "q35", &devices(VIRTIO)))).await;
    assert_eq!(answer.verdict, Word::Validated, "{:#?}", answer.limits);
}

#[tokio::test]
async fn a_record_of_another_architecture_answers_nothing() {
    for (arch, machine) in [
        ("aarch64", "virt-8.2"),
        ("s390x", "s390-ccw-virtio-8.2"),
        ("i686", "q35"),
        ("ppc64le", "pseries"),
    ] {
        let answer = answered(&question(&vm(arch, machine, &devices(VIRTIO)))).await;
        assert_eq!(answer.verdict, Word::Unknown, "{arch}: {:#?}", answer.lines());
    }
}

#[tokio::test]
async fn whatever_was_not_tested_is_a_limit() {
    let cases = [
        ("q35", devices("<disk type='file'><target dev='hda' bus='ide'/></disk>"), "a disk of ide"),
        (
            "q35",
            devices("<interface type='bridge'><model type='e1000'/></interface>"),
            "interface of e1000",
        ),
        (
            "q35",
            devices("<interface type='bridge'><model type='pcnet'/></interface>"),
            "interface of pcnet",
        ),
        ("q35", devices("<interface type='bridge'/>"), "of which model a network interface is"),
        ("pc", devices(VIRTIO), "a legacy chipset is asked for"),
        ("microvm", devices(VIRTIO), "machine type microvm"),
        ("pc-q35-6.1", devices(VIRTIO), "machine type pc-q35-6.1"),
        ("q35", "<cpu mode='custom'><model>Haswell</model></cpu>".to_owned(), "CPU model Haswell"),
        ("q35", devices("<tpm model='tpm-crb'/>"), "a device, tpm"),
        ("q35", devices("<watchdog model='i6300esb'/>"), "a device, watchdog"),
        ("q35", devices("<video><model type='qxl'/></video>"), "a device, display"),
        ("q35", devices("<sound model='ich9'/>"), "no record speaks of, sound ich9"),
        ("q35", devices("<hostdev type='pci'/>"), "no record speaks of, passthrough pci"),
        ("q35", devices("<teleporter/>"), "is not understood"),
        ("q35", "<vcpu current='2'>9</vcpu>".replace("<vcpu", "<x/><vcpu"), "is not understood"),
    ];
    for (machine, more, limit) in cases {
        let answer = answered(&question(&vm("x86_64", machine, &more))).await;
        assert_eq!(answer.verdict, Word::ValidatedWithLimits, "{limit}: {:#?}", answer.lines());
        assert!(
            answer.limits.iter().any(|said| said.contains(limit)),
            "{limit}: {:#?}",
            answer.limits
        );
    }
    let secure = "<domain type='kvm'><os firmware='efi'><type arch='x86_64' machine='q35'>hvm</type><firmware><feature name='secure-boot' enabled='yes'/></firmware></os></domain>";
    let answer = answered(&question(&read_text("vm", secure.as_bytes()).expect("reads"))).await;
    for limit in
        ["Secure Boot is asked for", "UEFI is asked for", "how many vCPUs", "how much memory"]
    {
        assert!(
            answer.limits.iter().any(|said| said.contains(limit)),
            "{limit}: {:#?}",
            answer.limits
        );
    }
}

#[tokio::test]
async fn what_a_machine_may_get_by_hot_plug_is_asked_for_too() {
    let text = "<domain type='kvm'><os><type arch='x86_64' machine='q35'>hvm</type></os><vcpu current='2'>16</vcpu><memory unit='GiB'>1</memory><maxMemory unit='GiB'>64</maxMemory></domain>";
    let answer = answered(&question(&read_text("vm", text.as_bytes()).expect("reads"))).await;
    for limit in ["16 vCPUs", "64 GiB"] {
        assert!(
            answer.limits.iter().any(|said| said.contains(limit)),
            "{limit}: {:#?}",
            answer.limits
        );
    }
}

#[tokio::test]
async fn a_host_that_only_the_virtual_hardware_tells_is_a_limit() {
    let products = builder_with_hosts();
    let definition = vm("x86_64", "pc-q35-8.2", &devices(VIRTIO));
    let question =
        question_of(&definition, Some("osa 5.2".into()), None, &products).expect("a question");
    assert_eq!(question.sides, [("osa 5.2".to_owned(), "QEMU 8.2".to_owned())]);
    let said = question.limits.untested.join("; ");
    assert!(said.contains("QEMU 8.2 by its virtual hardware"), "{said}");
}

fn builder_with_hosts() -> Products {
    let mut builder = Builder::with_built_in().expect("sound");
    builder.add_definitions(Definitions::read("products", PRODUCTS).expect("reads"));
    builder.finish().expect("finishes")
}

fn missing(text: &str) -> Vec<Missing> {
    let definition = read_text("vm", text.as_bytes()).expect("reads");
    question_of(&definition, None, None, &builder_with_hosts())
        .map_err(|Untold(all)| all)
        .expect_err(text)
}

#[test]
fn all_that_is_missing_is_told_at_once() {
    let of =
        |text: &str| -> Vec<&'static str> { missing(text).iter().map(Missing::option).collect() };
    assert_eq!(of("<domain type='xen'/>"), ["guest", "host"]);
    assert_eq!(of("displayName = \"a\"\nencryption.data = \"x\"\n"), ["guest", "host", "machine"]);
    assert_eq!(of("cores: 2\nmemory: 64\nname: a\n"), ["guest", "host"]);
    let kind = missing("<domain type='xen'/>").remove(1);
    assert_eq!(kind, Missing::Host { kind: Some("Xen".into()) });
    // A hosted product is asked for, and never taken for ESX.
    let hosted = missing(
        "virtualHW.version = \"18\"\nvirtualHW.productCompatibility = \"hosted\"\nguestOS = \"debian13-64\"\n",
    );
    let may_be = vec!["VMware Workstation 16".to_owned(), "VMware Fusion 12".to_owned()];
    assert_eq!(hosted, [Missing::WhichHost { may_be }]);
    let words = Untold(missing("cores: 2\nmemory: 64\n")).to_string();
    assert!(words.contains("which system") && words.contains("Proxmox VE"), "{words}");
}

#[test]
fn what_is_said_of_an_encrypted_machine_is_asked_for_and_the_rest_stays_a_limit() {
    let text = "displayName = \"a\"\nencryption.data = \"x\"\n";
    let definition = read_text("vm", text.as_bytes()).expect("reads");
    let said = crate::Limits::parse("6 vcpu, 12 GiB, uefi").expect("is one");
    let named = |name: &str| Some(name.to_owned());
    let question =
        question_with(&definition, named("osa 6"), named("vmmo 2"), Some(said), &products())
            .expect("a question");
    assert_eq!(question.limits.vcpus, Some(6));
    assert!(question.limits.untested.iter().any(|limit| limit.contains("encrypted")));
    assert!(crate::Limits::parse("6 vcpu, blue").is_err());
}

#[test]
fn questions_name_guest_and_host_in_many_ways() {
    let read = |text: &str| Question::parse(text).expect(text);
    let first = |text: &str| read(text).sides.remove(0);
    let pair = |guest: &str, host: &str| (guest.to_owned(), host.to_owned());
    assert_eq!(first("Fedora 41 under VirtualBox 7.1"), pair("Fedora 41", "VirtualBox 7.1"));
    assert_eq!(
        first("8.04 running under VMware Server 1.0 under Windows XP"),
        pair("8.04", "VMware Server 1.0")
    );
    assert_eq!(
        first("Proxmox VE 8.2 not starting when VM is Debian 13"),
        pair("Debian 13", "Proxmox VE 8.2 not starting")
    );
    // The guest's architecture, not the host's.
    let question = read("Windows 2000 guest (32-bit) running under VMware Server 1.0 64-bit");
    assert_eq!(question.limits.arch.as_ref().map(|arch| arch.as_str()), Some("i686"));
    assert_eq!(question.sides[0], pair("Windows 2000", "VMware Server 1.0"));
    assert_eq!(
        read("a on b x86_64").limits.arch.map(|arch| arch.to_string()).as_deref(),
        Some("x86_64")
    );
    assert!(Question::parse("a x86_64 i686 on b").is_err());
    let several = read("SLES 11.1、11.2/11.3 on Hyper-V 2012");
    assert_eq!(several.guests(), ["SLES 11.1", "SLES 11.2", "SLES 11.3"]);
    let both = read("SLES 11.1、11.2 (x64版およびx86版) on Hyper-V 2012");
    assert_eq!((both.guests().len(), both.limits.arch), (2, None));
    for one in ["Debian GNU/Linux 12 on kvm", "http://a.example/osa/5.2 on vmmo 1"] {
        assert_eq!(read(one).guests().len(), 1, "{one}");
    }
    let limits = read("a on b, q35, secure boot, vtpm").limits;
    assert_eq!(limits.chipset.as_deref(), Some("modern"));
    assert_eq!((limits.secure_boot, limits.devices), (Some(true), vec!["tpm".to_owned()]));
}

#[tokio::test]
async fn a_question_that_names_several_guests_is_answered_with_each_of_them() {
    let world = World::new(&["b.example"]);
    let catalog = world.catalog().await;
    let reply =
        catalog.ask("osa 5.2/5.10 on vmmo 1", &products(), &[], DAY).await.expect("answers");
    let Reply::Unclear { sides, .. } = reply else { panic!("{reply:?}") };
    let shorts: Vec<&str> = sides[0].candidates.iter().map(|(short, _)| short.as_str()).collect();
    assert_eq!((shorts, sides[0].side), (vec!["osa5.2", "osa5.10"], "guest"));
}

#[tokio::test]
async fn a_release_that_is_newer_than_the_data_says_which_is_the_newest() {
    let world = World::new(&["b.example"]);
    let catalog = world.catalog().await;
    let reply = catalog.ask("osa 9 on vmmo 7", &products(), &[], DAY).await.expect("answers");
    let Reply::Unclear { sides, .. } = reply else { panic!("{reply:?}") };
    let why: Vec<String> = sides.iter().filter_map(|side| side.why.clone()).collect();
    assert!(why[0].contains("the newest known of this line, Osa, is Osa 6"), "{why:?}");
    assert!(why[1].contains("is Vmmo 2"), "{why:?}");
}
