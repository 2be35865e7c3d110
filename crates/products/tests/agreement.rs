//! The products of the 2009 agreement between Red Hat and Microsoft, and what is said of them,
//! from the sources as they are installed.

use hospitium_products::{FactValue, ProductKind, Products, Property, Sources};

/// osinfo-db where Debian puts it, and endoflife.date's products where a variable names them.
/// Set-up installs osinfo-db; without it there is nothing to test, and that is a failure.
fn products() -> Products {
    let mut sources = Sources::of_this_system();
    assert!(sources.osinfo.is_some(), "osinfo-db is not here; install it: cargo xtask setup");
    sources.endoflife = std::env::var("HOSPITIUM_ENDOFLIFE").ok().filter(|v| !v.is_empty());
    Products::load(&sources).expect("the sources can be read")
}

#[test]
fn all_products_of_the_2009_agreement_resolve() {
    let products = products();
    let guest = Some(ProductKind::Guest);
    let host = Some(ProductKind::Host);
    let meant = [
        ("Windows 2000 Server SP4", guest, "http://microsoft.com/win/2ksp4"),
        ("Windows Server 2003 SP2", guest, "http://microsoft.com/win/2k3sp2"),
        ("windows 2003 sp2", None, "http://microsoft.com/win/2k3sp2"),
        ("Windows Server 2008", guest, "http://microsoft.com/win/2k8"),
        ("w2k8", None, "http://microsoft.com/win/2k8"),
        ("RHEL 5.2", guest, "http://redhat.com/rhel/5.2"),
        ("RHEL 5.3 x86_64", None, "http://redhat.com/rhel/5.3"),
        ("Red Hat Enterprise Linux 5 Update 3", None, "http://redhat.com/rhel/5.3"),
        ("red hat enterprise linux 5.4", guest, "http://redhat.com/rhel/5.4"),
        ("Xen of RHEL 5.2", host, "http://redhat.com/xen-rhel/3.1.0.5.2"),
        ("RHEL 5.3 Xen", None, "http://redhat.com/xen-rhel/3.1.0.5.3"),
        ("rhel 5.4 kvm", host, "http://redhat.com/kvm-rhel/83.5.4"),
        ("Windows Server 2008 Hyper-V", None, "http://microsoft.com/hyper-v/2008"),
        ("windows server 2008", host, "http://microsoft.com/hyper-v/2008"),
        ("hyper-v server 2008", None, "http://microsoft.com/hyper-v-server/2008"),
        ("SUSE Linux Enterprise Server 10 SP2", guest, "http://suse.com/sles/10.2"),
        ("SLES 11", guest, "http://suse.com/sles/11"),
        ("sles 15 sp4", guest, "http://suse.com/sle/15.4"),
        ("VMware ESX 3.5", host, "http://vmware.com/esx/3.5"),
        ("esx server 3.5", host, "http://vmware.com/esx/3.5"),
        ("ESXi 5.5", host, "http://vmware.com/esxi/5.5"),
        ("qemu 7.2", host, "http://qemu.org/qemu/7.2"),
        ("debian bookworm", None, "http://debian.org/debian/12"),
        ("windos server 2008 r2 sp1", guest, "http://microsoft.com/win/2k8r2sp1"),
        ("red hat enterprize linux 5.3", guest, "http://redhat.com/rhel/5.3"),
    ];
    let mut wrong = Vec::new();
    for (text, kind, id) in meant {
        match products.resolve_kind(text, kind) {
            Ok(found) if found.id.as_str() == id => {}
            other => wrong.push(format!("{text:?}: {:?}", other.map(|p| p.id.to_string()))),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_may_mean_several_products_gives_candidates_with_reasons() {
    let products = products();
    let found = products.search("rhel 5");
    assert!(!found.decided);
    assert!(found.candidates.len() > 5);
    assert!(found.candidates.iter().all(|c| c.reasons.iter().any(|r| r.contains("covers"))));
    assert!(products.resolve("rhel 5").expect_err("many").to_string().contains("rhel5.3"));
    let nothing = products.resolve("frobnix 9").expect_err("nothing").to_string();
    assert!(nothing.contains("no product is called"), "{nothing}");
}

#[test]
fn every_product_is_found_by_each_of_its_names() {
    let products = products();
    let mut wrong = Vec::new();
    for product in products.iter() {
        for name in product.names() {
            let found = products.search(name);
            let best = found.candidates.first().map(|c| c.distance);
            // Several products may share a name; then each is among the best.
            let there = found
                .candidates
                .iter()
                .any(|c| c.product.id == product.id && Some(c.distance) == best);
            let shared = found.candidates.len() >= 12 && best == Some(0);
            if !there && !shared {
                wrong.push(format!("{} by {name:?}", product.id));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} names, such as\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
}

#[test]
fn the_end_of_rhel_5_3_is_told_by_each_source_with_its_name() {
    let products = products();
    let rhel = products.resolve("rhel5.3").expect("rhel5.3");
    let osinfo = rhel.said(Property::EndOfLife);
    assert_eq!(osinfo[0].value, FactValue::Date("2020-03-31".parse().expect("a day")));
    assert!(osinfo[0].source.to_string().starts_with("osinfo-db"), "{}", osinfo[0].source);
    if std::env::var_os("HOSPITIUM_ENDOFLIFE").is_some_and(|v| !v.is_empty()) {
        let ends: Vec<String> = rhel.ends().iter().map(|fact| fact.value.to_string()).collect();
        assert!(
            ["2017-03-31", "2020-03-31", "2020-11-30"]
                .iter()
                .all(|d| ends.contains(&(*d).to_owned())),
            "{ends:?}"
        );
        assert!(rhel.conflicts().iter().any(|c| c.property == Property::EndOfLife));
        let by_major = rhel.ends().into_iter().find(|f| f.value.to_string() == "2017-03-31");
        let note = by_major.and_then(|f| f.note.as_deref()).unwrap_or_default();
        assert!(note.contains("all of Red Hat Enterprise Linux 5"), "{note}");
    }
}

#[test]
fn later_releases_follow_in_the_order_of_releases() {
    let products = products();
    let rhel = products.resolve("rhel5.3").expect("rhel5.3");
    let after: Vec<_> = products.after(rhel).iter().map(|p| p.release.to_string()).collect();
    assert_eq!(after[..9], ["5.4", "5.5", "5.6", "5.7", "5.8", "5.9", "5.10", "5.11", "6.0"]);
    let windows: Vec<_> =
        products.line("windows-server").iter().map(|p| p.release.to_string()).collect();
    let begin = windows.iter().position(|r| r == "2003").expect("2003");
    assert_eq!(
        windows[begin..begin + 8],
        ["2003", "2003 SP1", "2003 SP2", "2003 R2", "2003 R2 SP2", "2008", "2008 SP2", "2008 R2"]
    );
    assert!(products.version_in("debian", "bookworm") < products.version_in("debian", "trixie"));
    assert!(products.version_in("ubuntu", "focal") < products.version_in("ubuntu", "22.04"));
}
