use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::*;

const SOON: Duration = Duration::from_secs(60);

fn definition(text: &str) -> Definition {
    toml::from_str(text).expect("a definition")
}

const LOGIN: &str = "ways = [\"serial-login\"]\n[login]\nuser = \"root\"\npassword = \"pw\"\n";

/// A guest on the other side of the console: it echoes what is typed, and `answer` says what it
/// prints after each line. All lines typed are kept.
fn guest(
    mut line: DuplexStream,
    boot: &'static str,
    mut answer: impl FnMut(&str) -> String + Send + 'static,
) -> Arc<Mutex<Vec<String>>> {
    let typed = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&typed);
    tokio::spawn(async move {
        line.write_all(boot.as_bytes()).await.expect("printed");
        let mut current = Vec::new();
        while let Ok(byte) = line.read_u8().await {
            if byte != b'\r' {
                current.push(byte);
                continue;
            }
            let text = String::from_utf8(std::mem::take(&mut current)).expect("text");
            let out = format!("{text}\r\n{}", answer(&text));
            kept.lock().expect("no panic").push(text);
            if line.write_all(out.as_bytes()).await.is_err() {
                break;
            }
        }
    });
    typed
}

/// What a Unix system would print.
fn unix(line: &str) -> String {
    match line {
        "root" => "Password: ".into(),
        "pw" => "\r\nLast login: never\r\n\x1b[?2004h# ".into(),
        _ if line.contains(r"HOSP\ITIUM-STARTED") => "HOSPITIUM-STARTED=0\r\n# ".into(),
        _ if line.starts_with("echo") => "HOSPITIUM-READY\r\n# ".into(),
        _ => "# ".into(),
    }
}

fn console() -> (Console, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    (Console::start(Box::new(ours), None), theirs)
}

#[tokio::test(start_paused = true)]
async fn a_login_types_its_steps_starts_the_probe_and_logs_out() {
    let (console, line) = console();
    let typed = guest(line, "[    1.0] Linux\r\n\r\nDebian ttyS0\r\n\r\nx login: ", unix);
    get_in_or_fail(&definition(LOGIN), &console, 0, SOON).await.expect("logs in");
    console.wait_line("", 0, SOON, |l| l.contains("exit")).await.expect("logs out");
    let typed = typed.lock().expect("no panic").clone();
    assert_eq!(typed[..3], ["root", "pw", TYPE_READY]);
    assert!(typed[3].contains("/start.sh") && typed[4] == "exit", "{typed:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_typed_before_the_shell_was_ready_is_typed_again() {
    let (console, line) = console();
    let mut lost = 2;
    let typed = guest(line, "login: ", move |line| {
        if line == TYPE_READY && lost > 0 {
            lost -= 1;
            return String::new();
        }
        unix(line)
    });
    get_in_or_fail(&definition(LOGIN), &console, 0, SOON).await.expect("logs in");
    let count = typed.lock().expect("no panic").iter().filter(|l| *l == TYPE_READY).count();
    assert_eq!(count, 3);
}

/// What `/bin/sh` makes of all lines in one go.
fn shell(lines: &str) -> String {
    let mut shell = std::process::Command::new("sh")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("there is a shell");
    let mut input = shell.stdin.take().expect("piped");
    std::io::Write::write_all(&mut input, lines.as_bytes()).expect("taken");
    drop(input);
    let output = shell.wait_with_output().expect("ends");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn whatever_a_login_throws_away_of_a_question_the_next_one_is_answered() {
    for cut in 0..=TYPE_READY.len() {
        let (head, tail) = TYPE_READY.split_at(cut);
        for rest in [head, tail] {
            let said = shell(&format!("{rest}\n{TYPE_READY}\n{TYPE_READY}\n"));
            assert!(said.contains(READY), "after {rest:?}: {said:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn errors_name_the_step_the_wait_and_the_last_lines() {
    let (console, line) = console();
    let _typed = guest(line, "login: ", |_| "please wait\r\n".into());
    let error = get_in_or_fail(&definition(LOGIN), &console, 0, SOON).await.expect_err("stuck");
    assert!(
        error.to_string().contains("step 2") && error.to_string().contains("assword:"),
        "{error}"
    );
    let source = std::error::Error::source(&error).expect("has a cause").to_string();
    assert!(source.contains("please wait") && source.contains("30 s"), "{source}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_and_a_failed_start_are_told_apart() {
    let (refusing, line) = console();
    let _typed = guest(line, "login: ", |line| match line {
        "root" => "Password: ".into(),
        "pw" => "\r\nLogin incorrect\r\nlogin: ".into(),
        _ => String::new(),
    });
    let error = get_in_or_fail(&definition(LOGIN), &refusing, 0, SOON).await;
    assert!(matches!(error, Err(DiskError::LoginRefused { .. })), "{error:?}");
    let (failing, line) = console();
    let _typed = guest(line, "login: ", |line| unix(line).replace("STARTED=0", "STARTED=2"));
    let error = get_in_or_fail(&definition(LOGIN), &failing, 0, SOON).await;
    assert!(matches!(error, Err(DiskError::Start { .. })), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn cloud_init_gets_its_budget_and_then_the_login_is_tried() {
    let both = LOGIN.replace(
        "[\"serial-login\"]",
        "[\"cloud-init\", \"serial-login\"]\ncloud-init-seconds = 100",
    );
    for (boot, budget) in [("x\r\nlogin: ", 20), ("cloud-init[1]: runs\r\nlogin: ", 100)] {
        let (console, line) = console();
        let typed = guest(line, boot, unix);
        let begun = tokio::time::Instant::now();
        get_in_or_fail(&definition(&both), &console, 0, SOON).await.expect("logs in");
        assert_eq!(typed.lock().expect("no panic")[0], "root");
        let waited = begun.elapsed();
        assert!(
            waited >= Duration::from_secs(budget) && waited < Duration::from_secs(budget + 10),
            "{waited:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn without_credentials_a_silent_cloud_init_is_an_error_that_says_so() {
    let (console, line) = console();
    let typed = guest(line, "login: ", unix);
    let error = get_in_or_fail(&definition(""), &console, 0, SOON).await;
    assert!(matches!(error, Err(DiskError::NoCloudInit { .. })), "{error:?}");
    assert!(typed.lock().expect("no panic").is_empty(), "nothing is typed");
}

#[tokio::test(start_paused = true)]
async fn a_system_without_a_login_prompt_can_still_be_entered_by_cloud_init() {
    let (console, line) = console();
    let _typed = guest(line, "booted\r\n", unix);
    assert!(get_in_or_fail(&definition(""), &console, 0, SOON).await.is_ok());
    let error = get_in_or_fail(&definition(LOGIN), &console, 0, SOON).await;
    assert!(matches!(error, Err(DiskError::Login { step: 1, .. })), "{error:?}");
}

#[test]
fn an_exit_status_that_has_not_come_whole_is_waited_for() {
    for (line, status) in [
        ("HOSPITIUM-STARTED", None),
        ("HOSPITIUM-STARTED=", None),
        ("HOSPITIUM-STARTED=0", Some('0')),
        ("# HOSPITIUM-STARTED=127", Some('1')),
        (r"echo HOSP\ITIUM-STARTED=$?", None),
    ] {
        assert_eq!(exit_status(line), status, "{line}");
    }
}
