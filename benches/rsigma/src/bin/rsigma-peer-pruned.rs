//! rsigma at its best: told what the events are, with the allocator of the side that it is compared with.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    rsigma_peer::main(rsigma_peer::Mode::Pruned)
}
