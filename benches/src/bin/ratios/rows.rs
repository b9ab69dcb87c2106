//! The rows of the table: what is compared with what, and the bar.
//!
//! Enters: the arguments. Leaves: a measured row for each workload, or why it was left out.

use std::path::Path;
use std::sync::Arc;

use threatlockdown_benches::{copies, home, sigma};
use threatlockdown_ruleset::program::Program;
use threatlockdown_ruleset::{Texts, load};

use crate::arguments::Arguments;
use crate::chunk::Corpus;
use crate::load::{self as loading, Load};
use crate::peer::Peer;
use crate::rounds::{self, Compared, Side};
use crate::stage::{Evaluate, Loop, Parse};
use crate::threads;

/// Events of a round: a few milliseconds.
const RECORDS: usize = 2_000;
const LINES: usize = 8_000;
/// Of two threads: long against the start of a thread.
const PARALLEL_RECORDS: usize = 60_000;
const PARALLEL_LINES: usize = 40_000;
const LOADS: usize = 5;

/// What a row is held to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bar {
    /// The ratio of speeds is at least so much.
    AtLeast(f64),
    /// The ratio of times is at most so much.
    Slower(f64),
    /// Seconds and MiB are at most so much.
    Load(f64, f64),
    /// Shown only.
    None,
}

/// What was found.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Measured {
    Ratio(Compared),
    Load(Load),
    /// Why.
    Skipped(&'static str),
}

/// A row of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) bar: Bar,
    pub(crate) measured: Measured,
}

/// What a row cannot be measured without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Nothing,
    /// An installation.
    Home,
    /// Sigma rules, and rsigma to compare with.
    Peer,
}

/// Name, what is compared, the bar, what it needs.
const ROWS: &[(&str, &str, Bar, Need)] = &[
    (
        "cloudtrail",
        "built-in rules on raw CloudTrail : tape parse of the same bytes",
        Bar::AtLeast(0.5),
        Need::Nothing,
    ),
    ("worker", "the same with the worker's loop and alerts : tape parse", Bar::AtLeast(0.5), Need::Nothing),
    (
        "mix",
        "built-in rules on a mix of cloud logs : tape parse of the same bytes",
        Bar::AtLeast(0.5),
        Need::Nothing,
    ),
    (
        "tenfold",
        "ten times the built-in rules on CloudTrail : once, time an event",
        Bar::Slower(1.25),
        Need::Nothing,
    ),
    (
        "envelope",
        "stock rules on CloudTrail in envelope form : tape parse of the same bytes",
        Bar::AtLeast(0.42),
        Need::Home,
    ),
    ("stock-mix", "stock rules on a mix of cloud logs : tape parse of the same bytes", Bar::None, Need::Home),
    (
        "syslog",
        "stock rules on sshd and syslog lines : tape parse of CloudTrail, events",
        Bar::AtLeast(0.45),
        Need::Home,
    ),
    ("threads", "built-in rules on CloudTrail, two threads : one", Bar::AtLeast(1.8), Need::Nothing),
    (
        "stock-threads",
        "stock rules on syslog lines, two threads with one memory : one",
        Bar::AtLeast(1.8),
        Need::Home,
    ),
    ("load", "loading the stock rules, alone in a process", Bar::Load(1.5, 150.0), Need::Home),
    (
        "rsigma",
        "built-in rules and all Sigma rules on raw CloudTrail : rsigma 0.26 with the Sigma rules",
        Bar::AtLeast(5.0),
        Need::Peer,
    ),
];

/// Programs, loaded when a row needs them.
struct Programs<'a> {
    home: Option<&'a Path>,
    builtin: Arc<Program>,
    stock: Option<Arc<Program>>,
}

impl<'a> Programs<'a> {
    fn new(arguments: &'a Arguments) -> Result<Self, String> {
        let builtin = program(Texts::builtin())?;
        Ok(Self { home: arguments.home.as_deref(), builtin, stock: None })
    }

    fn stock(&mut self) -> Result<Arc<Program>, String> {
        if let Some(stock) = &self.stock {
            return Ok(Arc::clone(stock));
        }
        let folder = self.home.ok_or("this row needs --home DIR")?;
        let stock = program(home::read(folder)?)?;
        self.stock = Some(Arc::clone(&stock));
        Ok(stock)
    }
}

fn program(texts: Texts) -> Result<Arc<Program>, String> {
    let loaded = load(texts);
    let fault = loaded.diagnostics.first().map(ToString::to_string).unwrap_or_default();
    loaded.program.ok_or_else(|| format!("the rules do not load: {fault}"))
}

/// Measures all rows, or the one that was asked for.
pub(crate) fn measure(arguments: &Arguments) -> Result<Vec<Row>, Box<dyn std::error::Error>> {
    let mut programs = Programs::new(arguments)?;
    let mut rows = Vec::new();
    for (name, what, bar, need) in ROWS {
        if arguments.only.as_deref().is_some_and(|only| only != *name) {
            continue;
        }
        let measured = match missing(arguments, *need) {
            Some(why) => Measured::Skipped(why),
            None => match (*name, arguments.home.as_deref()) {
                ("load", Some(home)) => Measured::Load(loading::measure(home, LOADS)?),
                ("rsigma", _) => Measured::Ratio(against_peer(arguments)?),
                _ => Measured::Ratio(row(&mut programs, name, arguments.rounds)?),
            },
        };
        rows.push(Row { name, what, bar: *bar, measured });
    }
    if rows.is_empty() {
        return Err(format!("there is no row {}", arguments.only.as_deref().unwrap_or_default()).into());
    }
    Ok(rows)
}

