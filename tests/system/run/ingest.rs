//! The HTTP source: what is answered to what, and that a 200 is kept whatever happens after it.

use serde_json::json;

use super::{blocked, numbers, site, wait_for_alerts};
use crate::harness::{Daemon, Site, gzip};
use crate::scan::FAILED_LOGIN;

const JSON: &str = "/v1/ingest/json";

fn push_site() -> Site {
    site("- {name: push, type: http, sources: [json, syslog, aws.cloudtrail], body_limit: 64KiB}\n")
}

#[test]
fn every_form_of_a_body_is_taken() {
    let site = push_site();
    let mut daemon = site.start().ready();
    let client = daemon.client.clone();
    let lines = blocked(0) + &blocked(1);
    let array = format!("[{},{}]", blocked(4).trim_end(), blocked(5).trim_end());
    let pretty = "{\n  \"number\": 6,\n  \"verdict\": \"blocked\"\n}";
    let bodies: [(&str, Vec<u8>, usize); 6] = [
        ("", lines.into(), 2),
        ("", blocked(2).trim_end().into(), 1),
        ("", format!("\u{feff}\r\n{}\r\n\r\n", blocked(3).trim_end()).into(), 1),
        ("", array.into(), 2),
        ("gzip", gzip(pretty.as_bytes()), 1),
        ("zstd", zstd::encode_all(blocked(7).as_bytes(), 1).unwrap(), 1),
    ];
    for (encoding, body, accepted) in bodies {
        let headers = [("Content-Encoding", encoding)];
        let headers = if encoding.is_empty() { &headers[..0] } else { &headers };
        let reply = client.post(JSON, headers, body).with_status(200);
        assert_eq!(reply.json(), json!({"accepted": accepted, "rejected": []}), "{encoding}");
    }
    let login = client.post("/v1/ingest/aws.cloudtrail", &[], format!("{{\"Records\":[{FAILED_LOGIN}]}}"));
    assert_eq!(login.with_status(200).json()["accepted"], 1);
    let text = client.post("/v1/ingest/syslog", &[], "alice became root\nbob became root\n");
    assert_eq!(text.with_status(200).json()["accepted"], 2);
    assert_eq!(client.post(JSON, &[], "").with_status(200).json()["accepted"], 0);
    wait_for_alerts(&site, &mut daemon, 11);
    daemon.stop();
    let alerts = site.alerts();
    let json: Vec<_> = alerts.iter().filter(|alert| alert["event"]["source"] == "json").cloned().collect();
    assert_eq!(numbers(&json), (0..8).collect::<Vec<_>>());
    assert_eq!(alerts.len(), 11);
}

#[test]
fn bad_records_are_told_and_the_others_are_taken() {
    let site = push_site();
    let mut daemon = site.start().ready();
    let body = format!("{}{{\"number\": oops}}\n{}", blocked(0), blocked(1));
    let reply = daemon.client.post(JSON, &[], body).with_status(200).json();
    assert_eq!(reply["accepted"], 2);
    assert_eq!(reply["rejected"].as_array().map(Vec::len), Some(1), "{reply}");
    assert_eq!(reply["rejected"][0]["line"], 2);
    assert!(!reply["rejected"][0]["error"].as_str().unwrap().is_empty());
    wait_for_alerts(&site, &mut daemon, 2);
    daemon.stop();
    assert_eq!(numbers(&site.alerts()), [0, 1]);
}

#[test]
fn refusals_say_what_to_do() {
    let site = push_site();
    let daemon = site.start().ready();
    let client = daemon.client.clone();
    let post = |path: &str, headers: &[(&str, &str)], body: &[u8]| client.post(path, headers, body);

    let bad = post(JSON, &[], b"oops\n{\"a\":\n").with_status(400).json();
    assert_eq!(bad["accepted"], 0);
    assert!(!bad["rejected"].as_array().unwrap().is_empty(), "{bad}");
    post(JSON, &[("Content-Encoding", "gzip")], b"{\"a\":1}").with_status(400);
    post(JSON, &[("Content-Encoding", "gzip")], &gzip(blocked(1).as_bytes())[..20]).with_status(400);
    post(JSON, &[("Idempotency-Key", "with space")], blocked(1).as_bytes()).with_status(400);
    post(JSON, &[("Idempotency-Key", &"k".repeat(300))], blocked(1).as_bytes()).with_status(400);

    let unknown = post("/v1/ingest/jsonn", &[], blocked(1).as_bytes()).with_status(404);
    assert!(unknown.body.contains("json"), "the nearest known one: {}", unknown.body);
    post("/v1/ingest/", &[], b"{}").with_status(404);

    post(JSON, &[], &vec![b' '; (64 << 10) + 1]).with_status(413);
    post(JSON, &[("Content-Encoding", "gzip")], &gzip(&vec![b' '; 1 << 20])).with_status(413);
    let brotli = post(JSON, &[("Content-Encoding", "br")], blocked(1).as_bytes()).with_status(415);
    assert!(brotli.body.contains("gzip"), "{}", brotli.body);

    post(JSON, &[("Idempotency-Key", "one")], blocked(1).as_bytes()).with_status(200);
    post(JSON, &[("Idempotency-Key", "one")], blocked(2).as_bytes()).with_status(422);
    daemon.client.get(JSON).with_status(405);
    daemon.stop();
    assert_eq!(numbers(&site.alerts()), [1], "nothing of what was refused");
}

