//! The memory map that the firmware gave, in the words of a Linux kernel.

/// Usable bytes of the map as the kernel's log has it from its start; none if it no longer does.
///
/// `BIOS-e820: [mem 0x0-0x9fbff] usable` since 3.6, `BIOS-e820: 0000 - 9fc00 (usable)` before
/// (arch/x86/kernel/e820.c, e820_print_map). The end is the last byte now and was the one behind it then.
pub fn of_log<'a>(lines: impl Iterator<Item = &'a str>) -> Option<u64> {
    let mut found = None;
    for line in lines {
        let Some((_, entry)) = line.split_once("BIOS-e820: ") else { continue };
        let bytes = match entry.strip_prefix("[mem ") {
            Some(entry) => entry.split_once("] ").and_then(|(range, kind)| {
                let (first, last) = range.split_once('-')?;
                let (first, last) = (hex(first)?, hex(last)?);
                (kind.trim() == "usable").then(|| last.saturating_sub(first).saturating_add(1))
            }),
            None => entry.split_once(" (").and_then(|(range, kind)| {
                let (first, end) = range.split_once(" - ")?;
                let (first, end) = (hex(first)?, hex(end)?);
                kind.trim().starts_with("usable").then(|| end.saturating_sub(first))
            }),
        };
        *found.get_or_insert(0_u64) = found.unwrap_or(0).saturating_add(bytes.unwrap_or_default());
    }
    found.filter(|bytes| *bytes > 0)
}

/// Bytes of `System RAM` in `/proc/iomem`, which has it from the map; none if it shows no addresses, as it does to
/// those who may not know them.
pub fn of_iomem(text: &str) -> Option<u64> {
    let ram = text.lines().filter(|line| !line.starts_with(' ')).filter_map(|line| {
        let (range, name) = line.split_once(" : ")?;
        let (first, last) = range.split_once('-').filter(|_| name.trim() == "System RAM")?;
        let (first, last) = (hex(first)?, hex(last)?);
        (last > first).then(|| (last - first).saturating_add(1))
    });
    let bytes = ram.fold(0, u64::saturating_add);
    (bytes > 0).then_some(bytes)
}

fn hex(text: &str) -> Option<u64> {
    let text = text.trim();
    u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_of_an_old_and_of_a_new_kernel_say_the_same() {
        let old = "BIOS-provided physical RAM map:\n BIOS-e820: 0000000000000000 - 000000000009fc00 (usable)\n \
                   BIOS-e820: 000000000009fc00 - 00000000000a0000 (reserved)\n \
                   BIOS-e820: 0000000000100000 - 000000001ffe0000 (usable)\n";
        let new = "[    0.000000] BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable\n\
                   [    0.000000] BIOS-e820: [mem 0x000000000009fc00-0x000000000009ffff] reserved\n\
                   [    0.000000] BIOS-e820: [mem 0x0000000000100000-0x000000001ffdffff] usable\n";
        assert_eq!(of_log(old.lines()), Some(0x9_FC00 + 0x1FEE_0000));
        assert_eq!(of_log(new.lines()), of_log(old.lines()));
        assert_eq!(of_log("nothing of it is left".lines()), None);
    }

    #[test]
    fn system_memory_is_what_stands_at_the_margin() {
        let text = "00000000-00000fff : Reserved\n00001000-0009fbff : System RAM\n\
                    00100000-1ffdffff : System RAM\n  01000000-01e00fff : Kernel code\n";
        assert_eq!(of_iomem(text), Some(0x9_EC00 + 0x1FEE_0000));
        assert_eq!(of_iomem("00000000-00000000 : System RAM\n"), None, "hidden addresses");
    }

    #[test]
    fn hostile_maps_are_survived() {
        let wide = "BIOS-e820: [mem 0x0-0xffffffffffffffff] usable\n".repeat(3);
        assert_eq!(of_log(wide.lines()), Some(u64::MAX));
        assert_eq!(
            of_log("BIOS-e820: 9 - 1 (usable)\nBIOS-e820: [mem \nBIOS-e820: (\n".lines()),
            None
        );
        assert_eq!(of_iomem("f-1 : System RAM\n- : System RAM\n"), None);
        assert_eq!(of_iomem("0-ffffffffffffffff : System RAM"), Some(u64::MAX));
    }
}
