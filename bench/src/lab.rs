//! What needs a lab: the benches on real guests, verifying what a run certified, and autopkgtest beside them.

use anyhow::{Context, Result, bail, ensure};

use xtask::setup;

use crate::machines::Bench;
use crate::{page, peer, verify};

/// The benches by name, in their order. The last repeats `autopkgtest` with all of its tests run; it is run only
/// if it is named.
const NAMES: [&str; 8] =
    ["suite", "clone", "memory", "warm", "overhead", "verify", "autopkgtest", "autopkgtest-full"];

/// Runs the benches of these names, or all, and writes what each measured into its part of the page.
pub fn run(names: &[String]) -> Result<()> {
    if let Some(unknown) = names.iter().find(|name| !NAMES.contains(&name.as_str())) {
        bail!(
            "no bench {unknown:?}; there are {}, covering, catalog, virt-install, service (ask, take-in, witness, \
             case-page, exchange, requests, attachment)",
            NAMES.join(", ")
        );
    }
    let lab = setup::everything()?;
    let hospitium = xtask::build()?;
    let scratch = setup::cache()?.join("bench");
    std::fs::create_dir_all(&scratch).with_context(|| format!("making {}", scratch.display()))?;
    let bench = Bench::new(hospitium, lab, scratch)?;
    let mut failed = 0;
    for name in NAMES {
        let wanted = names.iter().any(|n| n == name);
        if !wanted && (!names.is_empty() || name == "autopkgtest-full") {
            continue;
        }
        println!("\nMeasuring {name}");
        let measured = match name {
            "suite" => bench.suite(),
            "clone" => bench.clone(),
            "memory" => bench.memory().map(|m| vec![m]),
            "warm" => bench.warm().map(|m| vec![m]),
            "overhead" => bench.overhead(),
            "verify" => verify::verify(&bench).map(|m| vec![m]),
            _ => peer::autopkgtest(&bench, name == "autopkgtest-full").map(|m| vec![m]),
        };
        match measured {
            Ok(measured) => {
                page::show(&measured);
                page::write(name, &measured, Some(&bench.lab))?;
            }
            Err(error) => {
                eprintln!("bench {name} came to no end: {error:#}");
                failed += 1;
            }
        }
    }
    ensure!(
        failed == 0,
        "{failed} benches came to no end; their parts of the page are left as they were"
    );
    Ok(())
}
