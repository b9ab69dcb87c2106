//! What the brokers let clients in by: certificates and credentials, as they are now.
//!
//! Enters: the settings as they were at the start, and word of new ones. Leaves: what a client is made with, and word that clients
//! made earlier are to be opened anew. Certificates are renewed every few weeks, and passwords changed, while the
//! process runs; librdkafka reads them once, when a client is made. So files are read here, looked at again from time to time,
//! and taken only when they stand still and a client can be made of them: half a pair of files replaces nothing.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;

use super::error::KafkaError;
use super::settings::{Sasl, Settings, Tls, credentials};

/// Between two looks at files; what differs is taken when it is the same twice.
const LOOK: Duration = Duration::from_secs(5);

/// Shared by all clients of a process.
#[derive(Clone, Default)]
pub struct Renewal(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// How often something new was taken.
    version: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What the configuration says now, where that is not what it said at the start.
    told: Option<(Option<Tls>, Option<Sasl>)>,
    /// What clients are made with; known from the first client on.
    taken: Option<Access>,
    /// What differed at the last look.
    seen: Option<Access>,
    looked: Option<Instant>,
    /// That it cannot be used is said once.
    is_told: bool,
}

/// Certificates and credentials with the texts of their files.
#[derive(Clone, PartialEq, Eq)]
struct Access {
    tls: Option<Tls>,
    sasl: Option<Sasl>,
    /// Authorities, certificate and key; `None`: not given, or no file that can be read.
    texts: [Option<String>; 3],
}

/// Settings of librdkafka for a file and for its text.
const FILES: [(&str, &str); 3] = [
    ("ssl.ca.location", "ssl.ca.pem"),
    ("ssl.certificate.location", "ssl.certificate.pem"),
    ("ssl.key.location", "ssl.key.pem"),
];

impl Renewal {
    /// What the configuration says now. Clients are opened anew with it, if any can be made of it.
    pub fn tell(&self, tls: Option<Tls>, sasl: Option<Sasl>) {
        self.lock().told = Some((tls, sasl));
    }

    /// Says how clients are let in.
    pub(super) fn apply(&self, settings: &Settings, config: &mut ClientConfig) {
        let mut state = self.lock();
        let now =
            state.taken.get_or_insert_with(|| Access::read(settings.tls.clone(), settings.sasl.clone()));
        now.apply(config);
    }

    /// For a client that is made now.
    pub(super) fn watch(&self, settings: &Settings) -> Watched {
        // A client that cannot be opened any more is opened again and again until it can.
        self.look(settings);
        Watched { settings: settings.clone(), version: self.version() }
    }

    fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    /// Looks whether anything has changed, if it is time.
    fn look(&self, settings: &Settings) {
        if settings.tls.is_none() && settings.sasl.is_none() {
            return;
        }
        let mut state = self.lock();
        let Some(taken) = state.taken.clone() else { return };
        if state.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return;
        }
        state.looked = Some(Instant::now());
        let told = state.told.clone();
        let (tls, sasl) = told.unwrap_or_else(|| (taken.tls.clone(), taken.sasl.clone()));
        let found = Access::read(tls, sasl);
        if found == taken {
            state.seen = None;
        } else if state.seen.as_ref() != Some(&found) {
            (state.seen, state.is_told) = (Some(found), false);
        } else if !state.is_told
            && let Err(error) = found.try_out(settings)
        {
            state.is_told = true;
            tracing::warn!(%error, "the new certificates or credentials cannot be used, the old ones stay");
        } else if !state.is_told {
            tracing::info!("new certificates or credentials: clients are opened anew");
            (state.taken, state.seen) = (Some(found), None);
            self.0.version.fetch_add(1, Ordering::Release);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a client was made with.
pub(super) struct Watched {
    settings: Settings,
    version: u64,
}

impl Watched {
    /// Whether it still stands. To be asked between transactions.
    ///
    /// # Errors
    /// [`KafkaError::Renewed`] when the client is to be opened anew.
    pub(super) fn check(&self) -> Result<(), KafkaError> {
        let renewal = &self.settings.renewal;
        renewal.look(&self.settings);
        if renewal.version() == self.version { Ok(()) } else { Err(KafkaError::Renewed) }
    }
}

impl Access {
    fn read(tls: Option<Tls>, sasl: Option<Sasl>) -> Self {
        let files = tls.as_ref().map(Tls::files).unwrap_or_default();
        let texts = files.map(|file| std::fs::read_to_string(file?).ok());
        Self { tls, sasl, texts }
    }

    fn apply(&self, config: &mut ClientConfig) {
        let protocol = match (&self.tls, &self.sasl) {
            (None, None) => "plaintext",
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        config.set("security.protocol", protocol);
        if let Some(tls) = &self.tls {
            for (((location, pem), file), text) in FILES.iter().zip(tls.files()).zip(&self.texts) {
                match (file, text) {
                    (_, Some(text)) => config.set(*pem, text),
                    // What is wrong with it, the library says; authorities may be a folder.
                    (Some(file), None) => config.set(*location, file.to_string_lossy()),
                    (None, None) => continue,
                };
            }
            if let Some(password) = &tls.key_password {
                config.set("ssl.key.password", password);
            }
        }
        if let Some(sasl) = &self.sasl {
            config.set("sasl.mechanism", sasl.mechanism.name());
            credentials(sasl, config);
        }
    }

    /// Makes a client, which reads certificates and keys; nothing is sent.
    fn try_out(&self, settings: &Settings) -> Result<(), KafkaError> {
        let mut config = settings.bare();
        self.apply(&mut config);
        let made: Result<BaseConsumer, _> = config.create();
        made.map(drop).map_err(|error| KafkaError::of("cannot make a client", error))
    }
}

impl Tls {
    fn files(&self) -> [Option<&Path>; 3] {
        [self.ca.as_deref(), self.certificate.as_deref(), self.key.as_deref()]
    }
}

/// All are alike: what they hold follows from the settings.
impl PartialEq for Renewal {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Renewal {}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal").field("version", &self.version()).finish_non_exhaustive()
    }
}
