//! From bytes to records: what shape a stream has, and where its records begin and end.
//!
//! Enters: bytes after decompression, in chunks of any size, and the log source. Leaves: byte ranges. Records are never
//! re-serialised, and never parsed here beyond strings and brackets: that is analysis' work.
//!
//! ```text
//! {"a":1}\n{"a":2}            JSON lines, also without separator, also pretty-printed
//! [{"a":1},{"a":2}]           a JSON array
//! {"Records":[{"a":1},…]}     a document that holds the records in one of its members
//! text\ntext                  plain lines
//! ```
//!
//! The first three need no choice between them: at the outermost level each object is a record unless it turns out to
//! be such a document, and each array holds records.

mod blocks;
pub mod framer;
pub mod split;

pub use framer::{Batch, Framer, Limits, Rejected};
pub use split::{Piece, Resume, Splitter};

/// How a stream is cut into records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Plain lines.
    Lines,
    /// JSON values, arrays, or documents; the names are those of the members that hold records.
    Json(&'static [&'static str]),
}

/// Sources whose records are lines whatever they begin with.
const TEXT_SOURCES: [&str; 2] = ["syslog", "text"];

/// Sources that are JSON whatever the first byte is, so that garbage at the beginning costs one line only.
const JSON_SOURCES: [&str; 22] = [
    "aws.cloudtrail",
    "aws.config",
    "aws.eventbridge",
    "aws.guardduty",
    "aws.inspector",
    "aws.kms",
    "aws.macie",
    "aws.security_hub",
    "aws.securityhub",
    "aws.subscriber",
    "aws.trusted_advisor",
    "aws.waf",
    "azure",
    "docker",
    "gcp",
    "github",
    "json",
    "k8s",
    "kubernetes",
    "ms-graph",
    "ms_graph",
    "office365",
];

const AWS_MEMBERS: &[&str] = &["Records", "configurationItems"];
const KUBERNETES_MEMBERS: &[&str] = &["items"];
const OTHER_MEMBERS: &[&str] = &["records", "Records", "value", "configurationItems"];

/// How many bytes [`detect`] wants to see, unless the stream is shorter.
pub const DETECT_BYTES: usize = 1024;

/// The format of a stream that begins with `head`; `None` while that cannot be told.
#[must_use]
pub fn detect(source: &str, head: &[u8]) -> Option<Format> {
    if TEXT_SOURCES.iter().any(|family| in_family(source, family)) {
        return Some(Format::Lines);
    }
    if JSON_SOURCES.iter().any(|family| in_family(source, family)) {
        return Some(json(source));
    }
    let head = head.strip_prefix(BOM).unwrap_or(head);
    let mut tokens = head.iter().filter(|byte| !byte.is_ascii_whitespace());
    match tokens.next()? {
        b'{' => Some(json(source)),
        // `[2024-03-02 08:01:11] started` is a line of text.
        b'[' if matches!(tokens.next()?, b'{' | b'[' | b']') => Some(json(source)),
        _ => Some(Format::Lines),
    }
}

/// The UTF-8 byte order mark.
pub(crate) const BOM: &[u8] = b"\xef\xbb\xbf";

/// JSON with the record members that occur at this source.
#[must_use]
pub fn json(source: &str) -> Format {
    if in_family(source, "aws") {
        Format::Json(AWS_MEMBERS)
    } else if in_family(source, "kubernetes") || in_family(source, "k8s") {
        Format::Json(KUBERNETES_MEMBERS)
    } else {
        Format::Json(OTHER_MEMBERS)
    }
}

/// `aws.cloudtrail` is in the families `aws` and `aws.cloudtrail`.
fn in_family(source: &str, family: &str) -> bool {
    source.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_decides_before_the_content() {
        assert_eq!(detect("syslog", b"{\"a\":1}"), Some(Format::Lines));
        assert_eq!(detect("aws.cloudtrail", b"garbage"), Some(Format::Json(AWS_MEMBERS)));
        assert_eq!(detect("kubernetes.audit", b""), Some(Format::Json(KUBERNETES_MEMBERS)));
        assert_eq!(detect("k8s.audit", b"x"), Some(Format::Json(KUBERNETES_MEMBERS)));
        assert_eq!(detect("aws.eventbridge", b"x"), Some(Format::Json(AWS_MEMBERS)));
        for source in ["gcp.pubsub", "office365", "github", "docker", "ms_graph"] {
            assert_eq!(detect(source, b"x"), Some(Format::Json(OTHER_MEMBERS)), "{source}");
        }
        assert_eq!(detect("azure.log_analytics", b"x"), Some(Format::Json(OTHER_MEMBERS)));
        assert_eq!(detect("json", b"garbage"), Some(Format::Json(OTHER_MEMBERS)));
    }

    #[test]
    fn content_decides_for_the_rest() {
        assert_eq!(detect("aws.vpcflow", b"version account-id"), Some(Format::Lines));
        assert_eq!(detect("aws.vpcflow", b" \r\n {"), Some(Format::Json(AWS_MEMBERS)));
        assert_eq!(detect("custom", b"\xef\xbb\xbf[ {"), Some(Format::Json(OTHER_MEMBERS)));
        assert_eq!(detect("custom", b"[2024-03-02] started"), Some(Format::Lines));
        assert_eq!(detect("custom", b" \n"), None);
        assert_eq!(detect("custom", b"["), None);
    }
}
