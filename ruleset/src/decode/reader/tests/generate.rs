//! Records for the comparison: real-shaped ones, random trees with odd keys and values, and damaged ones of both.

/// A small generator (splitmix), so that a failure can be run again.
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub(super) fn one_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    pub(super) fn pick<'t, T: ?Sized>(&mut self, from: &[&'t T]) -> &'t T {
        from[self.below(from.len())]
    }
}

pub(super) const KEYS: &[&str] = &[
    "a",
    "A",
    "b",
    "c",
    "a.b",
    "b.c",
    "a.b.c",
    "",
    ".",
    "user",
    "User",
    "dstuser",
    "id",
    "ID",
    "srcip",
    "status",
    "app",
    "tags",
    "string",
    "value",
    "eventName",
    "eventname",
    "eventSource",
    "sourceIPAddress",
    "userIdentity",
    "type",
    "requestParameters",
    "responseElements",
    "additionalEventData",
    "disableApiTermination",
    "resources",
    "initiatedBy",
    "integration",
    "data",
    "errorCode",
    "accountId",
    "userIdentity.type",
    "x",
    "recipientAccountId",
    "sessionContext",
];

const ODD_KEYS: &[&str] = &["é", r"\u0061", r#"a\"b"#, r"\\", "a b", "日本", r"a\u0000b", r"us\u0065r"];

const TEXTS: &[&str] = &[
    "",
    "b",
    "aws",
    "203.0.113.7",
    "1.2.3.4 x",
    "AssumedRole",
    "arn:aws:iam::111122220000:user/name",
    r"\n",
    r#"\""#,
    r"\\",
    r"\\\\\",
    r"\u00e9",
    r"\ud83d\ude00",
    r"\ud83d",
    r"\udc00",
    r"\u0000",
    r"\u12",
    r"\x",
    "é",
    "日本語",
    "null",
    "a\tb",
    r"C:\\Windows\\System32",
    r#"{\"k\":\"v\"}"#,
    r"\/",
    r"1.2.3.4\u0020",
    "'",
    "\u{7f}",
    "a long text without anything in it that a parser would have to stop at, so that it reaches over several blocks",
];

const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1",
    "12",
    "007",
    "-",
    "1.",
    "1.5",
    "-1.50",
    ".5",
    "1e3",
    "1E+3",
    "1e-3",
    "1e",
    "1e+",
    "2147483647",
    "2147483648",
    "-2147483648",
    "-2147483649",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "123456789012345678901234567890",
    "1e99",
    "1e308",
    "1e309",
    "1e999",
    "-1e400",
    "0.1",
    "0.30000000000000004",
    "1e-400",
    "0e0",
    "0.0",
    "-0.0",
    "1.0",
    "100000000000000000000",
    "1x",
    "0x1",
    "00",
    "-01",
    "1234567.890123456789012345",
    "0.00000000000000000000000000000000000000001",
    "1_0",
    "999999999",
    "1e5.5",
];

/// Real-shaped records to begin with; what stands in them is made up.
pub(super) const REAL: &[&str] = &[
    r#"{"eventVersion":"1.09","userIdentity":{"type":"AssumedRole","principalId":"AROAEXAMPLE:i-0ab","arn":"arn:aws:sts::111122220000:assumed-role/edge/i-0ab","accountId":"111122220000","sessionContext":{"sessionIssuer":{"type":"Role","userName":"edge"},"attributes":{"creationDate":"2026-11-20T08:00:00Z","mfaAuthenticated":"false"}}},"eventTime":"2026-11-20T10:00:00Z","eventSource":"ec2.amazonaws.com","eventName":"RunInstances","awsRegion":"us-east-1","sourceIPAddress":"203.0.113.9","userAgent":"aws-cli/2.17.13 md/awscrt#0.20.11","requestParameters":{"instancesSet":{"items":[{"imageId":"ami-1","minCount":1}]},"disableApiTermination":false},"responseElements":null,"resources":[{"accountId":"111122220000","type":"AWS::S3::Bucket"}],"readOnly":false,"eventCategory":"Management","tlsDetails":{"tlsVersion":"TLSv1.3"}}"#,
    r#"{"eventVersion":"1.08","userIdentity":{"type":"IAMUser","userName":"ledger"},"eventSource":"iam.amazonaws.com","eventName":"PutUserPolicy","sourceIPAddress":"AWS Internal","requestParameters":{"policyDocument":"{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [{\"Effect\": \"Allow\"}]\n}","userName":"ledger"},"responseElements":null,"errorCode":"AccessDenied","tags":["a","b"],"additionalEventData":{"bytesTransferredIn":0,"x":1.5}}"#,
    "{\n  \"id\": \"id\",\n  \"category\": \"UserManagement\",\n  \"result\": \"success\",\n  \"status\": {\"errorCode\": 0},\n  \"initiatedBy\": {\n    \"user\": {\"displayName\": \"Zoë\"},\n    \"app\": null\n  },\n  \"targetResources\": [\n    {\"displayName\": \"b\", \"modifiedProperties\": []}\n  ]\n}\n",
    r#"{"integration":"aws","aws":{"source":"cloudtrail","eventName":"ConsoleLogin","responseElements":{"ConsoleLogin":"Failure"},"tags":{"value":"x"}}}"#,
];

