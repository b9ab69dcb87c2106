//! The engine: one raw record in, one verdict out.
//!
//! Enters: the bytes of a record, its context and the binding of its source. Leaves: a [`Verdict`]: the deepest rule
//! along the first branch that matches, as the reference walks its tree, or none; and on request what an alert shows.
//! A worker keeps one [`Scratch`]; an event that matches nothing allocates nothing. A fault ([`Fault`]) means that the
//! record cannot be read at all and belongs into the dead-letter topic.

mod accumulate;
mod apart;
mod decode;
pub mod explain;
mod facts;
mod fields;
mod marks;
mod memo;
mod observe;
mod open;
mod overflow;
mod past;
pub mod profile;
mod sigma;
mod survey;
mod tapes;
mod verdict;
mod walk;

use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::Arc;

use simd_json::Buffers;
use thiserror::Error;
use threatlockdown_event::{Context, Millis};

use self::accumulate::{accumulate, is_accumulated};
use self::apart::Apart;
use self::decode::Decoding;
use self::facts::{Beside, Facts, Stamps};
use self::fields::Fields;
use self::marks::Marks;
use self::observe::{Observer, Unobserved};
use self::past::{Conclusion, Past};
use self::tapes::Tapes;
use self::verdict::Later;
use self::walk::Walk;
use crate::correlate::{Clock, Memory, MemoryOptions};
use crate::decode::mapping::Format;
use crate::decode::tree::Work;
use crate::decode::{place, reader};
use crate::program::{EXTRAS, Program};

pub use self::apart::Candidate;
pub use self::sigma::{Arrivals, Correlated};
pub use self::survey::{Reached, Survey};
pub use crate::program::BindingIndex;
pub use verdict::{Identity, Verdict};

/// Deepest nesting of JSON that is accepted.
pub const MAX_DEPTH: usize = 128;

/// One record to be judged.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// From [`Program::binding`], once per batch.
    pub binding: BindingIndex,
    /// The record, byte for byte.
    pub record: &'a [u8],
    /// What the connector knows of it.
    pub context: &'a Context,
    /// When it was received.
    pub received: Millis,
}

/// Why a record cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// The source's records are JSON and this is none.
    #[error("not valid JSON: {0}")]
    Malformed(String),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// A memory as one program uses it.
pub struct Bound {
    memory: Arc<Memory>,
    /// The lists of each of the program's readers in the memory.
    lists: Vec<usize>,
}

impl Bound {
    /// For use with `program` only.
    #[must_use]
    pub fn new(program: &Program, memory: Arc<Memory>) -> Self {
        let lists = memory.store().lists_of(&program.readers);
        Self { memory, lists }
    }

    /// The memory.
    #[must_use]
    pub fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }
}

/// What a worker keeps between events so that nothing is allocated for each.
pub struct Scratch {
    bound: Bound,
    room: decode::Room,
    /// For records that the reader took and that are shown all the same.
    shown: decode::Room,
    buffers: Buffers,
    tapes: Tapes<'static>,
    work: Work,
    reader: reader::Work,
    fields: Fields,
    marks: Marks,
    sigma: sigma::Room,
    stamps: Stamps,
    /// The service that sent a wrapped record.
    service: String,
    /// The location of an event that completes it itself.
    location: String,
    /// Key of a candidate.
    key: Vec<u8>,
}

impl Scratch {
    /// For use with `program` only, with a memory of its own.
    #[must_use]
    pub fn new(program: &Program) -> Self {
        Self::sharing(program, Memory::new(MemoryOptions::default()))
    }

    /// For use with `program` only; what is remembered between events is in `memory`, which may be shared.
    #[must_use]
    pub fn sharing(program: &Program, memory: Arc<Memory>) -> Self {
        let subjects = program.subjects.len();
        Self {
            bound: Bound::new(program, memory),
            room: decode::Room::default(),
            shown: decode::Room::default(),
            buffers: Buffers::with_max_depth(4096, MAX_DEPTH),
            tapes: Tapes::new(),
            work: Work::default(),
            reader: reader::Work::default(),
            fields: Fields::new(subjects + sigma_slots(program)),
            marks: Marks::new(program.predicates.len(), subjects),
            sigma: sigma::Room::new(program),
            stamps: Stamps::default(),
            service: String::new(),
            location: String::new(),
            key: Vec::new(),
        }
    }

    /// Goes on with another memory of the same program; `bound` becomes the one before. Costs nothing, so that one worker
    /// can serve many memories.
    pub fn swap(&mut self, bound: &mut Bound) {
        std::mem::swap(&mut self.bound, bound);
    }
}

