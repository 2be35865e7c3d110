//! Search and definitions, on what is built in and on made-up products.

use hospitium_products::{
    Builder, Definitions, LinkKind, Product, ProductKind, Products, Property, ResolveError, Version,
};
use proptest::prelude::*;

fn built_in() -> Products {
    Builder::with_built_in().expect("sound").finish().expect("sound")
}

#[test]
fn what_is_built_in_is_sound_and_each_value_names_a_document() {
    let products = built_in();
    assert!(products.len() > 60, "{}", products.len());
    for product in products.iter() {
        assert!(!product.name.is_empty() && !product.line.is_empty(), "{}", product.id);
        for fact in &product.facts {
            assert!(!fact.source.document.is_empty() && fact.source.line > 0, "{}", product.id);
        }
        for support in products.devices_of(product, &hospitium_products::Arch::x86_64()) {
            let id = support.device.as_str();
            // Those of osinfo-db are described there.
            let osinfos = [
                "/1af4/",
                "/1b36/0004",
                "/1b36/0100",
                "ibm.com",
                "usb.org",
                "qemu.org",
                "8086/100e",
                "8086/10d3",
                "8086/24",
                "8086/25ab",
                "8086/26",
                "8086/293e",
                "10ec/",
                "1013/",
                "1022/",
                "1033/",
                "1234/",
                "ibasetechnologies.net",
            ];
            let known = support.described.is_some() || osinfos.iter().any(|part| id.contains(part));
            assert!(known, "{id} of {}", product.id);
        }
    }
}

#[test]
fn editions_are_products_with_limits_of_their_own() {
    let products = built_in();
    let enterprise = products.resolve("windows 2003 sp2 enterprise edition").expect("known");
    assert_eq!(enterprise.edition.as_deref(), Some("Enterprise Edition"));
    assert_eq!(
        enterprise.linked(LinkKind::EditionOf).next().map(|id| id.as_str()),
        Some("http://microsoft.com/win/2k3sp2")
    );
    let memory = enterprise.best_for(Property::MaximumMemory, &hospitium_products::Arch::i686());
    assert_eq!(memory.map(|f| f.value.to_string()).as_deref(), Some("64 GiB"));
    let end = enterprise.end_of_life().expect("as of its base");
    assert_eq!(end.note.as_deref(), Some("said of Microsoft Windows Server 2003 SP2"));
}

#[test]
fn an_edition_that_no_product_is_of_is_told_and_the_product_answers() {
    let products = built_in();
    let found = products.search("Hyper-V Server 2008 Datacenter x64");
    assert!(found.decided);
    assert_eq!(found.candidates[0].product.id.as_str(), "http://microsoft.com/hyper-v-server/2008");
    assert_eq!(found.query.edition.as_deref(), Some("datacenter"));
    assert_eq!(found.query.arch.map(|a| a.to_string()).as_deref(), Some("x86_64"));
}

#[test]
fn a_misspelt_word_is_put_right_and_the_answer_says_so() {
    let products = built_in();
    let found = products.search("vmwrae esxi 6.7");
    assert!(found.decided);
    assert_eq!(found.candidates[0].product.short(), "esxi6.7");
    assert_eq!(found.query.corrected, [("vmwrae".to_owned(), "vmware".to_owned())]);
}

#[test]
fn several_that_fit_are_an_error_that_names_them() {
    let products = built_in();
    match products.resolve("esx") {
        Err(ResolveError::Ambiguous { candidates, .. }) => {
            assert_eq!(
                candidates,
                ["esx2.5", "esx3.0", "esx3.5", "esx4.0", "esx4.1", "esxi9.0", "esxi9.1"]
            );
        }
        other => panic!("{:?}", other.map(|p| &p.id)),
    }
    assert!(matches!(products.resolve(""), Err(ResolveError::Unknown { .. })));
}

#[test]
fn a_hostile_question_is_answered() {
    let products = built_in();
    for text in [
        "'; DROP TABLE products; --",
        "<script>",
        "\u{202e}\0\u{1b}[2J",
        &"9".repeat(9999),
        &"a ".repeat(9999),
        "http://",
        "5.",
        ".....",
        "-",
    ] {
        let found = products.search(text);
        assert!(found.query.text.chars().all(|c| !c.is_control()), "{text:?}");
    }
}

#[test]
fn hosts_and_guests_of_one_name_are_told_apart_by_kind() {
    let products = built_in();
    let host = products.resolve_kind("windows server 2008 r2", Some(ProductKind::Host));
    assert_eq!(host.map(Product::short), Ok("hyper-v-2008r2"));
}

