//! A TCP proxy on loopback through which a test has its way with a connection.
//!
//! Enters: the port of a server. Leaves: another port that leads there, and whose connections can be cut, refused or stalled
//! (they stay, and no byte passes) and go on again. Reads block, so that an idle connection costs nothing: a stall lets what
//! was read wait, and a cut shuts the sockets down.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::free_ports;

/// Between two attempts to take the port again.
const AGAIN: Duration = Duration::from_millis(20);

/// See the module. Dropping it cuts everything.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    mode: Mode,
    /// Both ends of each connection.
    connections: Vec<(TcpStream, TcpStream)>,
    taken: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Mode {
    #[default]
    Passing,
    Stalled,
    Refusing,
    Ended,
}

impl Proxy {
    /// Leads to a port of loopback.
    #[must_use]
    pub fn to(target: u16) -> Self {
        let [port] = free_ports();
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let accepting = Arc::clone(&shared);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port of a proxy");
        let acceptor = std::thread::spawn(move || accepting.accept(listener, port, target));
        Self { port, shared, acceptor: Some(acceptor) }
    }

    /// The port that clients connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connections that it has taken so far.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.shared.lock().taken
    }

    /// Ends all connections; new ones pass.
    pub fn cut(&self) {
        self.shared.lock().cut();
    }

    /// Ends all connections and refuses new ones.
    pub fn refuse(&self) {
        self.shared.set(Mode::Refusing);
        self.shared.lock().cut();
        self.wake();
    }

    /// Connections stay, new ones are taken, and no byte passes.
    pub fn stall(&self) {
        self.shared.set(Mode::Stalled);
    }

    /// All passes again; what waited in a stall too.
    pub fn resume(&self) {
        self.shared.set(Mode::Passing);
    }

    /// So that the acceptor sees that something has changed.
    fn wake(&self) {
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.set(Mode::Ended);
        self.shared.lock().cut();
        self.wake();
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl State {
    fn cut(&mut self) {
        for (one, other) in self.connections.drain(..) {
            let _ = (one.shutdown(Shutdown::Both), other.shutdown(Shutdown::Both));
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, mode: Mode) {
        self.lock().mode = mode;
        self.changed.notify_all();
    }

    /// Waits as long as the mode is one of these; what it is then.
    fn wait_while(&self, modes: &[Mode]) -> Mode {
        let guard = self.changed.wait_while(self.lock(), |state| modes.contains(&state.mode));
        guard.unwrap_or_else(PoisonError::into_inner).mode
    }

    fn accept(self: &Arc<Self>, listener: TcpListener, port: u16, target: u16) {
        let mut listener = Some(listener);
        loop {
            let accepted = listener.as_ref().map(TcpListener::accept);
            let mode = self.lock().mode;
            match (mode, accepted) {
                (Mode::Ended, _) => return,
                (Mode::Refusing, _) => {
                    listener = None;
                    self.wait_while(&[Mode::Refusing]);
                }
                (_, Some(Ok((client, _)))) => self.connect(client, target),
                (_, Some(Err(_))) => std::thread::sleep(AGAIN),
                (_, None) => {
                    listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok();
                    std::thread::sleep(if listener.is_some() { Duration::ZERO } else { AGAIN });
                }
            }
        }
    }

    /// A server that is not there is one that the client cannot reach either.
    fn connect(self: &Arc<Self>, client: TcpStream, target: u16) {
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)) else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let twice = |stream: &TcpStream| stream.try_clone().expect("a second handle of a socket");
        let mut state = self.lock();
        state.taken += 1;
        state.connections.push((twice(&client), twice(&server)));
        drop(state);
        for (from, to) in [(twice(&client), twice(&server)), (server, client)] {
            let shared = Arc::clone(self);
            std::thread::spawn(move || shared.pump(from, to));
        }
    }

    fn pump(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            self.wait_while(&[Mode::Stalled]);
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        self.wait_while(&[Mode::Stalled]);
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
        // Those that are over need not be kept.
        self.lock().connections.retain(|(one, _)| one.peer_addr().is_ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends back what it is sent.
    fn echo() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                std::thread::spawn(move || std::io::copy(&mut stream.try_clone().unwrap(), &mut stream));
            }
        });
        port
    }

    fn connect(proxy: &Proxy) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    fn is_answered(stream: &mut TcpStream) -> bool {
        let mut answer = [0; 2];
        stream.write_all(b"hi").is_ok() && stream.read_exact(&mut answer).is_ok() && answer == *b"hi"
    }

    #[test]
    fn connections_are_cut_refused_and_stalled_as_told() {
        let proxy = Proxy::to(echo());
        let mut first = connect(&proxy);
        assert!(is_answered(&mut first));
        proxy.cut();
        assert!(!is_answered(&mut first));
        let mut second = connect(&proxy);
        assert!(is_answered(&mut second));

        proxy.refuse();
        assert!(!is_answered(&mut second));
        let refused = |_: &u32| TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).is_err();
        assert!((0..1_000).inspect(|_| std::thread::sleep(AGAIN)).any(|turn| refused(&turn)));
        proxy.resume();
        let again = |_: u32| TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).ok();
        let mut third = (0..1_000).inspect(|_| std::thread::sleep(AGAIN)).find_map(again).unwrap();
        assert!(is_answered(&mut third));

        proxy.stall();
        third.write_all(b"hi").unwrap();
        third.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        assert!(third.read(&mut [0; 2]).is_err(), "nothing passes");
        third.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        proxy.resume();
        let mut answer = [0; 2];
        third.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"hi", "what waited comes");
        assert_eq!(proxy.taken(), 3);
    }
}
