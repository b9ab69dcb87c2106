//! `collect`: to be written on this branch.

use std::process::ExitCode;

use super::role::Role;
use crate::cli::RoleArgs;
use crate::metrics::Metrics;

pub(crate) fn execute(args: &RoleArgs) -> anyhow::Result<ExitCode> {
    let mut role = Role::prepare(args, || {})?;
    let server = role.serve(Metrics::new(), None)?;
    while role.stop.wait(std::time::Duration::from_secs(1)).is_none() {}
    server.into_iter().for_each(crate::ops::server::Server::stop);
    Ok(ExitCode::SUCCESS)
}
