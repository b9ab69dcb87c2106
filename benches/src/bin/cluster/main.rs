//! The cluster's worker against `scan`, a bare consumer and itself without transactions:
//! `cluster [--events N] [--rounds N] [--binary FILE] [--compression NAME] [--skip-latency] [--only STEP]`.
//!
//! Enters: the product's binary, a seeded corpus, a Kafka that is started here. Leaves: a table. `collect` fills the topic, so
//! that its records are those of production; then `scan`, a consumer that does nothing, the worker's loop without
//! transactions and `analyze` with one and two workers take turns on the same records. Brokers, clients and workers
//! share the machine, so the processor time of an event stands beside each rate: that of the whole process, librdkafka's
//! threads and the owner of counts with it, less what a process takes that has nothing to do.

mod arguments;
mod bare;
mod group;
mod latency;
mod plain;
mod roles;
mod rounds;
mod table;
mod usage;

use std::io::Write as _;
use std::process::ExitCode;

use arguments::{Arguments, Mode};

/// As the product has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Why a measurement failed.
type Fault = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "cluster: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Fault> {
    let arguments = Arguments::read(std::env::args().skip(1))?;
    match &arguments.mode {
        Mode::Bare(reading) => bare::run(reading),
        Mode::Plain(reading) => plain::run(reading),
        Mode::Measure => {
            let measured = rounds::measure(&arguments)?;
            table::write(&measured, &mut std::io::stdout().lock())?;
            Ok(())
        }
    }
}
