//! Sigma rules: from the intermediate form to the program's.
//!
//! Enters: a [`SigmaSet`] and the mappings. Leaves: a [`Sigma`], in which every distinct test exists once, equal-minded
//! literals of one field are one test, and for each source the way leads from tests to rules.

mod correlations;
mod cover;
mod intern;
pub(crate) mod patterns;

use self::correlations::{Correlations, correlations};
use self::cover::{Cover, Item, cover};
use self::intern::Interner;
use super::attack::{Techniques, tactics_of};
use crate::decode::mapping::{Format, Mapping};
use crate::decode::paths::MAX_PARTS;
use crate::decode::tree::Decoders;
use crate::diagnostic::Diagnostic;
use crate::ir::OrderField;
use crate::ir::sigma::{Expr, FieldTest, SigmaCorrelation, SigmaRule as IrRule, SigmaSet};
use crate::ir::suppression::Suppression;
use crate::program::{
    ByPredicate, KEYWORDS, Mitre, Pass, Sigma, SigmaBinding, SigmaExpr, SigmaIndex, SigmaPredicateIndex,
    SigmaRule, SigmaSubjectIndex, SlotRange,
};
use crate::suppress::RuleTraits;

/// Deepest nesting of an expression that is accepted: it is evaluated one call per level.
const MAX_DEPTH: usize = 128;
/// Most parts that the paths of all fields of a source may have together: nodes on their way are numbered.
const MAX_WAY: usize = u16::MAX as usize;
/// Memory that the regular expressions of one rule may take, and those of all rules together: some thousands, and some
/// ten thousands. Texts with wildcards cost little and have no bound but that of files.
const MAX_RULE_REGEXES: usize = 64 << 20;
const MAX_REGEXES: usize = 512 << 20;

/// Where the value of a Sigma field is looked for: path in lower case, slot.
pub(super) type SigmaField = (String, u32);

/// The Sigma rules of a program, and per mapping what it has to do with them and the paths of their fields.
pub(super) fn compile(
    set: &SigmaSet,
    suppressions: &[Suppression],
    mappings: &[Mapping],
    decoders: &Decoders,
    attack: &Techniques,
    faults: &mut Vec<Diagnostic>,
) -> (Sigma, Vec<(SigmaBinding, Vec<SigmaField>)>) {
    let mut interner = Interner::new();
    let mut rules = Vec::with_capacity(set.rules.len());
    let mut is_told = false;
    for rule in &set.rules {
        let room = Room { before: interner.compiled(), is_left: true, is_told: &mut is_told };
        let mut lowering = Lowering { interner: &mut interner, rule, faults, fields: Vec::new(), room };
        let expr = lowering.expr(&rule.expr, 0);
        let fields = std::mem::take(&mut lowering.fields);
        rules.push(Lowered { rule: program_rule(rule, expr, attack), fields });
    }
    for correlation in &set.correlations {
        correlated_fields(correlation, &mut interner, &mut rules);
    }
    suppressed_fields(suppressions, &mut interner, &mut rules);
    let covers: Vec<Option<Cover>> =
        rules.iter().map(|lowered| cover(&lowered.rule.expr, &interner)).collect();
    let names: Vec<String> = interner.names().map(str::to_owned).collect();
    let passes = |predicate| interner.passes(predicate);
    let bound = mappings.iter().map(|mapping| {
        let (mut binding, fields) = bind(mapping, &rules, &names, decoders);
        binding.index = index(&binding.rules, &covers, passes);
        (binding, fields)
    });
    let bound: Vec<(SigmaBinding, Vec<SigmaField>)> = bound.collect();
    for (mapping, (_, fields)) in mappings.iter().zip(&bound) {
        check_paths(mapping, fields, set, faults);
    }
    let Some((subjects, predicates)) = interner.finish() else {
        if let Some(rule) = set.rules.first() {
            faults.push(Diagnostic::error(
                rule.head.place.clone(),
                "",
                "the literals of the Sigma rules are too many for one automaton",
                "load fewer rules",
            ));
        }
        return (Sigma::default(), bound);
    };
    let rules = rules.into_iter().map(|lowered| lowered.rule).collect();
    let Correlations { correlations, plans } = correlations(set, attack, faults);
    let mut sigma = Sigma { rules, subjects, predicates, correlations, plans, asked: Vec::new() };
    sigma.asked = sigma.plans.field_names().iter().map(|name| sigma.subject(name)).collect();
    (sigma, bound)
}

