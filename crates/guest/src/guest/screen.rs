//! Known phrases on a picture of a text screen, whatever its font.
//!
//! Text screens are cells of one size, and in one font the same letter is the same picture. So a phrase is
//! found by its pattern: cells that are alike where its letters are alike, and different where they are
//! different, blank where it has spaces. That needs no font of ours, which differs between firmwares, VGA
//! modes and frame buffers; and a phrase with enough letters that come again is found nowhere else.

use std::collections::HashMap;

use hospitium_host::Screenshot;

use super::trouble::{SIGNS, Sign};

/// Letters that have to come again in a phrase. With fewer a stranger's words could have the same pattern.
const LEAST_REPEATED: usize = 4;
/// Largest picture that is looked at, in pixels.
const LARGEST: u64 = 16 << 20;
/// Highest cell in pixels.
const HIGHEST: usize = 19;

/// Pictures of letters by number; 0 is a blank.
struct Cells {
    columns: usize,
    glyphs: Vec<u16>,
}

/// Where cells are: their size, how many, and the pixel of the first.
#[derive(Debug, Clone, Copy)]
struct Grid {
    cell: (usize, usize),
    count: (usize, usize),
    from: (usize, usize),
}

/// The saying that stands on the screen, the first of the table if there are several.
pub fn recognise(picture: &Screenshot) -> Option<&'static Sign> {
    let pixels = u64::from(picture.width) * u64::from(picture.height);
    if pixels == 0 || pixels > LARGEST || picture.rgb.len() as u64 != pixels * 3 {
        return None;
    }
    grids(picture.width as usize, picture.height as usize).into_iter().find_map(|grid| {
        let cells = Cells::read(picture, grid)?;
        SIGNS.iter().find(|sign| cells.hold(sign.says))
    })
}

/// How text can be laid out on a screen of this size: VGA's text modes (cells of 9 or 8 × 16), the kernel's
/// frame buffer (8 × 16), and UEFI's console (8 × 19, its modes in the middle of the screen).
fn grids(width: usize, height: usize) -> Vec<Grid> {
    let whole = |cell: (usize, usize)| Grid {
        cell,
        count: (width / cell.0, height / cell.1),
        from: (0, 0),
    };
    let mut grids = Vec::new();
    if width.is_multiple_of(9) {
        grids.push(whole((9, 16)));
    }
    grids.push(whole((8, 16)));
    let (most, high) = (width / 8, height / 19);
    for count in [(80, 25), (80, 50), (100, 31), (most, high)] {
        if count.0 <= most && count.1 <= high {
            let from = ((width - count.0 * 8) / 2, (height - count.1 * 19) / 2);
            grids.push(Grid { cell: (8, 19), count, from });
        }
    }
    grids
}

impl Cells {
    /// Takes the picture apart. `None` if it has more different cells than any font has letters: no text.
    fn read(picture: &Screenshot, grid: Grid) -> Option<Self> {
        const MOST_LETTERS: usize = 512;
        let mut numbers: HashMap<[u16; HIGHEST], u16> = HashMap::new();
        let mut glyphs = Vec::with_capacity(grid.count.0 * grid.count.1);
        for row in 0..grid.count.1 {
            for column in 0..grid.count.0 {
                let at = (grid.from.0 + column * grid.cell.0, grid.from.1 + row * grid.cell.1);
                let shape = shape(picture, at, grid.cell)?;
                if shape == [0; HIGHEST] {
                    glyphs.push(0);
                    continue;
                }
                let next = u16::try_from(numbers.len() + 1).ok()?;
                glyphs.push(*numbers.entry(shape).or_insert(next));
                if numbers.len() > MOST_LETTERS {
                    return None;
                }
            }
        }
        Some(Self { columns: grid.count.0, glyphs })
    }

    /// True if a row holds the phrase.
    fn hold(&self, phrase: &str) -> bool {
        let letters = phrase.as_bytes();
        repeated(letters) >= LEAST_REPEATED
            && self.columns > 0
            && self
                .glyphs
                .chunks(self.columns)
                .any(|row| row.windows(letters.len()).any(|cells| is_alike(cells, letters)))
    }
}

/// How many letters of a phrase come again.
fn repeated(letters: &[u8]) -> usize {
    let letters: Vec<u8> = letters.iter().copied().filter(|&letter| letter != b' ').collect();
    let mut different = letters.clone();
    different.sort_unstable();
    different.dedup();
    letters.len() - different.len()
}

/// True if cells and letters have the same pattern.
fn is_alike(cells: &[u16], letters: &[u8]) -> bool {
    let mut cell_of = [0_u16; 256];
    for (n, (&cell, &letter)) in cells.iter().zip(letters).enumerate() {
        if (cell == 0) != (letter == b' ') {
            return false;
        }
        if cell == 0 {
            continue;
        }
        let known = &mut cell_of[usize::from(letter)];
        if *known == 0 {
            // Of another letter already?
            if cells[..n].contains(&cell) {
                return false;
            }
            *known = cell;
        } else if *known != cell {
            return false;
        }
    }
    true
}

