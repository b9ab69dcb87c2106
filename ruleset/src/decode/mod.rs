//! From a raw record to named fields: headers of text lines, JSON, and the mapping of the source.

pub(crate) mod data;
pub(crate) mod extract;
pub mod header;
pub(crate) mod header_time;
pub(crate) mod lists;
pub mod mapping;
pub(crate) mod paths;
pub(crate) mod place;
pub(crate) mod reader;
pub(crate) mod statics;
pub(crate) mod text;
pub(crate) mod tree;

/// Appends `text` as a JSON string, with the escapes that JSON demands and no others.
pub fn write_json_string(text: &str, out: &mut String) {
    text::write_json_string(text, out);
}