/// A rule with the fields that it looks at.
struct Lowered {
    rule: SigmaRule,
    fields: Vec<SigmaSubjectIndex>,
}

fn program_rule(rule: &IrRule, expr: SigmaExpr, attack: &Techniques) -> SigmaRule {
    let logsource = &rule.logsource;
    let parts = [&logsource.product, &logsource.service, &logsource.category];
    let parts = parts.into_iter().flatten().cloned();
    let mitre = attack.describe(&rule.head.mitre, &[]);
    let tactics = tactics_of(&rule.head.tags);
    SigmaRule {
        head: rule.head.clone(),
        logsource: logsource.clone(),
        mitre: Mitre {
            // What the rule itself says, where it says anything.
            tactic: if tactics.is_empty() { mitre.tactic } else { tactics },
            ..mitre
        },
        groups: std::iter::once("sigma".to_owned()).chain(parts).collect(),
        expr,
    }
}

struct Lowering<'l> {
    interner: &'l mut Interner,
    rule: &'l IrRule,
    faults: &'l mut Vec<Diagnostic>,
    fields: Vec<SigmaSubjectIndex>,
    room: Room<'l>,
}

/// For regular expressions.
struct Room<'l> {
    /// What those of the rules before take.
    before: usize,
    /// For this rule.
    is_left: bool,
    /// Whether it was told that there is none for any rule.
    is_told: &'l mut bool,
}

