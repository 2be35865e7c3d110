//! The second half of the demo: what the runs are worth under an agreement. Plan, certificates,
//! verification, the plan again, questions, and the catalog's site; each step is a command, and is printed as typed.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use xtask::root;

/// The agreement, by the name of its file.
const AGREEMENT: &str = "debian-qemu";
/// Its parties, and whether they owe the cells of kernels: Debian's side validates its kernels, QEMU's
/// side the whole systems.
const PARTIES: [(&str, bool); 2] = [("debian.example", true), ("qemu.example", false)];

/// Fulfils the agreement with these runs; keys and logs stay in `folder`.
pub fn fulfil(hospitium: &Path, runs: &[&Path], folder: &Path) -> Result<()> {
    let step = |arguments: &[&str]| -> Result<i32> {
        let quoted = |word: &&str| match word.contains(' ') {
            true => format!("\"{word}\""),
            false => (*word).to_owned(),
        };
        println!("\n$ hospitium {}", arguments.iter().map(quoted).collect::<Vec<_>>().join(" "));
        let status = Command::new(hospitium)
            .current_dir(root())
            .args(arguments)
            .status()
            .with_context(|| format!("running hospitium {}", arguments.join(" ")))?;
        let code = status.code().unwrap_or(-1);
        // 1 is a finding: a pair that failed, an obligation that is late. 3 says that no more can be
        // said: a cell that allows no record, a pair that is only planned.
        ensure!(matches!(code, 0 | 1 | 3), "hospitium {}: {status}", arguments.join(" "));
        Ok(code)
    };
    let shown = |path: &Path| path.strip_prefix(root()).unwrap_or(path).display().to_string();
    ensure!(step(&["agreement", "check", AGREEMENT])? == 0, "the agreement is not sound");

    let run_folders: Vec<String> = runs.iter().map(|run| shown(run)).collect();
    let mut logs = Vec::new();
    for (party, owes_kernels) in PARTIES {
        let home = folder.join(party);
        if !home.exists() {
            std::fs::create_dir_all(folder).context("making the parties' folder")?;
            step(&["party", "init", &shown(&home), "--name", party])?;
        }
        let home = shown(&home);
        let policy = format!("{home}/policy");
        for (run, run_folder) in runs.iter().zip(&run_folders) {
            let mut owed = cells(run)?;
            owed.retain(|cell| cell.starts_with("linux-") == owes_kernels);
            if owed.is_empty() {
                continue;
            }
            let mut certify =
                vec!["certify", run_folder, "--party", &home, "--agreement", AGREEMENT];
            for cell in &owed {
                certify.extend(["--cell", cell.as_str()]);
            }
            step(&certify)?;
            for cell in &owed {
                let certificate = format!("{run_folder}/certificates/{cell}.tlog-proof");
                if root().join(&certificate).exists() {
                    let verify =
                        ["verify", &certificate, "--policy", &policy, "--evidence", run_folder];
                    step(&verify)?;
                }
            }
        }
        if root().join(&home).join("log").exists() {
            logs.push(format!("{home}/log"));
        }
    }
    // Whoever asks is one of the two parties, and believes the other's log since it has compared its keys.
    let (us, them) = (shown(&folder.join(PARTIES[0].0)), shown(&folder.join(PARTIES[1].0)));
    let compared = fingerprint(hospitium, &them)?;
    let trust = ["party", "trust", &format!("{them}/party.toml"), "--party", &us, "--fingerprint"];
    ensure!(step(&[&trust[..], &[&compared]].concat())? == 0, "a party could not be trusted");
    let mut believed = Vec::new();
    if !logs.is_empty() {
        believed.extend(["--party", us.as_str()]);
    }
    for log in &logs {
        believed.extend(["--log", log]);
    }
    step(&[&["agreement", "plan", AGREEMENT][..], &believed].concat())?;
    step(&["agreement", "plan", "redhat-microsoft-2009", "--as-of", "2009-10-07"])?;
    for question in
        ["linux 6.1 on qemu 7.2, 2 vcpu, 512 MiB", "debian 12 on qemu 7.2, 4 vcpu, 8 GiB"]
    {
        step(&[&["ask", question][..], &believed].concat())?;
    }
    step(&["ask", "rhel 5.3 on hyper-v server 2008, 4 vcpu, 8 GiB"])?;

    // The site: the same as files, and how it is served.
    let mut given = believed.clone();
    for run_folder in &run_folders {
        given.extend(["--evidence", run_folder]);
    }
    let site = shown(&folder.with_file_name("site"));
    let mut export = vec!["catalog", "export", &site];
    export.extend(&given);
    ensure!(step(&export)? == 0, "the catalog's site could not be made");
    println!("\nThe catalog as a site:  {}/index.html", root().join(&site).display());
    println!("The same, to be asked:  hospitium serve --runs runs {}", given.join(" "));
    Ok(())
}

/// The digits of a party's keys, which are compared by voice where two people do this.
fn fingerprint(hospitium: &Path, party: &str) -> Result<String> {
    let mut command = Command::new(hospitium);
    let shown = command.current_dir(root()).args(["party", "show", party]).output();
    let shown = shown.context("running hospitium party show")?;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let (_, digits) = shown.split_once("compare").context("party show has no digits to compare")?;
    Ok(digits.chars().filter(char::is_ascii_digit).collect())
}

/// The cells of a run.
fn cells(run: &Path) -> Result<Vec<String>> {
    let folder = run.join("evidence/cells");
    let cells = folder.read_dir().with_context(|| format!("listing {}", folder.display()))?;
    Ok(cells
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect())
}
