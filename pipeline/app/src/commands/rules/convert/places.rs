//! Where events stand that are shown.
//!
//! Enters: places as they were read: file and byte. Leaves: text: file and line where the file is plain text, else file and byte,
//! as alerts name them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};

use threatlockdown_ruleset::convert::prove::Spot;

/// The first bytes of gzip and zstd.
const PACKED: [&[u8]; 2] = [&[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd]];

/// Names the places; `origin` tells in what each stands.
pub(super) fn name(
    spots: impl Iterator<Item = Spot>,
    origin: impl Fn(Spot) -> Option<String>,
) -> BTreeMap<Spot, String> {
    let mut by_file: BTreeMap<String, BTreeSet<(u64, Spot)>> = BTreeMap::new();
    for spot in spots {
        if let Some(file) = origin(spot) {
            by_file.entry(file).or_default().insert((spot.place, spot));
        }
    }
    let mut names = BTreeMap::new();
    for (file, spots) in by_file {
        let offsets: Vec<u64> = spots.iter().map(|(offset, _)| *offset).collect();
        let lines = lines(&file, &offsets).unwrap_or_default();
        for (at, (offset, spot)) in spots.iter().enumerate() {
            let name = match lines.get(at) {
                Some(line) => format!("{file}:{line} (byte {offset})"),
                None => format!("{file}, byte {offset}"),
            };
            names.insert(*spot, name);
        }
    }
    names
}

/// The lines in which the bytes stand, which are in order; nothing where the file has none or is gone.
fn lines(file: &str, offsets: &[u64]) -> Option<Vec<u64>> {
    if !std::fs::metadata(file).ok()?.is_file() {
        return None;
    }
    let mut reader = BufReader::with_capacity(1 << 16, File::open(file).ok()?);
    let head = reader.fill_buf().ok()?;
    if PACKED.iter().any(|magic| head.starts_with(magic)) {
        return None;
    }
    let (mut lines, mut line, mut at) = (Vec::new(), 1, 0);
    let mut buffer = Vec::new();
    for &offset in offsets {
        while at < offset {
            buffer.clear();
            let wanted = (offset - at).min(1 << 16);
            let read = reader.by_ref().take(wanted).read_to_end(&mut buffer).ok()? as u64;
            if read == 0 {
                return None;
            }
            line += memchr::memchr_iter(b'\n', &buffer).count() as u64;
            at += read;
        }
        lines.push(line);
    }
    Some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_plain_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("a.log"), format!("one\n{}\nthree\n", "x".repeat(200_000))).unwrap();
        std::fs::write(path("b.gz"), [0x1f, 0x8b, b'\n', b'\n']).unwrap();
        let spot = |stream, place| Spot { stream, sequence: 0, index: 0, place };
        let spots = [spot(0, 200_005), spot(0, 0), spot(0, 4), spot(1, 3), spot(2, 9), spot(3, 1)];
        let files = [path("a.log"), path("b.gz"), "stdin".to_owned()];
        let names = name(spots.into_iter(), |spot| files.get(spot.stream as usize).cloned());
        let name = |stream, place| names.get(&spot(stream, place)).map(String::as_str);
        assert_eq!(name(0, 0), Some(&*format!("{}:1 (byte 0)", files[0])));
        assert_eq!(name(0, 4), Some(&*format!("{}:2 (byte 4)", files[0])));
        assert_eq!(name(0, 200_005), Some(&*format!("{}:3 (byte 200005)", files[0])));
        assert_eq!(name(1, 3), Some(&*format!("{}, byte 3", files[1])));
        assert_eq!(name(2, 9), Some("stdin, byte 9"));
        assert_eq!(name(3, 1), None);
    }
}
