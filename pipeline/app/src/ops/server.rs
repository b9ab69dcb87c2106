//! The HTTP server of ingest and operations, on threads of its own: analysis never waits for it, nor it for analysis.
//!
//! Enters: a bound listener and the routes. Leaves: answers. Connections are accepted here, and not by `axum::serve`,
//! because that one has no limits: a client that sends its header byte by byte must not hold a connection for ever.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::sync::{Semaphore, oneshot};

use super::Health;
use crate::config::Config;
use crate::metrics::Metrics;

/// More connections wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 1_024;
/// From accepting a connection, or its last answer, to the end of the next request's header.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long requests that are under way may take once the server is stopped.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where it listens: the real port where 0 was asked for.
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// Takes the port before anything else is touched: that it is in use is the most common mistake.
pub(crate) fn bind(config: &Config) -> anyhow::Result<Option<TcpListener>> {
    let Some(listen) = &config.listen else { return Ok(None) };
    let listener = TcpListener::bind(listen.address).with_context(|| {
        format!("cannot listen on {}: choose another address with --listen, or --listen off", listen.address)
    })?;
    Ok(Some(listener))
}

/// Serves the routes of operations, and `own` beside them.
pub(crate) fn serve(
    listener: TcpListener,
    own: Option<Router>,
    health: &Arc<Health>,
    metrics: Metrics,
) -> anyhow::Result<Server> {
    let router = super::router(Arc::clone(health), Arc::new(metrics));
    let router = match own {
        Some(own) => router.merge(own),
        None => router,
    };
    start(listener, router).context("cannot start the HTTP server")
}

/// Serves `router` on `listener` until [`Server::stop`].
fn start(listener: TcpListener, router: Router) -> std::io::Result<Server> {
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("http")
        .enable_all()
        .build()?;
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new().name("http".into()).spawn(move || {
        runtime.block_on(accept(listener, router, stopped));
        runtime.shutdown_timeout(Duration::from_millis(100));
    })?;
    Ok(Server { address, stop, thread })
}

impl Server {
    /// Accepts nothing more and waits for the answers that are under way, at most [`STOP_TIMEOUT`].
    pub(crate) fn stop(self) {
        self.stop.send(()).ok();
        self.thread.join().ok();
    }
}

async fn accept(listener: TcpListener, router: Router, mut stopped: oneshot::Receiver<()>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "cannot serve HTTP"),
    };
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        let slot = tokio::select! {
            // Also while all connections are taken: clients do not decide when the process ends.
            _ = &mut stopped => break,
            slot = Arc::clone(&connections).acquire_owned() => slot,
        };
        let Ok(slot) = slot else { return };
        let (stream, peer) = tokio::select! {
            _ = &mut stopped => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, most likely; trying again at once would spin.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        stream.set_nodelay(true).ok();
        let router = router.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            TowerToHyperService::new(router.clone()).call(request.map(Body::new))
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, %peer, "connection ended");
            }
            drop(slot);
        });
    }
    drop(listener);
    if tokio::time::timeout(STOP_TIMEOUT, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still under way when the server stopped");
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use super::super::{Health, Phase, router};
    use super::*;
    use crate::metrics::Metrics;

    fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn serve(health: &Arc<Health>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        start(listener, router(Arc::clone(health), Arc::new(Metrics::new()))).unwrap()
    }

    #[test]
    fn answers_follow_the_state() {
        let health = Arc::new(Health::default());
        let server = serve(&health);
        let at = server.address;
        assert!(get(at, "/healthz").starts_with("HTTP/1.1 200 "));
        let starting = get(at, "/readyz");
        assert!(
            starting.starts_with("HTTP/1.1 503 ") && starting.contains(r#""reason":"starting""#),
            "{starting}"
        );
        health.set_phase(Phase::Running);
        assert!(get(at, "/readyz").starts_with("HTTP/1.1 200 "));
        health.set_rules(Some("a.xml:3:1: unknown element".into()));
        let ready = get(at, "/readyz");
        assert!(ready.starts_with("HTTP/1.1 200 ") && ready.contains(r#""status":"ok""#), "{ready}");
        assert!(ready.contains("are not in force") && ready.contains("a.xml:3:1"), "{ready}");
        health.set_rules(None);
        assert!(!get(at, "/readyz").contains("detail"));
        health.set_storage("run", Some("no space".into()));
        assert!(get(at, "/readyz").contains("no space"));
        assert!(get(at, "/healthz").starts_with("HTTP/1.1 200 "), "a full disk is not cured by a restart");
        health.set_storage("analyze", None);
        assert!(get(at, "/readyz").contains("no space"), "of another");
        health.set_storage("run", None);
        assert!(get(at, "/readyz").starts_with("HTTP/1.1 200 "));
        health.set_phase(Phase::Draining);
        assert!(get(at, "/readyz").contains("draining"));
        health.stage_died("the committer panicked");
        assert!(get(at, "/healthz").contains("the committer panicked"));
        server.stop();
        assert!(TcpStream::connect(at).is_err());
    }

    #[test]
    fn metrics_come_in_the_format_that_is_asked_for() {
        let server = serve(&Arc::new(Health::default()));
        let open = get(server.address, "/metrics HTTP/1.1\r\nAccept: application/openmetrics-text\r\nX: ");
        assert!(open.contains("content-type: application/openmetrics-text"), "{open}");
        assert!(open.contains("threatlockdown_build_info") && open.contains("# EOF"), "{open}");
        let answer = get(server.address, "/metrics");
        assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
        assert!(answer.contains("# TYPE threatlockdown_build_info gauge\n"), "{answer}");
        assert!(get(server.address, "/none").starts_with("HTTP/1.1 404 "));
        server.stop();
    }

    #[test]
    fn stop_does_not_wait_for_a_free_connection() {
        let server = serve(&Arc::new(Health::default()));
        let clients: Vec<_> =
            (0..MAX_CONNECTIONS + 1).map(|_| TcpStream::connect(server.address).unwrap()).collect();
        let (sender, stopped) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || {
            // Until the last slot is taken.
            std::thread::sleep(Duration::from_millis(500));
            server.stop();
            sender.send(()).unwrap();
        });
        stopped.recv_timeout(HEADER_TIMEOUT / 2).unwrap();
        drop(clients);
    }

    #[test]
    fn stop_does_not_wait_for_an_idle_client() {
        let server = serve(&Arc::new(Health::default()));
        let _idle = TcpStream::connect(server.address).unwrap();
        get(server.address, "/healthz");
        server.stop();
    }
}