/// How a record is judged.
#[derive(Clone, Copy, Default)]
struct Mode {
    /// Everything is made to be shown, whatever the verdict.
    whole: bool,
    /// Earlier events are left aside.
    apart: bool,
    /// Only Sigma's rules are asked.
    sigma_only: bool,
    /// The event's time, where it is known already.
    time: Option<Millis>,
}

impl Program {
    /// Judges one record and hands the verdict to `then`, whose result is returned. A verdict that is no alert
    /// ([`Verdict::counts`]) knows rule and decoder only; [`Program::examine`] shows all.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn evaluate<R>(
        &self,
        scratch: &mut Scratch,
        input: &Input<'_>,
        then: impl FnOnce(&Verdict<'_>) -> R,
    ) -> Result<R, Fault> {
        self.judge(scratch, input, Mode::default(), &mut Unobserved, |verdict, _| then(verdict))
    }

    /// As [`Program::evaluate`] for an event whose time a [`Candidate`] of this program tells: reading it again costs as much
    /// as deciding most events. A memory with another clock than the event's reads its own all the same.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn evaluate_at<R>(
        &self,
        scratch: &mut Scratch,
        input: &Input<'_>,
        time: Millis,
        then: impl FnOnce(&Verdict<'_>) -> R,
    ) -> Result<R, Fault> {
        let knows = scratch.bound.memory.options().clock == Clock::Event;
        let mode = Mode { time: Some(time).filter(|_| knows), ..Mode::default() };
        self.judge(scratch, input, mode, &mut Unobserved, |verdict, _| then(verdict))
    }