/// One cell's picture: a bit for each pixel that is not of the colour of most.
fn shape(
    picture: &Screenshot,
    (left, top): (usize, usize),
    (width, height): (usize, usize),
) -> Option<[u16; HIGHEST]> {
    let stride = picture.width as usize * 3;
    let mut rows = [&[][..]; HIGHEST];
    for (y, row) in rows.iter_mut().enumerate().take(height) {
        let from = (top + y) * stride + left * 3;
        *row = picture.rgb.get(from..from + width * 3)?;
    }
    let pixels = || rows[..height].iter().flat_map(|row| row.chunks_exact(3));
    // Text has two colours; the one of more pixels is the ground.
    let first = pixels().next()?;
    let of_first = pixels().filter(|pixel| *pixel == first).count();
    let other = pixels().find(|pixel| *pixel != first);
    let ground = match other {
        Some(other) if of_first * 2 < width * height => other,
        _ => first,
    };
    let mut shape = [0; HIGHEST];
    for (bits, row) in shape.iter_mut().zip(&rows[..height]) {
        for (x, pixel) in row.chunks_exact(3).enumerate() {
            *bits |= u16::from(pixel != ground) << x;
        }
    }
    Some(shape)
}

#[cfg(test)]
mod tests {
    use super::super::trouble::Kind;
    use super::*;

    /// A made-up font: the letter's number as a pattern of pixels.
    fn draw(text: &[&str], grid: Grid, (width, height): (u32, u32)) -> Screenshot {
        let mut rgb = vec![0; width as usize * height as usize * 3];
        for (row, line) in text.iter().enumerate() {
            for (column, letter) in line.bytes().enumerate().filter(|(_, letter)| *letter != b' ') {
                for bit in 0..8 {
                    if letter >> bit & 1 == 1 {
                        let x = grid.from.0 + column * grid.cell.0 + 2 + bit % 4;
                        let y = grid.from.1 + row * grid.cell.1 + 3 + bit / 4 * 5;
                        let at = (y * width as usize + x) * 3;
                        rgb[at..at + 3].fill(0xAA);
                    }
                }
            }
        }
        Screenshot { width, height, rgb }
    }

    #[test]
    fn a_phrase_is_found_on_every_kind_of_text_screen() {
        let text = [
            "SeaBIOS (version 1.16.2-debian-1.16.2-1)",
            "",
            "Booting from Hard Disk...",
            "Boot failed: not a bootable disk",
            "",
            "No bootable device.",
        ];
        for size in [(720, 400), (640, 400), (640, 480), (800, 600), (1280, 800), (1024, 768)] {
            for grid in grids(size.0 as usize, size.1 as usize) {
                let sign = recognise(&draw(&text, grid, size)).expect("is there");
                // In a layout that is a few lines off, one of them can be cut in two.
                assert!(text.iter().any(|line| line.contains(sign.says)), "{size:?} {grid:?}");
            }
        }
    }

    #[test]
    fn an_ordinary_screen_holds_no_saying() {
        let text = [
            "SeaBIOS (version 1.16.2-debian-1.16.2-1)",
            "iPXE (https://ipxe.org) 00:03.0 CA00 PCI2.10 PnP PMM+07F8F340+07ECF340 CA00",
            "Booting from Hard Disk...",
            "Welcome to GRUB!",
            "Loading Linux 6.1.0-50-amd64 ...",
            "Loading initial ramdisk ...",
            "[    0.000000] Linux version 6.1.0-50-amd64 (debian-kernel@lists.debian.org)",
            "Debian GNU/Linux 12 hospitium tty1",
            "hospitium login: _",
        ];
        let size = (720, 400);
        for grid in grids(720, 400) {
            assert_eq!(recognise(&draw(&text, grid, size)), None);
        }
    }

    #[test]
    fn the_sayings_of_firmware_have_patterns_of_their_own() {
        let on_screens =
            SIGNS.iter().filter(|sign| repeated(sign.says.as_bytes()) >= LEAST_REPEATED);
        let on_screens: Vec<_> = on_screens.collect();
        for wanted in ["No bootable device", "BOOTMGR is missing", "Kernel panic - not syncing"] {
            assert!(on_screens.iter().any(|sign| sign.says == wanted), "{wanted}");
        }
        for (n, a) in on_screens.iter().enumerate() {
            for b in &on_screens[n + 1..] {
                if a.says.len() == b.says.len() {
                    let cells: Vec<u16> =
                        a.says.bytes().map(|c| if c == b' ' { 0 } else { c.into() }).collect();
                    assert!(!is_alike(&cells, b.says.as_bytes()), "{} and {}", a.says, b.says);
                }
            }
        }
        assert!(on_screens.iter().any(|sign| sign.kind == Kind::NoRoot));
    }

    #[test]
    fn hostile_pictures_are_survived() {
        for (width, height, bytes) in
            [(0, 0, 0), (720, 400, 3), (u32::MAX, u32::MAX, 0), (7, 5, 105)]
        {
            let picture = Screenshot { width, height, rgb: vec![1; bytes] };
            assert_eq!(recognise(&picture), None);
        }
        let mut noise = draw(&[], grids(720, 400)[0], (720, 400));
        let mut state = 1_u32;
        for byte in &mut noise.rgb {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (state >> 24) as u8;
        }
        assert_eq!(recognise(&noise), None);
    }
}
