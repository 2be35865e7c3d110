//! The arrangement of 2009 between two servers: one party validates the other's guest on its own hypervisor, the other
//! cosigns, copies, repeats and endorses the record, and both support a customer. Each step is a command, and is printed as
//! typed; docs/ledger.md and docs/desk.md tell the same by hand.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use xtask::{cargo, root, setup, target};

/// Who has the hypervisor, and validates the guest on it.
const HOST: &str = "qemu.example";
/// Who has the guest.
const GUEST: &str = "debian.example";
/// The pair, as people ask for it.
const PAIR: (&str, &str) = ("linux 6.1", "qemu 7.2");
/// What the case teaches, in words for everybody.
const ISSUE: &str = "after a migration from a host whose clock is wrong, the guest's clock is wrong until it is set";

/// Plays the story in this folder, which is made anew. `stay` leaves the servers running until they are interrupted.
pub fn play(folder: &Path, stay: bool) -> Result<()> {
    println!("Building hospitium (a first time takes some minutes)");
    let built = cargo().args(["build", "--quiet", "--package", "hospitium"]).status();
    ensure!(built.context("running cargo")?.success(), "hospitium could not be built");
    setup::packages_of_demo()?;
    let kernels = setup::kernels()?;
    // The oldest: the pair's name is its release.
    let guest = kernels.first().context("set-up left no kernel package")?;
    let folder = root().join(folder);
    if folder.exists() {
        // A demo is for looking at; the last one makes room.
        fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    Story { folder: &folder, guest: &guest.to_string_lossy() }.tell(stay)
}

struct Story<'a> {
    folder: &'a Path,
    guest: &'a str,
}