    /// What Sigma's correlations count of one record; `None` where none does, and no other rule is asked. The scratch's
    /// memory is neither locked nor changed.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn correlated(&self, scratch: &mut Scratch, input: &Input<'_>) -> Result<Option<Correlated>, Fault> {
        let mode = Mode { apart: true, sigma_only: true, ..Mode::default() };
        self.judge(scratch, input, mode, &mut Unobserved, |verdict, _| verdict.correlated())
    }

    /// Judges one record apart from all others: the verdict is what it comes to when no demand on earlier events holds and
    /// nothing is ignored. Where earlier events could add to the verdict or change it, or the event is one that later ones
    /// look back on, it is a [`Candidate`]: whoever keeps the memory of its component and key judges it again with
    /// [`Program::evaluate`], in the order of time. Without a candidate the verdict is final, and the event leaves nothing
    /// behind. The scratch's memory is neither locked nor changed.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn evaluate_apart<R>(
        &self,
        scratch: &mut Scratch,
        input: &Input<'_>,
        then: impl FnOnce(&Verdict<'_>, Option<Candidate<'_>>) -> R,
    ) -> Result<R, Fault> {
        self.judge(scratch, input, Mode { apart: true, ..Mode::default() }, &mut Unobserved, then)
    }

    /// As [`Program::evaluate`], and every verdict shows fields, description and data.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn examine<R>(
        &self,
        scratch: &mut Scratch,
        input: &Input<'_>,
        then: impl FnOnce(&Verdict<'_>) -> R,
    ) -> Result<R, Fault> {
        let mode = Mode { whole: true, ..Mode::default() };
        self.judge(scratch, input, mode, &mut Unobserved, |verdict, _| then(verdict))
    }

    /// The same as [`Program::evaluate`], with somebody looking on.
    pub(crate) fn evaluate_observed<R>(
        &self,
        scratch: &mut Scratch,
        input: &Input<'_>,
        observer: &mut impl Observer,
        then: impl FnOnce(&Verdict<'_>) -> R,
    ) -> Result<R, Fault> {
        self.judge(scratch, input, Mode::default(), observer, |verdict, _| then(verdict))
    }

    #[inline]
    fn judge<R, O: Observer>(
        &self,
        scratch: &mut Scratch,
        input: &Input<'_>,
        mode: Mode,
        observer: &mut O,
        then: impl FnOnce(&Verdict<'_>, Option<Candidate<'_>>) -> R,
    ) -> Result<R, Fault> {
        let Scratch {
            bound: Bound { memory, lists },
            room,
            shown,
            buffers,
            tapes: kept,
            work,
            reader,
            fields,
            marks,
            sigma,
            stamps,
            service: service_room,
            location: location_room,
            key,
        } = scratch;
        let mut tapes = std::mem::replace(kept, Tapes::new()).reset();
        let binding = &self.bindings[input.binding.0];
        fields.clear();
        let mut decoding = Decoding { program: self, work, fields };
        let read = if mode.whole { None } else { decoding.open_by_reader(binding, input, reader) };
        let by_reader = read.is_some();
        let opened = match read {
            Some(opened) => Ok(opened),
            None => decoding.open_by_tape(binding, input, room, buffers, &mut tapes),
        };
        let opened = match opened {
            Ok(opened) => opened,
            Err(fault) => {
                *kept = tapes.reset();
                return Err(fault);
            }
        };
        let decoded = &opened.decoded;
        let json_at = fields.json.map(|json| json.start);
        let service = match &binding.mapping.wrapper {
            Some(wrapper) if wrapper.service.is_some() && decoded.reading.place.root > 0 => {
                place::service(tapes.seen()).map(|name| {
                    service_room.clear();
                    service_room.push_str(&name);
                    &**service_room
                })
            }
            _ => None,
        };
        let location = binding.mapping.location.as_deref().unwrap_or(&input.context.location);
        let location = match decoded.relocated {
            Some(part) => {
                location_room.clear();
                let _ = write!(location_room, "{location}|{}", String::from_utf8_lossy(part));
                &**location_room
            }
            None => location,
        };
        let beside = Beside { memory, location, service };
        let view = opened.view(binding);
        let mut apart = mode.apart.then(Apart::default);
        if let Some(decoder) = decoded.decoder.filter(|decoder| self.decoders.get(*decoder).accumulate) {
            let facts = Facts {
                program: self,
                view,
                tape: tapes.seen(),
                whole: &tapes.whole.0,
                input,
                decoded,
                fields,
                beside,
            };
            match &mut apart {
                None => {
                    let filled = accumulate(&facts, memory, stamps);
                    fields.fill(filled);
                }
                Some(apart) if is_accumulated(&facts) => apart.accumulated(self, decoder),
                Some(_) => {}
            }
        }
        let facts = Facts {
            program: self,
            view,
            tape: tapes.seen(),
            whole: &tapes.whole.0,
            input,
            decoded,
            fields,
            beside,
        };
        observer.decoded(&facts);
        let (conclusion, due) = if mode.sigma_only {
            (Conclusion::default(), None)
        } else {
            let past = Past::new(memory, lists, stamps, (apart, mode.time));
            let mut walk = Walk { facts, marks, past, observer: &mut *observer };
            let judged = if mode.apart { walk.judge_apart(key) } else { (walk.judge(), None) };
            if O::SURVEYS {
                walk.survey();
            }
            judged
        };
        fields.place_sigma(self, &binding.sigma.captured);
        let facts = Facts {
            program: self,
            view,
            tape: tapes.seen(),
            whole: &tapes.whole.0,
            input,
            decoded,
            fields,
            beside,
        };
        sigma::run(sigma::Event::new(facts, binding), sigma, observer);
        let mut later = None;
        if by_reader && !mode.sigma_only && (conclusion.counts || !sigma.matches.is_empty()) {
            let text = json_at.and_then(|start| decoded.header.log.get(start..));
            if binding.mapping.format == Format::Json || text.is_some() {
                let text = text.unwrap_or_default();
                if conclusion.counts && binding.mapping.format == Format::Text {
                    // The reader takes no record in which a text has a NUL.
                    decode::show(binding, input, text, shown, buffers, &mut tapes.whole);
                } else {
                    // Nobody may want an alert. What it shows the reader finds again in a record, but not in a line.
                    later = Some(Later { text, room: RefCell::new((shown, buffers)) });
                }
            }
        }
        let facts = Facts {
            program: self,
            view,
            tape: tapes.seen(),
            whole: &tapes.whole.0,
            input,
            decoded,
            fields,
            beside,
        };
        let verdict = Verdict::new(facts, binding, opened.enveloped, conclusion, (&sigma.matches, later));
        let result = then(&verdict, due.map(|due| due.candidate(key)));
        drop(verdict);
        *kept = tapes.reset();
        Ok(result)
    }
}

/// Most slots that the Sigma fields of a source take.
fn sigma_slots(program: &Program) -> usize {
    program.bindings.iter().map(|binding| binding.sigma.slots as usize).max().unwrap_or(0)
}

/// How many slots the outputs of `program` take.
pub(crate) fn output_slots(program: &Program) -> usize {
    program.subjects.len() + program.outputs.len() + EXTRAS
}
