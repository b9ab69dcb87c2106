//! The shared sources: which of them this copy runs, as the group of all copies says.
//!
//! ```text
//! group ─▶ is it ours? ─┬ ours ─────────▶ runs; after a fault again, after a pause that grows
//!                       ├ to be given up ▶ source stops, what is read is committed, then the partition goes
//!                       └ lost ─────────▶ ends without waiting for anything
//! ```
//!
//! Enters: word of the group. Leaves: running tasks ([`Task`]). A copy that believes to have a task which is another one's cannot
//! write for it: its relay is fenced by the other's. That ends the task and never the process, and it is tried again as long as
//! the group leaves it here, so the copy that the group means has the last word. All tasks together have one part of the bytes that
//! may be on their way, in equal shares: what a copy gets may change at any time, and must fit then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use threatlockdown_connectors::Stop;
use threatlockdown_topics::Publisher;
use threatlockdown_topics::kafka::{Holding, KafkaError, TaskGroup};

use super::progress::LONG;
use super::task::{Kit, Stint, Task};
use crate::commands::in_words;
use crate::commands::sources::Counted;
use crate::metrics::{Metrics, Probe, ProbeKind, Reading};

/// Between two looks at the group, and at what runs.
const LOOK: Duration = Duration::from_millis(200);
/// Before a group that could not be joined is joined again.
const AGAIN: Duration = Duration::from_secs(2);
/// So long what is read may take to be committed, before a partition goes all the same.
const HANDOVER: Duration = Duration::from_secs(15);
/// Before a task that has failed runs again: so long the first time, and no longer than that.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];
/// A task that ran for so long has not failed again.
const STEADY: Duration = Duration::from_secs(60);
/// By which readiness knows the group.
const GROUP: &str = "collect group";

/// See the module.
pub(super) struct Tasks {
    all: Vec<Arc<Task>>,
    stop: Stop,
    has_ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread has.
struct Crew {
    kit: Arc<Kit>,
    group: TaskGroup,
    posts: Vec<Post>,
    stop: Stop,
    has_ended: Arc<AtomicBool>,
    /// Since when partitions are to be given up.
    leaving: Option<Instant>,
    /// Since when there is no group.
    failing: Option<Instant>,
}

/// A task, and how it gets on here.
struct Post {
    task: Arc<Task>,
    stint: Option<Stint>,
    /// Its input has ended.
    has_ended: bool,
    pause: Duration,
    /// Not to be run before.
    retry_at: Option<Instant>,
    /// Since when it fails.
    failing: Option<Instant>,
}

impl Tasks {
    /// Joins the group; `None` where no source is shared.
    pub(super) fn start(kit: Kit, metrics: &mut Metrics) -> anyhow::Result<Option<Self>> {
        let kit = Arc::new(kit);
        let all = Task::all(&kit)?;
        if all.is_empty() {
            return Ok(None);
        }
        gauge(metrics, &all);
        let (stop, has_ended) = (Stop::default(), Arc::new(AtomicBool::new(false)));
        let crew = Crew {
            group: TaskGroup::new(&kit.settings),
            kit,
            posts: all.iter().map(Post::new).collect(),
            stop: stop.clone(),
            has_ended: Arc::clone(&has_ended),
            leaving: None,
            failing: None,
        };
        let thread = std::thread::Builder::new().name("tasks".into()).spawn(move || crew.run());
        let thread = Some(thread.context("cannot start the shared sources")?);
        Ok(Some(Self { all, stop, has_ended, thread }))
    }

    /// What its sources count.
    pub(super) fn counted(&self) -> impl Iterator<Item = Counted> {
        self.all.iter().map(|task| task.counted.clone())
    }

    /// Where units wait of those that run here.
    pub(super) fn topics(&self) -> impl Fn() -> Vec<Publisher> + Clone + Send + Sync + 'static {
        let all = self.all.clone();
        move || all.iter().filter_map(|task| task.topic()).collect()
    }

    /// Whether all that this copy has is read to its end; an error if nobody looks after them any more.
    pub(super) fn all_ended(&self) -> anyhow::Result<bool> {
        if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
            bail!("what runs the shared sources ended");
        }
        Ok(self.has_ended.load(Ordering::Acquire))
    }

    /// Asks all to end.
    pub(super) fn stop(&self) {
        self.stop.set();
    }

    /// Waits until what is read is committed and the group is left.
    pub(super) fn finish(mut self) -> bool {
        self.stop();
        self.thread.take().is_none_or(|thread| thread.join().is_ok())
    }
}

/// Which tasks run here, so that it can be seen that each runs somewhere.
fn gauge(metrics: &mut Metrics, all: &[Arc<Task>]) {
    let all = all.to_vec();
    let reading = |task: &Arc<Task>| Reading {
        labels: vec![("task", task.name.clone())],
        value: f64::from(u8::from(task.topic().is_some())),
    };
    metrics.probe(Probe {
        name: "collect_tasks",
        help: "Shared sources that this copy runs",
        kind: ProbeKind::Gauge,
        read: Box::new(move || all.iter().map(reading).collect()),
    });
}

