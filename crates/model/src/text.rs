//! Foreign text made fit for a person's eyes: one rule of which characters are shown, and the two ways to write the others.

/// What can be shown on a terminal, at most so many characters of it: control characters and those
/// that turn or hide text as `·`, tabs and line ends as a space.
pub fn printable(text: &str, most: usize) -> String {
    // Most text is plain, and a catalog looks at some ten of them for each record.
    if text.len() <= most && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    text.chars()
        .take(most)
        .map(|c| match c {
            '\t' | '\n' => ' ',
            c if c.is_control() || is_invisible(c) => '·',
            c => c,
        })
        .collect()
}

/// Characters that turn, part or hide text: format, separator, filler, variation and tag characters, which
/// no name needs and which a reader does not see.
pub const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{8e2}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{110bd}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Whether a character would command a terminal, or turn, part or hide the text around it.
pub const fn is_unsafe(c: char) -> bool {
    c.is_ascii_control() || matches!(c, '\u{80}'..='\u{9f}') || is_invisible(c)
}

/// Writes a character as it is, or, where it is [unsafe](is_unsafe), as the escape that Rust would: `\\x1b`, `\\u{202e}`.
pub fn push_escaped(out: &mut String, c: char) {
    match c {
        c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
        c if is_unsafe(c) => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
        c => out.push(c),
    }
}

/// A text with its unsafe characters as escapes, at most so many characters of it.
pub fn escaped(text: &str, most: usize) -> String {
    let mut out = String::new();
    for (n, c) in text.chars().enumerate() {
        if n == most {
            out.push('…');
            break;
        }
        push_escaped(&mut out, c);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_commands_a_terminal_or_hides(text in any::<String>(), most in 0_usize..40) {
            for shown in [printable(&text, most), escaped(&text, most)] {
                prop_assert!(!shown.chars().any(is_unsafe), "{shown:?}");
            }
            prop_assert!(printable(&text, most).chars().count() <= most);
        }
    }

    #[test]
    fn what_is_unsafe_can_be_read_in_the_escape() {
        let hostile = "a\u{1b}[2J\u{9b}31m\u{202e}b\u{200b}";
        assert_eq!(escaped(hostile, 80), "a\\x1b[2J\\u{9b}31m\\u{202e}b\\u{200b}");
        assert_eq!(printable(hostile, 80), "a·[2J·31m·b·");
        assert_eq!(escaped("größe", 3), "grö…");
    }
}
