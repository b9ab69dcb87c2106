//! A Sigma expression in the words of a source: conditions of Wazuh rules, joined by and, or and not.
//!
//! Enters: an expression, the mapping of a source and its home. Leaves: a [`Formula`] over [`Atom`]s, each of which one `<field>`,
//! `<regex>` or the like can say, and what is lost on the way. Nothing is decided about rules here: absence of a field is a
//! negated atom, and what becomes of it is for [`super::clauses`].

use super::clauses;
use super::homes::{Home, Place};
use super::networks;
use super::values::{self, ANY, Pattern};
use super::xml;
use crate::decode::mapping::{Format, Mapping};
use crate::ir::sigma::{Expr, FieldTest};

/// What a condition of a Wazuh rule looks at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// `<field name="…">`.
    Field(String),
    /// An element of its own.
    Element(&'static str),
    /// `<regex>`.
    Log,
}

/// A condition that holds for some value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Atom {
    pub(super) subject: Subject,
    pub(super) pattern: Pattern,
    /// The value must not be a JSON null, whose text the pattern would take.
    pub(super) not_null: bool,
}

/// Conditions joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Formula {
    All(Vec<Formula>),
    Any(Vec<Formula>),
    Not(Box<Formula>),
    Atom(Atom),
}

impl Formula {
    pub(super) const FALSE: Self = Self::Any(Vec::new());
}

/// Turns expressions of one source into formulas.
pub(super) struct Wording<'m> {
    pub(super) mapping: &'m Mapping,
    pub(super) home: &'static Home,
    /// Each sentence names a difference.
    pub(super) remarks: Vec<String>,
}

/// Static fields that have an element of their own and take patterns.
const ELEMENTS: &[(&str, &str)] = &[
    ("id", "id"),
    ("url", "url"),
    ("data", "data"),
    ("extra_data", "extra_data"),
    ("status", "status"),
    ("systemname", "system_name"),
    ("system_name", "system_name"),
    ("protocol", "protocol"),
    ("action", "action"),
    ("srcport", "srcport"),
    ("dstport", "dstport"),
    ("user", "user"),
    ("dstuser", "user"),
    ("srcuser", "user"),
    ("program_name", "program_name"),
    ("hostname", "hostname"),
];

