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

/// What a record's value is before it fills a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Derive {
    /// As it stands.
    Plain,
    /// Only where it starts with a dotted IPv4 address.
    Ipv4Prefix,
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
}

#[derive(Debug, Clone)]
struct Inner {
    slots: Vec<(u32, Derive)>,
    wrap: Wrap,
    table: Table,
}

/// The tree; see the file's comment.
#[derive(Debug, Clone)]
pub(crate) struct PathTree {
    nodes: Vec<Inner>,
}

impl PathTree {
    /// Every field's lower-case name with the slot that it fills.
    pub(crate) fn new<'a>(fields: impl IntoIterator<Item = (&'a str, u32, Derive)>) -> Self {
        let mut builder = Builder::default();
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

#[derive(Default)]
struct Builder {
    by_prefix: FxHashMap<String, PathNode>,
    slots: Vec<Vec<(u32, Derive)>>,
    edges: Vec<Vec<(Vec<u8>, PathNode)>>,
}

impl Builder {
    fn node(&mut self, prefix: &str) -> PathNode {
        if self.slots.is_empty() {
            self.by_prefix.insert(String::new(), ROOT);
            self.slots.push(Vec::new());
            self.edges.push(Vec::new());
        }
        if let Some(&node) = self.by_prefix.get(prefix) {
            return node;
        }
        let node = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.by_prefix.insert(prefix.to_owned(), node);
        self.slots.push(Vec::new());
        self.edges.push(Vec::new());
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
        let edges = &mut self.edges[from as usize];
        if !edges.iter().any(|(known, _)| known == key.as_bytes()) {
            edges.push((key.as_bytes().to_vec(), to));
        }
    }

    fn finish(mut self) -> PathTree {
        self.node("");
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
    fn new(edges: Vec<(Vec<u8>, PathNode)>) -> Self {
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

#[inline]
fn place(key: &[u8], size: usize) -> usize {
    let first = key.first().map_or(0, |byte| usize::from(byte | 0x20));
    let last = key.last().map_or(0, |byte| usize::from(byte | 0x20));
    let middle = key.get(key.len() / 2).map_or(0, |byte| usize::from(byte | 0x20));
    (key.len().wrapping_mul(7) ^ first.wrapping_mul(31) ^ last.wrapping_mul(5) ^ middle.wrapping_mul(13))
        & (size - 1)
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
    fn an_empty_tree_has_a_root() {
        let tree = PathTree::new([]);
        assert_eq!(tree.child(ROOT, "x"), None);
        assert!(!tree.has_children(ROOT));
    }
}
