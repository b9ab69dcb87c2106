//! A listener that gives the answers it is told to, and keeps what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use flate2::read::GzDecoder;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    /// Not compressed any more.
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The ids of a bulk request's documents.
    pub(crate) fn ids(&self) -> Vec<u128> {
        let action = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        let id = |line: &str| {
            action(line)["create"]["_id"].as_str().map(|id| u128::from_str_radix(id, 16).unwrap())
        };
        self.body.lines().step_by(2).filter_map(id).collect()
    }

    pub(crate) fn is_bulk(&self) -> bool {
        self.path.starts_with("/_bulk")
    }
}

/// Status and body for a request.
type Answer = dyn Fn(&Asked) -> (u16, String) + Send + Sync;

pub(crate) struct Listener {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    connections: Arc<Mutex<usize>>,
}

impl Listener {
    pub(crate) fn new(answer: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static) -> Self {
        Self::start(None, Arc::new(answer))
    }

    /// Encrypted.
    pub(crate) fn with_tls(
        tls: ServerConfig,
        answer: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static,
    ) -> Self {
        Self::start(Some(Arc::new(tls)), Arc::new(answer))
    }

    fn start(tls: Option<Arc<ServerConfig>>, answer: Arc<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(Mutex::new(0));
        let (kept, counted) = (Arc::clone(&asked), Arc::clone(&connections));
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                *counted.lock().unwrap() += 1;
                let (kept, answer, tls) = (Arc::clone(&kept), Arc::clone(&answer), tls.clone());
                std::thread::spawn(move || match tls {
                    Some(tls) => {
                        let session = ServerConnection::new(tls).unwrap();
                        serve(StreamOwned::new(session, connection), &kept, &*answer);
                    }
                    None => serve(connection, &kept, &*answer),
                });
            }
        });
        Self { url, asked, connections }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn bulks(&self) -> Vec<Asked> {
        self.asked().into_iter().filter(Asked::is_bulk).collect()
    }

    pub(crate) fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

fn serve(connection: impl Read + Write, kept: &Mutex<Vec<Asked>>, answer: &Answer) {
    let mut reader = BufReader::new(connection);
    while let Some(asked) = read(&mut reader) {
        let (status, body) = answer(&asked);
        kept.lock().unwrap().push(asked);
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        let connection = reader.get_mut();
        if connection.write_all(format!("{head}{body}").as_bytes()).and_then(|()| connection.flush()).is_err()
        {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|&count| count > 0)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|&count| count > 0)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let find = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let length = find("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut text = String::new();
    match find("content-encoding").as_deref() {
        Some("gzip") => GzDecoder::new(body.as_slice()).read_to_string(&mut text).unwrap(),
        _ => body.as_slice().read_to_string(&mut text).unwrap(),
    };
    Some(Asked { method, path, headers, body: text })
}
