//! What this machine is called.

use std::sync::Arc;

/// Name of this machine, which alerts show as agent and manager, and by which brokers know it.
pub(crate) fn host_name() -> Arc<str> {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = kernel.or_else(|| std::env::var("HOSTNAME").ok());
    let name = name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    name.unwrap_or("localhost").into()
}
