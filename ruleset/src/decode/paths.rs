//! Which members of a record are worth looking at, as a tree of keys.
//!
//! Enters: field names with the slot that each one fills. Leaves: a [`PathTree`] that the walk over a record follows;
//! whatever has no edge in it is stepped over whole. Keys compare without ASCII case, as the reference finds fields.
//! A field `a.b.c` is also found under keys that contain dots themselves (`{"a.b":{"c":1}}`), because the reference
//! joins keys with dots and compares the result; every way to cut the name is therefore an edge.

use rustc_hash::FxHashMap;

/// Index of a node in a [`PathTree`].
pub(crate) type PathNode = u32;

/// The root of every tree.
pub(crate) const ROOT: PathNode = 0;

/// Which of the values at a path fill a slot. The reference keeps members of the record that bear certain names (in
/// exactly that letter case) apart from its dynamic fields, as static ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Derive {
    /// Every one.
    Plain,
    /// Those that start with a dotted IPv4 address.
    Ipv4Prefix,
    /// A static field: those whose key is exactly this; the last one counts.
    Static(&'static str),
    /// A dynamic field that has a static one of the same name: those whose key is not exactly this.
    NotStatic(&'static str),
    /// `user` as another name of the static field `dstuser`, while that is free.
    UserAlias,
    /// `user` as a dynamic field: what is left when `dstuser` was not free.
    User,
    /// A Sigma field: whatever stands there, objects, nulls and lists too, without any change that the mapping makes.
    /// Where the path meets a list, the values are in its elements.
    Sigma,
}

/// What a value that is not an object is wrapped into, in records that are normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrap {
    /// Not at all.
    No,
    /// `{"string": text}`
    String,
    /// `{"value": value}`
    Value,
    /// `{"value": value}`, for booleans alone.
    BooleanValue,
    /// Nothing: texts and nulls are left out where the key is exactly this.
    LeftOut(&'static str),
}

#[derive(Debug, Clone)]
struct Inner {
    slots: Vec<(u32, Derive)>,
    wrap: Wrap,
    /// Its number among the nodes at which the way to a Sigma field leads through or ends, from 1; 0: it is none.
    sigma: u16,
    table: Table,
}

/// A node at which the way to Sigma fields leads through or ends.
#[derive(Debug, Clone)]
struct OnTheWay {
    node: PathNode,
    /// The slots of these fields.
    slots: Vec<u32>,
}

/// Most parts of a field name: the edges are as many as the square of that.
pub(crate) const MAX_PARTS: usize = 16;

/// The tree; see the file's comment.
#[derive(Debug, Clone)]
pub(crate) struct PathTree {
    nodes: Vec<Inner>,
    on_the_way: Vec<OnTheWay>,
}

impl PathTree {
    /// Every field's lower-case name with the slot that it fills.
    pub(crate) fn new<'a>(fields: impl IntoIterator<Item = (&'a str, u32, Derive)>) -> Self {
        let mut builder = Builder::new();
        for (name, slot, derive) in fields {
            let node = builder.node(name);
            builder.slots[node as usize].push((slot, derive));
            builder.connect(name);
            if derive == Derive::Sigma {
                builder.lead(name, slot);
            }
        }
        builder.finish()
    }

    /// Declares what the values at `path` are wrapped into.
    pub(crate) fn set_wrap(&mut self, path: &[&str], wrap: Wrap) {
        let mut node = ROOT;
        for key in path {
            match self.child(node, key) {
                Some(child) => node = child,
                None => return,
            }
        }
        self.nodes[node as usize].wrap = wrap;
    }

    /// The node below `node` for a key of the record.
    #[inline]
    pub(crate) fn child(&self, node: PathNode, key: &str) -> Option<PathNode> {
        self.keys(node).get(key.as_bytes())
    }

    /// What lies below `node`, for whoever asks for many keys.
    #[inline(always)]
    pub(crate) fn keys(&self, node: PathNode) -> Keys<'_> {
        Keys(&self.nodes[node as usize].table.places)
    }

    /// The slots that a value at `node` fills.
    #[inline]
    pub(crate) fn slots(&self, node: PathNode) -> &[(u32, Derive)] {
        &self.nodes[node as usize].slots
    }

    /// For a list at `node`: the number of the node among those on the way to Sigma fields, and their slots.
    #[inline(always)]
    pub(crate) fn sigma(&self, node: PathNode) -> Option<(u16, &[u32])> {
        let number = self.nodes[node as usize].sigma;
        let on_the_way = self.on_the_way.get(usize::from(number).checked_sub(1)?)?;
        Some((number, &on_the_way.slots))
    }

    /// The node with that number.
    pub(crate) fn sigma_node(&self, number: u16) -> PathNode {
        let on_the_way = usize::from(number).checked_sub(1).and_then(|at| self.on_the_way.get(at));
        on_the_way.map_or(ROOT, |on_the_way| on_the_way.node)
    }

    /// Whether anything lies below `node`.
    #[inline]
    pub(crate) fn has_children(&self, node: PathNode) -> bool {
        self.nodes[node as usize].table.len > 0
    }

    /// See [`Wrap`].
    #[inline]
    pub(crate) fn wrap(&self, node: PathNode) -> Wrap {
        self.nodes[node as usize].wrap
    }
}