impl Crew {
    fn run(mut self) {
        while !self.stop.is_set() {
            match self.group.poll(LOOK) {
                Ok(()) => {
                    if self.failing.take().is_some() {
                        self.kit.health.set_storage(GROUP, None);
                    }
                }
                Err(error) => self.failed(&error),
            }
            self.turn();
        }
        for stint in self.posts.iter_mut().filter_map(|post| post.stint.as_mut()) {
            stint.stop();
        }
        for post in &mut self.posts {
            // One that still waits for the brokers has read nothing, and will not any more.
            match post.stint.as_ref().is_some_and(Stint::is_waiting) {
                true => drop(post.stint.take()),
                false => post.end(),
            }
        }
        self.group.leave();
    }

    /// There is no group now, so nothing is this copy's.
    fn failed(&mut self, error: &KafkaError) {
        tracing::warn!(%error, "cannot take part in dividing the shared sources; tried again");
        let since = *self.failing.get_or_insert_with(Instant::now);
        if since.elapsed() >= LONG {
            let why = format!("shared sources are not divided: {error}");
            self.kit.health.set_storage(GROUP, Some(why));
        }
        self.turn();
        self.stop.wait(AGAIN);
    }

    /// Makes what runs be what this copy has.
    fn turn(&mut self) {
        for post in &mut self.posts {
            post.look();
            match self.group.holding(&post.task.name) {
                Holding::Own => post.run(),
                Holding::Leaving => post.leave(Stint::stop),
                Holding::None => post.leave(Stint::give_up),
            }
        }
        if self.group.is_leaving() {
            self.hand_over();
        }
        let is_done = |post: &Post| {
            let is_own = self.group.holding(&post.task.name) == Holding::Own;
            post.stint.is_none() && (post.has_ended || !is_own)
        };
        let has_ended = self.kit.once && self.group.is_settled() && self.posts.iter().all(is_done);
        self.has_ended.store(has_ended, Ordering::Release);
    }

    /// Lets partitions go when nothing of theirs runs any more. One that does not end in time is fenced by its next owner.
    fn hand_over(&mut self) {
        let since = *self.leaving.get_or_insert_with(Instant::now);
        let mut is_clear = true;
        for post in &mut self.posts {
            if self.group.holding(&post.task.name) == Holding::Leaving {
                if since.elapsed() >= HANDOVER {
                    post.leave(Stint::give_up);
                } else {
                    is_clear &= post.stint.is_none();
                }
            }
        }
        if is_clear {
            self.leaving = None;
            if let Err(error) = self.group.release() {
                tracing::warn!(%error, "cannot give up shared sources in order");
            }
        }
    }
}

impl Post {
    fn new(task: &Arc<Task>) -> Self {
        Self {
            task: Arc::clone(task),
            stint: None,
            has_ended: false,
            pause: PAUSES[0],
            retry_at: None,
            failing: None,
        }
    }

    /// It is this copy's.
    fn run(&mut self) {
        // One that is on its way out is waited for: it would be fenced by itself.
        if self.stint.is_some() || self.has_ended || self.retry_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        match Stint::begin(&self.task) {
            Ok(stint) => self.stint = Some(stint),
            Err(error) => self.fails(&error.into(), Duration::ZERO),
        }
    }

    /// It is not this copy's any more.
    fn leave(&mut self, end: fn(&mut Stint)) {
        (self.has_ended, self.retry_at, self.pause) = (false, None, PAUSES[0]);
        match &mut self.stint {
            Some(stint) => end(stint),
            None => self.recovers(),
        }
    }

    /// Sees whether it has ended.
    fn look(&mut self) {
        if self.stint.as_ref().is_some_and(Stint::has_ended) {
            self.end();
        }
    }

    fn end(&mut self) {
        let Some(stint) = self.stint.take() else { return };
        let (is_asked, lasted) = (stint.is_asked, stint.began.elapsed());
        match stint.end() {
            Ok(()) => {
                self.has_ended = !is_asked;
                self.recovers();
            }
            Err(error) if is_asked => {
                if !is_fenced(&error) {
                    tracing::info!(
                        task = self.task.name,
                        error = in_words(&error),
                        "what it had read is left to another copy"
                    );
                }
                self.recovers();
            }
            Err(error) => self.fails(&error, lasted),
        }
    }

    fn fails(&mut self, error: &anyhow::Error, lasted: Duration) {
        if lasted >= STEADY {
            (self.pause, self.failing) = (PAUSES[0], None);
        }
        let (task, seconds) = (&self.task.name, self.pause.as_secs());
        if is_fenced(error) {
            tracing::warn!(
                task,
                seconds,
                "another copy has taken the task over; if it stays here it runs again"
            );
            self.recovers();
        } else {
            let why = in_words(error);
            tracing::warn!(task, seconds, error = why, "the task has failed; it runs again");
            if self.failing.get_or_insert_with(Instant::now).elapsed() >= LONG {
                self.task.set_health(Some(format!("the shared source {task} does not run: {why}")));
            }
        }
        self.retry_at = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(PAUSES[1]);
    }

    fn recovers(&mut self) {
        self.failing = None;
        self.task.set_health(None);
    }
}

/// Whether another copy has taken the task over.
fn is_fenced(error: &anyhow::Error) -> bool {
    error.downcast_ref::<KafkaError>().is_some_and(KafkaError::is_fenced)
}