impl Wording<'_> {
    /// The formula; else each reason why there is none.
    pub(super) fn formula(&mut self, expr: &Expr) -> Result<Formula, String> {
        match expr {
            Expr::All(parts) => Ok(Formula::All(self.formulas(parts)?)),
            Expr::Any(parts) => Ok(joined(self.formulas(parts)?)),
            Expr::Not(part) => Ok(Formula::Not(Box::new(self.formula(part)?))),
            Expr::Keyword(test) => self.keyword(test),
            Expr::Field { name, test } => self.field(name, test),
        }
    }

    fn formulas(&mut self, parts: &[Expr]) -> Result<Vec<Formula>, String> {
        parts.iter().map(|part| self.formula(part)).collect()
    }

    fn keyword(&mut self, test: &FieldTest) -> Result<Formula, String> {
        let json = self.mapping.format == Format::Json;
        self.remark(if json {
            "keywords are looked for in the text of the whole record, names of fields and values together"
        } else {
            "keywords are looked for behind the header of a line, and in values of JSON as they are written there"
        });
        let pattern = values::keyword(test, json)?;
        Ok(Formula::Atom(Atom { subject: Subject::Log, pattern, not_null: false }))
    }

    fn field(&mut self, name: &str, test: &FieldTest) -> Result<Formula, String> {
        // Kinds of records of other sources.
        if let Some((source, _)) = name.split_once('/')
            && source != &*self.mapping.source
            && super::homes::of(source).is_some()
        {
            let absent = matches!(test, FieldTest::Null | FieldTest::Exists(false));
            return Ok(if absent { Formula::All(Vec::new()) } else { Formula::FALSE });
        }
        if let Some(formula) = self.service(name, test) {
            return Ok(formula);
        }
        match test {
            FieldTest::Null => {
                self.remark_objects(name);
                Ok(Formula::Not(Box::new(self.any_path(name, test)?)))
            }
            FieldTest::Exists(wanted) => {
                self.remark_objects(name);
                if self.home.without_nulls {
                    self.remark(&format!("a null in {name} is taken for a missing field"));
                }
                let there = self.any_path(name, test)?;
                Ok(if *wanted { there } else { Formula::Not(Box::new(there)) })
            }
            _ => self.any_path(name, test),
        }
    }

    /// A test of the service that a bus names, where its answer is known. Wazuh rules know records of other sources by the same
    /// field, which Sigma rules do not see there.
    fn service(&self, name: &str, test: &FieldTest) -> Option<Formula> {
        let always = |holds: bool| if holds { Formula::All(Vec::new()) } else { Formula::FALSE };
        if self.mapping.service_path(name).is_some() {
            return match test {
                FieldTest::Exists(wanted) => Some(always(*wanted)),
                _ => None,
            };
        }
        let mut constants = self.mapping.constants.iter().filter(|_| self.home.name == "aws");
        let (known, value) = constants.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        let pattern = Pattern::Bytes(format!("^{value}$"));
        let atom = Atom { subject: Subject::Field(known.clone()), pattern, not_null: false };
        Some(match test {
            FieldTest::Null | FieldTest::Exists(false) => Formula::Atom(atom),
            _ => Formula::FALSE,
        })
    }

    /// The test on the paths of a field. Sigma takes the first that is there, Wazuh any.
    fn any_path(&mut self, name: &str, test: &FieldTest) -> Result<Formula, String> {
        let paths: Vec<String> = match self.mapping.service_path(name) {
            Some(path) => vec![path.to_owned()],
            None => self.mapping.sigma.paths_of(name).map(str::to_owned).collect(),
        };
        let below =
            |path: &str, above: &str| path.strip_prefix(above).is_some_and(|rest| rest.starts_with('.'));
        let apart = |at: usize, path: &String| {
            paths.iter().skip(at + 1).all(|other| below(other, path) || below(path, other))
        };
        if !paths.iter().enumerate().all(|(at, path)| apart(at, path)) {
            self.remark(&format!(
                "where a record has several of {}, each of them counts and not the first alone",
                paths.join(", ")
            ));
        }
        let atoms = paths.iter().map(|path| self.path(path, test).map(Formula::Atom));
        Ok(joined(atoms.collect::<Result<_, _>>()?))
    }

    fn path(&mut self, path: &str, test: &FieldTest) -> Result<Atom, String> {
        if let Some((list, member)) = self.list_of(path) {
            let full = self.full_name(&list);
            self.remark(&format!("{full} is a list, in whose JSON text the values are looked for"));
            let pattern = match test {
                FieldTest::Null | FieldTest::Exists(_) => match member {
                    Some(member) => Pattern::Bytes(format!(r#""{}":"#, member.replace('.', r"\."))),
                    None => Pattern::Bytes(ANY.to_owned()),
                },
                _ => values::in_list(test, member.as_deref())?,
            };
            return self.atom(&full, pattern, false);
        }
        let full = self.full_name(path);
        let pattern = values::pattern(test).map_err(|reason| format!("{path}: {reason}"))?;
        if self.mapping.sigma.is_object(path) && values::may_take_object(test) {
            self.remark(&format!("{full} is an object, whose JSON Sigma looks at and Wazuh does not"));
        }
        if self.mapping.format == Format::Json && values::is_about_digits(test) {
            self.remark(&format!(
                "of a number with a fraction or beyond 32 bits in {full} Wazuh sees six decimals, Sigma what JSON has"
            ));
        }
        match test {
            FieldTest::Networks(list) if networks::is_loose(list) => {
                self.remark("what is behind the prefix of an IPv6 network is not checked to be an address");
            }
            FieldTest::Compare(..) => {
                self.remark("texts of numbers with an exponent are not taken for numbers");
            }
            _ => {}
        }
        let exists = matches!(test, FieldTest::Exists(_));
        let not_null = !exists && !self.home.without_nulls && pattern.takes(b"null");
        if not_null {
            self.remark(&format!("the text `null` in {path} is taken for a null"));
        }
        self.atom(&full, pattern, not_null)
    }

    fn atom(&mut self, full: &str, pattern: Pattern, not_null: bool) -> Result<Atom, String> {
        if ["srcip", "dstip", "srcgeoip", "dstgeoip"].contains(&full) {
            return Err(format!("a Wazuh rule takes no pattern for the static field {full}"));
        }
        if full.chars().any(|char| !xml::is_allowed(char) || "\"<>&'".contains(char)) {
            return Err(format!("the field {full} cannot be named in a Wazuh rule"));
        }
        let subject = match ELEMENTS.iter().find(|(name, _)| *name == full) {
            Some((_, "user")) => {
                self.remark("`<user>` stands for dstuser, and for srcuser where there is none");
                Subject::Element("user")
            }
            Some((_, element)) => Subject::Element(element),
            None => Subject::Field(full.to_owned()),
        };
        Ok(Atom { subject, pattern, not_null })
    }

    /// The list that a path leads into, and the last name behind it.
    fn list_of(&self, path: &str) -> Option<(String, Option<String>)> {
        self.home.lists.iter().find_map(|list| {
            let rest = path.get(..list.len()).filter(|start| start.eq_ignore_ascii_case(list))?;
            let behind = path.get(rest.len()..)?;
            match behind.strip_prefix('.') {
                Some(names) => {
                    let last = names.rsplit('.').next().unwrap_or(names);
                    Some((rest.to_owned(), Some(last.to_owned())))
                }
                None => behind.is_empty().then(|| (rest.to_owned(), None)),
            }
        })
    }

    /// The name of a path in Wazuh rules.
    pub(super) fn full_name(&self, path: &str) -> String {
        match self.mapping.under.as_str() {
            "" => path.to_owned(),
            under => format!("{under}.{path}"),
        }
    }

    fn remark_objects(&mut self, name: &str) {
        if !matches!(self.home.place, Place::Syslog) {
            self.remark(&format!("an object in {name} is taken for a missing field"));
        }
    }

    fn remark(&mut self, text: &str) {
        if !self.remarks.iter().any(|known| known == text) {
            self.remarks.push(text.to_owned());
        }
    }
}

/// "Or", with those that test the same field in one pattern.
fn joined(parts: Vec<Formula>) -> Formula {
    let mut out: Vec<Formula> = Vec::new();
    let mut open: Vec<Formula> = parts;
    open.reverse();
    while let Some(part) = open.pop() {
        match part {
            Formula::Any(inner) => open.extend(inner.into_iter().rev()),
            Formula::Atom(atom) => {
                let is_joined = out.iter_mut().any(|known| match known {
                    Formula::Atom(other) => {
                        other.subject == atom.subject
                            && other.not_null == atom.not_null
                            && other.pattern.absorb(&atom.pattern)
                    }
                    _ => false,
                });
                if !is_joined {
                    out.push(Formula::Atom(atom));
                }
            }
            other => {
                // So many are too many anyway.
                if out.len() > 16 * clauses::MOST || !out.contains(&other) {
                    out.push(other);
                }
            }
        }
    }
    for part in &mut out {
        if let Formula::Atom(atom) = part {
            atom.pattern.drop_repeated();
        }
    }
    match <[Formula; 1]>::try_from(out) {
        Ok([one]) => one,
        Err(many) => Formula::Any(many),
    }
}
