//! The rows of the table: what is compared with what, and the bar.
//!
//! Enters: the arguments. Leaves: a measured row for each workload, or why it was left out.

use std::path::Path;
use std::sync::Arc;

use threatlockdown_benches::{copies, failures, home, logins, sigma};
use threatlockdown_ruleset::program::Program;
use threatlockdown_ruleset::{Texts, load};

use crate::arguments::Arguments;
use crate::chunk::Corpus;
use crate::load::{self as loading, Load};
use crate::peer::Peer;
use crate::rounds::{self, Compared, Side};
use crate::stage::{Evaluate, Loop, Parse};
use crate::stateful::{self, Live};
use crate::threads;

/// Events of a round: a few milliseconds.
const RECORDS: usize = 2_000;
const LINES: usize = 8_000;
/// Of two threads: long against the start of a thread.
const PARALLEL_RECORDS: usize = 60_000;
const PARALLEL_LINES: usize = 40_000;
const LOADS: usize = 5;
/// Rounds of an hour each.
const MOST_HOURS: usize = 7;

/// What a row is held to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bar {
    /// The ratio of speeds is at least so much.
    AtLeast(f64),
    /// The ratio of times is at most so much.
    Slower(f64),
    /// Seconds and MiB are at most so much.
    Load(f64, f64),
    /// Nanoseconds of an event in the stateful stage are at most so many, and nothing is forgotten.
    Live(f64),
    /// Shown only.
    None,
}

/// What was found.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Measured {
    Ratio(Compared),
    Load(Load),
    Live(Live),
    /// What would be needed.
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

/// What a row needs that the arguments name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    /// An installation's rules.
    Home,
    /// A folder of Sigma rules.
    Sigma,
    /// That, and rsigma to compare with.
    Peer,
}

impl Needs {
    /// What was not given.
    fn missing(self, arguments: &Arguments) -> Option<&'static str> {
        let (home, sigma, peer) =
            (arguments.home.is_none(), arguments.sigma.is_none(), arguments.peer.is_none());
        match self {
            Self::Home if home => Some("no --home DIR"),
            Self::Sigma | Self::Peer if sigma => Some("no --sigma DIR"),
            Self::Peer if peer => Some("no --peer FILE"),
            _ => None,
        }
    }
}

/// The row with the peer at its best, whose program stands beside that of the peer as it comes.
const PRUNED: &str = "rsigma-pruned";

/// Name, what is compared, the bar, what it needs.
const ROWS: &[(&str, &str, Bar, Needs)] = &[
    (
        "cloudtrail",
        "built-in rules on raw CloudTrail : tape parse of the same bytes",
        Bar::AtLeast(0.5),
        Needs::Nothing,
    ),
    ("worker", "the same with the worker's loop and alerts : tape parse", Bar::AtLeast(0.5), Needs::Nothing),
    (
        "mix",
        "built-in rules on a mix of cloud logs : tape parse of the same bytes",
        Bar::AtLeast(0.5),
        Needs::Nothing,
    ),
    (
        "tenfold",
        "ten times the built-in rules on CloudTrail : once, time an event",
        Bar::Slower(1.25),
        Needs::Nothing,
    ),
    (
        "sigma",
        "built-in and all Sigma rules on raw CloudTrail : tape parse of the same bytes",
        Bar::AtLeast(0.5),
        Needs::Sigma,
    ),
    (
        "rsigma",
        "built-in and all Sigma rules on raw CloudTrail : rsigma 0.26 with the Sigma rules, as it comes",
        Bar::AtLeast(5.0),
        Needs::Peer,
    ),
    (
        PRUNED,
        "built-in and all Sigma rules on raw CloudTrail : rsigma 0.26 told the source, with mimalloc",
        Bar::AtLeast(5.0),
        Needs::Peer,
    ),
    (
        "envelope",
        "stock rules on CloudTrail in envelope form : tape parse of the same bytes",
        Bar::AtLeast(0.42),
        Needs::Home,
    ),
    (
        "stock-mix",
        "stock rules on a mix of cloud logs : tape parse of the same bytes",
        Bar::None,
        Needs::Home,
    ),
    (
        "syslog",
        "stock rules on sshd and syslog lines : tape parse of CloudTrail, events",
        Bar::AtLeast(0.45),
        Needs::Home,
    ),
    ("threads", "built-in rules on CloudTrail, two threads : one", Bar::AtLeast(1.8), Needs::Nothing),
    (
        "stock-threads",
        "stock rules on syslog lines, two threads with one memory : one",
        Bar::AtLeast(1.8),
        Needs::Home,
    ),
    (
        "live",
        "the stateful stage with frequency rules and correlations over a million live keys, an event",
        Bar::Live(1500.0),
        Needs::Nothing,
    ),
    (
        "hour",
        "stock rules and such that look back an hour on failed logins of 5,050 addresses, nearly all of them in the first minute; last minute of an hour : first",
        Bar::AtLeast(1.0),
        Needs::Home,
    ),
    ("load", "loading the stock rules, alone in a process", Bar::Load(1.5, 150.0), Needs::Home),
];

