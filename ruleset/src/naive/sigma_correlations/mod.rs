//! Sigma correlations by definition: from the whole list of matches, with no state.
//!
//! Enters: a set and every event with the rules that matched it, in the order of (time, id), and until when time has passed.
//! Leaves: every match of a correlation. For each match at hand it looks through all that came before; a correlation that refers
//! to others is computed from their finished results. For tests only.

mod conditions;

use std::collections::{BTreeMap, BTreeSet};

use threatlockdown_event::identity::hash;

use crate::ir::sigma::{CorrelationKind, Referent, SigmaCorrelation, SigmaSet};
use conditions::{Ground, decides_at_end, ground, opens};

/// An event with its rules and fields.
#[derive(Debug, Clone)]
pub struct NaiveMatched {
    /// Milliseconds.
    pub time: i64,
    /// Its id.
    pub id: [u8; 16],
    /// The rules that matched.
    pub rules: Vec<u32>,
    /// Its fields.
    pub fields: BTreeMap<String, Vec<u8>>,
}

/// A match of a correlation.
#[derive(Debug, Clone, PartialEq)]
pub struct NaiveMatch {
    /// Which.
    pub correlation: u32,
    /// The values of `group-by`.
    pub group: Vec<Vec<u8>>,
    /// When it was decided.
    pub time: i64,
    /// The places in the input of the events that it rests on, through all correlations in between, where they are
    /// defined: chains of equal times can be made of either event.
    pub events: Option<BTreeSet<usize>>,
    /// Time of the first and last.
    pub span: (i64, i64),
    /// How many it counted.
    pub count: u64,
    /// The figure, where it asks for one.
    pub figure: Option<f64>,
}

/// Where something stands in the order in which it is counted: time; events before ends of windows; which event, or
/// which window; and what followed from it, correlation by correlation.
type Order = (i64, u8, u64, [u8; 16], Option<(u32, usize)>);

/// What a correlation counts.
#[derive(Debug, Clone)]
struct Item {
    order: Order,
    /// Index of the event, or of the match.
    source: (u32, usize),
    referent: u32,
    fields: BTreeMap<String, Vec<u8>>,
    events: Option<BTreeSet<usize>>,
}

/// Items of one source in one group.
#[derive(Debug, Clone)]
struct Member {
    order: Order,
    referents: Vec<u32>,
    fields: BTreeMap<String, Vec<u8>>,
    events: Option<BTreeSet<usize>>,
    value: Value,
}

#[derive(Debug, Clone, PartialEq, PartialOrd)]
enum Value {
    Nothing,
    Text(Vec<Vec<u8>>),
    Number(f64),
}

/// A match with what later correlations see of it.
struct Made {
    order: Order,
    key: [u8; 16],
    fields: BTreeMap<String, Vec<u8>>,
    shown: NaiveMatch,
}

/// Computes all matches that are decided when no event before `watermark` comes any more.
#[must_use]
pub fn correlate(set: &SigmaSet, matched: &[NaiveMatched], watermark: i64) -> Vec<NaiveMatch> {
    let mut made: Vec<Vec<Made>> = Vec::new();
    for (index, correlation) in (0_u32..).zip(&set.correlations) {
        let groups = groups(correlation, matched, &made);
        let mut found = Vec::new();
        for ((key, values), members) in groups {
            let group = Group { correlation, index, key, values, members };
            if decides_at_end(&correlation.kind) {
                group.standing(watermark, &mut found);
            } else {
                group.moving(&mut found);
            }
        }
        found.sort_by(|one, other| (&one.order, one.key).cmp(&(&other.order, other.key)));
        for (rank, made) in found.iter_mut().enumerate() {
            made.order.4 = Some((index, rank));
        }
        made.push(found);
    }
    let mut all: Vec<Made> = made.into_iter().flatten().collect();
    all.sort_by_key(|made| made.order);
    all.into_iter().map(|made| made.shown).collect()
}

/// By key and values of `group-by`: what counts there, in order.
type ByGroup = BTreeMap<([u8; 16], Vec<Vec<u8>>), Vec<Member>>;

fn groups(correlation: &SigmaCorrelation, matched: &[NaiveMatched], made: &[Vec<Made>]) -> ByGroup {
    let mut items = Vec::new();
    for (referent, of) in (0_u32..).zip(&correlation.of) {
        match *of {
            Referent::Rule(rule) => {
                for (place, event) in
                    matched.iter().enumerate().filter(|(_, event)| event.rules.contains(&rule))
                {
                    items.push(Item {
                        order: (event.time, 0, place as u64, [0; 16], None),
                        source: (0, place),
                        referent,
                        fields: event.fields.clone(),
                        events: Some(BTreeSet::from([place])),
                    });
                }
            }
            Referent::Correlation(inner) => {
                for (place, made) in made.get(inner as usize).into_iter().flatten().enumerate() {
                    items.push(Item {
                        order: made.order,
                        source: (inner + 1, place),
                        referent,
                        fields: made.fields.clone(),
                        events: made.shown.events.clone(),
                    });
                }
            }
        }
    }
    items.sort_by(|one, other| {
        (&one.order, one.source, one.referent).cmp(&(&other.order, other.source, other.referent))
    });
    let mut groups = ByGroup::new();
    for same in items.chunk_by(|one, other| one.source == other.source) {
        let mut parts: BTreeMap<Vec<Vec<u8>>, Vec<&Item>> = BTreeMap::new();
        for item in same {
            if let Some(values) = group_of(correlation, item) {
                parts.entry(values).or_default().push(item);
            }
        }
        for (values, items) in parts {
            let Some(first) = items.first() else { continue };
            // The first rule that has the values says what they are.
            let Some(value) = items.iter().find_map(|item| value_of(correlation, item)) else { continue };
            let member = Member {
                order: first.order,
                referents: items.iter().map(|item| item.referent).collect(),
                fields: first.fields.clone(),
                events: first.events.clone(),
                value,
            };
            groups.entry((key(&values), values)).or_default().push(member);
        }
    }
    groups
}

