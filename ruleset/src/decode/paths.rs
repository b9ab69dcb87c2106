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
    table: Table,
}

/// Most parts of a field name: the edges are as many as the square of that.
pub(crate) const MAX_PARTS: usize = 16;

/// The tree; see the file's comment.
#[derive(Debug, Clone)]
pub(crate) struct PathTree {
    nodes: Vec<Inner>,
}

impl PathTree {
    /// Every field's lower-case name with the slot that it fills.
    pub(crate) fn new<'a>(fields: impl IntoIterator<Item = (&'a str, u32, Derive)>) -> Self {
        let mut builder = Builder::new();
        for (name, slot, derive) in fields {
            let node = builder.node(name);
            builder.slots[node as usize].push((slot, derive));
            builder.connect(name);
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
        self.nodes[node as usize].table.get(key.as_bytes())
    }

    /// The slots that a value at `node` fills.
    #[inline]
    pub(crate) fn slots(&self, node: PathNode) -> &[(u32, Derive)] {
        &self.nodes[node as usize].slots
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
}

impl Builder {
    fn new() -> Self {
        Self { by_prefix: FxHashMap::default(), slots: vec![Vec::new()], edges: vec![FxHashMap::default()] }
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

    fn edge(&mut self, from: PathNode, key: &str, to: PathNode) {
        self.edges[from as usize].entry(key.as_bytes().to_vec()).or_insert(to);
    }

    fn finish(self) -> PathTree {
        let nodes = self
            .slots
            .into_iter()
            .zip(self.edges)
            .map(|(slots, edges)| Inner { slots, wrap: Wrap::No, table: Table::new(edges) })
            .collect();
        PathTree { nodes }
    }
}

/// Keys of one node: open addressing over length, first and last byte, which tells nearly all keys of cloud logs apart
/// and costs less than hashing them whole.
#[derive(Debug, Clone, Default)]
struct Table {
    places: Vec<Option<(Box<[u8]>, PathNode)>>,
    len: usize,
}

impl Table {
    fn new(edges: FxHashMap<Vec<u8>, PathNode>) -> Self {
        if edges.is_empty() {
            return Self::default();
        }
        let len = edges.len();
        let mut places = vec![None; (len * 4).next_power_of_two()];
        for (key, node) in edges {
            let mut at = place(&key, places.len());
            while places[at].is_some() {
                at = (at + 1) & (places.len() - 1);
            }
            places[at] = Some((key.into_boxed_slice(), node));
        }
        Self { places, len }
    }

    #[inline]
    fn get(&self, key: &[u8]) -> Option<PathNode> {
        if self.places.is_empty() {
            return None;
        }
        let mut at = place(key, self.places.len());
        while let Some((known, node)) = &self.places[at] {
            if known.len() == key.len() && known.eq_ignore_ascii_case(key) {
                return Some(*node);
            }
            at = (at + 1) & (self.places.len() - 1);
        }
        None
    }
}

/// From this size on a table holds so many keys that those of equal length and ends would pile up.
const HASHED_WHOLE_FROM: usize = 1_024;

#[inline]
fn place(key: &[u8], size: usize) -> usize {
    let hash = if size < HASHED_WHOLE_FROM {
        let first = key.first().map_or(0, |byte| usize::from(byte | 0x20));
        let last = key.last().map_or(0, |byte| usize::from(byte | 0x20));
        let middle = key.get(key.len() / 2).map_or(0, |byte| usize::from(byte | 0x20));
        key.len().wrapping_mul(7) ^ first.wrapping_mul(31) ^ last.wrapping_mul(5) ^ middle.wrapping_mul(13)
    } else {
        let step = |hash: u32, byte: &u8| (hash ^ u32::from(byte | 0x20)).wrapping_mul(0x0100_0193);
        key.iter().fold(0x811c_9dc5_u32, step) as usize
    };
    hash & (size - 1)
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
