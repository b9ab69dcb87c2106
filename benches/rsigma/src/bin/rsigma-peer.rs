//! rsigma as it comes: its default way to ask, the system's allocator.

use std::process::ExitCode;

fn main() -> ExitCode {
    rsigma_peer::main(rsigma_peer::Mode::Plain)
}
