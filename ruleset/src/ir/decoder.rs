//! Decoders: which text belongs to which decoder, and which parts of it are fields (SEMANTICS section 5).

use serde::{Deserialize, Serialize};

use super::{Category, KeyPart, Place, StaticField, Test};

/// Index into [`DecoderTree::decoders`].
pub type DecoderIndex = u32;

/// All decoders. The tree has two levels: roots, and children that hang below every root of their parent's name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecoderTree {
    /// In load order.
    pub decoders: Vec<Decoder>,
    /// Roots that test the program name: tried for events that have one, in load order.
    pub with_program: Vec<DecoderIndex>,
    /// Roots that do not: tried for events without one.
    pub without_program: Vec<DecoderIndex>,
    /// Names that `<decoded_as>` may use beside those of `decoders`: formats that other parts of a system decode.
    pub internal: Vec<String>,
}

impl DecoderTree {
    /// All names that `<decoded_as>` may use, each once, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let own = self.decoders.iter().flat_map(|decoder| [decoder.name.as_str(), decoder.own_name.as_str()]);
        let mut names: Vec<&str> = own.chain(self.internal.iter().map(String::as_str)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// One decoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decoder {
    /// The name as it is written.
    pub own_name: String,
    /// The name that events get, and that `<decoded_as>` means: a child has its parent's unless `use_own_name`.
    pub name: String,
    /// Name of the parent, for children.
    pub parent: Option<String>,
    /// Children in load order, for roots.
    pub children: Vec<DecoderIndex>,
    /// Test of the program name.
    pub program_name: Option<Test>,
    /// Test of the log, with what it is applied to: the whole log, or what follows the parent's prematch.
    pub prematch: Option<(Test, Offset)>,
    /// Pattern with captures.
    pub regex: Option<(Test, Offset)>,
    /// Decoder in code.
    pub plugin: Option<(Plugin, Offset)>,
    /// Fields that the captures fill.
    pub order: Vec<OrderField>,
    /// Which rule category its events belong to; `None` for `host-information`, which no rule root takes.
    pub category: Option<Category>,
    /// What makes an event seen for the first time, in the order of the key's slots.
    pub fts: Vec<KeyPart>,
    /// Text for alerts.
    pub fts_comment: Option<String>,
    /// Fills missing fields from earlier events with the same id.
    pub accumulate: bool,
    /// JSON members that are null are left out.
    pub discard_null: bool,
    /// JSON arrays of scalars become comma-separated text.
    pub csv_arrays: bool,
    /// A later sibling has the same name: whatever this one gives, the next sibling is run too.
    pub continues: bool,
    /// Where it stands.
    pub place: Place,
    /// Whether it ships with the product.
    pub builtin: bool,
}

/// What an expression of a decoder is applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Offset {
    /// The whole log.
    Log,
    /// After the root's prematch.
    AfterParent,
    /// After the child's own prematch.
    AfterPrematch,
    /// After the last regex of the chain that matched.
    AfterRegex,
}

/// Decoders in code (SEMANTICS 5.4 and 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Plugin {
    Json,
    Pf,
    SymantecWs,
    SonicWall,
    OssecAlert,
}

/// A field of `order`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OrderField {
    /// One of the fixed ones.
    Static(StaticField),
    /// Any other name, as it is written.
    Dynamic(String),
}
