//! An HTTP client that shows answers as they are, errors of the server too.

use std::time::Duration;

use serde_json::Value;

/// Talks to one process.
#[derive(Clone)]
pub(crate) struct Client {
    agent: ureq::Agent,
    base: String,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: String,
}

impl Client {
    pub(crate) fn new(port: u16) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            // A kept connection to a process that was killed would only be one more error.
            .max_idle_connections(0)
            .build();
        Self { agent: config.into(), base: format!("http://127.0.0.1:{port}") }
    }

    pub(crate) fn try_get(&self, path: &str) -> Result<Reply, ureq::Error> {
        Reply::read(self.agent.get(format!("{}{path}", self.base)).call()?)
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Reply {
        self.try_get(path).unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    pub(crate) fn try_post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Reply, ureq::Error> {
        let mut request = self.agent.post(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Reply::read(request.send(body)?)
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Reply {
        self.try_post(path, headers, body.as_ref()).unwrap_or_else(|error| panic!("POST {path}: {error}"))
    }

    /// All values of `/metrics` under this name, added up.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str) -> f64 {
        metric(&self.get("/metrics").body, name)
    }
}

impl Reply {
    fn read(mut response: ureq::http::Response<ureq::Body>) -> Result<Self, ureq::Error> {
        let retry_after = response.headers().get("retry-after");
        Ok(Self {
            status: response.status().as_u16(),
            retry_after: retry_after.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
            body: response.body_mut().read_to_string()?,
        })
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    #[track_caller]
    pub(crate) fn with_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }
}

/// Sum of the samples of `name`, which is the whole name or a name with its first labels: `a_total{source="x"`. A counter
/// with labels that has not counted yet is not shown, and is 0.
pub(crate) fn metric(text: &str, name: &str) -> f64 {
    let value = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let bare = rest.starts_with([' ', '{', ',', '}']);
        bare.then(|| rest.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok())).flatten()
    };
    text.lines().filter_map(value).sum()
}
