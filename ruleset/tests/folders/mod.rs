//! Where tests find what is not part of this repository.

use std::path::{Path, PathBuf};

/// The folder with the reference's recorded results and an installation of it, where a copy is at hand.
pub(crate) fn compat() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/compat");
    let folder = std::env::var_os("THREATLOCKDOWN_COMPAT").map_or(default, PathBuf::from);
    let found = folder.is_dir();
    if !found {
        println!("skipped: there is no folder {}", folder.display());
    }
    found.then_some(folder)
}
