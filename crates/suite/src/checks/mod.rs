//! The checks, one file a subsystem.

use hospitium_model::Value;

use crate::Check;

mod boot;
mod canary;
mod clk;
mod clk_jump;
mod con;
mod cpu;
mod crash_dump;
mod devices;
mod disks;
mod fail;
mod hot;
mod ident;
mod irq;
mod iso;
mod life;
mod mem;
mod net;
mod net_link;
mod power;
mod rng;
mod stor;
mod stor_cdrom;
mod stor_hotplug;
mod stor_media;
mod wait;

pub use canary::CANARY;

/// Every check, the canary left out, in the order of reports.
pub fn all() -> Vec<&'static Check> {
    let subsystems: &[&[&Check]] = &[
        boot::CHECKS,
        ident::CHECKS,
        cpu::CHECKS,
        mem::CHECKS,
        clk::CHECKS,
        clk_jump::CHECKS,
        irq::CHECKS,
        stor::CHECKS,
        stor_media::CHECKS,
        stor_hotplug::CHECKS,
        stor_cdrom::CHECKS,
        net::CHECKS,
        net_link::CHECKS,
        power::CHECKS,
        life::CHECKS,
        hot::CHECKS,
        con::CHECKS,
        rng::CHECKS,
        fail::CHECKS,
        crash_dump::CHECKS,
        iso::CHECKS,
    ];
    subsystems.concat()
}

/// An expectation that is a list; one value is a list of one.
fn listed(expected: Value) -> Vec<Value> {
    match expected {
        Value::List(all) => all,
        one => vec![one],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use hospitium_model::{CheckId, Expectations};

    #[test]
    fn every_id_is_good_and_stands_once() {
        let mut seen = BTreeSet::new();
        for check in super::all() {
            assert!(check.id.parse::<CheckId>().is_ok(), "{}", check.id);
            assert!(seen.insert(check.id), "{} stands twice", check.id);
            assert!(check.requirement.trim().ends_with('.'), "{}: {}", check.id, check.requirement);
        }
    }

    #[test]
    fn a_check_under_a_life_cycle_is_a_variant_that_needs_what_its_machine_lives_through() {
        use hospitium_model::{Capability, Tier};

        use crate::{Action, Need};

        let lived: Vec<_> =
            super::all().into_iter().filter(|check| !check.life.is_empty()).collect();
        assert!(!lived.is_empty());
        for check in lived {
            let (base, _) = check.id.split_once('/').expect("a variant");
            let base = super::all().into_iter().find(|c| c.id == base).expect("its check is there");
            assert!(base.life.is_empty() && check.needs.starts_with(base.needs), "{}", check.id);
            assert!(check.requirement.starts_with(base.requirement), "{}", check.requirement);
            let (need, tier) = match check.life[0] {
                Action::SaveRestore => (Capability::Snapshot, Tier::Disruptive),
                Action::Migrate => (Capability::LiveMigration, Tier::SecondHost),
            };
            assert!(check.needs.contains(&Need::Host(need)), "{}", check.id);
            assert_eq!(check.tier, tier, "{}", check.id);
        }
    }

    #[test]
    fn the_expectations_read_and_name_only_checks_that_exist() {
        let table = Expectations::from_toml(crate::EXPECTATIONS).expect("reads");
        let known: BTreeSet<_> =
            super::all().iter().map(|c| c.id.split('/').next().unwrap_or_default()).collect();
        for row in &table.expect {
            assert!(known.contains(row.check.as_str()), "{} is no check", row.check);
            assert!(!row.source.is_empty(), "{} {} has no source", row.check, row.what);
        }
    }
}
