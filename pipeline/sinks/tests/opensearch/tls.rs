//! Encryption: whom we trust, who we are, and certificates that are replaced while we run.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::json;
use threatlockdown_sinks::opensearch::Options;

use crate::answers::{Asked, Listener};
use crate::contract::content;
use crate::site::{Site, alert, until};

fn openssl(folder: &Path, line: &str) {
    let output = Command::new("openssl").args(line.split(' ')).current_dir(folder).output();
    let output = output.expect("this test needs the command openssl");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An authority `NAME.pem`, and a certificate from it for this machine, `NAME-leaf.pem` with `NAME-leaf.key`.
fn authority(folder: &Path, name: &str) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(folder, &format!("req -x509 {key} -keyout {name}.key -out {name}.pem -days 30 -subj /CN={name}"));
    openssl(folder, &format!("req {key} -keyout {name}-leaf.key -out {name}.csr -subj /CN=leaf-of-{name}"));
    fs::write(folder.join("san"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    openssl(
        folder,
        &format!(
            "x509 -req -in {name}.csr -CA {name}.pem -CAkey {name}.key -CAcreateserial -out {name}-leaf.pem -days 30 -extfile san"
        ),
    );
}

/// A server with a leaf of one authority, which wants clients to have one of another.
fn server(folder: &Path, own: &str, clients: Option<&str>) -> ServerConfig {
    let certificate = |name: String| CertificateDer::from_pem_file(folder.join(name)).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        Some(name) => {
            let mut roots = RootCertStore::empty();
            roots.add(certificate(format!("{name}.pem"))).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let key = PrivateKeyDer::from_pem_file(folder.join(format!("{own}-leaf.key"))).unwrap();
    builder.with_single_cert(vec![certificate(format!("{own}-leaf.pem"))], key).unwrap()
}

#[test]
fn a_server_of_an_authority_that_is_not_trusted_gets_nothing_until_the_file_names_it() {
    let folder = tempfile::tempdir().unwrap();
    ["good", "evil"].iter().for_each(|name| authority(folder.path(), name));
    let listener = Listener::with_tls(server(folder.path(), "good", None), content);
    let ca = folder.path().join("ca.pem");
    fs::copy(folder.path().join("evil.pem"), &ca).unwrap();
    let mut options = Options::new(vec![listener.url.clone()]);
    options.connection.ca = Some(ca.clone());
    let mut site = Site::new(options);
    site.append(&[alert(1, "2024-03-02", &json!({}))]);
    let delivery = site.spawn();
    until("failures", || delivery.failures() >= 2);
    let why = delivery.failing().unwrap();
    assert!(why.contains(&listener.url) && why.contains("certificate"), "{why}");
    assert!(listener.asked().is_empty());
    // Replaced while it runs.
    fs::copy(folder.path().join("good.pem"), &ca).unwrap();
    site.finish(delivery);
    assert_eq!(listener.bulks().iter().flat_map(Asked::ids).collect::<Vec<_>>(), [1]);
}

#[test]
fn without_a_file_the_authorities_of_the_system_decide() {
    let folder = tempfile::tempdir().unwrap();
    authority(folder.path(), "unknown");
    let listener = Listener::with_tls(server(folder.path(), "unknown", None), content);
    let mut site = Site::new(Options::new(vec![listener.url.clone()]));
    site.append(&[alert(1, "2024-03-02", &json!({}))]);
    let delivery = site.spawn();
    until("failures", || delivery.failures() >= 1);
    assert!(delivery.failing().unwrap().contains("certificate"), "{:?}", delivery.failing());
    assert!(listener.asked().is_empty());
}

#[test]
fn a_client_shows_its_certificate_where_the_server_asks_for_one() {
    let folder = tempfile::tempdir().unwrap();
    ["servers", "clients"].iter().for_each(|name| authority(folder.path(), name));
    let listener = Listener::with_tls(server(folder.path(), "servers", Some("clients")), content);
    let mut options = Options::new(vec![listener.url.clone()]);
    let place = |name: &str| folder.path().join(name);
    options.connection.ca = Some(place("servers.pem"));
    let mut site = Site::new(options.clone());
    site.append(&[alert(1, "2024-03-02", &json!({}))]);
    let delivery = site.spawn();
    until("failures", || delivery.failures() >= 1);
    drop(delivery);
    assert!(listener.asked().is_empty(), "without a certificate nothing is heard");
    options.connection.certificate = Some((place("clients-leaf.pem"), place("clients-leaf.key")));
    let mut site = Site::new(options);
    site.append(&[alert(1, "2024-03-02", &json!({}))]);
    site.deliver();
    assert_eq!(listener.bulks().len(), 1);
}