impl Lowering<'_> {
    fn expr(&mut self, expr: &Expr, depth: usize) -> SigmaExpr {
        if depth > MAX_DEPTH {
            let message = format!("the condition is nested deeper than {MAX_DEPTH} levels");
            return self.fault("", message, "write it with fewer parentheses");
        }
        match expr {
            Expr::All(parts) => SigmaExpr::All(self.exprs(parts, depth)),
            Expr::Any(parts) => self.any(parts, depth),
            Expr::Not(part) => SigmaExpr::Not(Box::new(self.expr(part, depth + 1))),
            Expr::Field { name, test } => {
                let subject = self.field(name);
                if let FieldTest::Same { field, .. } = test {
                    self.field(field);
                }
                self.test(subject, test)
            }
            Expr::Keyword(test) => self.test(KEYWORDS, test),
        }
    }

    fn exprs(&mut self, parts: &[Expr], depth: usize) -> Box<[SigmaExpr]> {
        parts.iter().map(|part| self.expr(part, depth + 1)).collect()
    }

    /// Literals of one field become one test: lists of values can be long.
    fn any(&mut self, parts: &[Expr], depth: usize) -> SigmaExpr {
        let mut literals = Vec::new();
        let mut rest = Vec::new();
        for part in parts {
            let (subject, pattern) = match part {
                Expr::Field { name, test: FieldTest::Pattern(pattern) } => (self.field(name), pattern),
                Expr::Keyword(FieldTest::Pattern(pattern)) => (KEYWORDS, pattern),
                other => {
                    rest.push(self.expr(other, depth + 1));
                    continue;
                }
            };
            match self.interner.literal(subject, pattern) {
                Some(literal) => literals.push((subject, literal)),
                None => rest.push(self.expr(part, depth + 1)),
            }
        }
        literals.sort_by_key(|(subject, _)| *subject);
        let grouped = literals.chunk_by(|one, other| one.0 == other.0).map(|same| {
            let subject = same.first().map_or(KEYWORDS, |(subject, _)| *subject);
            let parts = same.iter().map(|(_, literal)| literal.clone()).collect();
            SigmaExpr::Test { subject, predicate: self.interner.literals(subject, parts) }
        });
        SigmaExpr::Any(grouped.collect::<Vec<_>>().into_iter().chain(rest).collect())
    }

    fn field(&mut self, name: &str) -> SigmaSubjectIndex {
        if name.split('.').count() > MAX_PARTS {
            let message = format!("the field has more than {MAX_PARTS} parts");
            self.fault(name, message, "name a field nearer to the top of the record");
        }
        let subject = self.interner.subject(name);
        if !self.fields.contains(&subject) {
            self.fields.push(subject);
        }
        subject
    }

    /// Whether there is room for another regular expression; once there is none, nothing more is compiled.
    fn has_room(&mut self) -> bool {
        const MIB: usize = 1 << 20;
        let compiled = self.interner.compiled();
        if compiled > MAX_REGEXES {
            if !std::mem::replace(self.room.is_told, true) {
                let all = MAX_REGEXES / MIB;
                let message =
                    format!("up to here the regular expressions of all rules take more than {all} MiB");
                self.fault("", message, "load fewer rules, or write texts with `*` instead of `|re`");
            }
            return false;
        }
        if self.room.is_left && compiled - self.room.before > MAX_RULE_REGEXES {
            self.room.is_left = false;
            let most = MAX_RULE_REGEXES / MIB;
            let message = format!("its regular expressions take more than {most} MiB of memory");
            self.fault("", message, "write texts with `*` instead of `|re`, or make several rules of it");
        }
        self.room.is_left
    }

    fn test(&mut self, subject: SigmaSubjectIndex, test: &FieldTest) -> SigmaExpr {
        if matches!(test, FieldTest::Regex(_)) && !self.has_room() {
            return SigmaExpr::Any(Box::default());
        }
        match self.interner.predicate(subject, test) {
            Ok(predicate) => SigmaExpr::Test { subject, predicate },
            Err(error) => {
                let pattern = if let FieldTest::Regex(pattern) = test { pattern } else { "" };
                self.fault(pattern, error.message, &error.help)
            }
        }
    }

    fn fault(&mut self, what: &str, message: impl Into<String>, help: &str) -> SigmaExpr {
        let place = self.rule.head.place.clone();
        let message = format!("rule {}: {}", self.rule.head.id, message.into());
        self.faults.push(Diagnostic::error(place, what, message, help));
        SigmaExpr::Any(Box::default())
    }
}

/// Fields that correlations ask of the matches of their rules are read with those of the rules.
fn correlated_fields(correlation: &SigmaCorrelation, interner: &mut Interner, rules: &mut [Lowered]) {
    let counted = correlation.value_fields().iter().flat_map(|name| {
        (0..correlation.of.len()).filter_map(|place| correlation.value_field_of(name, place))
    });
    let grouped = correlation.group_by.iter().flat_map(|group| group.fields.iter().flatten());
    let names = grouped.map(String::as_str).chain(counted);
    let subjects: Vec<SigmaSubjectIndex> = names.map(|name| interner.subject(name)).collect();
    // A correlation of correlations asks for fields of the rules below; those few are read for all rules.
    for lowered in rules {
        let more = subjects.iter().filter(|subject| !lowered.fields.contains(subject));
        let more: Vec<SigmaSubjectIndex> = more.copied().collect();
        lowered.fields.extend(more);
    }
}

/// Fields that suppressions ask of the alerts of rules are read with those of the rules.
fn suppressed_fields(suppressions: &[Suppression], interner: &mut Interner, rules: &mut [Lowered]) {
    for suppression in suppressions {
        let per = suppression.allowance.iter().flat_map(|allowance| &allowance.per);
        let names = suppression.conditions.iter().map(|demand| &demand.field).chain(per);
        let names: Vec<&String> = names.collect();
        for Lowered { rule, fields } in &mut *rules {
            if !suppression.is_about(&RuleTraits::from(&*rule)) {
                continue;
            }
            for name in &names {
                let subject = interner.subject(name);
                if !fields.contains(&subject) {
                    fields.push(subject);
                }
            }
        }
    }
}

