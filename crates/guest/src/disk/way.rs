//! Getting into a disk guest: cloud-init does it by itself, else by logging in on the console.

use std::future::Future;
use std::time::Duration;

use super::definition::{Definition, Login, Way};
use super::drive::START_COMMAND;
use super::error::DiskError;
use hospitium_system::{Console, ConsoleError};

/// Lines of the console that an error shows.
const LAST: usize = 12;
/// What our own echo prints in the guest. The command has a backslash in the middle, so that the
/// terminal's echo of what is typed is not taken for the answer. It has no quotes: a login may throw
/// away the first half of what is typed, and a quote left alone takes all that follows into its string.
const READY: &str = "HOSPITIUM-READY";
const TYPE_READY: &str = r"echo HOSP\ITIUM-READY";
const STARTED: &str = "HOSPITIUM-STARTED=";
/// A shell may throw away what was typed before it was ready; so it is typed again.
const RETYPE: Duration = Duration::from_secs(4);
/// How long after the login prompt a cloud-init that has printed nothing so far is waited for.
const SILENT_CLOUD_INIT: Duration = Duration::from_secs(20);

/// The same where there is no login to try instead.
const NO_OTHER_WAY: Duration = Duration::from_secs(90);

/// Does what there is to do so that the probe starts, from console line `from` on. It ends with an
/// error, or never: the caller races it against the probe's answer. `limit` bounds the wait for
/// the login prompt.
pub async fn get_in(
    definition: &Definition,
    console: &Console,
    from: u64,
    limit: Duration,
) -> DiskError {
    match get_in_or_fail(definition, console, from, limit).await {
        Ok(()) => std::future::pending().await,
        Err(error) => error,
    }
}

async fn get_in_or_fail(
    definition: &Definition,
    console: &Console,
    from: u64,
    limit: Duration,
) -> Result<(), DiskError> {
    let login = definition.login.as_ref().filter(|_| definition.has(Way::SerialLogin));
    let first = login.and_then(|login| login.steps().into_iter().next());
    let prompt = first.map_or_else(|| "login:".to_owned(), |step| step.wait);
    let found = console.wait_line(&prompt, from, limit, |line| line.contains(&prompt)).await;
    let at = match found {
        Ok((at, _)) => at,
        // Without a prompt there is nothing to do here: cloud-init needs none, and that the probe
        // does not answer is told by whoever waits for it.
        Err(_) if definition.has(Way::CloudInit) => return Ok(()),
        Err(source) => {
            return Err(DiskError::Login { step: 1, wait: prompt, source });
        }
    };
    if definition.has(Way::CloudInit) {
        let talked = console.lines_since(from).iter().any(|(_, line)| line.contains("cloud-init"));
        let full = Duration::from_secs(definition.cloud_init_seconds);
        let budget = match (talked, login) {
            (true, _) => full,
            (false, Some(_)) => full.min(SILENT_CLOUD_INIT),
            // Nothing else can be tried, so that it has more time; but one that is there says so.
            (false, None) => full.min(NO_OTHER_WAY),
        };
        tokio::time::sleep(budget).await;
        if login.is_none() {
            return Err(DiskError::NoCloudInit { waited: budget, last: console.last_lines(LAST) });
        }
    }
    match login {
        Some(login) => log_in(login, console, at).await,
        None => Ok(()),
    }
}

/// Logs in at the prompt in line `at`, starts the probe, logs out.
async fn log_in(login: &Login, console: &Console, at: u64) -> Result<(), DiskError> {
    let limit = login.step_limit();
    let mut from = at;
    for (n, step) in login.steps().into_iter().enumerate() {
        let failed = |source| DiskError::Login { step: n + 1, wait: step.wait.clone(), source };
        let found = console.wait_line(&step.wait, from, limit, |line| line.contains(&step.wait));
        // What is typed ends the line; the answer is in a later one.
        from = found.await.map_err(failed)?.0 + 1;
        type_line(console, &step.write).await.map_err(failed)?;
    }
    let what = "a shell that answers";
    let failed = |step: usize, what: &str| {
        let wait = what.to_owned();
        move |source| DiskError::Login { step, wait, source }
    };
    let steps = login.steps().len();
    let refused =
        |line: &str| line.contains("Login incorrect") || line.contains("Permission denied");
    let answered = |line: &str| line.contains(READY) || refused(line);
    let (at, line) = retyped(console, TYPE_READY, what, limit, |slice| {
        console.wait_line(what, from, slice, answered)
    })
    .await
    .map_err(failed(steps + 1, what))?;
    if refused(&line) {
        return Err(DiskError::LoginRefused {
            user: login.user.clone(),
            last: console.last_lines(LAST),
        });
    }
    let what = "the command that starts the probe";
    let command = match login.become_root.as_str() {
        "" => format!("sh -c '{START_COMMAND}'"),
        prefix => format!("{prefix} sh -c '{START_COMMAND}'"),
    };
    type_line(console, &format!(r"{command}; echo HOSP\ITIUM-STARTED=$?"))
        .await
        .map_err(failed(steps + 2, what))?;
    let done = |line: &str| exit_status(line).is_some();
    let (_, line) = console
        .wait_line(what, at + 1, limit.max(Duration::from_secs(60)), done)
        .await
        .map_err(failed(steps + 2, what))?;
    if exit_status(&line) != Some('0') {
        let why = "mounting the drive or its start.sh failed".to_owned();
        return Err(DiskError::Start { why, last: console.last_lines(LAST) });
    }
    // The console is left as it was found, for the checks that use it.
    type_line(console, "exit").await.map_err(failed(steps + 3, "the end of the login"))
}

/// The first digit of the exit status that the shell tells. A line is looked at while it comes, so
/// there may be none yet.
fn exit_status(line: &str) -> Option<char> {
    line.split(STARTED).nth(1)?.chars().next().filter(char::is_ascii_digit)
}

async fn type_line(console: &Console, line: &str) -> Result<(), ConsoleError> {
    console.write(format!("{line}\r").as_bytes()).await
}

/// Types a line, waits a little, types it again, up to `limit` in all.
async fn retyped<T, F: Future<Output = Result<T, ConsoleError>>>(
    console: &Console,
    line: &str,
    what: &str,
    limit: Duration,
    wait: impl Fn(Duration) -> F,
) -> Result<T, ConsoleError> {
    let mut left = limit;
    loop {
        type_line(console, line).await?;
        let slice = RETYPE.min(left);
        match wait(slice).await {
            Err(ConsoleError::TimedOut { last, .. }) => {
                left = left.saturating_sub(slice);
                if left.is_zero() {
                    return Err(ConsoleError::TimedOut { what: what.to_owned(), limit, last });
                }
            }
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests;
