//! One node for all tests of this binary that run at the same time; each has indices of its own.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::Value;
use threatlockdown_services::opensearch::OpenSearch;
use threatlockdown_sinks::opensearch::Options;

pub(crate) struct Node {
    pub(crate) server: OpenSearch,
}

/// The node that runs, or a new one.
pub(crate) fn node() -> Arc<Node> {
    static NODE: Mutex<Weak<Node>> = Mutex::new(Weak::new());
    let mut shared = NODE.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let node = Arc::new(Node { server: OpenSearch::start() });
        *shared = Arc::downgrade(&node);
        node
    })
}

impl Node {
    pub(crate) fn options(&self, prefix: &str) -> Options {
        Options { index_prefix: prefix.to_owned(), ..Options::new(vec![self.server.url()]) }
    }

    pub(crate) fn request(&self, method: &str, path: &str, body: &Value) -> Value {
        request(&self.server.url(), method, path, body)
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.request("GET", path, &Value::Null)
    }

    /// All documents of some indices by `_id`, with their index and source.
    pub(crate) fn documents(&self, indices: &str) -> std::collections::BTreeMap<String, (String, Value)> {
        documents(&self.server.url(), indices)
    }
}

pub(crate) fn request(url: &str, method: &str, path: &str, body: &Value) -> Value {
    let config = ureq::Agent::config_builder().http_status_as_error(false).max_idle_connections(0).build();
    let agent: ureq::Agent = config.into();
    let request = ureq::http::Request::builder().method(method).uri(format!("{url}{path}"));
    let mut response = if body.is_null() {
        agent.run(request.body(()).unwrap()).unwrap()
    } else {
        let request = request.header("content-type", "application/json");
        agent.run(request.body(body.to_string()).unwrap()).unwrap()
    };
    let text = response.body_mut().with_config().limit(100 << 20).read_to_string().unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{method} {path}: {error}: {text}"))
}

pub(crate) fn documents(url: &str, indices: &str) -> std::collections::BTreeMap<String, (String, Value)> {
    request(url, "POST", &format!("/{indices}/_refresh"), &Value::Null);
    let found = request(url, "GET", &format!("/{indices}/_search?size=10000"), &Value::Null);
    let hits = found["hits"]["hits"].as_array().unwrap_or_else(|| panic!("{found}"));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = hits.iter().map(|hit| (text(&hit["_id"]), (text(&hit["_index"]), hit["_source"].clone())));
    let by_id: std::collections::BTreeMap<_, _> = all.collect();
    assert_eq!(by_id.len(), hits.len(), "an id is there twice");
    by_id
}
