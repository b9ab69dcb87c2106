//! Follows what is published, while a copy works.
//!
//! ```text
//! rulesets ─ RulesetReader ─▶ Catalogue ─ fetch, compile ─▶ ActiveProgram ─▶ workers, between two units
//!                                             └─ fault: the rules in force stay; log, metrics, /readyz
//! ```
//!
//! Enters: what comes to stand under `active`. Leaves: another program in force, or the word why not. Once a published set is
//! in force the files of the configuration are not looked at any more. An owner of counts that meets a candidate of rules
//! which it has not asks to be brought up to date, and waits: what is counted by rules is counted by all of them.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use threatlockdown_analysis::{ActiveProgram, Latest};
use threatlockdown_event::Millis;
use threatlockdown_topics::kafka::rulesets::{Catalogue, RulesetReader, read_catalogue};
use threatlockdown_topics::kafka::{KafkaError, Settings};

use super::compare::Known;
use super::published::{Beginning, Set, Trouble, load};
use super::status::{Attempt, Outcome};
use super::{Requests, Status};
use crate::commands::suppressions;
use crate::ops::Health;

/// How long a request may wait.
const POLL: Duration = Duration::from_millis(200);
/// Between two attempts while the brokers do not answer.
const AGAIN: Duration = Duration::from_secs(2);
/// So long at most an owner of counts is kept waiting; without brokers it could write nothing anyway.
const LONGEST_CATCH_UP: Duration = Duration::from_secs(60);

/// Requests that wait; who has more to ask waits itself.
const WAITING: usize = 16;

/// What the thread is asked.
enum Word {
    /// Try what was refused once more.
    Again,
    /// Bring what is in force up to date, and answer.
    CatchUp(SyncSender<()>),
    Stop,
}

/// For those who ask the thread.
#[derive(Debug, Clone)]
pub(in crate::commands) struct Asks {
    words: SyncSender<Word>,
}

/// The thread's end of it.
pub(in crate::commands) struct Asked {
    words: Receiver<Word>,
}

impl Asks {
    pub(in crate::commands) fn new() -> (Self, Asked) {
        let (sender, receiver) = mpsc::sync_channel(WAITING);
        (Self { words: sender }, Asked { words: receiver })
    }

    /// Asks to try once more what was refused.
    pub(in crate::commands) fn again(&self) {
        // A thread that has ended has nothing to try, and one that is asked so much already will look.
        self.words.try_send(Word::Again).ok();
    }

    /// Asks the thread to end.
    pub(in crate::commands) fn stop(&self) {
        self.words.send(Word::Stop).ok();
    }
}

impl Latest for Asks {
    fn catch_up(&self) {
        let (answer, answered) = mpsc::sync_channel(1);
        if self.words.send(Word::CatchUp(answer)).is_ok() {
            // An error says that the thread has ended: what is in force stays.
            answered.recv_timeout(LONGEST_CATCH_UP).ok();
        }
    }
}

/// What a follower works on.
pub(in crate::commands) struct Follow {
    pub(in crate::commands) settings: Settings,
    pub(in crate::commands) active: Arc<ActiveProgram>,
    pub(in crate::commands) health: Arc<Health>,
    pub(in crate::commands) status: Arc<Status>,
    /// The thread that loads the files of the configuration again, with what ends it.
    pub(in crate::commands) reloader: Option<(Requests, JoinHandle<()>)>,
}

/// Starts the thread; it lasts until it is asked to end.
pub(in crate::commands) fn follow(follow: Follow, asked: Asked, beginning: Beginning) -> std::io::Result<()> {
    let Beginning { known, seen, in_force, refused, .. } = beginning;
    let mut follower = Follower { follow, in_force, known, seen, is_blind: false, is_due: None };
    if !refused.is_empty() {
        follower.refuse(&refused);
    }
    std::thread::Builder::new().name("rulesets".into()).spawn(move || follower.run(&asked.words))?;
    Ok(())
}

struct Follower {
    follow: Follow,
    /// The published version in force; `None`: rules of the configuration are.
    in_force: Option<String>,
    known: Known,
    /// What stands under `active`, as far as is known.
    seen: Option<Vec<u8>>,
    /// The topic cannot be read.
    is_blind: bool,
    /// When the brokers are asked again for pieces that they did not give.
    is_due: Option<Instant>,
}

