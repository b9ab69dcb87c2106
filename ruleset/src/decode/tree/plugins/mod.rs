//! Decoders in code, for formats of four products (SEMANTICS 5.4).
//!
//! Enters: a whole log. Leaves: fields, handed to the sink as far as the log has the format; what was found before it
//! departs from the format stays. `cursor.rs` reads the text.

mod cursor;
mod ossec_alert;
mod pf;
mod sonicwall;
mod symantec;

pub(super) use ossec_alert::ossec_alert;
pub(super) use pf::pf;
pub(super) use sonicwall::SonicWall;
pub(super) use symantec::symantec;
