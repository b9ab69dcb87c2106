//! A shared source while this copy has it: a small pipeline of its own.
//!
//! ```text
//! source ─▶ raw topic (memory, its part of the budget) ─▶ relay, whose transactions bear the task's name
//!    ▲                                                      │
//!    └──── checkpoints (memory; those that last are Kafka's) ◀┘
//! ```
//!
//! Enters: a source of the configuration, and word that it is this copy's. Leaves: its records in Kafka, until this copy is to stop,
//! its input has ended, or another copy has taken the task over. One pipeline for each task, so that each changes hands alone, and
//! none waits for another one's transaction.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{Context as _, bail};
use threatlockdown_connectors::Stop;
use threatlockdown_topics::kafka::{Relay, Settings};
use threatlockdown_topics::{Publisher, Store, raw_topic};

use super::progress::{Figures, Upkeep};
use crate::commands::sources::{Counted, Place, file_reader};
use crate::config::{self, Config, SourceKind};
use crate::ops::Health;

/// What all tasks are run with.
pub(super) struct Kit {
    pub(super) config: Config,
    pub(super) settings: Settings,
    pub(super) figures: Figures,
    pub(super) health: Arc<Health>,
    /// Bytes that each may have on their way.
    pub(super) budget: usize,
    /// To end when the input has ended.
    pub(super) once: bool,
}

/// See the module.
pub(super) struct Task {
    pub(super) name: String,
    file: config::FileSource,
    kit: Arc<Kit>,
    /// What it counts, however often it comes and goes.
    pub(super) counted: Counted,
    /// Where its units wait, while it runs here.
    topic: Mutex<Option<Publisher>>,
}

/// A stretch of time in which this copy runs a task.
pub(super) struct Stint {
    task: Arc<Task>,
    stop: Stop,
    given_up: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<()>>,
    /// Whether it was to end.
    pub(super) is_asked: bool,
    pub(super) began: Instant,
}

/// Ends the topic also where the source panics: the relay would wait for ever.
struct Closing(Publisher);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Task {
    /// The shared sources of a configuration.
    pub(super) fn all(kit: &Arc<Kit>) -> anyhow::Result<Vec<Arc<Self>>> {
        let mut tasks = Vec::new();
        for source in kit.config.sources.iter().filter(|source| source.is_shared()) {
            let SourceKind::File(file) = &source.kind else { continue };
            let (name, file) = (source.name.clone(), file.clone());
            let counted = Counted::new(&name, &file.source);
            let task = Self { name, file, kit: Arc::clone(kit), counted, topic: Mutex::default() };
            // A pattern that is none is to be told now, and not on the copy that has the task some day.
            let (publisher, _) = raw_topic(1, 1);
            let place =
                Place { config: &kit.config, store: &*Store::in_memory()?, once: true, travels: true };
            let stats = Arc::clone(&task.counted.stats);
            file_reader(&place, &task.name, &task.file, publisher, stats, Stop::default())
                .with_context(|| format!("cannot start the source {}", task.name))?;
            tasks.push(Arc::new(task));
        }
        Ok(tasks)
    }

    /// Where its units wait, while it runs here.
    pub(super) fn topic(&self) -> Option<Publisher> {
        self.topic.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_topic(&self, topic: Option<Publisher>) {
        *self.topic.lock().unwrap_or_else(PoisonError::into_inner) = topic;
    }

    /// By which readiness knows it.
    pub(super) fn key(&self) -> String {
        format!("task {}", self.name)
    }

    /// Whether something is wrong with what it writes to.
    pub(super) fn set_health(&self, failing: Option<String>) {
        self.kit.health.set_storage(&self.key(), failing);
    }

    /// Takes the task over and runs it until it is to stop, or its input has ended; an error if it ends for another reason.
    fn run(&self, stop: &Stop, given_up: &Arc<AtomicBool>) -> anyhow::Result<()> {
        let Kit { config, settings, figures, health, budget, once } = &*self.kit;
        let store = Store::in_memory()?;
        let relay = Relay::open_task(&self.name, settings, Arc::clone(&store))?;
        self.set_health(None);
        let (publisher, consumers) = raw_topic(1, *budget);
        let place = Place { config, store: &store, once: *once, travels: true };
        let stats = Arc::clone(&self.counted.stats);
        let reader = file_reader(&place, &self.name, &self.file, publisher.clone(), stats, stop.clone())?;
        let closing = Closing(publisher.clone());
        let read = std::thread::Builder::new().name(format!("source {}", self.name)).spawn(move || {
            let _closing = closing;
            reader.run()
        })?;
        self.set_topic(Some(publisher));
        if given_up.load(Ordering::Relaxed) {
            self.close();
        }
        tracing::info!(task = self.name, "runs the task");
        let mut upkeep = Upkeep::of_task(self.key(), figures, health, Arc::clone(given_up));
        let carried = consumers.first().map_or(Ok(()), |consumer| relay.run(consumer, &mut upkeep));
        stop.set();
        // The source may be waiting for room.
        drop(consumers);
        let read = read.join();
        self.set_topic(None);
        carried?;
        // A topic that takes no more was closed by whoever gave the task up.
        if read.is_err() {
            bail!("its source panicked");
        }
        Ok(())
    }

    fn close(&self) {
        if let Some(topic) = self.topic() {
            topic.close();
        }
    }
}

impl Stint {
    pub(super) fn begin(task: &Arc<Task>) -> std::io::Result<Self> {
        let (stop, given_up) = (Stop::default(), Arc::new(AtomicBool::new(false)));
        let run = {
            let (task, stop, given_up) = (Arc::clone(task), stop.clone(), Arc::clone(&given_up));
            move || task.run(&stop, &given_up)
        };
        let thread = std::thread::Builder::new().name(format!("task {}", task.name)).spawn(run)?;
        let (task, began) = (Arc::clone(task), Instant::now());
        Ok(Self { task, stop, given_up, thread, is_asked: false, began })
    }

    /// Asks it to end. What is read will be committed.
    pub(super) fn stop(&mut self) {
        if !std::mem::replace(&mut self.is_asked, true) {
            tracing::info!(task = self.task.name, "gives the task up");
        }
        self.stop.set();
    }

    /// Asks it to end at once: another copy reads again what is not committed.
    pub(super) fn give_up(&mut self) {
        self.stop();
        self.given_up.store(true, Ordering::Relaxed);
        self.task.close();
    }

    /// Whether it has not taken the task over yet.
    pub(super) fn is_waiting(&self) -> bool {
        !self.has_ended() && self.task.topic().is_none()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for its end, and tells what it came to.
    pub(super) fn end(self) -> anyhow::Result<()> {
        match self.thread.join() {
            Ok(ended) => ended,
            Err(_) => {
                self.task.set_topic(None);
                bail!("it panicked")
            }
        }
    }
}
