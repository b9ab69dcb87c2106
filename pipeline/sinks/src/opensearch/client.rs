//! Requests to one of several hosts.
//!
//! Enters: method, path and body. Leaves: status and answer of the first host that gives one; a host that cannot be
//! reached, or says that it cannot serve, is passed over for the next one, which is then asked first from then on.
//! Connections are kept. Certificates are read when the client is made, which is again after each failure: so those that were
//! replaced are found without a restart. Passwords and tokens are the newest with each request.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use ureq::Agent;

use crate::renewable::Renewable;
use crate::sink::SinkError;
use crate::tls;

const CONNECT: Duration = Duration::from_secs(10);
/// Kept connections are closed before a proxy in between would do so.
const IDLE: Duration = Duration::from_secs(30);
/// A thousand answers with long reasons fit in; anything longer is not an answer.
const LONGEST_ANSWER: u64 = 64 << 20;
/// Of an answer that is shown in a fault.
const SHOWN: usize = 500;

/// How the client shows who it is; never shown itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization(Renewable<String>);

impl Authorization {
    /// A user of the server.
    #[must_use]
    pub fn basic(username: &str, password: &str) -> Self {
        Self(Renewable::new(format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))))
    }

    /// A bearer token, for example a JSON web token.
    #[must_use]
    pub fn bearer(token: &str) -> Self {
        Self(Renewable::new(format!("Bearer {token}")))
    }

    /// An API key.
    #[must_use]
    pub fn api_key(key: &str) -> Self {
        Self(Renewable::new(format!("ApiKey {key}")))
    }

    /// From now on the client shows who it is as the other one does.
    pub fn renew(&self, other: &Self) {
        self.0.renew(&other.0);
    }
}

/// Where the server is and how to speak with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// `http://…` or `https://…` with port, and a path where a proxy wants one; no slash at the end.
    pub urls: Vec<String>,
    /// None for a server that asks for nothing.
    pub authorization: Option<Authorization>,
    /// PEM file of the authorities that are trusted; the system's if not set.
    pub ca: Option<PathBuf>,
    /// PEM files of the client's certificate and its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// How long one request may take.
    pub timeout: Duration,
}

/// An answer, whatever its status.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// The body of a request.
#[derive(Clone, Copy)]
pub(super) enum Content<'a> {
    None,
    Json(&'a [u8]),
    /// Lines of JSON, compressed.
    Lines(&'a [u8]),
}

pub(super) struct Client {
    agent: Agent,
    urls: Vec<String>,
    /// Which of them is asked first.
    current: usize,
    authorization: Option<Authorization>,
}

impl Client {
    /// Reads certificates; nothing is connected yet.
    pub(super) fn new(connection: &Connection) -> Result<Self, SinkError> {
        let builder = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_idle_connections(connection.urls.len().max(1))
            .max_idle_connections_per_host(1)
            .max_idle_age(IDLE)
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(connection.timeout))
            .user_agent(concat!("threatlockdown/", env!("CARGO_PKG_VERSION")));
        let client =
            connection.certificate.as_ref().map(|(certificate, key)| (certificate.as_path(), key.as_path()));
        let encrypted = connection.urls.iter().any(|url| url.starts_with("https:"));
        let builder = if encrypted {
            builder.tls_config(tls::config(connection.ca.as_deref(), client)?)
        } else {
            builder
        };
        Ok(Self {
            agent: builder.build().into(),
            urls: connection.urls.clone(),
            current: 0,
            authorization: connection.authorization.clone(),
        })
    }

    /// The answer of the first host that gives one.
    pub(super) fn request(
        &mut self,
        method: &str,
        path: &str,
        content: Content<'_>,
    ) -> Result<Reply, SinkError> {
        let compressed = match content {
            Content::Lines(lines) => Some(gzip(lines)),
            Content::None | Content::Json(_) => None,
        };
        let mut fault = None;
        // Of a single host too: a connection that was kept may be closed by now.
        for _ in 0..self.urls.len().max(2) {
            let Some(url) = self.urls.get(self.current) else { break };
            let reason = match self.ask(method, &format!("{url}{path}"), content, compressed.as_deref()) {
                Ok(reply) if !matches!(reply.status, 502..=504) => return Ok(reply),
                Ok(reply) => reply.fault(),
                Err(error) => error.to_string(),
            };
            fault = Some(SinkError::Refused { target: url.clone(), reason });
            self.current = (self.current + 1) % self.urls.len();
        }
        Err(fault.unwrap_or_else(|| SinkError::Refused {
            target: String::from("OpenSearch"),
            reason: String::from("no host is configured"),
        }))
    }

    fn ask(
        &self,
        method: &str,
        url: &str,
        content: Content<'_>,
        compressed: Option<&[u8]>,
    ) -> Result<Reply, ureq::Error> {
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        if let Some(Authorization(value)) = &self.authorization {
            request = request.header("authorization", value.get());
        }
        let mut response = match content {
            Content::None => self.agent.run(request.body(())?)?,
            Content::Json(body) => {
                self.agent.run(request.header("content-type", "application/json").body(body)?)?
            }
            Content::Lines(lines) => {
                request = request.header("content-type", "application/x-ndjson");
                match compressed {
                    Some(body) => self.agent.run(request.header("content-encoding", "gzip").body(body)?)?,
                    None => self.agent.run(request.body(lines)?)?,
                }
            }
        };
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(LONGEST_ANSWER).read_to_vec()?;
        Ok(Reply { status, body })
    }

    /// The host that was asked last.
    pub(super) fn target(&self) -> String {
        self.urls.get(self.current).cloned().unwrap_or_default()
    }

    /// An answer that says no.
    pub(super) fn refusal(&self, what: &str, reply: &Reply) -> SinkError {
        SinkError::Refused { target: self.target(), reason: format!("{what}: {}", reply.fault()) }
    }
}

impl Reply {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Status, what can be done, and the beginning of the answer.
    pub(super) fn fault(&self) -> String {
        let text: String = String::from_utf8_lossy(&self.body).chars().take(SHOWN).collect();
        let hint = match self.status {
            300..=399 => " (a redirection: give the URL that it leads to)",
            401 => " (check username and password, token or API key)",
            403 => " (the user may not do this, or the index is closed for writing: a full disk does that)",
            _ => "",
        };
        format!("status {}{hint} {}", self.status, text.trim())
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    // Into memory, where writing does not fail; what failed nevertheless is sent as it is.
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default()
}