/// The root has no name; the node `""` is that of a member with the empty key.
struct Builder {
    by_prefix: FxHashMap<String, PathNode>,
    slots: Vec<Vec<(u32, Derive)>>,
    edges: Vec<FxHashMap<Vec<u8>, PathNode>>,
    on_the_way: Vec<OnTheWay>,
    number_of: FxHashMap<PathNode, usize>,
}

impl Builder {
    fn new() -> Self {
        Self {
            by_prefix: FxHashMap::default(),
            slots: vec![Vec::new()],
            edges: vec![FxHashMap::default()],
            on_the_way: Vec::new(),
            number_of: FxHashMap::default(),
        }
    }

    fn node(&mut self, prefix: &str) -> PathNode {
        if let Some(&node) = self.by_prefix.get(prefix) {
            return node;
        }
        let node = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.by_prefix.insert(prefix.to_owned(), node);
        self.slots.push(Vec::new());
        self.edges.push(FxHashMap::default());
        node
    }

    /// An edge from every prefix of `name` (cut at a dot) to every longer one.
    fn connect(&mut self, name: &str) {
        let mut ends: Vec<usize> = name.match_indices('.').map(|(at, _)| at).collect();
        ends.push(name.len());
        for (index, &end) in ends.iter().enumerate() {
            let to = self.node(&name[..end]);
            self.edge(ROOT, &name[..end], to);
            for &from_end in &ends[..index] {
                let from = self.node(&name[..from_end]);
                self.edge(from, &name[from_end + 1..end], to);
            }
        }
    }

    /// Notes the slot at every node on the way to its name.
    fn lead(&mut self, name: &str, slot: u32) {
        let ends = name.match_indices('.').map(|(at, _)| at).chain([name.len()]);
        for end in ends {
            let node = self.node(&name[..end]);
            let number = *self.number_of.entry(node).or_insert(self.on_the_way.len());
            if number == self.on_the_way.len() {
                self.on_the_way.push(OnTheWay { node, slots: Vec::new() });
            }
            self.on_the_way[number].slots.push(slot);
        }
    }

    fn edge(&mut self, from: PathNode, key: &str, to: PathNode) {
        self.edges[from as usize].entry(key.as_bytes().to_vec()).or_insert(to);
    }

    fn finish(self) -> PathTree {
        let nodes = self
            .slots
            .into_iter()
            .zip(self.edges)
            .map(|(slots, edges)| Inner { slots, wrap: Wrap::No, sigma: 0, table: Table::new(edges) })
            .collect();
        let mut tree = PathTree { nodes, on_the_way: self.on_the_way };
        // The compiler refuses more fields than there are numbers.
        for (number, on_the_way) in (1..=u16::MAX).zip(&tree.on_the_way) {
            tree.nodes[on_the_way.node as usize].sigma = number;
        }
        tree
    }
}