/// What was not given.
fn missing(arguments: &Arguments, need: Need) -> Option<&'static str> {
    match need {
        Need::Home if arguments.home.is_none() => Some("no --home DIR"),
        Need::Peer if arguments.sigma.is_none() => Some("no --sigma DIR"),
        Need::Peer if arguments.peer.is_none() => Some("no --peer FILE"),
        _ => None,
    }
}

/// The Sigma rules beside the built-in ones, against rsigma with the same Sigma rules.
fn against_peer(arguments: &Arguments) -> Result<Compared, String> {
    let folder = arguments.sigma.as_deref().ok_or("this row needs --sigma DIR")?;
    let mut peer = Peer::start(arguments.peer.as_deref().ok_or("this row needs --peer FILE")?, folder)?;
    let (program, rules) = with_sigma(folder)?;
    if peer.rules() < rules {
        return Err(format!("the peer has loaded {} rules of {rules}", peer.rules()));
    }
    let mut evaluate = Evaluate::new(&program, Corpus::cloudtrail().sources());
    let base = Side::new(&mut peer, Corpus::cloudtrail(), RECORDS);
    rounds::compare(base, Side::new(&mut evaluate, Corpus::cloudtrail(), RECORDS), arguments.rounds)
}

/// The built-in rules and the Sigma rules of a folder; how many Sigma rules.
fn with_sigma(folder: &Path) -> Result<(Arc<Program>, usize), String> {
    let program = program(sigma::with_builtin(folder)?)?;
    let rules = program.sigma().rules().len();
    match rules {
        0 => Err(format!("{} has no Sigma rules", folder.display())),
        rules => Ok((program, rules)),
    }
}

fn row(programs: &mut Programs<'_>, name: &str, rounds: usize) -> Result<Compared, String> {
    let builtin = Arc::clone(&programs.builtin);
    let against_parse = |program: &Arc<Program>, base: Corpus, corpus: Corpus, events| {
        let mut parse = Parse::new();
        let mut evaluate = Evaluate::new(program, corpus.sources());
        let base = Side::new(&mut parse, base, RECORDS);
        rounds::compare(base, Side::new(&mut evaluate, corpus, events), rounds)
    };
    match name {
        "cloudtrail" => against_parse(&builtin, Corpus::cloudtrail(), Corpus::cloudtrail(), RECORDS),
        "worker" => {
            let (mut parse, mut worker) = (Parse::new(), Loop::new(&builtin, "aws.cloudtrail"));
            let base = Side::new(&mut parse, Corpus::cloudtrail(), RECORDS);
            rounds::compare(base, Side::new(&mut worker, Corpus::cloudtrail(), RECORDS), rounds)
        }
        "mix" => against_parse(&builtin, Corpus::mix(), Corpus::mix(), RECORDS),
        "tenfold" => {
            let corpus = Corpus::cloudtrail();
            let tenfold = program(copies::times(10))?;
            let mut once = Evaluate::new(&builtin, corpus.sources());
            let mut ten = Evaluate::new(&tenfold, corpus.sources());
            let base = Side::new(&mut once, Corpus::cloudtrail(), RECORDS);
            rounds::compare(base, Side::new(&mut ten, corpus, RECORDS), rounds)
        }
        "envelope" => against_parse(&programs.stock()?, Corpus::enveloped(), Corpus::enveloped(), RECORDS),
        "stock-mix" => against_parse(&programs.stock()?, Corpus::mix(), Corpus::mix(), RECORDS),
        "syslog" => against_parse(&programs.stock()?, Corpus::cloudtrail(), Corpus::syslog(), LINES),
        "threads" => threads::compare(&builtin, Corpus::cloudtrail, PARALLEL_RECORDS, rounds.min(20)),
        "stock-threads" => {
            threads::compare(&programs.stock()?, Corpus::syslog, PARALLEL_LINES, rounds.min(20))
        }
        other => Err(format!("there is no row {other}")),
    }
}

/// Runs the candidate of a row alone, over the same chunk; nanoseconds for an event.
pub(crate) fn alone(arguments: &Arguments, name: &str) -> Result<f64, String> {
    let mut programs = Programs::new(arguments)?;
    let builtin = Arc::clone(&programs.builtin);
    let evaluate = |program: &Arc<Program>, corpus: Corpus, events| {
        let mut stage = Evaluate::new(program, corpus.sources());
        rounds::alone(Side::new(&mut stage, corpus, events), arguments.rounds)
    };
    match name {
        "rsigma" => {
            let folder = arguments.sigma.as_deref().ok_or("this row needs --sigma DIR")?;
            evaluate(&with_sigma(folder)?.0, Corpus::cloudtrail(), RECORDS)
        }
        "parse" => {
            let mut parse = Parse::new();
            rounds::alone(Side::new(&mut parse, Corpus::cloudtrail(), RECORDS), arguments.rounds)
        }
        "cloudtrail" => evaluate(&builtin, Corpus::cloudtrail(), RECORDS),
        "worker" => {
            let mut worker = Loop::new(&builtin, "aws.cloudtrail");
            rounds::alone(Side::new(&mut worker, Corpus::cloudtrail(), RECORDS), arguments.rounds)
        }
        "mix" => evaluate(&builtin, Corpus::mix(), RECORDS),
        "tenfold" => evaluate(&program(copies::times(10))?, Corpus::cloudtrail(), RECORDS),
        "envelope" => evaluate(&programs.stock()?, Corpus::enveloped(), RECORDS),
        "stock-mix" => evaluate(&programs.stock()?, Corpus::mix(), RECORDS),
        "syslog" => evaluate(&programs.stock()?, Corpus::syslog(), LINES),
        other => Err(format!("row {other} cannot run alone")),
    }
}
