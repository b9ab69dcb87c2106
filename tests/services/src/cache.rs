//! Where what was fetched lies: below the user's cache folder, or `THREATLOCKDOWN_CACHE`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Set when all of an entry is there.
const COMPLETE: &str = ".complete";

/// The folder of an entry, filled by `fill` the first time. Two that want the same at once wait for each other, also in
/// different processes, and one that was interrupted is begun anew.
pub(crate) fn entry(name: &str, fill: impl FnOnce(&Path)) -> PathBuf {
    let root = root();
    fs::create_dir_all(&root).unwrap_or_else(|error| panic!("{}: {error}", root.display()));
    let lock = File::create(root.join(format!("{name}.lock"))).expect("a lock file in the cache");
    lock.lock().expect("the lock of a cache entry");
    let entry = root.join(name);
    if !entry.join(COMPLETE).exists() {
        let _ = fs::remove_dir_all(&entry);
        fs::create_dir_all(&entry).expect("a folder in the cache");
        fill(&entry);
        fs::write(entry.join(COMPLETE), "").expect("a mark in the cache");
    }
    entry
}

fn root() -> PathBuf {
    if let Some(set) = std::env::var_os("THREATLOCKDOWN_CACHE") {
        return PathBuf::from(set);
    }
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    base.unwrap_or_else(std::env::temp_dir).join("threatlockdown/servers")
}