/// Keys of one node: open addressing over length and both ends, which tells nearly all keys of cloud logs apart. Keys
/// are compared eight bytes at a time.
#[derive(Debug, Clone, Default)]
struct Table {
    places: Vec<Option<Entry>>,
    len: usize,
}

#[derive(Debug, Clone)]
struct Entry {
    ends: Ends,
    /// Set in the bytes of `ends` that are letters: with that bit, both cases of a letter are its lower case.
    letters: Ends,
    node: PathNode,
    key: Box<[u8]>,
}

/// The first and the last eight bytes of a key, which overlap in keys of less than 16; shorter ones than eight are in the
/// first word.
#[derive(Debug, Clone, Copy)]
struct Ends {
    first: u64,
    last: u64,
}

const CASE_BITS: u64 = 0x2020_2020_2020_2020;

impl Ends {
    #[inline(always)]
    fn of(key: &[u8]) -> Self {
        if let (Some(first), Some(last)) = (key.first_chunk(), key.last_chunk()) {
            return Self { first: u64::from_le_bytes(*first), last: u64::from_le_bytes(*last) };
        }
        let first = if let (Some(first), Some(last)) = (key.first_chunk(), key.last_chunk()) {
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
        } else {
            let byte = |at: usize| key.get(at).map_or(0, |byte| u64::from(*byte));
            byte(0) | byte(1) << 8 | byte(2) << 16
        };
        Self { first, last: 0 }
    }

    fn letters(self) -> Self {
        let letters = |word: u64| {
            u64::from_le_bytes(
                word.to_le_bytes().map(|byte| if byte.is_ascii_alphabetic() { 0x20 } else { 0 }),
            )
        };
        Self { first: letters(self.first), last: letters(self.last) }
    }

