//! The text on a VGA display in its 80 × 25 text mode: the characters that the guest wrote, from its display memory.
//!
//! The display may start anywhere in that memory, since systems scroll by moving its start. The registers that say
//! where cannot be read from outside, so the start is found by the picture: where cells of the picture are
//! blank, the text has blanks.

use hospitium_host::Screenshot;

/// Physical address of colour text (IBM VGA; mode 3).
pub(crate) const WINDOW: u64 = 0xB8000;
pub(crate) const WINDOW_SIZE: usize = 0x8000;
const COLUMNS: usize = 80;
const ROWS: usize = 25;
/// Pixels of a character.
const CELL: (usize, usize) = (9, 16);
/// Of 100 cells, how many have to be blank on both sides or on neither. A blinking cursor and what the guest printed between
/// picture and text account for the rest.
const ALIKE: usize = 97;

/// Whether this is the picture of such a display.
pub(crate) fn fits(shot: &Screenshot) -> bool {
    let (width, height) = (COLUMNS * CELL.0, ROWS * CELL.1);
    (shot.width as usize, shot.height as usize) == (width, height)
        && shot.rgb.len() == width * height * 3
}

/// The rows of text that the picture shows, from the display's memory (character and attribute by turns). None if the
/// memory is not what is shown.
pub(crate) fn rows(shot: &Screenshot, memory: &[u8]) -> Option<Vec<String>> {
    if !fits(shot) || memory.len() != WINDOW_SIZE {
        return None;
    }
    let shown: Vec<bool> = (0..COLUMNS * ROWS).map(|cell| is_blank(shot, cell)).collect();
    // Two bytes a cell; rows follow each other, and the memory's end is followed by its beginning.
    let cells = WINDOW_SIZE / 2;
    let character = |start: usize, cell: usize| memory[(start + cell) % cells * 2];
    let alike = |start: &usize| {
        let same = |(cell, blank): (usize, &bool)| *blank == is_space(character(*start, cell));
        shown.iter().enumerate().filter(|&pair| same(pair)).count()
    };
    // The first of the best: a screen that has not been scrolled starts at the beginning.
    let starts = (0..cells).step_by(COLUMNS);
    let start = starts.rev().max_by_key(alike)?;
    if alike(&start) * 100 < ALIKE * shown.len() {
        return None;
    }
    let row = |row: usize| {
        let text = (0..COLUMNS).map(|column| printable(character(start, row * COLUMNS + column)));
        text.collect::<String>().trim_end().to_owned()
    };
    let mut rows: Vec<String> = (0..ROWS).map(row).collect();
    while rows.last().is_some_and(String::is_empty) {
        rows.pop();
    }
    Some(rows)
}

/// Whether a cell of the picture has but one colour.
fn is_blank(shot: &Screenshot, cell: usize) -> bool {
    let (left, top) = (cell % COLUMNS * CELL.0, cell / COLUMNS * CELL.1);
    let row = |y: usize| {
        let at = ((top + y) * shot.width as usize + left) * 3;
        shot.rgb.get(at..at + CELL.0 * 3).unwrap_or_default().chunks_exact(3)
    };
    let Some(first) = row(0).next() else {
        return true;
    };
    (0..CELL.1).all(|y| row(y).all(|pixel| pixel == first))
}

const fn is_space(character: u8) -> bool {
    matches!(character, 0 | b' ' | 0xFF)
}

/// ASCII as it is; code page 437's lines and blocks, and whatever else, as a dot.
fn printable(character: u8) -> char {
    match character {
        _ if is_space(character) => ' ',
        b'!'..=b'~' => character.into(),
        _ => '.',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory with these rows from this one on, and what a display shows that starts there.
    fn screen(start: usize, rows: &[&str]) -> (Screenshot, Vec<u8>) {
        let mut memory = [b' ', 7].repeat(WINDOW_SIZE / 2);
        let width = COLUMNS * CELL.0;
        let mut rgb = vec![0; width * ROWS * CELL.1 * 3];
        for (row, text) in rows.iter().enumerate() {
            for (column, character) in text.bytes().enumerate() {
                let at = ((start + row) * COLUMNS + column) * 2 % WINDOW_SIZE;
                memory[at] = character;
                if character != b' ' {
                    let pixel = (row * CELL.1 + 5) * width + column * CELL.0 + 4;
                    rgb[pixel * 3] = 0xAA;
                }
            }
        }
        let (width, height) = (width as u32, (ROWS * CELL.1) as u32);
        (Screenshot { width, height, rgb }, memory)
    }

    #[test]
    fn the_text_is_found_wherever_the_display_starts() {
        let text = ["SeaBIOS (version 1.16)", "", "No bootable device.  \x01"];
        for start in [0, 3, 203] {
            let (shot, mut memory) = screen(start, &text);
            // Scrolled away, but still there.
            let before = (start + 300) % 204 * COLUMNS * 2;
            memory[before..before + 2].copy_from_slice(b"x\x07");
            let rows = rows(&shot, &memory).expect("text");
            assert_eq!(rows, ["SeaBIOS (version 1.16)", "", "No bootable device.  ."], "{start}");
        }
    }

    #[test]
    fn a_picture_of_something_else_has_no_text() {
        let (shot, memory) = screen(0, &["text"; ROWS]);
        let other = [b'#', 7].repeat(WINDOW_SIZE / 2);
        assert_eq!(rows(&shot, &other), None);
        assert_eq!(rows(&shot, &memory[1..]), None);
        let graphics = Screenshot { width: 1280, height: 800, rgb: vec![0; 1280 * 800 * 3] };
        assert_eq!(rows(&graphics, &memory), None);
        let cut = Screenshot { rgb: Vec::new(), ..shot };
        assert_eq!(rows(&cut, &memory), None);
    }
}
