//! Sigma texts through the whole front end.

use super::*;
use crate::diagnostic::Severity;

mod corpus;

/// Loads one file without values for placeholders.
fn load_text(text: &str) -> Loaded {
    let file = SigmaText { path: "r.yml".into(), text: text.as_bytes().to_vec(), origin: Origin::User };
    load(&[file], &Placeholders::default())
}
