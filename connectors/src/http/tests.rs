use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;

use tempfile::TempDir;
use threatlockdown_event::Unit;
use threatlockdown_topics::{
    Commit, CommitLog, CommitLogOptions, Consumer, JOURNAL_STREAM, JournalOptions, JournalReader, Store,
    raw_topic,
};

use super::*;

/// The endpoint on a real socket, with a real journal.
struct Server {
    address: SocketAddr,
    stop: Stop,
    stats: Arc<IngestStats>,
    reader: Option<JournalReader>,
    log: CommitLog,
    _runtime: tokio::runtime::Runtime,
    _dir: TempDir,
}

struct Answer {
    status: u16,
    headers: ureq::http::HeaderMap,
    body: String,
}

impl Server {
    fn new() -> Self {
        Self::with(|_| {}, JournalOptions::default())
    }

    fn with(change: impl FnOnce(&mut IngestOptions), journal: JournalOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let log = CommitLog::open(dir.path(), Arc::clone(&store), CommitLogOptions::default()).unwrap();
        let (journal, reader) = Journal::open(dir.path(), store, journal).unwrap();
        let mut options = IngestOptions {
            sources: vec!["aws.cloudtrail".into(), "syslog".into(), "azure.activity".into()],
            ..IngestOptions::default()
        };
        change(&mut options);
        let stop = Stop::default();
        let state = IngestState::new(options, Arc::new(journal), stop.clone());
        let stats = state.stats();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let service = router(state).into_make_service_with_connect_info::<SocketAddr>();
        runtime.spawn(async move { axum::serve(listener, service).await });
        Self { address, stop, stats, reader: Some(reader), log, _runtime: runtime, _dir: dir }
    }

