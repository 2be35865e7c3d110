//! Linux event code names as QEMU's key codes.

/// QEMU's name (`QKeyCode`, qapi/ui.json) of a key by its Linux name (`KEY_…` in
/// linux/input-event-codes.h, in lower case). Most are the same.
pub(crate) fn code(key: &str) -> Option<&str> {
    Some(match key {
        "enter" => "ret",
        "space" => "spc",
        "leftshift" => "shift",
        "rightshift" => "shift_r",
        "leftctrl" => "ctrl",
        "rightctrl" => "ctrl_r",
        "leftalt" => "alt",
        "rightalt" => "alt_r",
        "leftmeta" => "meta_l",
        "rightmeta" => "meta_r",
        "dot" => "dot",
        "leftbrace" => "bracket_left",
        "rightbrace" => "bracket_right",
        "grave" => "grave_accent",
        "capslock" => "caps_lock",
        "numlock" => "num_lock",
        "scrolllock" => "scroll_lock",
        "pageup" => "pgup",
        "pagedown" => "pgdn",
        "sysrq" => "sysrq",
        "backspace" | "tab" | "esc" | "comma" | "slash" | "semicolon" | "apostrophe"
        | "backslash" | "minus" | "equal" | "up" | "down" | "left" | "right" | "home" | "end"
        | "insert" | "delete" | "pause" | "menu" => key,
        _ if key.len() == 1
            && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) =>
        {
            key
        }
        _ => {
            let number = key.strip_prefix('f')?;
            return (1..=12).any(|n: u8| n.to_string() == number).then_some(key);
        }
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_names_of_keys_are_taken() {
        assert_eq!(super::code("enter"), Some("ret"));
        assert_eq!(super::code("a"), Some("a"));
        assert_eq!(super::code("f12"), Some("f12"));
        for bad in ["", "f13", "A", "f+1", "é"] {
            assert_eq!(super::code(bad), None, "{bad}");
        }
    }
}
