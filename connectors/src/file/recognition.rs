//! Whether a file that was found is one that is known.
//!
//! Enters: an open file and what is remembered of those read so far. Leaves: whether it is to be read now, with the entries
//! set right: a file goes on where it was left, begins anew after it was cut, gets an entry of its own when its inode was
//! used again, or goes on in its compressed copy.

use std::fs::{self, File};
use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::FileSource;
use super::identity::{Print, decompressed_tail_is, head, tail_is};
use super::tracked::{Presence, Tracked, file_id, seen};
use crate::compression::Codec;

impl FileSource {
    /// Whether the file that was found where a known one was left is to be read now. If it was cut, it becomes a new
    /// origin; if it is another file (the inode was used again), it gets an entry of its own.
    pub(super) fn verify(
        &mut self,
        index: usize,
        file: &Arc<File>,
        codec: Codec,
        len: u64,
        now: Instant,
    ) -> io::Result<bool> {
        let guards = self.shared.feed.options.guards;
        let tracked = &mut self.files[index];
        let Some(mark) = &tracked.mark else { return Ok(true) };
        let beginning = head(file)?;
        if !mark.head.begins(&beginning) {
            self.other_file(index, &beginning, &file.metadata()?, now);
            return Ok(false);
        }
        let same = if codec == Codec::Plain {
            len >= mark.offset && tail_is(file, mark.offset, &mark.tail)?
        } else {
            decompressed_tail_is(file, mark.offset, &mark.tail, guards)
        };
        if !same {
            tracked.begin_anew(&self.shared);
        }
        Ok(true)
    }

    /// The inode belongs to another file now: to one that is known and had it, or to a new one.
    fn other_file(&mut self, index: usize, beginning: &[u8], metadata: &fs::Metadata, now: Instant) {
        let id = file_id(metadata);
        let tracked = &mut self.files[index];
        let path = tracked.path.clone();
        tracked.id = (0, 0);
        tracked.presence = Presence::Gone { since: now };
        let had_it = |file: &&mut Tracked| {
            let mark = file.mark.as_ref().filter(|mark| (mark.dev, mark.ino) == id && mark.head.len > 0);
            file.presence != Presence::Present && mark.is_some_and(|mark| mark.head.begins(beginning))
        };
        let others =
            self.files.iter_mut().enumerate().filter(|(other, _)| *other != index).map(|(_, file)| file);
        if let Some(known) = others.into_iter().find(had_it) {
            known.id = id;
            known.is_at(path, seen(metadata), now);
            return;
        }
        let stream = self.new_stream(index);
        self.files.push(Tracked::new(&stream, path, metadata, now));
    }

    /// Whether a compressed file that is not known is to be read as something new. If it is the compressed copy of a
    /// file that is gone, that file goes on in it; while the file is still there, the copy is perhaps not complete.
    pub(super) fn is_new_object(&mut self, index: usize, file: &Arc<File>, now: Instant) -> io::Result<bool> {
        if !self.knows_plain {
            return Ok(true);
        }
        let beginning = head(file)?;
        let this = &self.files[index];
        let settled = self.shared.once || this.is_quiet(now, &self.shared.timing);
        let whole = Print::of(&beginning);
        let mut original = None;
        for (other, known) in self.files.iter().enumerate() {
            let Some(mark) = &known.mark else { continue };
            if mark.compressed || mark.head.len == 0 || other == index {
                continue;
            }
            // One hash for all, but for files that were shorter than a fingerprint.
            let alike = mark.head == whole || (mark.head.len < whole.len && mark.head.begins(&beginning));
            if !alike {
                continue;
            }
            let still_there = known.presence == Presence::Present;
            if still_there && settled {
                continue;
            }
            if still_there || (known.open.is_some() && !known.at_end) {
                return Ok(false);
            }
            if decompressed_tail_is(file, mark.offset, &mark.tail, self.shared.feed.options.guards) {
                original = Some(other);
                break;
            }
            if !settled {
                return Ok(false);
            }
        }
        let Some(original) = original else { return Ok(true) };
        let this = &mut self.files[index];
        this.merged = true;
        let (path, id, seen, changed) = (this.path.clone(), this.id, this.seen, this.changed);
        let known = &mut self.files[original];
        (known.path, known.id, known.seen, known.changed) = (path, id, seen, changed);
        known.presence = Presence::Present;
        known.open = None;
        known.at_end = false;
        known.came_from = None;
        Ok(false)
    }
}