    /// The same for keys that differ in letter case alone.
    #[inline(always)]
    fn hash(self, len: usize) -> u64 {
        let last = (self.last | CASE_BITS).rotate_left(27);
        ((self.first | CASE_BITS) ^ last ^ len as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

impl Entry {
    /// Whether this is the entry of `key`, letter case aside.
    #[inline(always)]
    fn is_of(&self, key: &[u8], ends: Ends) -> bool {
        self.key.len() == key.len()
            && ends.first | self.letters.first == self.ends.first
            && ends.last | self.letters.last == self.ends.last
            && (key.len() <= 16 || self.is_of_long(key))
    }
}

impl Entry {
    #[inline(never)]
    fn is_of_long(&self, key: &[u8]) -> bool {
        self.key.eq_ignore_ascii_case(key)
    }
}

impl Table {
    fn new(edges: FxHashMap<Vec<u8>, PathNode>) -> Self {
        if edges.is_empty() {
            return Self::default();
        }
        let len = edges.len();
        let mut places = vec![None; (len * 4).next_power_of_two()];
        for (key, node) in edges {
            let key = key.to_ascii_lowercase().into_boxed_slice();
            let ends = Ends::of(&key);
            let mut at = place(&key, ends, places.len());
            while places[at].is_some() {
                at = (at + 1) & (places.len() - 1);
            }
            places[at] = Some(Entry { ends, letters: ends.letters(), node, key });
        }
        Self { places, len }
    }
}

/// The keys below one node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keys<'t>(&'t [Option<Entry>]);

impl Keys<'_> {
    /// The node for a key.
    #[inline(always)]
    pub(crate) fn get(self, key: &[u8]) -> Option<PathNode> {
        let places = self.0;
        if places.is_empty() {
            return None;
        }
        let ends = Ends::of(key);
        let mut at = place(key, ends, places.len());
        while let Some(entry) = places.get(at)? {
            if entry.is_of(key, ends) {
                return Some(entry.node);
            }
            at = (at + 1) & (places.len() - 1);
        }
        None
    }
}

/// From this size on a table holds so many keys that those of equal length and ends would pile up.
const HASHED_WHOLE_FROM: usize = 1_024;

#[inline(always)]
fn place(key: &[u8], ends: Ends, size: usize) -> usize {
    let hash = if size < HASHED_WHOLE_FROM { ends.hash(key.len()) >> 32 } else { whole(key) };
    hash as usize & (size - 1)
}

#[inline(never)]
fn whole(key: &[u8]) -> u64 {
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(byte | 0x20)).wrapping_mul(0x0100_0193);
    u64::from(key.iter().fold(0x811c_9dc5_u32, step))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(tree: &PathTree, keys: &[&str]) -> Vec<u32> {
        let mut node = ROOT;
        for key in keys {
            match tree.child(node, key) {
                Some(child) => node = child,
                None => return Vec::new(),
            }
        }
        tree.slots(node).iter().map(|(slot, _)| *slot).collect()
    }

    #[test]
    fn every_way_to_cut_a_name_leads_to_its_slot() {
        let tree = PathTree::new([("a.b.c", 7, Derive::Plain), ("a", 1, Derive::Plain)]);
        for keys in [&["a", "b", "c"][..], &["a.b", "c"], &["a", "b.c"], &["a.b.c"], &["A", "B.c"]] {
            assert_eq!(walk(&tree, keys), [7], "{keys:?}");
        }
        assert_eq!(walk(&tree, &["a"]), [1]);
        assert!(walk(&tree, &["b"]).is_empty());
        assert!(walk(&tree, &["a", "b"]).is_empty());
    }

    #[test]
    fn many_alike_names_are_told_apart() {
        let names: Vec<String> = (0..20_000).map(|n| format!("f{n:05}x")).collect();
        let tree =
            PathTree::new(names.iter().zip(0..).map(|(name, slot)| (name.as_str(), slot, Derive::Plain)));
        assert_eq!(walk(&tree, &["F19999X"]), [19_999]);
        assert!(walk(&tree, &["f20000x"]).is_empty());
    }

    #[test]
    fn keys_of_every_length_are_found_in_either_case_and_nothing_else_is() {
        let name = |len: usize| -> String {
            ('a'..='z').chain('0'..='9').chain(['-', '@', '[']).take(len).collect()
        };
        for len in 1..=39 {
            let key = name(len);
            let tree = PathTree::new([(key.as_str(), 3, Derive::Plain)]);
            assert_eq!(walk(&tree, &[&key]), [3]);
            assert_eq!(walk(&tree, &[&key.to_ascii_uppercase()]), [3]);
            assert!(walk(&tree, &[&name(len - 1)]).is_empty());
            for at in 0..len {
                for flip in [0x01, 0x20] {
                    let mut other = key.clone().into_bytes();
                    other[at] ^= flip;
                    let other = String::from_utf8(other).unwrap();
                    assert_eq!(walk(&tree, &[&other]).len(), usize::from(other.eq_ignore_ascii_case(&key)));
                }
            }
        }
    }

    #[test]
    fn empty_parts_of_a_name_are_parts() {
        let tree = PathTree::new([(".a", 1, Derive::Plain), ("b.", 2, Derive::Plain)]);
        assert_eq!(walk(&tree, &["", "a"]), [1]);
        assert_eq!(walk(&tree, &[".a"]), [1]);
        assert_eq!(walk(&tree, &["b", ""]), [2]);
        assert!(walk(&tree, &["a"]).is_empty());
        assert!(walk(&tree, &["", "", "a"]).is_empty());
        assert!(walk(&tree, &["b"]).is_empty());
    }

    #[test]
    fn an_empty_tree_has_a_root() {
        let tree = PathTree::new([]);
        assert_eq!(tree.child(ROOT, "x"), None);
        assert!(!tree.has_children(ROOT));
    }
}
