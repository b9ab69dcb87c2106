//! Whether a file that was found is one that is known.
//!
//! Enters: an open file and what is remembered of those read so far. Leaves: whether it is to be read now, with the entries
//! set right: a file goes on where it was left, begins anew after it was cut, gets an entry of its own when its inode was
//! used again, or goes on in its compressed copy.
//!
//! Where a source travels, inodes of earlier processes say nothing. A file is one that was read elsewhere if it begins as that
//! one did and holds, before the place where that was left, what was read there last. Of several that are alike (a header and
//! nothing else) the one with the same path counts, so a path goes before a content, and a content before being new.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::checkpoint::Checkpoint;
use super::identity::{Print, decompressed_tail_is, head, tail_is};
use super::tracked::{Presence, Tracked, file_id, seen};
use super::{FileSource, Opening};
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
        self.goes_on_as(original, index);
        Ok(false)
    }

    /// The file that was found is one that is known, under another name or elsewhere.
    fn goes_on_as(&mut self, original: usize, index: usize) {
        let this = &mut self.files[index];
        this.merged = true;
        let (path, id, seen, changed) = (this.path.clone(), this.id, this.seen, this.changed);
        let known = &mut self.files[original];
        known.is_back(id);
        (known.path, known.seen, known.changed) = (path, seen, changed);
        known.presence = Presence::Present;
        known.open = None;
        known.at_end = known.mark.as_ref().is_some_and(|mark| mark.finished == Some(seen));
        known.came_from = None;
    }

    /// Of objects that were read to their end elsewhere, by the path that they had there: that they are the same is seen
    /// without opening them.
    pub(super) fn returning_objects(&mut self) -> HashMap<PathBuf, usize> {
        if !self.knows_returning {
            return HashMap::new();
        }
        self.knows_returning = self.files.iter().any(|file| file.returning);
        let finished = |file: &&Tracked| file.mark.as_ref().is_some_and(|mark| mark.finished.is_some());
        let returning = self.files.iter().enumerate().filter(|(_, file)| file.returning && finished(file));
        returning.map(|(index, file)| (file.path.clone(), index)).collect()
    }

    /// What is to be done with a file that is not known by its inode, if it is one that was read elsewhere; `None`: it is new.
    pub(super) fn recognise(
        &mut self,
        index: usize,
        file: &Arc<File>,
        codec: Codec,
        now: Instant,
    ) -> io::Result<Option<Opening>> {
        if !self.knows_returning {
            return Ok(None);
        }
        let beginning = head(file)?;
        let this = &self.files[index];
        // That of the same path, else the one that was read furthest: the others only begin like it.
        let mut best: Option<(bool, u64, usize)> = None;
        for (other, known) in self.files.iter().enumerate() {
            let Some(mark) = known.mark.as_ref().filter(|_| known.returning) else { continue };
            let is_there = known.path == this.path;
            if is_there && codec == Codec::Plain && this.seen.0 < mark.offset && self.is_young(known, now) {
                // A network file system may show an older length for a while. A file that was cut stays so.
                self.files[index].retry_at = now.checked_add(self.shared.timing.rescan);
                return Ok(Some(Opening::NotYet));
            }
            if best < Some((is_there, mark.offset, other))
                && self.is_continued(mark, file, codec, &beginning, this.seen)?
                && (is_there || !self.is_claimed(known, index))
            {
                best = Some((is_there, mark.offset, other));
            }
        }
        let Some((_, _, original)) = best else { return Ok(None) };
        self.goes_on_as(original, index);
        Ok(Some(Opening::Sorted))
    }

    /// Whether so little time has passed since the start that the file system may not be heard of yet.
    fn is_young(&self, known: &Tracked, now: Instant) -> bool {
        match known.presence {
            Presence::Lost { since } | Presence::Gone { since } => {
                now.saturating_duration_since(since) < self.shared.timing.quiet
            }
            Presence::Present => false,
        }
    }

    /// Whether a file holds what was read up to a checkpoint.
    fn is_continued(
        &self,
        mark: &Checkpoint,
        file: &Arc<File>,
        codec: Codec,
        beginning: &[u8],
        seen: (u64, i64),
    ) -> io::Result<bool> {
        if mark.head.len == 0 || !mark.head.begins(beginning) {
            return Ok(false);
        }
        if codec == Codec::Plain {
            return Ok(seen.0 >= mark.offset && tail_is(file, mark.offset, &mark.tail)?);
        }
        let guards = self.shared.feed.options.guards;
        Ok(mark.finished == Some(seen) || decompressed_tail_is(file, mark.offset, &mark.tail, guards))
    }

    /// Whether another file has the path of one that was read elsewhere, and is that one.
    fn is_claimed(&self, known: &Tracked, index: usize) -> bool {
        let Some(mark) = &known.mark else { return false };
        let is_at = |file: &Tracked| file.presence == Presence::Present && file.path == known.path;
        let is_other = |(other, file): (usize, &Tracked)| other != index && !file.merged && is_at(file);
        if !self.files.iter().enumerate().any(is_other) {
            return false;
        }
        let is_it = || -> io::Result<bool> {
            let file = Arc::new(File::open(&known.path)?);
            let mut magic = [0; 4];
            let count = file.read_at(&mut magic, 0)?;
            let seen = seen(&file.metadata()?);
            self.is_continued(mark, &file, Codec::of(&magic[..count]), &head(&file)?, seen)
        };
        is_it().unwrap_or(false)
    }
}
