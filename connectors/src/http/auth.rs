//! Who may write which source.

use std::fmt;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

/// A secret text that no log, error or dump shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps the text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A bearer token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What the client sends.
    pub secret: Secret,
    /// The sources that it may write; all if there are none.
    pub sources: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Granted,
    /// No token, or one that is not known.
    Unknown,
    /// A token for other sources.
    OtherSource,
}

/// Looks at all tokens always, and compares hashes: the time taken tells nothing about a token.
pub(super) fn check(tokens: &[Token], headers: &HeaderMap, source: &str) -> Access {
    if tokens.is_empty() {
        return Access::Granted;
    }
    let Some(given) = bearer(headers) else { return Access::Unknown };
    let given = blake3::hash(given);
    let mut access = Access::Unknown;
    for token in tokens {
        // The comparison of these hashes takes the same time for all.
        if blake3::hash(token.secret.0.as_bytes()) == given {
            let allowed = token.sources.is_empty() || token.sources.iter().any(|allowed| allowed == source);
            if allowed {
                access = Access::Granted;
            } else if access == Access::Unknown {
                access = Access::OtherSource;
            }
        }
    }
    access
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_never_shown() {
        let token = Token { secret: Secret::new("hunter2"), sources: vec!["a".into()] };
        assert!(!format!("{token:?} {}", token.secret).contains("hunter2"));
    }

    #[test]
    fn grants_by_token_and_source() {
        let tokens = [
            Token { secret: Secret::new("all"), sources: Vec::new() },
            Token { secret: Secret::new("one"), sources: vec!["syslog".into()] },
        ];
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            headers
        };
        assert_eq!(check(&tokens, &with("Bearer all"), "x"), Access::Granted);
        assert_eq!(check(&tokens, &with("bearer one"), "syslog"), Access::Granted);
        assert_eq!(check(&tokens, &with("Bearer one"), "x"), Access::OtherSource);
        for wrong in ["Bearer al", "Bearer ", "Basic all", "all", "Bearer all2"] {
            assert_eq!(check(&tokens, &with(wrong), "x"), Access::Unknown, "{wrong}");
        }
        assert_eq!(check(&tokens, &HeaderMap::new(), "x"), Access::Unknown);
        assert_eq!(check(&[], &HeaderMap::new(), "x"), Access::Granted);
    }
}