fn group_of(correlation: &SigmaCorrelation, item: &Item) -> Option<Vec<Vec<u8>>> {
    let mut values = Vec::new();
    for field in &correlation.group_by {
        let name = field.fields.get(item.referent as usize)?.as_ref()?;
        values.push(item.fields.get(name)?.clone());
    }
    Some(values)
}

/// Groups that something reaches at once are reached in the order of their hashes: any order would do, but it must be one.
fn key(values: &[Vec<u8>]) -> [u8; 16] {
    let mut text = Vec::new();
    for value in values {
        text.extend_from_slice(&(value.len() as u32).to_le_bytes());
        text.extend_from_slice(value);
    }
    hash(&[&text])
}

fn value_of(correlation: &SigmaCorrelation, item: &Item) -> Option<Value> {
    let field = |name: &String| {
        let alias = correlation.value_aliases.iter().find(|alias| alias.name == *name);
        let name = match alias {
            Some(alias) => alias.fields.get(item.referent as usize)?.as_ref()?,
            None => name,
        };
        item.fields.get(name)
    };
    match &correlation.kind {
        CorrelationKind::ValueCount { fields: names, .. } => {
            names.iter().map(|name| field(name).cloned()).collect::<Option<_>>().map(Value::Text)
        }
        CorrelationKind::Value { field: name, .. } => {
            let text = std::str::from_utf8(field(name)?).ok()?;
            let number: f64 = text.parse().ok()?;
            (number.is_finite() && number.abs() <= 1e24).then_some(Value::Number(number))
        }
        _ => Some(Value::Nothing),
    }
}

/// One group of one correlation.
struct Group<'a> {
    correlation: &'a SigmaCorrelation,
    index: u32,
    key: [u8; 16],
    values: Vec<Vec<u8>>,
    members: Vec<Member>,
}

impl Group<'_> {
    fn span(&self) -> i64 {
        self.correlation.timespan as i64 * 1000
    }

    /// After each match: the window that ends with it.
    fn moving(&self, found: &mut Vec<Made>) {
        let mut fired: Option<i64> = None;
        for (at, member) in self.members.iter().enumerate() {
            let now = member.order.0;
            if fired.is_some_and(|fired| now - fired <= self.span()) {
                continue;
            }
            let before = self.members.iter().take(at + 1);
            let window: Vec<Member> =
                before.filter(|known| known.order.0 >= now - self.span()).cloned().collect();
            if let Some(ground) = ground(self.correlation, &window) {
                fired = Some(now);
                found.push(self.made(member, &member.order, &ground));
            }
        }
    }

    /// From the first match that opens a window to its end, and so on.
    fn standing(&self, watermark: i64, found: &mut Vec<Made>) {
        let mut rest = self.members.as_slice();
        while let Some(at) = rest.iter().position(|member| opens(&self.correlation.kind, &member.referents)) {
            rest = rest.get(at..).unwrap_or_default();
            let Some(first) = rest.first() else { return };
            let end = first.order.0 + self.span();
            if end >= watermark {
                return;
            }
            let length = rest.iter().take_while(|member| member.order.0 <= end).count();
            let (window, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            if let (Some(ground), Some(last)) = (ground(self.correlation, window), window.last()) {
                let order = (end, 1, u64::from(self.index), self.key, None);
                found.push(self.made(last, &order, &ground));
            }
            rest = after;
        }
    }

    fn made(&self, last: &Member, order: &Order, ground: &Ground) -> Made {
        let mut fields = last.fields.clone();
        for (field, value) in self.correlation.group_by.iter().zip(&self.values) {
            fields.insert(field.name.clone(), value.clone());
        }
        let times = || ground.members.iter().map(|member| member.order.0);
        let mut events = ground.exact.then(BTreeSet::new);
        for member in &ground.members {
            match (&mut events, &member.events) {
                (Some(events), Some(new)) => events.extend(new),
                _ => events = None,
            }
        }
        let span = (times().min().unwrap_or(order.0), times().max().unwrap_or(order.0));
        let shown = NaiveMatch {
            correlation: self.index,
            group: self.values.clone(),
            time: order.0,
            events,
            span,
            count: ground.count,
            figure: ground.figure,
        };
        Made { order: *order, key: self.key, fields, shown }
    }
}
