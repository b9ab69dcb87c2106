//! Encryption and credentials, against a broker that demands them.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::{SystemTime, UNIX_EPOCH};

use threatlockdown_services::kafka::{Cluster, Options};
use threatlockdown_topics::kafka::{
    Admin, Mechanism, Names, Outgoing, Remedy, Sasl, Settings, Tls, TopicPlan, Writer,
};

/// Of the key stores; a part of no user's password.
const STORE: &str = "store-password";
const LOGIN: &str = "listener.name.client";
const MODULES: &str = "org.apache.kafka.common.security";

/// Runs `keytool`, which comes with Java.
fn keytool(arguments: &[&str]) {
    let output = Command::new("keytool").args(arguments).output().expect("keytool");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
}

/// A key store of the broker, one of those whom it trusts, and the broker's certificate as PEM.
fn certificate(folder: &Path) -> (PathBuf, PathBuf, PathBuf) {
    let place = |name: &str| folder.join(name);
    let (store, trust, pem) = (place("server.p12"), place("trust.p12"), place("ca.pem"));
    let text = |path: &PathBuf| path.to_str().unwrap().to_owned();
    let of_store =
        ["-keystore", &text(&store), "-storetype", "PKCS12", "-storepass", STORE, "-alias", "broker"];
    let make = [
        "-genkeypair",
        "-keyalg",
        "EC",
        "-dname",
        "CN=127.0.0.1",
        "-ext",
        "SAN=IP:127.0.0.1",
        "-validity",
        "30",
    ];
    keytool(&[make.as_slice(), &of_store].concat());
    keytool(&[["-exportcert", "-rfc", "-file", &text(&pem)].as_slice(), &of_store].concat());
    let of_trust =
        ["-keystore", &text(&trust), "-storetype", "PKCS12", "-storepass", STORE, "-alias", "broker"];
    keytool(&[["-importcert", "-noprompt", "-file", &text(&pem)].as_slice(), &of_trust].concat());
    (store, trust, pem)
}

fn secured(store: &Path, trust: &Path) -> Options {
    let (store, trust) = (store.display(), trust.display());
    let plain = "required username=\"broker\" password=\"of-broker\" user_broker=\"of-broker\" user_tld=\"of-plain\";";
    let unsecured = "oauthbearer.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler";
    let properties = vec![
        format!("ssl.keystore.location={store}"),
        format!("ssl.keystore.password={STORE}"),
        format!("ssl.truststore.location={trust}"),
        format!("ssl.truststore.password={STORE}"),
        "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512,OAUTHBEARER".to_owned(),
        "sasl.mechanism.inter.broker.protocol=PLAIN".to_owned(),
        format!("{LOGIN}.plain.sasl.jaas.config={MODULES}.plain.PlainLoginModule {plain}"),
        format!("{LOGIN}.scram-sha-512.sasl.jaas.config={MODULES}.scram.ScramLoginModule required;"),
        format!(
            "{LOGIN}.oauthbearer.sasl.jaas.config={MODULES}.oauthbearer.OAuthBearerLoginModule required;"
        ),
        format!("{LOGIN}.oauthbearer.sasl.server.callback.handler.class={MODULES}.{unsecured}"),
    ];
    let scram = ["--add-scram", "SCRAM-SHA-512=[name=tld,password=of-scram]"].map(str::to_owned).to_vec();
    Options { properties, protocol: Some("SASL_SSL".to_owned()), format: scram, ..Options::default() }
}

/// An authorisation server with one answer; tells what it was asked.
fn token_endpoint() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    let (asked, questions) = mpsc::sync_channel(64);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut part = [0; 4096];
            while !is_whole(&request) {
                let count = stream.read(&mut part).unwrap_or_default();
                if count == 0 {
                    break;
                }
                request.extend_from_slice(&part[..count]);
            }
            let body =
                format!("{{\"access_token\":\"{}\",\"token_type\":\"Bearer\",\"expires_in\":600}}", token());
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
            let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
            if asked.send(String::from_utf8_lossy(&request).into_owned()).is_err() {
                return;
            }
        }
    });
    (url, questions)
}

