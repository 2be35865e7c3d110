//! A prompt that asks the probe: a bare kernel has no shell, and a broken system may have none.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hospitium_host::{Machine, PowerVerb};
use hospitium_model::Holds;
use hospitium_run::replay::Replay;

use super::console::{Left, attach};
use super::keyboard::Keyboard;
use crate::out::{note, out};
use crate::view::{Paint, safe, time};

const HELP: &str = "\
  check               run the check here, and see what both witnesses see
  ls PATH             names in a folder of the guest
  cat PATH            a file of the guest
  dmesg               the kernel's log
  cpuid LEAF [SUB]    a leaf of CPUID as vCPU 0 sees it (hexadecimal)
  run PROGRAM [ARG…]  a program of the guest, without a shell
  facts               what the hypervisor says of the machine
  events              what has happened to the machine
  screenshot FILE     a picture of the display, as PNG
  pause, resume       stop the vCPUs, let them go on
  console             the machine's console; Ctrl-] comes back
  help, quit";

/// The most of a file that is shown.
const MOST: u64 = 1 << 20;
/// The longest that a program of the guest may take.
const PROGRAM: Duration = Duration::from_secs(60);

/// Asks and answers until the person leaves or the machine ends.
pub async fn run(mut replay: Replay, at_console: bool) -> Result<()> {
    let paint = Paint::stdout();
    out!(
        "{} {}\n{}\nThe machine runs in the state that the check began in (a clone, ready in {}). `help` lists what can be asked.",
        paint.bold(replay.check.id),
        paint.dim(&format!("as {}", replay.cell.work_dir().name)),
        replay.check.requirement.trim(),
        time(replay.cell.ready_in().as_secs_f64() * 1e3),
    );
    let mut keyboard = Keyboard::start();
    let mut shown = 0;
    if at_console {
        let (left, seen) = attach(&replay.cell.console, &mut keyboard, shown).await;
        shown = seen;
        if left == Left::AtEnd {
            note!("{}", ended(replay.cell.machine()).await);
            return Ok(());
        }
    }
    loop {
        let _ = write!(std::io::stdout(), "{} ", paint.bold("hospitium>"));
        let _ = std::io::stdout().flush();
        let line = tokio::select! {
            line = keyboard.line() => line,
            ended = replay.cell.machine().ended() => {
                out!("\nThe machine ended: {}", safe(&ended.to_string()));
                return Ok(());
            }
        };
        let Some(line) = line else {
            out!("");
            return Ok(());
        };
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [] => {}
            ["quit" | "exit" | "q"] => return Ok(()),
            ["console"] => {
                let (left, seen) = attach(&replay.cell.console, &mut keyboard, shown).await;
                shown = seen;
                if left == Left::AtEnd {
                    note!("{}", ended(replay.cell.machine()).await);
                    return Ok(());
                }
            }
            _ => {
                if let Err(error) = ask(&mut replay, &words, paint).await {
                    out!("{}", safe(&format!("{error:#}")));
                }
            }
        }
    }
}

async fn ended(machine: &dyn Machine) -> String {
    match tokio::time::timeout(Duration::from_secs(2), machine.ended()).await {
        Ok(ended) => format!("The machine ended: {}", safe(&ended.to_string())),
        Err(_) => "The input ended.".into(),
    }
}

async fn ask(replay: &mut Replay, words: &[&str], paint: Paint) -> Result<()> {
    let guest = &replay.cell.guest;
    match *words {
        ["help" | "?"] => out!("{HELP}"),
        ["check"] => check(replay, paint).await,
        ["ls"] => names(guest.list("/").await?),
        ["ls", path] => names(guest.list(path).await?),
        ["cat", path] => text(&guest.read_file(path, MOST).await?),
        ["dmesg"] => text(&guest.kernel_log().await?),
        ["cpuid", leaf] => cpuid(replay, leaf, "0").await?,
        ["cpuid", leaf, subleaf] => cpuid(replay, leaf, subleaf).await?,
        ["run", ref program @ ..] if !program.is_empty() => {
            let ran = guest.run(program, PROGRAM).await?;
            text(&ran.output);
            out!("exit code {}", ran.code);
        }
        ["facts"] => out!("{:#?}", replay.cell.look().await?),
        ["events"] => {
            for event in replay.cell.machine().events() {
                let ago = event.at.elapsed().as_secs_f64() * 1e3;
                out!("{} ago  {}", time(ago), safe(&format!("{:?}", event.kind)));
            }
        }
        ["screenshot", file] => {
            let picture = replay.cell.display()?.screenshot().await?;
            std::fs::write(Path::new(file), picture.png()?)
                .with_context(|| format!("cannot write {file}"))?;
            out!("{} × {} pixels in {file}", picture.width, picture.height);
        }
        ["pause"] => replay.cell.power(PowerVerb::Pause).await?,
        ["resume"] => replay.cell.power(PowerVerb::Resume).await?,
        _ => bail!("{:?} cannot be asked; `help` lists what can", words.join(" ")),
    }
    Ok(())
}

async fn cpuid(replay: &Replay, leaf: &str, subleaf: &str) -> Result<()> {
    let number = |text: &str| {
        u32::from_str_radix(text.trim_start_matches("0x"), 16)
            .with_context(|| format!("{text:?} is no hexadecimal number"))
    };
    let words = replay.cell.guest.cpuid(0, number(leaf)?, number(subleaf)?).await?;
    out!(
        "eax {:08x}  ebx {:08x}  ecx {:08x}  edx {:08x}",
        words.eax,
        words.ebx,
        words.ecx,
        words.edx
    );
    Ok(())
}

async fn check(replay: &mut Replay, paint: Paint) {
    let (verdict, seen) = replay.run_check().await;
    for finding in &seen.findings {
        let holds = match finding.judge() {
            Holds::Yes => paint.verdict("pass", "holds"),
            Holds::No(_) => paint.verdict("fail", "fails"),
            Holds::NotJudged => paint.dim("noted"),
        };
        let side = |value: &Option<hospitium_model::Value>, source: Option<String>| {
            let source = source.map_or_else(String::new, |source| format!(" ({source})"));
            value.as_ref().map_or_else(|| "–".into(), |value| safe(&value.to_string()) + &source)
        };
        let unit = &finding.unit;
        out!(
            "{holds}  {}  guest: {} {unit}  host: {} {unit}",
            safe(&finding.what),
            side(&finding.guest, finding.guest_source.map(|s| s.to_string())),
            side(&finding.host, finding.host_source.map(|s| s.to_string()))
        );
    }
    for note in &seen.notes {
        out!("note   {}", safe(note));
    }
    let reason = if verdict.reason().is_empty() {
        String::new()
    } else {
        format!(": {}", safe(verdict.reason()))
    };
    out!("{}{reason}", paint.verdict(verdict.word(), verdict.word()));
}

fn names(mut names: Vec<String>) {
    names.sort();
    for name in names {
        out!("{}", safe(&name));
    }
}

fn text(bytes: &[u8]) {
    for line in String::from_utf8_lossy(bytes).lines() {
        out!("{}", safe(line));
    }
}
