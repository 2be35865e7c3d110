//! An example in front of each command's help text. A test parses each of them.

use clap::Command;

/// A command's words behind `hospitium`, and how it is typed.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("", &["hospitium run golden.qcow2 --on qemu", "hospitium ask \"debian 12 on qemu 7.2\""]),
    (
        "run",
        &[
            "hospitium run linux-image-6.12.deb --on qemu",
            "hospitium run golden.qcow2 --check \"stor.*\" --firmware uefi",
        ],
    ),
    ("replay", &["hospitium replay runs/latest stor.flush-durable"]),
    ("report", &["hospitium report runs/latest", "hospitium report runs/latest --format junit"]),
    ("diff", &["hospitium diff runs/20261103-090000 runs/latest"]),
    ("verify", &["hospitium verify runs/latest"]),
    ("guest list", &["hospitium guest list"]),
    ("guest add", &["hospitium guest add golden golden.qcow2"]),
    ("host add", &["hospitium host add qemu-10 /opt/qemu-10/bin/qemu-system-x86_64"]),
    ("guest check", &["hospitium guest check golden.qcow2"]),
    ("host list", &["hospitium host list"]),
    ("host check", &["hospitium host check /opt/qemu-10/bin/qemu-system-x86_64"]),
    ("suite list", &["hospitium suite list stor"]),
    ("suite show", &["hospitium suite show stor.flush-durable"]),
    ("suite profiles", &["hospitium suite profiles"]),
    ("cache list", &["hospitium cache list"]),
    ("cache clean", &["hospitium cache clean"]),
    ("config", &["hospitium config"]),
    ("completions", &["hospitium completions bash"]),
    ("man", &["hospitium man man/"]),
];

/// The same, of commands that know of agreements, logs and the catalog.
#[cfg(feature = "deal")]
const OF_DEAL: &[(&str, &[&str])] = &[
    ("certify", &["hospitium certify runs/latest --party vendor --agreement debian-qemu"]),
    (
        "verify",
        &[
            "hospitium verify runs/latest/certificates/CELL.tlog-proof --policy vendor/policy --evidence runs/latest",
            "hospitium verify runs/latest",
        ],
    ),
    (
        "ask",
        &[
            "hospitium ask \"rhel 5.3 on hyper-v server 2008, 4 vcpu, 8 GiB\"",
            "hospitium ask vm.xml --host \"qemu 7.2\" --log vendor/log --party vendor",
        ],
    ),
    ("serve", &["hospitium serve --log vendor/log --party vendor --evidence runs"]),
    ("agreement check", &["hospitium agreement check agreements/debian-qemu.toml"]),
    ("agreement show", &["hospitium agreement show agreements/debian-qemu.toml"]),
    ("agreement plan", &["hospitium agreement plan debian-qemu --log vendor/log --why"]),
    (
        "agreement cells",
        &[
            "hospitium agreement cells debian-qemu golden.qcow2 --on qemu --out plan.json",
            "hospitium agreement cells --model machine.txt",
        ],
    ),
    ("agreement watch", &["hospitium agreement watch debian-qemu --from debian:bookworm"]),
    ("product list", &["hospitium product list rhel"]),
    ("product show", &["hospitium product show rhel 5.3"]),
    ("product search", &["hospitium product search windows 2003 sp2"]),
    ("product compare", &["hospitium product compare \"rhel 5.9\" \"rhel 5.11\""]),
    ("product machine", &["hospitium product machine \"rhel 5.3\" \"qemu 7.2\""]),
    ("product update", &["hospitium product update osinfo-db-20260101.tar.xz"]),
    ("party init", &["hospitium party init vendor --name vendor.example"]),
    ("party show", &["hospitium party show vendor"]),
    ("party trust", &["hospitium party trust https://other.example --party vendor"]),
    ("party peers", &["hospitium party peers --party vendor"]),
    ("party rekey", &["hospitium party rekey vendor --reason \"the yearly change\""]),
    ("log show", &["hospitium log show vendor/log"]),
    ("log check", &["hospitium log check vendor/log --policy vendor/policy"]),
    (
        "log certificate",
        &[
            "hospitium log certificate vendor/log --policy vendor/policy --index 0 --out 0.tlog-proof",
        ],
    ),
    ("log cosign", &["hospitium log cosign copies/other --party vendor --policy other.policy"]),
    ("log accept", &["hospitium log accept vendor/log --party vendor \"— other.example …\""]),
    (
        "log mirror",
        &["hospitium log mirror https://other.example/log copies/other --policy other.policy"],
    ),
    ("log gather", &["hospitium log gather vendor/log --party vendor"]),
    (
        "log suspend",
        &["hospitium log suspend vendor/log --party vendor --index 0 --reason \"a known issue\""],
    ),
    (
        "log resume",
        &["hospitium log resume vendor/log --party vendor --index 0 --reason \"mended\""],
    ),
    (
        "log withdraw",
        &["hospitium log withdraw vendor/log --party vendor --index 0 --reason \"a wrong image\""],
    ),
    (
        "log waive",
        &["hospitium log waive vendor/log --party vendor --index 0 --check net.link-flap \
            --until 2027-06-30T00:00:00Z --by \"Ann Smith\" --reason \"nobody pulls that cable\""],
    ),
    (
        "log endorse",
        &[
            "hospitium log endorse theirs.tlog-proof --party vendor --copy copies/other --run runs/latest \
            --reason \"repeated here\"",
        ],
    ),
    (
        "catalog rebuild",
        &["hospitium catalog rebuild --log vendor/log --party vendor --db catalog.db"],
    ),
    ("catalog export", &["hospitium catalog export site --db catalog.db"]),
    ("catalog pairs", &["hospitium catalog pairs --agreement debian-qemu"]),
    (
        "case open",
        &["hospitium case open \"the clock is late\" --to host.example --guest \"rhel 5.3\" \
            --host \"hyper-v server 2008\" --number G-17 --engineer \"Ann Smith <ann@guest.example>\" \
            --customer \"Customer Inc.\" --party guest"],
    ),
    ("case list", &["hospitium case list --mine --party vendor"]),
    ("case show", &["hospitium case show 7f3a --party vendor"]),
    ("case reply", &["hospitium case reply 7f3a \"update 12 is installed\" --party vendor"]),
    ("case sync", &["hospitium case sync --party vendor"]),
    (
        "case export",
        &[
            "hospitium case export 7f3a case.tar --party vendor",
            "hospitium case export 7f3a request.json --tsanet --document 17 --party vendor",
        ],
    ),
    (
        "case import",
        &[
            "hospitium case import case.tar --party vendor",
            "hospitium case import request.json --tsanet --vendor guest.example --guest \"rhel 5.3\" \
            --host \"hyper-v server 2008\" --party vendor",
        ],
    ),
    (
        "case person add",
        &["hospitium case person add ann --role engineer --name \"Ann Smith\" --party vendor"],
    ),
];

