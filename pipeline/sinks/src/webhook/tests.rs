//! Webhooks against a server of this process that answers as it is told.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use super::*;

/// What a request held: its idempotency key, its secret and its body.
type Seen = Arc<Mutex<Vec<(Option<String>, Option<String>, String)>>>;

/// Answers each request by its body.
fn serve(answer: impl Fn(&str) -> u16 + Send + 'static) -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook?key=hidden", listener.local_addr().unwrap());
    let seen = Seen::default();
    let noted = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut key, mut secret, mut length) = (None, None, 0);
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                let Some((name, value)) = line.trim().split_once(": ") else {
                    if line.trim().is_empty() { break } else { continue }
                };
                match name.to_ascii_lowercase().as_str() {
                    "idempotency-key" => key = Some(value.to_owned()),
                    "authorization" => secret = Some(value.to_owned()),
                    "content-length" => length = value.parse().unwrap(),
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let body = String::from_utf8(body).unwrap();
            let status = answer(&body);
            noted.lock().unwrap().push((key, secret, body));
            let text = "because";
            let head =
                format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", text.len());
            stream.get_mut().write_all((head + text).as_bytes()).unwrap();
        }
    });
    (url, seen)
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<(String, String)>>>);

impl Rejections for Kept {
    fn keep(&mut self, rejected: &RejectedAlert<'_>) -> Result<(), SinkError> {
        let kept = (String::from_utf8(rejected.alert.json.clone()).unwrap(), rejected.detail.to_owned());
        self.0.lock().unwrap().push(kept);
        Ok(())
    }
}

fn sink(url: String, batch: usize) -> (WebhookSink, Kept) {
    let kept = Kept::default();
    let options = WebhookOptions {
        url,
        headers: Renewable::new(vec![("Authorization".to_owned(), "Bearer t".to_owned())]),
        batch,
        timeout: Duration::from_secs(20),
        filter: AlertFilter { min_level: 5, groups: Vec::new() },
    };
    (WebhookSink::new("hook".to_owned(), options, Box::new(kept.clone())), kept)
}

fn commit(numbers: std::ops::Range<u8>) -> Commit {
    let alert =
        |number: u8| Alert { id: AlertId([number; 16]), level: 5, json: format!("{number}").into_bytes() };
    let low = Alert { level: 4, ..alert(99) };
    Commit { alerts: numbers.map(alert).chain([low]).collect(), ..Commit::default() }
}

fn bodies(seen: &Seen) -> Vec<String> {
    seen.lock().unwrap().iter().map(|(_, _, body)| body.clone()).collect()
}

#[test]
fn each_alert_is_a_request_with_its_id_and_the_secret() {
    let (url, seen) = serve(|_| 202);
    let (mut sink, kept) = sink(url, 1);
    sink.deliver(&commit(1..3)).unwrap();
    sink.flush().unwrap();
    let id = |number: u8| Some(format!("{number:02x}").repeat(16));
    let secret = Some("Bearer t".to_owned());
    let expected = [(id(1), secret.clone(), "1".to_owned()), (id(2), secret, "2".to_owned())];
    assert_eq!(*seen.lock().unwrap(), expected, "one below the level is not sent");
    assert!(kept.0.lock().unwrap().is_empty());
}

#[test]
fn what_was_taken_before_a_failure_is_not_sent_again() {
    let down = Arc::new(Mutex::new(true));
    let is_down = Arc::clone(&down);
    let (url, seen) = serve(move |body| if body == "2" && *is_down.lock().unwrap() { 503 } else { 200 });
    let (mut sink, _) = sink(url, 1);
    let error = sink.deliver(&commit(1..4)).unwrap_err().to_string();
    assert!(
        error.starts_with("cannot deliver to http://127.0.0.1:") && error.ends_with(": 503: because"),
        "{error}"
    );
    assert!(!error.contains("hidden"), "{error}");
    *down.lock().unwrap() = false;
    sink.resume(b"").unwrap();
    sink.deliver(&commit(1..4)).unwrap();
    assert_eq!(bodies(&seen), ["1", "2", "2", "3"]);
    sink.flush().unwrap();
    sink.stored().unwrap();
    sink.deliver(&commit(1..2)).unwrap();
    assert_eq!(bodies(&seen).len(), 5, "what is stored is not remembered");
}

#[test]
fn an_alert_that_is_refused_is_kept_and_the_others_go_on() {
    let (url, seen) = serve(|body| if body.contains('2') { 422 } else { 200 });
    let (mut sink, kept) = sink(url, 10);
    sink.deliver(&commit(1..4)).unwrap();
    assert_eq!(bodies(&seen), ["[1,2,3]", "[1]", "[2]", "[3]"], "a batch is taken apart to find which");
    assert!(kept.0.lock().unwrap().is_empty(), "not before the flush");
    sink.flush().unwrap();
    assert_eq!(*kept.0.lock().unwrap(), [("2".to_owned(), "422: because".to_owned())]);
    sink.flush().unwrap();
    assert_eq!(kept.0.lock().unwrap().len(), 1);
}

#[test]
fn wrong_credentials_are_no_fault_of_the_alert() {
    for status in [301, 401, 403, 404, 408, 429, 500, 503] {
        let (url, _) = serve(move |_| status);
        let (mut sink, kept) = sink(url, 1);
        assert!(sink.deliver(&commit(1..2)).is_err(), "{status}");
        sink.flush().unwrap();
        assert!(kept.0.lock().unwrap().is_empty(), "{status}");
    }
}
