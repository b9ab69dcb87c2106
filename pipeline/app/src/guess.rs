//! What log source a file holds, for commands that were not told.
//!
//! Enters: the path and the first [`HEAD_BYTES`] of the decompressed content. Leaves: a log source. A guess may only
//! look at what is certain for the provider: CloudTrail's fixed path and its three key fields, Log Analytics' standard
//! columns. Anything else is `json` or `syslog`, which every record of that shape may safely be read as.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use threatlockdown_connectors::compression::{Decompressed, Guards};

/// How much of the content is looked at.
pub(crate) const HEAD_BYTES: usize = 64 * 1024;

/// The log source of the file at `path` that begins with `head`.
pub(crate) fn log_source(path: &str, head: &[u8]) -> &'static str {
    if is_cloudtrail_path(path) {
        return "aws.cloudtrail";
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

/// `AWSLogs/<account>/CloudTrail/…`, the layout in which CloudTrail delivers; an organisation's id may stand between.
fn is_cloudtrail_path(path: &str) -> bool {
    let mut parts = path.split(['/', '\\']).skip_while(|part| *part != "AWSLogs").skip(1);
    // Digests have the same layout in a folder of their own, and are no events.
    parts.any(|part| part == "CloudTrail")
}

/// By the keys that stand in the text, at any depth: the head may end in the middle of a record, so it is not parsed.
fn json_source(head: &[u8]) -> &'static str {
    let has = |keys: &[&str]| keys.iter().all(|key| has_key(head, key));
    if has(&["eventVersion", "eventSource", "eventName"]) {
        "aws.cloudtrail"
    } else if has(&["TimeGenerated", "TenantId", "Type"]) {
        "azure.log_analytics"
    } else {
        "json"
    }
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
            ("AWSLogs/111122223333/CloudTrail-Digest/a.json.gz", b"{}", "json"),
            ("CloudTrail/a.json", b"{}", "json"),
            ("a.json", trail, "aws.cloudtrail"),
            ("a.json", rows, "azure.log_analytics"),
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