#[test]
fn tokens_keep_others_out_and_are_not_shown() {
    let site = site("- {name: push, type: http, tokens: [\"first-secret\", \"${file:DIR/token}\"]}\n");
    site.write("token", "second-secret\n");
    let mut daemon = site.start().ready();
    let post = |token: Option<&str>, number| {
        let header = token.map(|token| format!("Bearer {token}")).unwrap_or_default();
        let headers = [("Authorization", header.as_str())];
        daemon.client.post(JSON, if header.is_empty() { &[] } else { &headers }, blocked(number)).status
    };
    assert_eq!(post(None, 0), 401);
    assert_eq!(post(Some("wrong"), 0), 401);
    assert_eq!(post(Some("first-secre"), 0), 401);
    assert_eq!(post(Some("first-secret"), 1), 200);
    assert_eq!(post(Some("second-secret"), 2), 200);
    // Operations stay open: they hold no events.
    assert_eq!(daemon.client.get("/metrics").status, 200);
    assert!(!daemon.client.get("/metrics").body.contains("-secret"));
    wait_for_alerts(&site, &mut daemon, 2);
    daemon.stop();
    assert_eq!(numbers(&site.alerts()), [1, 2]);
    let log = std::fs::read_to_string(site.path("stderr.log")).unwrap();
    assert!(!log.contains("-secret"), "{log}");
}

#[test]
fn a_repeated_key_is_one_request_also_after_a_kill() {
    let site = push_site();
    let keyed = [("Idempotency-Key", "batch-1")];
    let body = blocked(1) + &blocked(2);
    let daemon = site.start().ready();
    let first = daemon.client.post(JSON, &keyed, &body).with_status(200).body;
    assert_eq!(daemon.client.post(JSON, &keyed, &body).with_status(200).body, first);
    daemon.kill();
    let mut daemon = site.start().ready();
    assert_eq!(daemon.client.post(JSON, &keyed, &body).with_status(200).body, first);
    daemon.client.post(JSON, &keyed, blocked(3)).with_status(422);
    // The same key for another source is another request.
    daemon.client.post("/v1/ingest/syslog", &keyed, "alice became root").with_status(200);
    wait_for_alerts(&site, &mut daemon, 3);
    daemon.stop();
    // Committed by now, and still known.
    let daemon = site.start().ready();
    assert_eq!(daemon.client.post(JSON, &keyed, &body).with_status(200).body, first);
    daemon.client.post(JSON, &keyed, blocked(3)).with_status(422);
    daemon.stop();
    assert_eq!(site.alerts().len(), 3, "{:?}", site.alerts());
}

#[test]
fn without_a_key_each_request_counts() {
    let site = push_site();
    let mut daemon = site.start().ready();
    for _ in 0..3 {
        daemon.client.post(JSON, &[], blocked(1)).with_status(200);
    }
    // Unless the provider's own key says that it is the same event.
    for _ in 0..3 {
        daemon.client.post("/v1/ingest/aws.cloudtrail", &[], FAILED_LOGIN).with_status(200);
    }
    wait_for_alerts(&site, &mut daemon, 4);
    let client = daemon.client.clone();
    daemon.until("all events", || (client.metric("threatlockdown_events_total") == 6.0).then_some(()));
    daemon.stop();
    assert_eq!(site.alerts().len(), 4);
}

#[test]
fn an_event_that_comes_again_on_another_way_alerts_once() {
    let site = site(
        "- {name: push, type: http}\n- {name: trail, type: file, source: aws.cloudtrail, paths: [\"DIR/in/*.json\"]}\n",
    );
    let other = |number: u32| FAILED_LOGIN.replace("000000000001", &format!("{number:012}"));
    let repeated = |daemon: &Daemon| daemon.client.metric("threatlockdown_alerts_repeated_total");
    site.write("in/1.json", FAILED_LOGIN);
    let mut daemon = site.start().ready();
    wait_for_alerts(&site, &mut daemon, 1);
    // A second trail, and what a tool sends once more.
    site.write("in/2.json", format!("{{\"Records\":[{FAILED_LOGIN},{}]}}", other(2)));
    wait_for_alerts(&site, &mut daemon, 2);
    assert_eq!(repeated(&daemon), 1.0);
    daemon.kill();
    let mut daemon = site.start().ready();
    let body = format!("{FAILED_LOGIN}\n{}\n{}\n", other(2), other(3));
    daemon.client.post("/v1/ingest/aws.cloudtrail", &[], body).with_status(200);
    wait_for_alerts(&site, &mut daemon, 3);
    assert_eq!(repeated(&daemon), 2.0);
    daemon.stop();
    assert_eq!(site.alerts().len(), 3);
    // The snapshot knows them too.
    let mut daemon = site.start().ready();
    daemon
        .client
        .post("/v1/ingest/aws.cloudtrail", &[], format!("{FAILED_LOGIN}\n{}", other(4)))
        .with_status(200);
    wait_for_alerts(&site, &mut daemon, 4);
    daemon.stop();
    assert_eq!(crate::harness::ids(&site.alerts()).len(), 4);
}

#[test]
fn an_answered_request_survives_a_kill_at_once() {
    let site = push_site();
    for number in 0..8 {
        let daemon = site.start().ready();
        daemon.client.post(JSON, &[], blocked(number)).with_status(200);
        daemon.kill();
    }
    let mut daemon = site.start().ready();
    wait_for_alerts(&site, &mut daemon, 8);
    daemon.stop();
    assert_eq!(numbers(&site.alerts()), (0..8).collect::<Vec<_>>());
}

#[test]
fn many_clients_at_once_are_all_served() {
    let site = push_site();
    let mut daemon = site.start().ready();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let client = daemon.client.clone();
            scope.spawn(move || {
                for request in 0..25 {
                    client.post(JSON, &[], blocked(thread * 25 + request)).with_status(200);
                }
            });
        }
    });
    wait_for_alerts(&site, &mut daemon, 200);
    daemon.stop();
    assert_eq!(numbers(&site.alerts()), (0..200).collect::<Vec<_>>());
}
