//! What log source a file holds, for commands that were not told.
//!
//! Enters: the path and the first [`HEAD_BYTES`] of the decompressed content. Leaves: a log source. A guess may only
//! look at what is certain for the provider: the fixed paths of AWS services, and keys that all records of a source have
//! and no others together. Anything else is `json` or `syslog`, which every record of that shape may safely be read as.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use threatlockdown_connectors::compression::{Decompressed, Guards};

/// How much of the content is looked at.
pub(crate) const HEAD_BYTES: usize = 64 * 1024;

/// The log source of the file at `path` that begins with `head`.
pub(crate) fn log_source(path: &str, head: &[u8]) -> &'static str {
    if let Some(source) = source_of_path(path) {
        return source;
    }
    let head = &head[..head.len().min(HEAD_BYTES)];
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    match head.first() {
        Some(b'{' | b'[') => json_source(head),
        _ => "syslog",
    }
}

/// The log source of a file; of one that cannot be opened it does not matter.
pub(crate) fn log_source_of_file(path: &Path) -> &'static str {
    let head = File::open(path).map(|mut file| plain_head(&mut file)).unwrap_or_default();
    log_source(&path.to_string_lossy(), &head)
}

/// The first bytes after decompression; as many as can be had of a broken stream.
pub(crate) fn plain_head(reader: &mut dyn Read) -> Vec<u8> {
    let mut head = Vec::new();
    if let Ok(plain) = Decompressed::new(reader, Guards::default()) {
        plain.take(HEAD_BYTES as u64).read_to_end(&mut head).ok();
    }
    head
}

/// `AWSLogs/<account>/CloudTrail/…`, the layout in which AWS services deliver; an organisation's id may stand between.
fn source_of_path(path: &str) -> Option<&'static str> {
    let parts = path.split(['/', '\\']).skip_while(|part| *part != "AWSLogs").skip(1);
    // CloudTrail's digests have the same layout in a folder of their own, and are no events.
    parts.into_iter().find_map(|part| match part {
        "CloudTrail" => Some("aws.cloudtrail"),
        "GuardDuty" => Some("aws.guardduty"),
        _ => None,
    })
}

/// Keys that together tell a source. Events of a bus are first: they hold records of other sources.
const KEYS: &[(&[&str], &str)] = &[
    (&["detail-type", "detail", "source"], "aws.eventbridge"),
    (&["eventVersion", "eventSource", "eventName"], "aws.cloudtrail"),
    (&["schemaVersion", "detectorId", "accountId", "severity"], "aws.guardduty"),
    (&["TimeGenerated", "TenantId", "Type"], "azure.log_analytics"),
    (&["CreationTime", "Operation", "OrganizationId", "RecordType", "Workload"], "office365"),
    (&["insertId", "logName", "resource"], "gcp.pubsub"),
    (&["notificationConfigName", "finding"], "gcp.pubsub"),
    (&["auditID", "stage", "apiVersion"], "k8s.audit"),
    (&["Type", "Action", "Actor", "timeNano"], "docker"),
    (&["action", "actor", "_document_id"], "github"),
    (&["action", "actor", "created_at", "org"], "github"),
];

/// By the keys that stand in the text, at any depth: the head may end in the middle of a record, so it is not parsed.
fn json_source(head: &[u8]) -> &'static str {
    let tells = |(keys, _): &&(&[&str], &str)| keys.iter().all(|key| has_key(head, key));
    KEYS.iter().find(tells).map_or("json", |(_, source)| source)
}

/// Whether `"key"` followed by a colon stands in the text.
fn has_key(text: &[u8], key: &str) -> bool {
    let quoted = format!("\"{key}\"");
    let mut rest = text;
    while let Some(at) = find(rest, quoted.as_bytes()) {
        rest = &rest[at + quoted.len()..];
        if rest.trim_ascii_start().first() == Some(&b':') {
            return true;
        }
    }
    false
}

fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::log_source;

    #[test]
    fn from_path_and_content() {
        let trail = br#"{"Records": [{"eventVersion": "1.08", "userIdentity": {}, "eventSource" : "s3.amazonaws.com", "eventName":"x"#;
        let rows = br#"[{"TenantId":"t","TimeGenerated":"2024-01-01T00:00:00Z","Type":"SecurityAlert"}]"#;
        let cases: &[(&str, &[u8], &str)] = &[
            ("AWSLogs/111122223333/CloudTrail/us-east-1/2024/a.json.gz", b"", "aws.cloudtrail"),
            ("/x/AWSLogs/o-abc/111122223333/CloudTrail/a.json.gz", b"{}", "aws.cloudtrail"),
            ("AWSLogs/111122223333/GuardDuty/eu-west-2/2024/01/15/a.jsonl.gz", b"", "aws.guardduty"),
            ("GuardDuty/a.jsonl", b"{}", "json"),
            ("AWSLogs/111122223333/CloudTrail-Digest/a.json.gz", b"{}", "json"),
            ("CloudTrail/a.json", b"{}", "json"),
            ("a.json", trail, "aws.cloudtrail"),
            ("a.json", rows, "azure.log_analytics"),
            ("a", br#"{"id":"1","detail-type":"x","source":"aws.s3","detail":{"eventVersion":"1","eventSource":"s","eventName":"n"}}"#, "aws.eventbridge"),
            ("a", br#"{"schemaVersion":"2.0","accountId":"1","service":{"detectorId":"d"},"severity":2}"#, "aws.guardduty"),
            ("a", br#"[{"CreationTime":"t","Operation":"o","OrganizationId":"i","RecordType":1,"Workload":"w"#, "office365"),
            ("a", br#"{"logName":"projects/p/logs/x","resource":{"type":"t"},"insertId":"i"}"#, "gcp.pubsub"),
            ("a", br#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a","stage":"Panic"}"#, "k8s.audit"),
            ("a", br#"{"Type":"image","Action":"pull","Actor":{"ID":"x"},"time":1,"timeNano":1}"#, "docker"),
            ("a", br#"{"@timestamp":1,"_document_id":"d","action":"org.block_user","actor":"a"}"#, "github"),
            ("a", br#"{"actor":"a","org":"o","created_at":1,"action":"org.invite_member"}"#, "github"),
            ("a", br#"{"action":"a","actor":"b","time":1}"#, "json"),
            ("a.json", br#"{"a": "eventVersion", "b": "eventSource", "c": "eventName"}"#, "json"),
            ("a.json", b"\xef\xbb\xbf \n{\"a\":1}", "json"),
            ("a.json", b"[1]", "json"),
            ("auth.log", b"Mar  2 08:01:11 host sshd[1]: x", "syslog"),
            ("empty", b"", "syslog"),
            ("binary", b"\xff\x00\xfe", "syslog"),
        ];
        for (path, head, expected) in cases {
            assert_eq!(log_source(path, head), *expected, "{path} {}", String::from_utf8_lossy(head));
        }
    }
}
