//! Where tiles are: the paths of c2sp.org/tlog-tiles. (Those of `tlog_tiles` are the ones of Go's
//! checksum database, which have the height in them.)

use std::fmt;

/// Hashes in a full tile, entries in a full bundle.
pub const WIDTH: u64 = 256;
/// Height of a tile: 2^8 hashes.
pub const HEIGHT: u8 = 8;
/// The most entries of a log that this program works with. Far above what any party records, and
/// small enough that no index computed from it overflows.
pub const MAX_SIZE: u64 = 1 << 40;

/// The row that a tile is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Row {
    /// Hashes of this level; level 0 has the leaves.
    Level(u8),
    /// The entries themselves.
    Entries,
}

/// A tile, full or partial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// Its row.
    pub row: Row,
    /// Its place in the row, from 0.
    pub index: u64,
    /// Hashes or entries in it, 1 to [`WIDTH`].
    pub width: u64,
}

impl Tile {
    /// The full tile in its place.
    pub const fn full(self) -> Self {
        Self { width: WIDTH, ..self }
    }

    /// True if it is full.
    pub const fn is_full(self) -> bool {
        self.width == WIDTH
    }

    /// The path without `.p/<W>`.
    fn place(self) -> String {
        let mut path = match self.row {
            Row::Level(level) => format!("tile/{level}/"),
            Row::Entries => "tile/entries/".to_owned(),
        };
        let digits = format!("{:03}", self.index);
        // Groups of three digits from the right, all but the last led by an x.
        let padded = format!("{digits:0>width$}", width = digits.len().div_ceil(3) * 3);
        let groups = padded.len() / 3;
        for at in 0..groups {
            if at + 1 < groups {
                path.push('x');
            }
            path.push_str(padded.get(3 * at..3 * at + 3).unwrap_or_default());
            if at + 1 < groups {
                path.push('/');
            }
        }
        path
    }

    /// Folder of the partial tiles in its place.
    pub fn partials(self) -> String {
        format!("{}.p", self.place())
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_full() {
            f.write_str(&self.place())
        } else {
            write!(f, "{}.p/{}", self.place(), self.width)
        }
    }
}

/// Whether this is the path of a tile or a bundle, in its one form: what a server may be asked for.
pub fn is_tile_path(path: &str) -> bool {
    parse(path).is_some_and(|tile| tile.to_string() == path)
}

fn parse(path: &str) -> Option<Tile> {
    let (row, rest) = path.strip_prefix("tile/")?.split_once('/')?;
    let row = if row == "entries" { Row::Entries } else { Row::Level(row.parse().ok()?) };
    let (place, width) = match rest.split_once(".p/") {
        Some((place, width)) => (place, width.parse().ok().filter(|w| (1..WIDTH).contains(w))?),
        None => (rest, WIDTH),
    };
    let digits: String = place.split('/').map(|group| group.trim_start_matches('x')).collect();
    let index = digits.parse().ok().filter(|index| *index <= MAX_SIZE)?;
    Some(Tile { row, index, width })
}

/// The tiles that end a tree of this size, one for each level that has a partial one, and the
/// partial bundle of entries.
pub fn right_edge(size: u64) -> Vec<Tile> {
    let mut tiles = Vec::new();
    let mut hashes = size;
    for level in 0..64 {
        if hashes == 0 {
            break;
        }
        let (index, width) = (hashes / WIDTH, hashes % WIDTH);
        if width > 0 {
            if level == 0 {
                tiles.push(Tile { row: Row::Entries, index, width });
            }
            tiles.push(Tile { row: Row::Level(level), index, width });
        }
        hashes = index;
    }
    tiles
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        // c2sp.org/tlog-tiles, "Merkle Tree": index 1234067 is x001/x234/067.
        let tile = Tile { row: Row::Level(4), index: 1_234_067, width: WIDTH };
        assert_eq!(tile.to_string(), "tile/4/x001/x234/067");
        let tile = Tile { row: Row::Entries, index: 0, width: 5 };
        assert_eq!(tile.to_string(), "tile/entries/000.p/5");
    }

    #[test]
    fn only_paths_of_tiles_are_taken_for_some() {
        for good in ["0/000", "entries/x001/x234/067", "1/000.p/17", "entries/000.p/255", "63/001"]
        {
            assert!(is_tile_path(&format!("tile/{good}")), "{good}");
        }
        for bad in [
            "",
            "0",
            "0/",
            "0/00",
            "0/0000",
            "../secret/log.pem",
            "0/../000",
            "0/000.p/../x",
            "0/x000",
            "00/000",
            "+1/000",
            "entries/001/067",
            "entries/x000/067",
            "entries/000.p/",
            "entries/000.p/0",
            "entries/000.p/256",
            "entries/000.p/017",
            "entries/000.p/1/2",
            ".lock/000",
            "0//000",
            "0/000\0",
        ] {
            assert!(!is_tile_path(&format!("tile/{bad}")), "{bad}");
        }
        assert!(!is_tile_path("0/000"));
    }

    #[test]
    fn the_right_edge_is_that_of_the_specifications_example() {
        // "a tree of size 70,000 will be represented by 273 full level 0 tiles, one partial level 0
        // tile of width 112, one full level 1 tile, one partial level 1 tile of width 17, and one
        // partial level 2 tile of width 1".
        let edge: Vec<_> = right_edge(70_000).iter().map(ToString::to_string).collect();
        assert_eq!(
            edge,
            ["tile/entries/273.p/112", "tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]
        );
        let edge: Vec<_> = right_edge(256).iter().map(ToString::to_string).collect();
        assert_eq!(edge, ["tile/1/000.p/1"]);
        assert!(right_edge(0).is_empty());
    }

    proptest! {
        #[test]
        fn no_two_tiles_have_one_path(
            one in (0..3_000_000_u64, 1..=WIDTH), two in (0..3_000_000_u64, 1..=WIDTH)
        ) {
            let path = |(index, width)| Tile { row: Row::Entries, index, width }.to_string();
            prop_assert_eq!(one == two, path(one) == path(two));
        }

        #[test]
        fn paths_are_those_of_go_but_for_the_height(n in 0..1_u64 << 40, w in 1..=256_u32, l in 0..6_u8) {
            let tile = Tile { row: Row::Level(l), index: n, width: u64::from(w) };
            let go = tlog_tiles::Tile::new(8, l, n, w, false).path();
            prop_assert_eq!(tile.to_string(), go.replacen("tile/8/", "tile/", 1));
            prop_assert!(is_tile_path(&tile.to_string()));
        }
    }
}
