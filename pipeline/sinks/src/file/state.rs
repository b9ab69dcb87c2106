//! What a file sink stores with its cursor: which file, and how long it was.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

const VERSION: u8 = 1;

/// Which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

/// A file and the length up to which its lines are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) identity: Identity,
    pub(super) length: u64,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u8,
    #[serde(flatten)]
    identity: Identity,
    length: u64,
}

impl Identity {
    /// Of what a path leads to, if that is there.
    pub(super) fn of(path: &Path) -> io::Result<Option<Self>> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(Some(Self::from(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl From<&Metadata> for Identity {
    fn from(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

impl State {
    pub(super) fn encode(self) -> Vec<u8> {
        let stored = Stored { version: VERSION, identity: self.identity, length: self.length };
        // Numbers only: serialising them cannot fail.
        serde_json::to_vec(&stored).unwrap_or_default()
    }

    /// `None` where nothing was stored.
    pub(super) fn decode(bytes: &[u8]) -> Result<Option<Self>, String> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let stored: Stored = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if stored.version != VERSION {
            return Err(format!("it has version {}, which this release does not know", stored.version));
        }
        Ok(Some(Self { identity: stored.identity, length: stored.length }))
    }
}
