//! Detection rules: text → syntax tree → intermediate form → program → matches. Synchronous; no input or output.
//!
//! ```text
//! rule text ─ wazuh ─▶ RuleTree (ir) ─ compile ─▶ Program ─┐
//! mappings ────────────────────────────────▲               ├─ matcher ─▶ Verdict
//! raw record ─ decode ─▶ tape, header ─────────────────────┘
//! ```
//!
//! The [`program::Program`] is immutable and shared by all workers; what changes per event is in a
//! [`matcher::Scratch`], one a worker. Rules name fields; a mapping per source says where these stand in the record as
//! the provider sent it, so no envelope is ever built.
//!
//! ```
//! use threatlockdown_ruleset::{Texts, load, matcher::{Input, Scratch}};
//! # use threatlockdown_event::{Context, Millis};
//! let program = load(Texts::builtin()).program.expect("the built-in rules load");
//! let mut scratch = Scratch::new(&program);
//! # let context = Context { source: "aws.cloudtrail".into(), connector: "doc".into(), location: "doc".into(),
//! #     account: None, envelope: Vec::new(), origin: "doc".into(), origin_id: [0; 16] };
//! let record = br#"{"eventSource":"signin.amazonaws.com","eventName":"ConsoleLogin","responseElements":{"ConsoleLogin":"Failure"}}"#;
//! let input = Input { binding: program.binding("aws.cloudtrail"), record, context: &context, received: Millis(0) };
//! let rule = program.evaluate(&mut scratch, &input, |verdict| verdict.rule().map(|rule| rule.id.clone())).unwrap();
//! assert_eq!(rule.as_deref(), Some("80254"));
//! ```

pub mod artefact;
pub mod bundle;
pub mod compile;
pub mod convert;
pub mod correlate;
pub mod decode;
pub mod diagnostic;
pub mod expr;
pub mod ir;
mod load;
pub mod matcher;
pub mod naive;
pub mod program;
pub mod sigma;
pub mod sigma_sources;
pub mod suppress;
pub mod testing;
pub mod wazuh;
mod yaml;

#[doc(hidden)]
pub use decode::reader::bench_api;
pub use decode::write_json_string;
pub use load::{Loaded, build, builtin_tests, load};
pub use wazuh::{ListText, Origin, RuleText, Texts};