/// Whether a request's body has come as long as its head says.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    body.len() >= length.map_or(0, |length| length.trim().parse().unwrap())
}

/// A JSON Web Token without a signature, which this broker is told to take.
fn token() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = format!("{{\"sub\":\"tld\",\"iat\":{now},\"exp\":{}}}", now + 600);
    format!("{}.{}.", base64url(b"{\"alg\":\"none\"}"), base64url(claims.as_bytes()))
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        (0..=chunk.len()).for_each(|at| text.push(char::from(DIGITS[(bits >> (18 - 6 * at) & 63) as usize])));
    }
    text
}

fn settings(cluster: &Cluster, ca: &Path, sasl: Sasl) -> Settings {
    Settings {
        brokers: vec![cluster.bootstrap()],
        names: Names::new("s.").unwrap(),
        instance: "test".to_owned(),
        tls: Some(Tls { ca: Some(ca.to_owned()), ..Tls::default() }),
        sasl: Some(sasl),
        ..Settings::default()
    }
}

fn user(mechanism: Mechanism, password: &str) -> Sasl {
    let (username, password) = ("tld".to_owned(), password.to_owned());
    Sasl { mechanism, username, password, token_endpoint: None, scope: None }
}

/// Makes a topic and writes to it.
fn write(settings: &Settings, name: &str) {
    let (retention, largest) = (None, 4 << 20);
    let topic = settings.names.raw(name).unwrap();
    let plan = TopicPlan {
        name: topic.clone(),
        partitions: 1,
        is_compacted: false,
        is_fixed: false,
        retention,
        least_retention: 0,
        largest,
    };
    assert_eq!(Admin::open(settings).unwrap().create(&[plan], 1).unwrap(), std::slice::from_ref(&topic));
    let mut writer = Writer::open(settings, &format!("s.{name}")).unwrap();
    writer.send(Outgoing { topic: &topic, payload: Some(b"x"), ..Outgoing::default() }).unwrap();
    writer.commit(None).unwrap();
}

#[test]
fn every_mechanism_gets_in_over_tls_and_a_wrong_password_or_certificate_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let (store, trust, ca) = certificate(folder.path());
    let cluster = Cluster::start(&secured(&store, &trust));
    write(&settings(&cluster, &ca, user(Mechanism::Plain, "of-plain")), "plain");
    write(&settings(&cluster, &ca, user(Mechanism::ScramSha512, "of-scram")), "scram");

    let (url, questions) = token_endpoint();
    let bearer = Sasl {
        token_endpoint: Some(url),
        scope: Some("logs".to_owned()),
        ..user(Mechanism::OauthBearer, "of-client")
    };
    write(&settings(&cluster, &ca, bearer), "bearer");
    let question = questions.recv().unwrap();
    assert!(
        question.contains("grant_type=client_credentials") && question.contains("scope=logs"),
        "{question}"
    );

    let wrong = settings(&cluster, &ca, user(Mechanism::ScramSha512, "guessed"));
    let Err(error) = Writer::open(&wrong, "s.wrong") else { panic!("a wrong password got in") };
    assert_eq!(error.remedy(), Remedy::Reopen, "it may be that the password is about to be changed: {error}");
    assert!(!format!("{error} {wrong:?}").contains("guessed"));
    let elsewhere = tempfile::tempdir().unwrap();
    let (_, _, other) = certificate(elsewhere.path());
    let stranger = settings(&cluster, &other, user(Mechanism::Plain, "of-plain"));
    let Err(error) = Writer::open(&stranger, "s.stranger") else { panic!("an unknown broker was trusted") };
    assert!(error.to_string().contains("refused by the brokers"), "{error}");
}
