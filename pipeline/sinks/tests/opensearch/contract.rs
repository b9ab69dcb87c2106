//! What a server does only now and then.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};
use threatlockdown_sinks::Sink as _;
use threatlockdown_sinks::opensearch::{Authorization, Options};

use crate::answers::{Asked, Listener};
use crate::site::{Site, alert};

const FULL: &str = "rejected_execution_exception";

/// The answer of `_bulk` for statuses.
fn items(statuses: impl Iterator<Item = u16>) -> String {
    let item = |status: u16| match status {
        201 => json!({"create": {"status": 201}}),
        status => json!({"create": {"status": status, "error": {"type": FULL, "reason": "full"}}}),
    };
    json!({"items": statuses.map(item).collect::<Vec<_>>()}).to_string()
}

/// A server that has all it needs and takes everything.
pub(crate) fn content(asked: &Asked) -> (u16, String) {
    if asked.is_bulk() { (200, items(asked.ids().iter().map(|_| 201))) } else { missing(asked) }
}

/// Nothing is there yet, and everything can be made.
fn missing(asked: &Asked) -> (u16, String) {
    match asked.method.as_str() {
        "GET" if asked.path.starts_with("/_plugins") => {
            (400, r#"{"error":"no handler found for uri"}"#.into())
        }
        "GET" if asked.path.starts_with("/_resolve") => (200, r#"{"indices":[]}"#.into()),
        "GET" => (404, "{}".into()),
        _ => (200, "{}".into()),
    }
}

fn site(listener: &Listener, count: u128) -> Site {
    let mut site = Site::new(Options { bulk_items: 10, ..Options::new(vec![listener.url.clone()]) });
    let alerts: Vec<_> = (0..count).map(|n| alert(n, "2024-03-02", &json!({"n": 1}))).collect();
    site.append(&alerts);
    site
}

#[test]
fn items_that_the_server_could_not_take_are_sent_again_and_no_others() {
    let seen = Mutex::new(HashSet::new());
    // Every third item is put off the first time, and every fifth the second time.
    let listener = Listener::new(move |asked| {
        if !asked.is_bulk() {
            return missing(asked);
        }
        let status = |id: u128| {
            let mut seen = seen.lock().unwrap();
            match id {
                id if id % 3 == 0 && seen.insert((id, 1)) => 429,
                id if id % 15 == 0 && seen.insert((id, 2)) => 503,
                _ => 201,
            }
        };
        (200, items(asked.ids().into_iter().map(status)))
    });
    let site = site(&listener, 40);
    site.deliver();
    let mut sent = vec![0; 40];
    listener.bulks().iter().flat_map(Asked::ids).for_each(|id| sent[usize::try_from(id).unwrap()] += 1);
    for (id, times) in sent.iter().enumerate() {
        let expected = 1 + usize::from(id % 3 == 0) + usize::from(id % 15 == 0);
        assert_eq!(*times, expected, "{id}");
    }
    assert_eq!(site.counted(), [40, 0, 14 + 3, 0, 0]);
}

#[test]
fn an_alert_at_which_the_server_always_fails_does_not_hold_the_others_up_for_ever() {
    let listener = Listener::new(|asked| {
        let status = |id: u128| if id == 5 { 500 } else { 201 };
        if asked.is_bulk() { (200, items(asked.ids().into_iter().map(status))) } else { missing(asked) }
    });
    let site = site(&listener, 20);
    site.deliver();
    let letters = site.dead_letters();
    assert_eq!((letters.len(), site.counted()), (1, [19, 0, 9, 0, 1]));
    assert!(letters[0]["detail"].as_str().unwrap().contains(FULL), "{}", letters[0]);
    let mut others: Vec<u128> = listener.bulks().iter().flat_map(Asked::ids).filter(|&id| id != 5).collect();
    others.sort_unstable();
    assert_eq!(others, (0..20).filter(|&id| id != 5).collect::<Vec<_>>(), "none of them is sent twice");
}

#[test]
fn a_request_that_is_too_large_is_divided_and_one_alert_that_is_too_large_is_a_dead_letter() {
    let listener = Listener::new(|asked| {
        let ids = asked.ids();
        if asked.is_bulk() && (ids.len() > 3 || ids.contains(&5)) {
            return (413, "<html>too large</html>".into());
        }
        content(asked)
    });
    let site = site(&listener, 10);
    site.deliver();
    let letters = site.dead_letters();
    assert_eq!((letters.len(), site.counted()), (1, [9, 0, 0, 0, 1]));
    assert!(letters[0]["detail"].as_str().unwrap().contains("status 413"), "{}", letters[0]);
}

#[test]
fn a_host_that_is_away_or_cannot_serve_is_passed_over() {
    let away = Listener::new(|_| (503, "no shard".into()));
    let listener = Listener::new(content);
    let urls = vec!["http://127.0.0.1:1".to_owned(), away.url.clone(), listener.url.clone()];
    let mut site = Site::new(Options::new(urls));
    for number in 0..5 {
        site.append(&[alert(number, "2024-03-02", &json!({}))]);
        site.deliver();
    }
    assert_eq!(site.counted(), [5, 0, 0, 0, 0]);
    let ids: Vec<u128> = listener.bulks().iter().flat_map(Asked::ids).collect();
    assert_eq!(ids, [0, 1, 2, 3, 4]);
    assert!(away.bulks().is_empty(), "the host that answered first is asked from then on");
}

#[test]
fn requests_are_compressed_share_a_connection_and_say_who_asks() {
    let listener = Listener::new(content);
    let mut options = Options { bulk_items: 10, ..Options::new(vec![listener.url.clone()]) };
    options.connection.authorization = Some(Authorization::basic("tld", "secret"));
    assert!(!format!("{options:?}").contains("c2Vj"), "{options:?}");
    let mut site = Site::new(options);
    let alerts: Vec<_> = (0..95).map(|n| alert(n, "2024-03-02", &json!({"n": 1}))).collect();
    site.append(&alerts);
    site.deliver();
    let bulks = listener.bulks();
    assert_eq!(bulks.iter().map(|bulk| bulk.ids().len()).max(), Some(10));
    for bulk in &bulks {
        assert_eq!(bulk.header("content-encoding"), Some("gzip"));
        assert_eq!(bulk.header("content-type"), Some("application/x-ndjson"));
    }
    assert!(
        listener.asked().iter().all(|asked| asked.header("authorization") == Some("Basic dGxkOnNlY3JldA=="))
    );
    assert_eq!((bulks.len(), listener.connections()), (10, 1));
}

#[test]
fn a_request_is_bounded_in_bytes() {
    let listener = Listener::new(content);
    let alerts: Vec<_> =
        (0..20).map(|n| alert(n, "2024-03-02", &json!({"text": "x".repeat(1000)}))).collect();
    let longest = alerts.iter().map(|alert| alert.json.len()).max().unwrap();
    let bulk_bytes = longest * 7 / 2;
    let mut site = Site::new(Options { bulk_bytes, ..Options::new(vec![listener.url.clone()]) });
    site.append(&alerts);
    site.deliver();
    let bulks = listener.bulks();
    assert!(bulks.iter().all(|bulk| bulk.body.len() <= bulk_bytes), "one is too large");
    assert_eq!(bulks.iter().map(|bulk| bulk.ids().len()).sum::<usize>(), 20);
    assert!(bulks.iter().any(|bulk| bulk.ids().len() == 3), "and none is smaller than it has to be");
}

#[test]
fn without_the_right_to_deliver_nothing_is_acknowledged_and_the_reason_is_told() {
    let listener =
        Listener::new(|asked| if asked.is_bulk() { (403, "no permissions".into()) } else { missing(asked) });
    let site = site(&listener, 3);
    let mut sink = site.sink();
    sink.resume(&[]).unwrap();
    let commit = threatlockdown_topics::Commit {
        alerts: vec![alert(1, "2024-03-02", &json!({}))],
        ..Default::default()
    };
    sink.deliver(&commit).unwrap();
    let error = sink.flush().unwrap_err().to_string();
    assert!(
        error.contains("status 403 (the user may not do this") && error.contains("no permissions"),
        "{error}"
    );
    assert!(site.dead_letters().is_empty());
    assert_eq!(site.counted(), [0; 5]);
}

#[test]
fn a_server_with_state_management_gets_a_policy_in_place_of_our_deletions() {
    let policy: Mutex<Option<Value>> = Mutex::new(None);
    let listener = Listener::new(move |asked| {
        if !asked.path.starts_with("/_plugins/_ism/policies/threatlockdown-alerts-retention") {
            return content(asked);
        }
        let mut policy = policy.lock().unwrap();
        match (asked.method.as_str(), &*policy) {
            ("GET", None) => (404, r#"{"error":{"reason":"Policy not found"},"status":404}"#.into()),
            ("GET", Some(found)) => (
                200,
                json!({"_id": "x", "_seq_no": 7, "_primary_term": 2, "policy": found["policy"]}).to_string(),
            ),
            _ => {
                *policy = Some(serde_json::from_str(&asked.body).unwrap());
                (201, "{}".into())
            }
        }
    });
    let resume = |days: u64| {
        let retention = Some(Duration::from_secs(days * 86_400));
        Site::new(Options { retention, ..Options::new(vec![listener.url.clone()]) })
            .sink()
            .resume(&[])
            .unwrap();
    };
    resume(30);
    resume(30);
    resume(60);
    let asked = listener.asked();
    let puts: Vec<&Asked> =
        asked.iter().filter(|one| one.method == "PUT" && one.path.contains("_ism")).collect();
    assert_eq!(puts.len(), 2, "{puts:?}");
    assert!(
        !puts[0].path.contains("if_seq_no") && puts[1].path.ends_with("?if_seq_no=7&if_primary_term=2"),
        "{puts:?}"
    );
    let wanted: Value = serde_json::from_str(&puts[1].body).unwrap();
    assert_eq!(wanted["policy"]["states"][0]["transitions"][0]["conditions"]["min_index_age"], "1440h");
    assert_eq!(wanted["policy"]["ism_template"][0]["index_patterns"][0], "threatlockdown-alerts-*.*.*");
    assert!(asked.iter().all(|one| one.method != "DELETE" && !one.path.starts_with("/_resolve")));
}