/// A record, mostly valid.
pub(super) fn record(rng: &mut Rng) -> String {
    if rng.one_in(4) {
        return rng.pick(REAL).to_owned();
    }
    let mut out = String::new();
    let (odd, spaced) = (rng.one_in(3), rng.one_in(4));
    let mut maker = Maker { rng, odd, spaced, out: &mut out };
    maker.object(0);
    maker.blank();
    out
}

struct Maker<'r> {
    rng: &'r mut Rng,
    /// Whether keys and values may be such as few records have, or malformed.
    odd: bool,
    spaced: bool,
    out: &'r mut String,
}

impl Maker<'_> {
    fn blank(&mut self) {
        if self.spaced && self.rng.one_in(2) {
            let blank = self.rng.pick(&[" ", "  ", "\n", "\t", "\r\n", "\n        "]);
            self.out.push_str(blank);
        }
    }

    fn token(&mut self, token: &str) {
        self.blank();
        self.out.push_str(token);
        self.blank();
    }

    fn object(&mut self, depth: usize) {
        self.token("{");
        for index in 0..self.rng.below(if depth == 0 { 14 } else { 5 }) {
            if index > 0 {
                self.token(",");
            }
            let odd = self.odd && self.rng.one_in(8);
            let key = if odd { self.rng.pick(ODD_KEYS) } else { self.rng.pick(KEYS) };
            self.token(&format!("\"{key}\""));
            self.token(":");
            self.value(depth + 1);
        }
        self.token("}");
    }

    fn value(&mut self, depth: usize) {
        match self.rng.below(if depth > 6 { 6 } else { 10 }) {
            0 => self.token("null"),
            1 => {
                let value = self.rng.pick(&["true", "false"]);
                self.token(value);
            }
            2 => {
                let number = self.rng.pick(if self.odd {
                    NUMBERS
                } else {
                    &["0", "1", "443", "-7", "1.5", "1721300000"]
                });
                self.token(number);
            }
            3..=5 => {
                let texts = if self.odd { TEXTS } else { &TEXTS[..11] };
                let text = self.rng.pick(texts);
                self.token(&format!("\"{text}\""));
            }
            6 | 7 => self.array(depth),
            _ => self.object(depth),
        }
    }

    fn array(&mut self, depth: usize) {
        self.token("[");
        for index in 0..self.rng.below(4) {
            if index > 0 {
                self.token(",");
            }
            self.value(depth + 1);
        }
        self.token("]");
    }
}

const TOKENS: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b" ",
    b"\n",
    b"\t",
    b"\0",
    b"\x1f",
    b"\x80",
    b"\xc3",
    b"\xc3\xa9",
    b"\xff",
    b"null",
    b"true",
    b"0",
    b"-",
    b"1e400",
    b"\\u0000",
    b"\\u0041",
    b"\\ud800",
    b"\"a\":",
    b",\"user\":1",
    b"\xed\xa0\x80",
    b"\x7f",
    b"u",
];

/// Damages a record in one to three places, or joins it with another.
pub(super) fn damage(bytes: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    for _ in 0..=rng.below(3) {
        let at = rng.below(bytes.len());
        let end = (at + 1 + rng.below(12)).min(bytes.len());
        match rng.below(8) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << rng.below(8),
            1 if !bytes.is_empty() => bytes[at] = rng.below(256) as u8,
            2 => drop(bytes.drain(at..end)),
            3 => bytes.truncate(at),
            4 => {
                let piece = bytes[at..end].to_vec();
                let to = rng.below(bytes.len());
                drop(bytes.splice(to..to, piece));
            }
            5 => {
                let from = rng.below(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            6 => {
                let token = rng.pick(TOKENS);
                drop(bytes.splice(at..end.min(at + 1), token.iter().copied()));
            }
            _ => {
                let token = rng.pick(TOKENS);
                drop(bytes.splice(at..at, token.iter().copied()));
            }
        }
    }
}
