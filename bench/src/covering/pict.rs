//! Microsoft PICT as a program, and how it is come by.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hospitium_plan::covering::{Model, write_pict};

use super::{Theirs, checked};

/// The npm package that carries PICT built for Linux on x86-64, from Microsoft's MIT-licensed
/// source. (`pypict` on PyPI has no build for today's Pythons, and its source package is not
/// complete.)
const PACKAGE: &str = "pict-pairwise-testing@1.1.0";
/// The program's SHA-256.
const DIGEST: &str = "56c83585d9750cf26d786468f1fee4c5ca4deb2b07e04bfef26c9ece899a8316";
/// Output that is read at most.
const MOST_OUTPUT: u64 = 64 << 20;

/// PICT, ready to run.
pub struct Pict {
    program: PathBuf,
    scratch: PathBuf,
}

impl Pict {
    /// `$HOSPITIUM_PICT`, else `pict` where programs are looked for, else from npm into the cache.
    pub fn find(scratch: &Path) -> Result<Self> {
        let scratch = scratch.to_owned();
        if let Some(program) = std::env::var_os("HOSPITIUM_PICT").filter(|p| !p.is_empty()) {
            return Ok(Self { program: program.into(), scratch });
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let installed = std::env::split_paths(&path).map(|p| p.join("pict")).find(|p| p.is_file());
        if let Some(program) = installed {
            return Ok(Self { program, scratch });
        }
        let program = scratch.join("package/binaries/pict_nix");
        if !program.is_file() {
            let out = Command::new("npm")
                .current_dir(&scratch)
                .args(["pack", "--silent", PACKAGE])
                .output()
                .context(
                    "running npm (Debian package npm), which fetches PICT; or set HOSPITIUM_PICT",
                )?;
            ensure!(out.status.success(), "npm pack {PACKAGE}: {}", out.status);
            let archive = String::from_utf8_lossy(&out.stdout).trim().to_owned();
            xtask::show(Command::new("tar").current_dir(&scratch).args(["-xzf", &archive]))?;
        }
        let out = Command::new("sha256sum").arg(&program).output().context("running sha256sum")?;
        let digest = String::from_utf8_lossy(&out.stdout);
        ensure!(
            digest.starts_with(DIGEST),
            "{} is not the program that was looked at; remove it, or set HOSPITIUM_PICT",
            program.display()
        );
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        Ok(Self { program, scratch })
    }

    /// Which one it is, for the page.
    pub fn said(&self) -> String {
        match self.program.starts_with(&self.scratch) {
            true => format!("the Linux build in npm's {PACKAGE}"),
            false => "the one installed on this machine".into(),
        }
    }

    /// Its rows for this model, verified by us.
    pub fn run(&self, model: &Model, strength: usize, patience: Duration) -> Result<Theirs> {
        let path = self.scratch.join("model.pict");
        fs::write(&path, write_pict(model)).context("writing a model for PICT")?;
        let out = self.scratch.join("rows.txt");
        let errors = self.scratch.join("errors.txt");
        let begun = Instant::now();
        let mut child = Command::new(&self.program)
            .arg(&path)
            .arg(format!("/o:{strength}"))
            .stdin(Stdio::null())
            .stdout(fs::File::create(&out)?)
            .stderr(fs::File::create(&errors)?)
            .spawn()
            .with_context(|| format!("running {}", self.program.display()))?;
        let status = loop {
            if let Some(status) = child.try_wait().context("waiting for PICT")? {
                break status;
            }
            if begun.elapsed() > patience {
                child.kill().context("ending PICT")?;
                child.wait().context("waiting for PICT")?;
                return Ok(Theirs::NoEnd);
            }
            // Short beside what is measured, and long enough not to disturb it.
            std::thread::sleep(Duration::from_millis(2));
        };
        let took = begun.elapsed();
        if !status.success() {
            let said = read(&errors)?;
            return Ok(Theirs::Refused(said.lines().next().unwrap_or("no reason").to_owned()));
        }
        let rows = rows(&read(&out)?, model)?;
        Ok(Theirs::Rows { rows: rows.len(), took, coverage: checked(model, strength, &rows)? })
    }
}

fn read(path: &Path) -> Result<String> {
    let mut text = String::new();
    let file = fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
    file.take(MOST_OUTPUT).read_to_string(&mut text).context("reading what PICT wrote")?;
    Ok(text)
}

/// PICT's rows as places of values: cells are named `p0v1`, `~` before those that are refused.
fn rows(text: &str, model: &Model) -> Result<Vec<Vec<usize>>> {
    let mut rows = Vec::new();
    for line in text.lines().skip_while(|line| !line.starts_with("p0")).skip(1) {
        let mut row = Vec::new();
        for (n, cell) in line.split('\t').enumerate() {
            let name = cell.trim_start_matches('~');
            let place = name.strip_prefix(&format!("p{n}v")).and_then(|v| v.parse().ok());
            row.push(place.with_context(|| format!("PICT wrote {cell:?} for parameter {n}"))?);
        }
        if row.len() != model.parameters().len() {
            bail!("PICT wrote a row of {} cells: {line}", row.len());
        }
        rows.push(row);
    }
    Ok(rows)
}
