//! The figures that the engine is held to, as ratios within one run: `ratios [--home DIR] [--markdown]`.
//!
//! Enters: the built-in rules, an installation's rules where `--home` (or `homes/stock` below `$THREATLOCKDOWN_COMPAT`)
//! gives one, seeded corpora. Leaves: a table. Baseline and candidate take turns in short rounds on one thread; the bar is
//! held by the middle ratio; the least one shows how disturbed the machine was, the best one compares the quickest rounds
//! of either side. Absolute speeds belong to a machine.

mod arguments;
mod chunk;
mod load;
mod peer;
mod rounds;
mod rows;
mod stage;
mod stateful;
mod table;
mod threads;

use std::io::Write as _;
use std::process::ExitCode;

use arguments::Arguments;

/// As the product has it: the worker's loop makes alerts.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "ratios: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::read(std::env::args().skip(1))?;
    if let Some(folder) = &arguments.load_only {
        return load::alone(folder);
    }
    if let Some(row) = &arguments.alone {
        let nanoseconds = rows::alone(&arguments, row)?;
        writeln!(std::io::stdout(), "{row}: {nanoseconds:.0} ns an event")?;
        return Ok(());
    }
    let rows = rows::measure(&arguments)?;
    table::write(&rows, arguments.markdown, &mut std::io::stdout().lock())?;
    Ok(())
}