impl Follower {
    fn run(&mut self, words: &Receiver<Word>) {
        let mut reader = None;
        loop {
            let polled = match &mut reader {
                Some(reader) => RulesetReader::poll(reader, POLL),
                none => RulesetReader::open(&self.follow.settings).map(|opened| {
                    *none = Some(opened);
                    None
                }),
            };
            let mut wait = Duration::ZERO;
            match polled {
                Ok(Some(active)) if self.is_blind || active != self.seen => self.see(active),
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(%error, "what is published is not seen; rules in force stay");
                    self.is_blind = true;
                    self.unseen(&error);
                    (reader, wait) = (None, AGAIN);
                }
            }
            if self.is_due.is_some_and(|due| Instant::now() >= due) {
                self.see(self.seen.clone());
            }
            match words.recv_timeout(wait) {
                Ok(Word::Again) => self.see(self.seen.clone()),
                Ok(Word::CatchUp(answer)) => {
                    self.catch_up();
                    // Whoever asked may have lost patience.
                    answer.send(()).ok();
                }
                Ok(Word::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Reads the topic to the end that it has now: whoever made a candidate had its rules from there.
    fn catch_up(&mut self) {
        let began = Instant::now();
        loop {
            match read_catalogue(&self.follow.settings) {
                Ok(active) => {
                    if active != self.seen || self.is_due.is_some() {
                        self.see(active);
                    }
                    if self.is_due.is_none() {
                        return;
                    }
                }
                Err(error) => tracing::warn!(%error, "what is published is not seen yet"),
            }
            if began.elapsed() >= LONGEST_CATCH_UP {
                return;
            }
            std::thread::sleep(AGAIN);
        }
    }

    /// The brokers do not tell what is published.
    fn unseen(&self, error: &KafkaError) {
        self.follow.health.set_published(Some(format!("it cannot be seen which: {error}")));
    }

    /// Takes what stands under `active`.
    fn see(&mut self, active: Option<Vec<u8>>) {
        (self.is_blind, self.is_due) = (false, None);
        self.seen = active;
        let Some(bytes) = &self.seen else {
            self.follow.health.set_published(None);
            if self.in_force.is_some() {
                tracing::warn!("no rules are published any more; those in force stay until the next start");
            }
            return;
        };
        let catalogue = match Catalogue::decode(bytes) {
            Ok(catalogue) => catalogue,
            Err(error) => return self.refuse(&[error.to_string()]),
        };
        let Some(manifest) = catalogue.active() else { return };
        if self.in_force.as_ref() == Some(&manifest.version) {
            return self.unchanged();
        }
        match load(&self.follow.settings, manifest) {
            Ok(set) => {
                let version = manifest.version.clone();
                self.replace(set, version, &catalogue);
            }
            Err(Trouble::Faults(faults)) => self.refuse(&faults),
            Err(Trouble::Kafka(error)) => {
                tracing::warn!(%error, "a published set cannot be fetched yet");
                self.is_due = Some(Instant::now() + AGAIN);
                self.unseen(&error);
            }
        }
    }

    fn replace(&mut self, set: Set, version: String, catalogue: &Catalogue) {
        let Follow { active, health, status, reloader, .. } = &mut self.follow;
        // What it may be loading at this moment must not come behind the published set.
        if let Some((requests, thread)) = reloader.take() {
            tracing::info!(
                "published rules take the place of those of the configuration, whose files are not loaded again"
            );
            requests.stop();
            if thread.join().is_err() {
                tracing::error!("the thread that loads rules again had died");
            }
            health.set_rules(None);
        }
        let from = active.current().version().to_owned();
        let rules = set.program.rules().len();
        let change = set.known.change_from(&self.known);
        suppressions::announce(&set.program, Millis::now());
        active.replace(set.program);
        health.set_published(None);
        let to = version.clone();
        (self.known, self.in_force) = (set.known, Some(version));
        status.of_published(Attempt { outcome: Outcome::Applied, version: to.clone(), rules });
        let (added, changed, removed) = (change.added, change.changed, change.removed);
        let (by, since) = (&catalogue.by, &catalogue.since);
        tracing::info!(from, to, rules, added, changed, removed, by, since, "published rules loaded");
    }

    /// What is published is in force already.
    fn unchanged(&self) {
        self.follow.health.set_published(None);
        let (version, rules) = self.current();
        tracing::info!(version, rules, "the published rules are those in force");
        self.follow.status.of_published(Attempt { outcome: Outcome::Unchanged, version, rules });
    }

    fn refuse(&self, faults: &[String]) {
        for fault in faults {
            tracing::error!(fault, "published rules");
        }
        let (version, rules) = self.current();
        let why = match faults {
            [first, _, ..] => format!("{first} (and {} more, see the log)", faults.len() - 1),
            _ => faults.concat(),
        };
        let in_force = &version;
        tracing::error!(
            faults = faults.len(),
            in_force,
            "the published rules are not used, those in force stay"
        );
        self.follow.health.set_published(Some(why));
        self.follow.status.of_published(Attempt { outcome: Outcome::Refused, version, rules });
    }

    fn current(&self) -> (String, usize) {
        let program = self.follow.active.current();
        (program.version().to_owned(), program.rules().len())
    }
}