#[cfg(not(feature = "deal"))]
const OF_DEAL: &[(&str, &[&str])] = &[];

/// The command line with its examples. Of two for one command the later one counts.
pub fn shown(command: Command) -> Command {
    EXAMPLES.iter().chain(OF_DEAL).fold(command, |command, (path, examples)| {
        let title = if examples.len() == 1 { "Example:" } else { "Examples:" };
        let text = format!("{title}\n  {}", examples.join("\n  "));
        let words: Vec<&str> = path.split_whitespace().collect();
        put(command, &words, text)
    })
}

fn put(command: Command, path: &[&str], text: String) -> Command {
    match path {
        [] => command.before_help(text),
        [word, rest @ ..] => command.mut_subcommand(*word, |inner| put(inner, rest, text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::command;

    /// Words as a shell splits them, with double quotes only.
    fn words(line: &str) -> Vec<String> {
        let mut words = Vec::new();
        for (n, part) in line.split('"').enumerate() {
            match n % 2 {
                0 => words.extend(part.split_whitespace().map(str::to_owned)),
                _ => words.push(part.to_owned()),
            }
        }
        words
    }

    #[test]
    fn every_example_is_understood_and_is_of_its_command() {
        for (path, examples) in EXAMPLES.iter().chain(OF_DEAL) {
            for example in *examples {
                let read = command(None).try_get_matches_from(words(example));
                let read = read.unwrap_or_else(|error| panic!("{example}: {error}"));
                let begin = format!("hospitium {path}");
                assert!(example.starts_with(begin.trim_end()), "{example} is no {path}");
                assert!(read.subcommand().is_some());
            }
        }
    }

    #[test]
    fn every_command_outside_of_cases_has_an_example_in_front() {
        fn leaves(command: &Command, path: &str, without: &mut Vec<String>) {
            for inner in command.get_subcommands().filter(|c| c.get_name() != "help") {
                let path = format!("{path} {}", inner.get_name());
                if inner.has_subcommands() {
                    leaves(inner, &path, without);
                } else if inner.get_before_help().is_none() {
                    without.push(path);
                }
            }
        }
        let mut without = Vec::new();
        leaves(&command(None), "", &mut without);
        // What is done to a case is typed alike for all: hospitium case VERB CASE.
        without.retain(|path| !path.starts_with(" case "));
        assert_eq!(without, Vec::<String>::new());
    }
}