/// Programs, loaded when a row needs them.
struct Programs<'a> {
    home: Option<&'a Path>,
    sigma: Option<&'a Path>,
    builtin: Arc<Program>,
    stock: Option<Arc<Program>>,
}

impl<'a> Programs<'a> {
    fn new(arguments: &'a Arguments) -> Result<Self, String> {
        let builtin = program(Texts::builtin())?;
        let (home, sigma) = (arguments.home.as_deref(), arguments.sigma.as_deref());
        Ok(Self { home, sigma, builtin, stock: None })
    }

    /// The built-in rules with all Sigma rules.
    fn sigma(&self) -> Result<Arc<Program>, String> {
        let folder = self.sigma.ok_or("this row needs --sigma DIR")?;
        let mut texts = Texts::builtin();
        sigma::read(folder)?.into_iter().for_each(|file| texts.add(file));
        program(texts)
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
    for (name, what, bar, needs) in ROWS {
        if arguments.only.as_deref().is_some_and(|only| only != *name) {
            continue;
        }
        let measured = match (needs.missing(arguments), *name, arguments.home.as_deref()) {
            (Some(missing), ..) => Measured::Skipped(missing),
            (None, "load", Some(home)) => Measured::Load(loading::measure(home, LOADS)?),
            (None, "live", _) => {
                let mut texts = Texts::builtin_decoders();
                logins::rules().into_iter().for_each(|file| texts.add(file));
                Measured::Live(stateful::live(&program(texts)?, arguments.rounds)?)
            }
            (None, "hour", Some(home)) => {
                let mut texts = home::read(home)?;
                texts.add(failures::rules());
                Measured::Ratio(stateful::hour(&program(texts)?, arguments.rounds.min(MOST_HOURS))?)
            }
            (None, "rsigma" | PRUNED, _) => {
                Measured::Ratio(against_peer(&programs, arguments, *name == PRUNED)?)
            }
            _ => Measured::Ratio(row(&mut programs, name, arguments.rounds)?),
        };
        rows.push(Row { name, what, bar: *bar, measured });
    }
    if rows.is_empty() {
        return Err(format!("there is no row {}", arguments.only.as_deref().unwrap_or_default()).into());
    }
    Ok(rows)
}

/// The Sigma rules beside the built-in ones, against rsigma with the same Sigma rules.
fn against_peer(programs: &Programs<'_>, arguments: &Arguments, is_pruned: bool) -> Result<Compared, String> {
    let (Some(peer), Some(folder)) = (&arguments.peer, &arguments.sigma) else {
        return Err("this row needs --peer FILE and --sigma DIR".to_owned());
    };
    let program = programs.sigma()?;
    let mut program_file = peer.clone().into_os_string();
    if is_pruned {
        program_file.push("-pruned");
    }
    let mut peer = Peer::start(Path::new(&program_file), folder)?;
    let rules = program.sigma().rules().len();
    if peer.rules() < rules {
        return Err(format!("rsigma has loaded {} Sigma rules of {rules}", peer.rules()));
    }
    let mut evaluate = Evaluate::new(&program, Corpus::cloudtrail().sources());
    let base = Side::new(&mut peer, Corpus::cloudtrail(), RECORDS);
    rounds::compare(base, Side::new(&mut evaluate, Corpus::cloudtrail(), RECORDS), arguments.rounds)
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
        "sigma" => against_parse(&programs.sigma()?, Corpus::cloudtrail(), Corpus::cloudtrail(), RECORDS),
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
        "sigma" => evaluate(&programs.sigma()?, Corpus::cloudtrail(), RECORDS),
        "stock-mix" => evaluate(&programs.stock()?, Corpus::mix(), RECORDS),
        "syslog" => evaluate(&programs.stock()?, Corpus::syslog(), LINES),
        other => Err(format!("row {other} cannot run alone")),
    }
}
