//! A PostgreSQL server that is there for one run of the tests: made in a folder of its own, reached
//! through a socket in that folder only, and gone with it.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use xtask::setup;

/// Debian packages, and what each is for.
const PACKAGES: &[(&str, &str)] = &[("postgresql", "the other database that a catalog can be in")];
/// What Debian's packages read before they make and start a server of their own.
const DEBIANS: &str = "/etc/postgresql-common/createcluster.d";
/// Where Debian puts each version's programs.
const PROGRAMS: &str = "/usr/lib/postgresql";
/// The user that Debian's packages make; PostgreSQL refuses to run as root.
const USER: &str = "postgres";
/// How long it may take to start.
const START: Duration = Duration::from_secs(60);
/// Letters in the order of a dictionary, where signs do not count: unlike SQLite's, so that a query that
/// counts on an order of bytes is found out.
const ORDER: &str = "en-US-u-ka-shifted";

/// The server. It ends when this is dropped, and also if this program is killed.
pub struct Server {
    programs: PathBuf,
    folder: PathBuf,
    running: Option<Child>,
}

impl Server {
    /// Installs PostgreSQL if it is not there, and starts a new and empty server.
    pub fn start() -> Result<Self> {
        install()?;
        let programs = programs(Path::new(PROGRAMS))?;
        // Not in the cache's folder: that of root is closed to the server's user.
        let name = format!("hospitium-postgres-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let made = fs::DirBuilder::new().mode(0o700).create(&folder);
        made.with_context(|| format!("making {}", folder.display()))?;
        let mut server = Self { programs, folder, running: None };
        if setup::is_root() {
            let owned = Command::new("chown").arg(USER).arg(&server.folder).status();
            ensure!(owned.context("running chown")?.success(), "the user {USER} is not there");
        }
        println!("starting PostgreSQL in {}", server.folder.display());
        server.create()?;
        server.run()?;
        Ok(server)
    }

    /// The address of its database.
    pub fn address(&self) -> String {
        format!("postgres://{USER}@localhost/postgres?host={}", self.folder.display())
    }

    fn create(&self) -> Result<()> {
        let out = self
            .program("initdb")
            .args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"])
            .arg("--locale-provider=icu")
            .arg(format!("--icu-locale={ORDER}"))
            .arg(format!("--username={USER}"))
            .arg("--pgdata")
            .arg(self.data())
            .output()
            .context("running initdb")?;
        ensure!(out.status.success(), "initdb: {}", String::from_utf8_lossy(&out.stderr).trim());
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        let log = self.folder.join("log");
        let file = fs::File::create(&log).with_context(|| format!("making {}", log.display()))?;
        let server = self
            .program("postgres")
            .arg("-D")
            .arg(self.data())
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "full_page_writes=off"])
            .arg("-c")
            .arg(format!("unix_socket_directories={}", self.folder.display()))
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .context("running postgres")?;
        let server = self.running.insert(server);
        let begun = Instant::now();
        loop {
            let ended = server.try_wait().context("waiting for postgres")?;
            let ready = Command::new(self.programs.join("pg_isready"))
                .args(["--quiet", "--username", USER, "--host"])
                .arg(&self.folder)
                .status();
            let late = begun.elapsed() > START;
            if ready.context("running pg_isready")?.success() {
                return Ok(());
            }
            if ended.is_some() || late {
                let said = fs::read_to_string(&log).unwrap_or_default();
                let last: Vec<&str> = said.lines().rev().take(10).collect();
                let last: Vec<&str> = last.into_iter().rev().collect();
                let what = match ended {
                    Some(status) => format!("ended at once ({status})"),
                    None => format!("was not ready after {} s", START.as_secs()),
                };
                bail!("PostgreSQL {what}; its last lines:\n{}", last.join("\n"));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// One of its programs, under a user who is not root; killed with us.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new("setpriv");
        if setup::is_root() {
            command.args([&format!("--reuid={USER}"), &format!("--regid={USER}"), "--init-groups"]);
        }
        command.args(["--pdeathsig", "INT"]).arg(self.programs.join(name));
        command.current_dir(&self.folder).stdin(Stdio::null());
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut server) = self.running.take() {
            let mut stop = self.program("pg_ctl");
            stop.args(["stop", "--silent", "--wait", "--mode=fast", "--pgdata"]).arg(self.data());
            if !stop.status().is_ok_and(|status| status.success()) {
                let _ = server.kill();
            }
            let _ = server.wait();
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("{} is left behind: {error}", self.folder.display());
        }
    }
}

/// Installs it. Debian's package would make a server for the whole machine, and start it: not for us.
fn install() -> Result<()> {
    if setup::is_installed("postgresql") {
        return Ok(());
    }
    let file = format!("{DEBIANS}/hospitium.conf");
    let was_there = fs::metadata(DEBIANS).is_ok_and(|about| about.is_dir());
    let told = setup::as_root("sh")
        .args(["-c", &format!("mkdir -p {DEBIANS} && echo create_main_cluster = false > {file}")])
        .status();
    ensure!(told.context("running sh")?.success(), "{file} could not be written");
    let installed = setup::install(PACKAGES.iter());
    let mut tidy = setup::as_root("rm");
    tidy.args(["-f", &file]).status().context("running rm")?;
    if !was_there {
        // Only if it is empty.
        setup::as_root("rmdir").arg(DEBIANS).status().context("running rmdir")?;
    }
    installed
}

/// The newest version's programs.
fn programs(all: &Path) -> Result<PathBuf> {
    let versions = fs::read_dir(all).with_context(|| format!("reading {}", all.display()))?;
    versions
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path())))
        .map(|(version, path)| (version, path.join("bin")))
        .filter(|(_, bin)| bin.join("initdb").exists())
        .max()
        .map(|(_, bin)| bin)
        .with_context(|| {
            format!("no PostgreSQL server is in {}; apt-get install postgresql", all.display())
        })
}