/// The rules that look at a source, the fields that they name, and where these are.
fn bind(
    mapping: &Mapping,
    rules: &[Lowered],
    names: &[String],
    decoders: &Decoders,
) -> (SigmaBinding, Vec<SigmaField>) {
    let fits = |(_, lowered): &(u32, &Lowered)| mapping.sigma.fits(&lowered.rule.logsource);
    let own: Vec<(u32, &Lowered)> = (0..).zip(rules).filter(fits).collect();
    let mut binding = SigmaBinding {
        rules: own.iter().map(|(rule, _)| *rule).collect(),
        places: vec![SlotRange::default(); names.len()],
        ..SigmaBinding::default()
    };
    let mut fields = Vec::new();
    for subject in own.iter().flat_map(|(_, lowered)| &lowered.fields) {
        let place = &mut binding.places[*subject as usize];
        if place.count > 0 {
            continue;
        }
        place.first = binding.slots;
        let name = &names[*subject as usize];
        if let Some(path) = mapping.service_path(name) {
            binding.service = Some(binding.slots);
            fields.push((path.to_ascii_lowercase(), binding.slots));
            place.count = 1;
            binding.slots += 1;
            continue;
        }
        for path in mapping.sigma.paths_of(name) {
            fields.push((path.to_ascii_lowercase(), binding.slots));
            place.count += 1;
            binding.slots += 1;
        }
    }
    if mapping.format == Format::Text {
        binding.captured = decoders.fields().iter().map(|field| captured(field, &fields)).collect();
    }
    (binding, fields)
}

fn captured(field: &OrderField, fields: &[SigmaField]) -> Option<u32> {
    let name = match field {
        OrderField::Static(field) => field.name(),
        OrderField::Dynamic(name) => name,
    };
    fields.iter().find(|(path, _)| path.eq_ignore_ascii_case(name)).map(|(_, slot)| *slot)
}

fn index(
    own: &[u32],
    covers: &[Option<Cover>],
    passes: impl Fn(SigmaPredicateIndex) -> &'static [Pass],
) -> SigmaIndex {
    let mut index = SigmaIndex::default();
    let (mut by_predicate, mut present) = (Vec::new(), Vec::new());
    for rule in own {
        let Some(Some(cover)) = covers.get(*rule as usize) else {
            index.always.push(*rule);
            continue;
        };
        for item in &cover.items {
            match *item {
                Item::Hit(subject, predicate) => {
                    index.pivots.extend(passes(predicate).iter().map(|pass| (subject, *pass)));
                    by_predicate.push((predicate, *rule));
                }
                Item::Presence(subject) => present.push((subject, *rule)),
            }
        }
    }
    index.pivots.sort_unstable();
    index.pivots.dedup();
    index.by_predicate = ByPredicate::new(by_predicate);
    present.sort_unstable();
    present.dedup();
    let same = present.chunk_by(|one: &(u32, u32), other| one.0 == other.0);
    index.by_presence = same
        .filter_map(|rules| Some((rules.first()?.0, rules.iter().map(|(_, rule)| *rule).collect())))
        .collect();
    index
}

/// The number of ways to write a path with dots in keys is bounded by the number of its parts.
fn check_paths(mapping: &Mapping, fields: &[SigmaField], set: &SigmaSet, faults: &mut Vec<Diagnostic>) {
    let Some(rule) = set.rules.first() else { return };
    let way: usize = fields.iter().map(|(path, _)| path.split('.').count()).sum();
    if way > MAX_WAY {
        faults.push(Diagnostic::error(
            rule.head.place.clone(),
            "",
            format!("the Sigma rules for {} name more fields than can be told apart", mapping.source),
            "load fewer rules",
        ));
    }
}
