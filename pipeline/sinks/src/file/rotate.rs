//! Renames a full file to `<path>.1`, and `.1` to `.2` before, and so on.
//!
//! It may be killed between any two renames and is then done again from the beginning: only the names up to the first
//! gap move, so that no second attempt pushes out a file that the first one had made room for.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::state::{Identity, State};

/// Moves the file away; the path is free afterwards.
pub(super) fn rotate(path: &Path, keep: u32) -> io::Result<()> {
    let keep = keep.max(1);
    let gap = (1..keep).find(|number| !rotated(path, *number).exists()).unwrap_or(keep);
    for number in (1..gap).rev() {
        fs::rename(rotated(path, number), rotated(path, number + 1))?;
    }
    fs::rename(path, rotated(path, 1))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Whether the path is the file itself: through a symbolic link (`/dev/stdout`) nothing is renamed.
pub(super) fn is_in_place(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file())
}

/// Where `<path>.1` is the file that a state names, cuts it back to the state's length: someone else moved it while
/// it was written to, and the lines behind will be delivered again. Returns whether it is that file.
pub(super) fn cut_rotated(path: &Path, stored: State) -> io::Result<bool> {
    let first = rotated(path, 1);
    if Identity::of(&first)? != Some(stored.identity) {
        return Ok(false);
    }
    let file = OpenOptions::new().write(true).open(&first)?;
    if file.metadata()?.len() > stored.length {
        file.set_len(stored.length)?;
        file.sync_data()?;
    }
    Ok(true)
}

fn rotated(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    PathBuf::from(name)
}
