//! Each trap of the walk on a small tree, each plugin on lines of its format, and random trees against a plain walk.

mod plugins;
mod slow;
mod traps;

use std::sync::Arc;

use super::*;
use crate::ir::{Decoder, DecoderTree, Place, Test};

/// What a sink was given, as text; static fields by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Given {
    log: String,
    names: Vec<String>,
    lines: Vec<String>,
}

impl Sink for Given {
    fn capture(&mut self, field: FieldId, start: usize, end: usize) {
        self.lines.push(format!("{}={}", self.names[field as usize], &self.log[start..end]));
    }
    fn constant(&mut self, field: FieldId, value: &'static str) {
        self.lines.push(format!("{}={value}", self.names[field as usize]));
    }
    fn text(&mut self, field: FieldId, value: &[u8]) {
        let value = String::from_utf8_lossy(value);
        self.lines.push(format!("{}={value}", self.names[field as usize]));
    }
    fn json(&mut self, start: usize, options: JsonOptions) {
        let JsonOptions { discard_null, csv_arrays } = options;
        self.lines.push(format!("json {} {discard_null} {csv_arrays}", &self.log[start..]));
    }
    fn knows_rule(&self, id: u32) -> bool {
        id < 100_000
    }
    fn relocate(&mut self, start: usize, end: usize) {
        self.lines.push(format!("location {}", &self.log[start..end]));
    }
    fn replace_log(&mut self, start: usize, end: usize) {
        self.lines.push(format!("log {}", &self.log[start..end]));
    }
}

/// Builds trees as the parser does.
#[derive(Default)]
pub(super) struct Tree(DecoderTree);

impl Tree {
    pub(super) fn add(mut self, name: &str, set: impl FnOnce(&mut Decoder)) -> Self {
        let mut decoder = empty(name);
        set(&mut decoder);
        let index = self.0.decoders.len() as DecoderIndex;
        let Some(parent) = decoder.parent.clone() else {
            let list = match decoder.program_name {
                Some(_) => &mut self.0.with_program,
                None => &mut self.0.without_program,
            };
            list.push(index);
            self.0.decoders.push(decoder);
            return self;
        };
        let roots: Vec<usize> = (0..self.0.decoders.len())
            .filter(|&root| self.0.decoders[root].parent.is_none() && self.0.decoders[root].name == parent)
            .collect();
        for root in roots {
            for child in self.0.decoders[root].children.clone() {
                let child = &mut self.0.decoders[child as usize];
                child.continues |= child.own_name == name;
            }
            self.0.decoders[root].children.push(index);
        }
        if decoder.name == name {
            decoder.name = parent;
        }
        self.0.decoders.push(decoder);
        self
    }

    pub(super) fn build(self) -> Decoders {
        Decoders::new(&self.0).unwrap()
    }
}

/// A decoder that does nothing yet.
pub(crate) fn empty(name: &str) -> Decoder {
    Decoder {
        own_name: name.into(),
        name: name.into(),
        parent: None,
        children: Vec::new(),
        program_name: None,
        prematch: None,
        regex: None,
        plugin: None,
        order: Vec::new(),
        category: Some(Category::Syslog),
        fts: Vec::new(),
        fts_comment: None,
        accumulate: false,
        discard_null: false,
        csv_arrays: false,
        continues: false,
        place: Place::new(&Arc::from("decoders.xml"), 1, 1),
        builtin: false,
    }
}

pub(crate) fn os_regex(pattern: &str, offset: Offset) -> Option<(Test, Offset)> {
    Some((Test::OsRegex(pattern.into()), offset))
}

/// Fields by their names, with commas between.
pub(crate) fn order(names: &str) -> Vec<OrderField> {
    let field = |name: &str| {
        StaticField::by_name(name).map_or_else(|| OrderField::Dynamic(name.into()), OrderField::Static)
    };
    names.split(',').map(field).collect()
}

pub(super) fn sink(decoders: &Decoders, log: &str) -> Given {
    let name = |field: &OrderField| match field {
        OrderField::Static(field) => field.name().to_owned(),
        OrderField::Dynamic(name) => name.clone(),
    };
    Given { log: log.into(), names: decoders.fields().iter().map(name).collect(), lines: Vec::new() }
}

/// The decoder's place in the tree, and the fields.
pub(super) fn run(decoders: &Decoders, program: Option<&str>, log: &str) -> (Decoding, Vec<String>) {
    let mut given = sink(decoders, log);
    let mut work = Work::default();
    // What is left of another log must not show.
    decoders.decode(b"a=1 b=2 rest", Some(b"x"), &mut work, &mut sink(decoders, "a=1 b=2 rest"));
    let decoding = decoders.decode(log.as_bytes(), program.map(str::as_bytes), &mut work, &mut given);
    (decoding, given.lines)
}
