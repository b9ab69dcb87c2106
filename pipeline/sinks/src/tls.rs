//! Encryption of what sinks send.
//!
//! Enters: PEM files, or nothing. Leaves: whom to trust and who we are. Certificates are read at each call, so that a sink that
//! makes its client anew finds those that were replaced.

use std::path::Path;
use std::sync::Arc;

use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use crate::sink::SinkError;

/// Trusts the authorities in a file, or those of the system; the client shows a certificate with its key where there is one.
pub(crate) fn config(ca: Option<&Path>, client: Option<(&Path, &Path)>) -> Result<TlsConfig, SinkError> {
    let Some(path) = ca else { return with(&system(), client) };
    let roots = certificates(path)?;
    if roots.is_empty() {
        return Err(unusable(path, "there is no certificate in it"));
    }
    with(&roots, client)
}

/// Trusts the authorities of the system.
pub(crate) fn of_system() -> TlsConfig {
    trusting(&system(), None)
}

fn with(roots: &[Certificate<'static>], client: Option<(&Path, &Path)>) -> Result<TlsConfig, SinkError> {
    let client = match client {
        Some((certificate, key)) => {
            Some(ClientCert::new_with_certs(&certificates(certificate)?, private_key(key)?))
        }
        None => None,
    };
    Ok(trusting(roots, client))
}

fn trusting(roots: &[Certificate<'static>], client: Option<ClientCert>) -> TlsConfig {
    TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::new_with_certs(roots))
        .client_cert(client)
        .build()
}

fn system() -> Vec<Certificate<'static>> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "cannot read certificates of the system");
    }
    found.certs.iter().map(|certificate| Certificate::from_der(certificate.as_ref()).to_owned()).collect()
}

fn read(path: &Path) -> Result<Vec<u8>, SinkError> {
    let failed = |source| SinkError::Io { action: "read", target: path.display().to_string(), source };
    std::fs::read(path).map_err(failed)
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, SinkError> {
    let mut found = Vec::new();
    for item in parse_pem(&read(path)?) {
        match item {
            Ok(PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(unusable(path, &error.to_string())),
        }
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKey<'static>, SinkError> {
    PrivateKey::from_pem(&read(path)?).map_err(|error| unusable(path, &error.to_string()))
}

fn unusable(path: &Path, why: &str) -> SinkError {
    SinkError::Refused { target: path.display().to_string(), reason: why.to_owned() }
}
