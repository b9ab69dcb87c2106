//! The `threatlockdown` binary: command line in, exit code out; each command has its own file.

mod cli;
mod commands;
mod config;
mod guess;
mod host;
mod metrics;
mod ops;
mod signals;
mod telemetry;

use std::process::ExitCode;

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    commands::execute(cli.command)
}
