//! What process 1 has to do before anything else works.

use hospitium_wire::Node;

use super::config::Config;
use super::{console, files, module, net, sys};

/// Nodes with numbers of their own (Documentation/admin-guide/devices.txt), for a kernel
/// without devtmpfs.
const NODES: [(&str, u32, u32); 13] = [
    ("/dev/console", 5, 1),
    ("/dev/tty", 5, 0),
    ("/dev/mem", 1, 1),
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/kmsg", 1, 11),
    ("/dev/ttyS0", 4, 64),
    ("/dev/ttyS1", 4, 65),
    ("/dev/ttyS2", 4, 66),
    ("/dev/ttyS3", 4, 67),
    ("/dev/watchdog", 10, 130),
];

/// Mounts the usual file systems and sees to it that numbers 0 to 2 are open files.
pub fn mount_all() {
    for (kind, target) in [("proc", "/proc"), ("sysfs", "/sys"), ("tmpfs", "/tmp")] {
        let _ = files::make_dir(target);
        let _ = files::mount(kind, target, kind, 0, "");
    }
    let _ = files::make_dir("/dev");
    if files::mount("devtmpfs", "/dev", "devtmpfs", 0, "").is_err() {
        for (path, major, minor) in NODES {
            let _ = files::make_node(path, Node::Character, major, minor);
        }
    }
    // Without a console in the initramfs the kernel leaves them closed, and the next files
    // opened would be taken for standard input and output.
    while let Ok(file) = sys::open("/dev/null", sys::O_RDWR, 0) {
        if file.number() > 2 {
            break;
        }
        core::mem::forget(file);
    }
}

/// Loads the modules of the file in its order.
pub fn load_modules(config: &Config) {
    for line in config.lines("module ") {
        let (path, parameters) = line.split_once(' ').unwrap_or((line, ""));
        if let Err(failure) = module::load(path, parameters) {
            let mut number = [0; 11];
            let number = console::decimal(failure.code, &mut number);
            let whose = if failure.number().is_some() { ": errno " } else { ": refused " };
            console::say(&["hospitium-probe: module ", path, whose, number]);
        }
    }
}

/// So that a guest can talk to itself.
pub fn bring_up_loopback() {
    let _ = net::up("lo", [127, 0, 0, 1], 8, 0);
}
