//! One memory for each component, all within one bound.
//!
//! Enters: a program. Leaves: for each of its components a memory of its own, so that the load of one does not cut short
//! the windows of another, and what each takes and had to forget. When rules are replaced, components that stay keep
//! their memories; where a rule came, went or joins others, what is remembered is divided anew by what each rule demands.

use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::FxHashMap;

use super::snapshot::{Contents, Extent, Pool};
use super::{Memory, MemoryOptions, Room};
use crate::program::{Component, Program};

/// See the module's comment.
#[derive(Debug)]
pub struct Memories {
    options: MemoryOptions,
    room: Arc<Room>,
    members: Mutex<FxHashMap<[u8; 16], Member>>,
}

#[derive(Debug)]
struct Member {
    memory: Arc<Memory>,
    shape: Shape,
}

/// What a component reads.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    readers: Vec<[u8; 16]>,
    rules: Vec<u32>,
}

impl Memories {
    /// Memories that take that many bytes together.
    #[must_use]
    pub fn new(options: MemoryOptions, max_bytes: u64) -> Self {
        Self { options, room: Room::new(max_bytes), members: Mutex::default() }
    }

    /// From now on that many bytes together; what is more is forgotten at once, and counted.
    pub fn resize(&self, max_bytes: u64) {
        self.room.resize(max_bytes);
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.values().for_each(|member| member.memory.store().make_room());
    }

    /// The memories of the program's components, in their order.
    #[must_use]
    pub fn of(&self, program: &Program) -> Vec<Arc<Memory>> {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let mut shapes: FxHashMap<[u8; 16], Shape> = FxHashMap::default();
        for component in program.components() {
            shapes.insert(component.identity, Shape::of(program, component));
        }
        let stays = |identity: &[u8; 16], member: &Member| {
            shapes.get(identity).is_some_and(|shape| *shape == member.shape)
        };
        let mut pool = Pool::default();
        members.retain(|identity, member| {
            let stays = stays(identity, member);
            if !stays {
                pool.add(Contents::of(&member.memory.store(), Extent::Everything));
            }
            stays
        });
        program
            .components()
            .iter()
            .map(|component| {
                let member = members.entry(component.identity).or_insert_with(|| {
                    let shape = Shape::of(program, component);
                    let memory = Memory::within(self.options.clone(), &self.room);
                    for part in pool.part(&shape.readers, &shape.rules) {
                        part.restore(&mut memory.store());
                    }
                    Member { memory, shape }
                });
                Arc::clone(&member.memory)
            })
            .collect()
    }
}

impl Shape {
    fn of(program: &Program, component: &Component) -> Self {
        let rules = || component.rules.iter().filter_map(|rule| program.rules().get(*rule as usize));
        let reader = |rule: &crate::program::Rule| rule.more.as_ref().and_then(|more| more.correlation);
        let mut readers: Vec<[u8; 16]> = rules()
            .filter_map(reader)
            .filter_map(|reader| program.readers.get(reader as usize))
            .map(|reader| reader.identity)
            .collect();
        let mut rules: Vec<u32> = rules().map(|rule| rule.number).collect();
        readers.sort_unstable();
        rules.sort_unstable();
        Self { readers, rules }
    }
}
