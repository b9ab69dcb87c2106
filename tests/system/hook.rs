//! A target of webhooks that answers as a test wants.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// See the module.
pub(crate) struct Hook {
    port: u16,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// Idempotency keys of requests that were taken.
    taken: Vec<String>,
    secret: Option<String>,
}

impl Hook {
    /// `answer` gives the status for a body.
    pub(crate) fn start(answer: impl Fn(&str) -> u16 + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let noted = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that is killed in the middle is no fault of the test.
                exchange(stream, &answer, &noted).ok();
            }
        });
        Self { port, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    pub(crate) fn taken(&self) -> Vec<String> {
        self.seen.lock().unwrap().taken.clone()
    }

    pub(crate) fn secret(&self) -> Option<String> {
        self.seen.lock().unwrap().secret.clone()
    }
}

fn exchange(stream: TcpStream, answer: &impl Fn(&str) -> u16, seen: &Mutex<Seen>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut key, mut secret, mut length) = (None, None, 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        let Some((name, value)) = line.trim().split_once(": ") else { continue };
        match name.to_ascii_lowercase().as_str() {
            "idempotency-key" => key = Some(value.to_owned()),
            "x-secret" => secret = Some(value.to_owned()),
            "content-length" => length = value.parse().unwrap_or_default(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let status = answer(&String::from_utf8_lossy(&body));
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.get_mut().write_all(head.as_bytes())?;
    if status == 200 {
        let mut seen = seen.lock().unwrap();
        seen.taken.extend(key);
        seen.secret = secret;
    }
    Ok(())
}