impl Story<'_> {
    fn tell(&self, stay: bool) -> Result<()> {
        part("Two parties, each with keys, log, desk and server of its own");
        for party in [HOST, GUEST] {
            self.good(&["party", "init", party, "--name", party])?;
        }
        part("The host's vendor validates the guest, and logs the outcome");
        self.run(&["run", self.guest, "--on", "qemu", "--fresh-boot", "--out", "first"])?;
        self.good(&["certify", "first", "--party", HOST])?;
        let certificate = self.certificate()?;

        part("Its log is shown once the guest's vendor has cosigned it");
        let policy = format!("{HOST}/policy");
        let witness = ["--witness", GUEST, "--witness-policy", &policy, "--desk", GUEST];
        let mut guests = self.serve(&witness, "127.0.0.1:0")?;
        self.ask_for_cosignature(&guests)?;
        let publish = |party: &str, policy: &str| {
            ["--publish", &format!("{party}/log"), "--publish-policy", policy, "--desk", party]
                .map(str::to_owned)
        };
        let published = publish(HOST, "cosigned.policy");
        let published: Vec<&str> = published.iter().map(String::as_str).collect();
        let mut hosts = self.serve(&published, "127.0.0.1:0")?;
        hosts.wait_for("shows a head of 1 entries")?;

        part("Each compares the other's keys by voice; here, this program reads out the digits");
        self.trust(GUEST, HOST, &hosts.address)?;
        self.trust(HOST, GUEST, &format!("{GUEST}/party.toml"))?;

        part("The guest's vendor copies the log, runs what it records once more, and endorses it");
        let copy = format!("{GUEST}/peers/{HOST}.log");
        let theirs = format!("{GUEST}/peers/{HOST}.policy");
        self.good(&[
            "log",
            "mirror",
            &format!("{}/log", hosts.address),
            &copy,
            "--policy",
            &theirs,
        ])?;
        let again = [
            "run",
            "--again",
            &certificate,
            self.guest,
            "--on",
            "qemu",
            "--fresh-boot",
            "--evidence",
            "first",
            "--out",
            "second",
        ];
        let repeated = self.run(&again)?;
        let endorse = ["log", "endorse", &certificate, "--party", GUEST, "--copy", &copy];
        match repeated {
            0 => self.good(
                &[&endorse[..], &["--run", "second", "--reason", "repeated on a computer of ours"]]
                    .concat(),
            )?,
            // A check that sometimes fails: the record says so, and can still be agreed to.
            _ => self.good(
                &[&endorse[..], &["--reviewed", "--reason", "looked through, with its evidence"]]
                    .concat(),
            )?,
        }
        let listen = guests.listen().to_owned();
        drop(guests);
        let own = publish(GUEST, &format!("{GUEST}/policy"));
        let own: Vec<&str> = own
            .iter()
            .map(String::as_str)
            .chain(["--witness", GUEST, "--witness-policy", &policy])
            .collect();
        guests = self.serve(&own, &listen)?;
        let other = format!("{HOST}/peers/{GUEST}.log");
        let log = format!("{}/log", guests.address);
        self.good(&[
            "log",
            "mirror",
            &log,
            &other,
            "--policy",
            &format!("{HOST}/peers/{GUEST}.policy"),
        ])?;

        part("Both catalogs say who agrees");
        self.joint()?;
        let question = format!("{} on {}", PAIR.0, PAIR.1);
        let (own, copied) = (format!("{HOST}/log"), format!("{GUEST}/log"));
        for logs in [[&own, &other], [&copy, &copied]] {
            let [one, two] = logs.map(String::as_str);
            let ask = ["ask", &question, "--log", one, "--log", two, "--policy", "joint.policy"];
            self.run(&ask)?;
        }

        part("A customer of the guest's vendor has a problem on that host");
        self.case(GUEST, &["peer", HOST, &hosts.address])?;
        self.case(HOST, &["peer", GUEST, &guests.address])?;
        self.support(&copy, &copied)?;

        part(
            "What was learnt goes into the public log, without a word of the case, and into both catalogs",
        );
        let id = self.only_case(HOST)?;
        self.case(HOST, &["publish", &id])?;
        self.case(HOST, &["publish", &id, "--yes"])?;
        self.case(HOST, &["list", "--proposed-checks"])?;
        hosts.wait_for("shows a head of 2 entries")?;
        let published = format!("{}/log", hosts.address);
        self.good(&["log", "mirror", &published, &copy, "--policy", &theirs])?;
        for logs in [[&own, &other], [&copy, &copied]] {
            let [one, two] = logs.map(String::as_str);
            let ask = ["ask", &question, "--log", one, "--log", two, "--policy", "joint.policy"];
            self.says(&ask, ISSUE)?;
        }

        println!("\nReports: {0}/first/report.html, {0}/second/report.html", self.folder.display());
        if stay {
            part("To be walked through: both desks, with an account of one's own");
            println!("  {}/desk   and   {}/desk", hosts.address, guests.address);
            for party in [HOST, GUEST] {
                let folder = self.folder.join(party);
                println!(
                    "  hospitium case person add ann --role engineer --address ann@{party} --party {}",
                    folder.display()
                );
            }
            println!("Ctrl-C ends both servers");
            hosts.child.wait().context("waiting for a server")?;
        } else {
            println!("With --stay both servers go on, to be walked through in a browser.");
        }
        Ok(())
    }

    /// The case, from the customer's call to its end.
    fn support(&self, copy: &str, own: &str) -> Result<()> {
        self.case(
            GUEST,
            &[
                "open",
                "the clock is late after a migration",
                "--to",
                HOST,
                "--guest",
                PAIR.0,
                "--host",
                PAIR.1,
                "--number",
                "D-1",
                "--engineer",
                "Bo Lind <bo@debian.example>",
                "--customer",
                "Customer Inc.",
                "--consent",
                "problem,configuration,evidence",
                "--consent-by",
                "Pat Doe",
                "--severity",
                "high",
                "--log",
                copy,
                "--log",
                own,
                "--policy",
                "joint.policy",
            ],
        )?;
        let id = self.only_case(GUEST)?;
        let id = id.as_str();
        let engineer = "Ann Smith <ann@qemu.example>";
        for (party, step) in [
            (GUEST, vec!["attach", id, "--run", "second"]),
            (
                HOST,
                vec![
                    "accept",
                    id,
                    "--number",
                    "Q-7",
                    "--engineer",
                    engineer,
                    "--respond-within",
                    "2h",
                ],
            ),
            (HOST, vec!["start", id]),
            (
                HOST,
                vec![
                    "reproduce",
                    id,
                    "the guest's clocks, before and after a migration",
                    "--boot",
                    self.guest,
                    "--on",
                    "qemu",
                    "--",
                    "--check",
                    "clk.after-migrate",
                    "--check",
                    "clk.after-restore",
                    "--out",
                    "third",
                ],
            ),
            (GUEST, vec!["transfer", id, "--offer", "the host's clock is at fault"]),
            (HOST, vec!["transfer", id, "--accept", engineer]),
            (
                HOST,
                vec![
                    "propose",
                    id,
                    "set the clocks of both hosts before a machine is migrated",
                    "--layer",
                    "configuration",
                    "--known-issue",
                    ISSUE,
                    "--new-check",
                    "After a migration between hosts whose clocks differ, the guest's clock is the destination's.",
                ],
            ),
            (HOST, vec!["close", id, "--confirmed-by", "Pat Doe"]),
        ] {
            self.case(party, &step)?;
            self.case(party, &["sync"])?;
        }
        self.case(GUEST, &["show", id])
    }

    /// The id of the only case of a desk, as its list begins with it.
    fn only_case(&self, party: &str) -> Result<String> {
        let listed = self.command(&["case", "list", "--party", party]).output();
        let listed = listed.context("running hospitium case list")?;
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let id = listed.split_whitespace().next().context("the list names no case")?;
        Ok(id.to_owned())
    }

    fn case(&self, party: &str, arguments: &[&str]) -> Result<()> {
        // What stands behind `--` is for the run.
        let (verb, rest) = arguments.split_first().context("a case wants a verb")?;
        self.good(&[&["case", *verb, "--party", party], rest].concat())
    }

    /// The digits that `party show` prints, read out by whoever has the keys.
    fn trust(&self, party: &str, other: &str, from: &str) -> Result<()> {
        let shown =
            self.command(&["party", "show", other]).output().context("running party show")?;
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        let digits = shown
            .split_once("compare")
            .map(|(_, rest)| rest)
            .context("party show has no digits to compare")?;
        let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
        self.good(&["party", "trust", from, "--party", party, "--fingerprint", &digits])
    }

    /// A policy by which the host's log counts once the guest's vendor has cosigned it.
    fn ask_for_cosignature(&self, witness: &Server) -> Result<()> {
        let log = self.lines(&format!("{HOST}/policy"), &["log "])?;
        let key = self.lines(&format!("{GUEST}/policy"), &["# witness "])?;
        let key =
            key.split(' ').nth(3).context("the party's policy names no key of a witness")?.trim();
        let text = format!("{log}witness other {key} {}/witness\nquorum other\n", witness.address);
        fs::write(self.folder.join("cosigned.policy"), text).context("writing a policy")
    }

    /// A policy that trusts both logs.
    fn joint(&self) -> Result<()> {
        let kinds = ["log ", "#hospitium:signer ", "# witness "];
        let mut text = self.lines(&format!("{HOST}/policy"), &kinds)?;
        text += &self.lines(&format!("{GUEST}/policy"), &kinds)?;
        let text = text.replace("# witness ", "witness ") + "quorum none\n";
        fs::write(self.folder.join("joint.policy"), text).context("writing a policy")
    }

    /// Lines of a file that begin so.
    fn lines(&self, file: &str, begin: &[&str]) -> Result<String> {
        let text = fs::read_to_string(self.folder.join(file))
            .with_context(|| format!("reading {file}"))?;
        let wanted = text.lines().filter(|line| begin.iter().any(|begin| line.starts_with(begin)));
        Ok(wanted.map(|line| format!("{line}\n")).collect())
    }

    /// The certificate of the only cell of the first run.
    fn certificate(&self) -> Result<String> {
        let folder = self.folder.join("first/certificates");
        let mut files =
            fs::read_dir(&folder).with_context(|| format!("listing {}", folder.display()))?;
        let file = files.next().context("the run has no certificate")??;
        Ok(format!("first/certificates/{}", file.file_name().to_string_lossy()))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(target().join("debug/hospitium"));
        command.current_dir(self.folder).args(arguments);
        command
    }

    fn print(arguments: &[&str]) {
        let quoted = |word: &&str| match word.contains([' ', '<']) {
            true => format!("\"{word}\""),
            false => (*word).to_owned(),
        };
        println!("\n$ hospitium {}", arguments.iter().map(quoted).collect::<Vec<_>>().join(" "));
    }

    /// A step that may end with a finding: 1, or 3 where no more can be said.
    fn run(&self, arguments: &[&str]) -> Result<i32> {
        Self::print(arguments);
        let status = self.command(arguments).status().context("running hospitium")?;
        match status.code() {
            Some(code @ (0 | 1 | 3)) => Ok(code),
            _ => bail!("hospitium {}: {status}", arguments.join(" ")),
        }
    }

    /// A step that has to do what it says.
    fn good(&self, arguments: &[&str]) -> Result<()> {
        let code = self.run(arguments)?;
        ensure!(code == 0, "hospitium {}: it ended with {code}", arguments.join(" "));
        Ok(())
    }

    /// A step that prints these words, whatever it ends with.
    fn says(&self, arguments: &[&str], words: &str) -> Result<()> {
        Self::print(arguments);
        let output = self.command(arguments).output().context("running hospitium")?;
        let said = String::from_utf8_lossy(&output.stdout);
        print!("{said}");
        ensure!(said.contains(words), "hospitium {}: no word of {words:?}", arguments.join(" "));
        Ok(())
    }

    fn serve(&self, arguments: &[&str], listen: &str) -> Result<Server> {
        let all = [&["serve", "--listen", listen], arguments].concat();
        Self::print(&all);
        let mut command = self.command(&all);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting a server")?;
        let (out, told) = (child.stdout.take(), child.stderr.take());
        let mut server = Server {
            child,
            address: String::new(),
            told: BufReader::new(told.context("no pipe")?),
        };
        BufReader::new(out.context("no pipe")?)
            .read_line(&mut server.address)
            .context("reading the server's address")?;
        server.address = server.address.trim().trim_end_matches('/').to_owned();
        if server.address.is_empty() {
            let mut why = String::new();
            while server.told.read_line(&mut why).is_ok_and(|read| read > 0) {}
            bail!("the server did not start: {why}");
        }
        println!("{}", server.address);
        Ok(server)
    }
}

fn part(title: &str) {
    println!("\n── {title}");
}

/// A server that ends with the story.
struct Server {
    child: Child,
    address: String,
    told: BufReader<std::process::ChildStderr>,
}

impl Server {
    /// ADDRESS:PORT.
    fn listen(&self) -> &str {
        self.address.trim_start_matches("http://")
    }

    /// Reads what the server tells until it tells this.
    fn wait_for(&mut self, what: &str) -> Result<()> {
        let mut all = String::new();
        while !all.contains(what) {
            let read = self.told.read_line(&mut all).context("reading what a server tells")?;
            ensure!(read > 0, "the server ended without {what:?}: {all}");
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