#[test]
fn a_definition_that_is_wrong_is_told_with_line_and_caret() {
    let wrong = |text: &str| {
        let read = Definitions::read("d.toml", text).and_then(|definitions| {
            let mut builder = Builder::with_built_in()?;
            builder.add_definitions(definitions);
            builder.finish().map(|_| ())
        });
        read.expect_err(text).to_string()
    };
    let fact = |fact: &str| {
        wrong(&format!(
            "[[product]]\nid = \"http://a/1\"\nsource = \"s\"\nname = \"A\"\nfacts = [\n  {fact},\n]\n"
        ))
    };
    let day = fact("{ what = \"end-of-life\", value = \"soon\" }");
    assert!(
        day.starts_with("d.toml:6:") && day.contains("a day: 2009-01-20") && day.contains('^'),
        "{day}"
    );
    assert!(fact("{ what = \"minimum-memory\", value = 5 }").contains("a size"));
    assert!(fact("{ what = \"minimum-cpus\", value = -5 }").contains("less than none"));
    assert!(fact("{ what = \"colour\", value = 5 }").starts_with("d.toml:6:"));
    let line =
        wrong("[[product]]\nid = \"http://a/1\"\nsource = \"s\"\nname = \"A\"\nline = \"x\"\n");
    assert!(line.contains("no line is named \"x\""), "{line}");
    let id = wrong("[[product]]\nid = \"a\"\nsource = \"s\"\n");
    assert!(id.starts_with("d.toml:2:") && id.contains("is not an id"), "{id}");
    assert!(
        wrong("[[product]]\nid = \"http://a/1\"\n").contains("source"),
        "no source, no product"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn each_of_some_made_up_products_is_found_by_its_own_name(
        names in proptest::collection::btree_set("[A-Z][a-z]{2,8} [A-Z][a-z]{2,8} [1-9][0-9]{0,2}(\\.[0-9]{1,2})?( SP[1-4])?", 1..12),
    ) {
        let mut text = String::new();
        for (number, name) in names.iter().enumerate() {
            text.push_str(&format!(
                "[[product]]\nid = \"http://made.up/{number}\"\nsource = \"s\"\nname = \"{name}\"\nrelease = \"{number}\"\n"
            ));
        }
        let mut builder = Builder::empty();
        builder.add_definitions(Definitions::read("d.toml", &text).expect("reads"));
        let products = builder.finish().expect("sound");
        for (number, name) in names.iter().enumerate() {
            let found = products.resolve(name).map(|p| p.id.to_string());
            prop_assert_eq!(found, Ok(format!("http://made.up/{number}")));
            let backwards: Vec<_> = name.split(' ').rev().collect();
            let best = products.search(&backwards.join(" "));
            prop_assert!(best.candidates.iter().any(|c| c.product.name == *name));
        }
    }

    #[test]
    fn any_question_has_an_answer(text in ".{0,60}") {
        let products = Builder::with_built_in().expect("sound").finish().expect("sound");
        let found = products.search(&text);
        prop_assert!(found.candidates.len() <= 12);
        prop_assert!(!found.decided || !found.candidates.is_empty());
    }

    #[test]
    fn within_is_a_partial_order(a in "[1-9](\\.[0-9]){0,2}", b in "[1-9](\\.[0-9]){0,2}", c in "[1-9](\\.[0-9]){0,2}") {
        let (a, b, c) = (Version::new(&a), Version::new(&b), Version::new(&c));
        prop_assert!(a.is_within(&a));
        if a.is_within(&b) && b.is_within(&c) && !b.same_release(&c) && !a.same_release(&b) {
            prop_assert!(a.is_within(&c));
        }
    }
}

#[test]
fn a_release_newer_than_the_data_is_not_known_and_the_newest_of_its_line_is_named() {
    let products = built_in();
    for (text, newest) in [
        ("Windows Server 2031", "Microsoft Windows Server 2025"),
        ("windows server 2029 datacenter", "Microsoft Windows Server 2025"),
        ("debian 19", "Debian 13"),
        ("RHEL 12.4", "Red Hat Enterprise Linux 10.2"),
        ("fedora linux 77", "Fedora Linux 44"),
        ("hyper-v 2032", "Microsoft Windows Server 2025 Hyper-V"),
        ("KVM of RHEL 13.1", "KVM (Red Hat Enterprise Linux 10.2)"),
        ("proxmox ve 17", "Proxmox VE 9.2"),
    ] {
        let found = products.search(text);
        let newer = found.newer.unwrap_or_else(|| panic!("{text}: {:?}", found.candidates));
        assert_eq!(newer.newest, newest, "{text}");
        assert!(!found.decided, "{text}");
        let words = newer.words();
        assert!(words.contains("not known here") && words.contains(newest), "{words}");
        let error = products.resolve(text).expect_err("not known").to_string();
        assert_eq!(error, words);
    }
    // What lies between known releases is no newer one.
    assert_eq!(products.search("rhel 8.77").newer, None);
}

#[test]
fn what_is_no_product_brings_no_unlike_ones() {
    let products = built_in();
    for text in ["OPNsense 24.1", "frobnicator 12", "haikuish 2", "zzz"] {
        let found = products.search(text);
        assert!(found.candidates.is_empty(), "{text}: {:?}", found.candidates);
        assert_eq!((found.decided, found.newer), (false, None), "{text}");
    }
}

#[test]
fn products_are_found_as_people_ask_for_them() {
    let products = built_in();
    for (text, short) in [
        ("centos 7.4", "centos7.4"),
        ("ESXi 5.5U3", "esxi5.5u3"),
        ("VMware ESXi 6.7 Update 2", "esxi6.7u2"),
        ("VMware ESX 9.1", "esxi9.1"),
        ("VMware Server 2.0.2", "vmware-server2.0"),
        ("VMware Workstation Pro 17.5", "vmware-workstation17.5"),
        ("VMware Fusion 12.2", "vmware-fusion12.2"),
        ("XCP-NG 8.2.1", "xcp-ng8.2"),
        ("Citrix Hypervisor 8.2", "xenserver8.2"),
        ("Hyper-V Server 2008 R2 SP1", "hyper-v-server-2008r2sp1"),
        ("Hyper-V 2022", "hyper-v-2022"),
        ("KVM of Ubuntu 24.04", "kvm-ubuntu-24.04"),
        ("RHEL 9.4 KVM", "kvm-rhel-9.4"),
        ("proxmox 8.4", "proxmox-ve8.4"),
        ("OpenShift Virtualization 4.18", "openshift-virtualization4.18"),
        ("AHV 10.3", "nutanix-aos7.3"),
        ("Oracle VM VirtualBox 7.1", "virtualbox7.1"),
        ("FreeBSD 14.3 bhyve", "bhyve14.3"),
        ("Windows Server 2025", "win2k25"),
        ("Ubuntu 26.04", "ubuntu26.04"),
        ("Amazon Linux 2023", "amazonlinux2023"),
        ("SUSE Linux Enterprise Server 15 SP7", "sle15sp7"),
    ] {
        assert_eq!(products.resolve(text).map(Product::short), Ok(short), "{text}");
    }
    // A month of a year is no minor version: 26.04 is Ubuntu's.
    assert_eq!(products.resolve("26.04").map(Product::short), Ok("ubuntu26.04"));
    // `3` is 3.0 or 3.5, and nothing says which.
    assert!(matches!(products.resolve("VMware ESX 3"), Err(ResolveError::Ambiguous { .. })));
}

#[test]
fn the_kvm_of_a_distribution_follows_its_releases_and_lives_as_long() {
    let products = built_in();
    let first = products.resolve("KVM of RHEL 5.4").expect("known");
    let later: Vec<_> = products.after(first).into_iter().map(Product::short).collect();
    let at = |short: &str| later.iter().position(|known| *known == short);
    assert!(at("kvm-rhel-5.5") < at("kvm-rhel-6.0") && at("kvm-rhel-6.0") < at("kvm-rhel-10.0"));
    assert!(at("kvm-rhel-5.5").is_some());
    let bookworm = products.resolve("KVM of Debian 12").expect("known");
    assert!(bookworm.end_of_life().is_some_and(|fact| fact.value.to_string().starts_with("20")));
}

#[test]
fn each_built_in_host_is_of_a_line_and_each_of_its_values_names_a_document() {
    let products = built_in();
    for host in products.iter().filter(|p| p.kind == ProductKind::Host) {
        assert!(products.has_line(&host.line), "{} is of no line", host.id);
        for fact in &host.facts {
            let document = fact.source.document.as_ref();
            assert!(document.len() > 8, "{}: {document:?} names no document", host.id);
        }
    }
}
