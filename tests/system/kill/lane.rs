//! Executes the lanes of a load, each in its own thread, next to a process that may die at any moment.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};

use serde_json::Value;

use super::load::{Lane, Step};
use crate::harness::{Client, LOOK, Site};

/// How far the lanes may go: so many of [`Gate::parts`] equal parts of their steps. Opened with the kills, so that these
/// are spread over the whole load without anybody looking at a clock.
pub(super) struct Gate {
    parts: usize,
    open: Mutex<usize>,
    changed: Condvar,
    given_up: AtomicBool,
}

impl Gate {
    pub(super) fn new(parts: usize) -> Self {
        Self { parts, open: Mutex::new(0), changed: Condvar::new(), given_up: AtomicBool::new(false) }
    }

    pub(super) fn open_next(&self) {
        *self.open.lock().unwrap() += 1;
        self.changed.notify_all();
    }

    pub(super) fn open_all(&self) {
        *self.open.lock().unwrap() = self.parts;
        self.changed.notify_all();
    }

    fn pass(&self, step: usize, of: usize) {
        let part = step * self.parts / of;
        let open = self.open.lock().unwrap();
        drop(self.changed.wait_while(open, |open| *open <= part && !self.given_up()).unwrap());
    }

    fn given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }
}

/// Lets the lanes end when the test fails, which would else wait for them for ever.
pub(super) struct GiveUp<'a>(pub(super) &'a Gate);

impl Drop for GiveUp<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.given_up.store(true, Ordering::Relaxed);
            self.0.changed.notify_all();
        }
    }
}

/// Executes a lane to its end. The path of `seen` is where alerts can be watched.
pub(super) fn execute(lane: &Lane, site: &Site, seen: &Path, gate: &Gate) {
    let client = site.client();
    for (number, step) in lane.steps.iter().enumerate() {
        gate.pass(number, lane.steps.len());
        if gate.given_up() {
            return;
        }
        match step {
            Step::Append { file, bytes } => site.append(file, bytes),
            Step::Rotate { file } => rotate(&site.path(file)),
            Step::Truncate { file, marker } => {
                wait_for_alert(seen, marker, gate);
                fs::OpenOptions::new().write(true).open(site.path(file)).unwrap().set_len(0).unwrap();
            }
            Step::Object { file, bytes } => {
                let arriving = site.write("arriving", bytes);
                let path = site.path(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::rename(arriving, path).unwrap();
            }
            Step::Post { path, key, body, accepted, again } => {
                let first = deliver(&client, path, key, body, gate);
                if let Some(first) = &first {
                    let counted = serde_json::from_str::<Value>(first).unwrap()["accepted"].as_u64();
                    assert_eq!(counted, Some(*accepted), "{}: {first}", lane.name);
                }
                if *again {
                    let second = deliver(&client, path, key, body, gate);
                    assert!(second == first || gate.given_up(), "{first:?}, then {second:?}");
                }
            }
        }
    }
}

/// Sends until the answer is 200, as a client does that must not lose anything; `None` when the test was given up.
fn deliver(client: &Client, path: &str, key: &str, body: &[u8], gate: &Gate) -> Option<String> {
    loop {
        match client.try_post(path, &[("Idempotency-Key", key)], body) {
            Ok(reply) if reply.status == 200 => return Some(reply.body),
            Ok(reply) => assert!(matches!(reply.status, 429 | 500..), "{path}: {reply:?}"),
            // It was killed, or has not yet started again.
            Err(_) => {}
        }
        if gate.given_up() {
            return None;
        }
        std::thread::sleep(LOOK);
    }
}

fn rotate(path: &Path) {
    let numbered = |number: usize| PathBuf::from(format!("{}.{number}", path.display()));
    let mut last = 1;
    while numbered(last).exists() {
        last += 1;
    }
    for number in (1..last).rev() {
        fs::rename(numbered(number), numbered(number + 1)).unwrap();
    }
    fs::rename(path, numbered(1)).unwrap();
}

fn wait_for_alert(seen: &Path, marker: &str, gate: &Gate) {
    while !gate.given_up() {
        let bytes = fs::read(seen).unwrap_or_default();
        if String::from_utf8_lossy(&bytes).contains(marker) {
            return;
        }
        std::thread::sleep(LOOK * 10);
    }
}