    fn post(&self, source: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Answer {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut request = agent.post(format!("http://{}/v1/ingest/{source}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = request.send(body.as_ref()).unwrap();
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.body_mut().read_to_string().unwrap(),
        }
    }

    /// Starts publishing.
    fn publish(&mut self) -> (Consumer, JoinHandle<Result<(), journal_reader::JournalError>>) {
        let (publisher, mut consumers) = raw_topic(1, 1 << 30);
        let (reader, stats, stop) = (self.reader.take().unwrap(), Arc::clone(&self.stats), self.stop.clone());
        let thread = std::thread::spawn(move || journal_reader::run(reader, &publisher, &stats, &stop));
        (consumers.remove(0), thread)
    }
}

fn texts(unit: &Unit) -> Vec<String> {
    unit.records.iter().map(|record| String::from_utf8_lossy(unit.bytes(record)).into_owned()).collect()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn all_shapes_of_bodies_become_records() {
    let mut server = Server::new();
    let (consumer, thread) = server.publish();
    let ok = |answer: Answer, count: usize| {
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.body, format!("{{\"accepted\":{count},\"rejected\":[]}}"));
    };
    let two = ["{\"a\":1}", "{\"b\":2}"];
    ok(server.post("aws.cloudtrail", &[], "{\"a\":1}\n{\"b\":2}\n"), 2);
    ok(server.post("aws.cloudtrail", &[], "[{\"a\":1},\n{\"b\":2}]"), 2);
    ok(
        server.post(
            "aws.cloudtrail",
            &[("content-encoding", "gzip")],
            gzip(b"{\"Records\":[{\"a\":1},{\"b\":2}]}"),
        ),
        2,
    );
    let zstd = zstd::encode_all(&b"{\"a\":1}{\"b\":2}"[..], 1).unwrap();
    ok(server.post("aws.cloudtrail", &[("content-encoding", "zstd")], zstd), 2);
    for sequence in 0..4 {
        let unit = consumer.next().unwrap().unit;
        assert_eq!((&*unit.stream, unit.sequence), (JOURNAL_STREAM, sequence));
        assert_eq!(texts(&unit), two);
        assert_eq!(unit.records.iter().map(|record| record.origin).collect::<Vec<_>>(), [0, 1]);
        assert_eq!((&*unit.context.source, &*unit.context.location), ("aws.cloudtrail", "http:127.0.0.1"));
        assert!(unit.checkpoint.is_some());
    }
    ok(server.post("syslog", &[("content-encoding", "identity")], "one\r\ntwo"), 2);
    assert_eq!(texts(&consumer.next().unwrap().unit), ["one", "two"]);
    ok(server.post("syslog", &[], ""), 0);
    server.stop.set();
    thread.join().unwrap().unwrap();
    assert_eq!(server.stats["aws.cloudtrail"].events.load(std::sync::atomic::Ordering::Relaxed), 8);
}

#[test]
fn bad_records_are_told_and_the_others_accepted() {
    let mut server = Server::new();
    let (consumer, _thread) = server.publish();
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(128), "]".repeat(128));
    let body = format!("{{\"a\":1}}\n\nnot json\n{{\"b\":}}\n{deep}\n{{\"c\":3}}\n");
    let answer = server.post("aws.cloudtrail", &[], &body);
    assert_eq!(answer.status, 200);
    let value: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(value["accepted"], 2);
    let lines: Vec<_> =
        value["rejected"].as_array().unwrap().iter().map(|bad| bad["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [3, 4, 5]);
    assert_eq!(texts(&consumer.next().unwrap().unit), ["{\"a\":1}", "{\"c\":3}"]);

    let answer = server.post("aws.cloudtrail", &[], "nothing\nvalid\n");
    assert_eq!(answer.status, 400);
    assert!(answer.body.starts_with("{\"accepted\":0,\"rejected\":[{\"line\":1,"), "{}", answer.body);
    let answer = server.post("aws.cloudtrail", &[], "[{\"a\":1},{\"b\":},{\"c\":1}]");
    assert!(answer.body.starts_with("{\"accepted\":2,\"rejected\":[{\"line\":2,"), "{}", answer.body);
    let many = "x\n".repeat(3000);
    let value: serde_json::Value =
        serde_json::from_str(&server.post("aws.cloudtrail", &[], many).body).unwrap();
    assert_eq!((value["rejected"].as_array().unwrap().len(), &value["rejected_total"]), (1000, &3000.into()));
    let limit = format!("{{\"a\":\"{}\"}}", "x".repeat(DEFAULT_MAX_EVENT_BYTES));
    assert_eq!(server.post("aws.cloudtrail", &[], limit).status, 400);
}

#[test]
fn a_repeated_key_gives_the_first_answer() {
    let mut server = Server::new();
    let (consumer, _thread) = server.publish();
    let key = [("idempotency-key", "k-1")];
    let first = server.post("syslog", &key, "one\ntwo");
    let second = server.post("syslog", &key, "one\ntwo");
    assert_eq!((first.status, second.status), (200, 200));
    assert_eq!(first.body, second.body);
    assert!(!first.headers.contains_key("idempotency-replayed"));
    assert_eq!(second.headers["idempotency-replayed"], "true");
    assert_eq!(server.post("syslog", &key, "three").status, 422);
    assert_eq!(server.post("aws.cloudtrail", &key, "{}").status, 200, "a key belongs to its source");
    let unit = consumer.next().unwrap().unit;
    assert_eq!(texts(&unit), ["one", "two"]);
    assert_eq!(texts(&consumer.next().unwrap().unit), ["{}"], "nothing twice");
    for bad in ["", "with space", &"x".repeat(256), "ä"] {
        assert_eq!(server.post("syslog", &[("idempotency-key", bad)], "x").status, 400, "{bad:?}");
    }
    assert_eq!(server.post("syslog", &[("idempotency-key", &"x".repeat(255))], "x").status, 200);
}

#[test]
fn tokens() {
    let server = Server::with(
        |options| {
            options.tokens = vec![
                Token { secret: Secret::new("all"), sources: Vec::new() },
                Token { secret: Secret::new("sys"), sources: vec!["syslog".into()] },
            ];
        },
        JournalOptions::default(),
    );
    let none = server.post("syslog", &[], "x");
    assert_eq!((none.status, &none.headers["www-authenticate"]), (401, &"Bearer".parse().unwrap()));
    assert!(none.body.starts_with("{\"error\":"));
    assert_eq!(server.post("syslog", &[("authorization", "Bearer wrong")], "x").status, 401);
    assert_eq!(server.post("syslog", &[("authorization", "Bearer sys")], "x").status, 200);
    assert_eq!(server.post("aws.cloudtrail", &[("authorization", "Bearer sys")], "{}").status, 403);
    assert_eq!(server.post("aws.cloudtrail", &[("authorization", "Bearer all")], "{}").status, 200);
}

#[test]
fn refusals() {
    let server = Server::with(|options| options.max_body_bytes = 100_000, JournalOptions::default());
    let unknown = server.post("aws.cloudtrial", &[], "{}");
    assert_eq!(unknown.status, 404);
    assert!(unknown.body.contains("aws.cloudtrail"), "{}", unknown.body);
    assert_eq!(server.post("syslog", &[("content-encoding", "br")], "x").status, 415);
    assert_eq!(server.post("syslog", &[("content-encoding", "gzip")], "not gzip").status, 400);
    assert_eq!(server.post("syslog", &[], vec![b'x'; 100_001]).status, 413);
    let bomb = gzip(&vec![b'x'; 3_000_000]);
    assert_eq!(server.post("syslog", &[("content-encoding", "gzip")], &bomb).status, 413);
    let whole = gzip(b"one\ntwo\n");
    assert_eq!(server.post("syslog", &[("content-encoding", "gzip")], &whole[..whole.len() - 3]).status, 400);
    server.stop.set();
    let ending = server.post("syslog", &[], "x");
    assert_eq!(ending.status, 503);
    assert!(ending.headers.contains_key("retry-after"));
}

#[test]
fn a_ratio_and_a_number_of_records_are_limits_too() {
    let server = Server::with(|options| options.max_records = 10, JournalOptions::default());
    let bomb = gzip(&vec![b'x'; 30_000_000]);
    let answer = server.post("syslog", &[("content-encoding", "gzip")], &bomb);
    assert_eq!(answer.status, 413);
    assert!(answer.body.contains("200 times"), "{}", answer.body);
    assert_eq!(server.post("aws.cloudtrail", &[], "{}".repeat(11)).status, 413);
}

#[test]
fn a_client_that_is_still_sending_sees_the_429() {
    let server = Server::with(|options| options.memory_bytes = 64 * 1024, JournalOptions::default());
    let body = format!("{{\"a\":\"{}\"}}", "x".repeat(8 * 1024 * 1024));
    // The client writes everything before it reads: it fails if the connection is closed under it.
    let busy = server.post("aws.cloudtrail", &[], body);
    assert_eq!((busy.status, &busy.headers["retry-after"]), (429, &"1".parse().unwrap()));
}

#[test]
fn back_pressure_is_429() {
    let journal = JournalOptions { max_bytes: 2000, ..JournalOptions::default() };
    let mut server = Server::with(|options| options.memory_bytes = 100 * 1024, journal);
    let busy = server.post("syslog", &[], vec![b'x'; 200 * 1024]);
    assert_eq!((busy.status, &busy.headers["retry-after"]), (429, &"1".parse().unwrap()));
    let mut accepted = 0;
    let full = loop {
        let answer = server.post("syslog", &[], "y".repeat(500));
        if answer.status != 200 {
            break answer;
        }
        accepted += 1;
        assert!(accepted < 10);
    };
    assert_eq!((full.status, full.headers.contains_key("retry-after")), (429, true));
    // What was accepted is read and committed: there is room again.
    let (consumer, _thread) = server.publish();
    for _ in 0..accepted {
        let unit = consumer.next().unwrap().unit;
        let checkpoints = vec![(Arc::clone(&unit.stream), unit.checkpoint.unwrap())];
        server.log.append(&Commit { checkpoints, ..Commit::default() }).unwrap();
    }
    assert_eq!(server.post("syslog", &[], "z").status, 200);
}

#[test]
fn a_client_that_stalls_is_given_up() {
    let server =
        Server::with(|options| options.idle_timeout = Duration::from_millis(50), JournalOptions::default());
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream
        .write_all(b"POST /v1/ingest/syslog HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf")
        .unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 408");
}

#[test]
fn a_client_that_trickles_is_given_up() {
    let server =
        Server::with(|options| options.idle_timeout = Duration::from_millis(300), JournalOptions::default());
    let mut stream = TcpStream::connect(server.address).unwrap();
    let mut sending = stream.try_clone().unwrap();
    sending
        .write_all(b"POST /v1/ingest/syslog HTTP/1.1\r\nhost: x\r\ncontent-length: 60000\r\n\r\n")
        .unwrap();
    // It is never silent for long, and would go on for an hour.
    let trickle = std::thread::spawn(move || {
        while sending.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(30));
        }
    });
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 408");
    drop(stream);
    trickle.join().unwrap();
}

#[test]
fn a_large_request_becomes_several_units_each_with_its_checkpoint() {
    let mut server = Server::new();
    let (consumer, _thread) = server.publish();
    let body: String =
        (0..12_000).map(|n| format!("{{\"n\":{n},\"pad\":\"{}\"}}\n", "x".repeat(80))).collect();
    let answer = server.post("aws.cloudtrail", &[], &body);
    assert_eq!(answer.status, 200);
    let mut read = Vec::new();
    let (mut units, mut checkpoints) = (0, std::collections::BTreeSet::new());
    loop {
        let unit = consumer.next().unwrap().unit;
        units += 1;
        assert_eq!(unit.records[0].origin, read.len() as u64);
        read.extend(texts(&unit));
        checkpoints.insert(unit.checkpoint.unwrap());
        if read.len() == 12_000 {
            break;
        }
    }
    assert!(units >= 3 && checkpoints.len() == units);
    assert_eq!(read, body.lines().collect::<Vec<_>>());
}
