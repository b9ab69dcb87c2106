//! What an expression comes to when some fields are known to be missing: true, false, or open.
//!
//! Enters: an expression and which fields records may have. Leaves: its truth for every record of the source, and for a
//! decided one the fields whose absence decides it. A field that is missing passes tests for absence and fails all
//! others; everything else is open, so `false` is a proof and not a guess.

use crate::ir::sigma::{Expr, FieldTest};

/// The truth of an expression over all records of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Truth {
    /// It holds for none of them.
    False,
    /// It depends on the record.
    Open,
    /// It holds for each of them.
    True,
}

impl Truth {
    fn not(self) -> Self {
        match self {
            Self::False => Self::True,
            Self::Open => Self::Open,
            Self::True => Self::False,
        }
    }
}

/// What `expr` comes to where records have only those fields that `has` allows.
pub(super) fn truth(expr: &Expr, has: &impl Fn(&str) -> bool) -> Truth {
    match expr {
        Expr::All(parts) => parts.iter().map(|part| truth(part, has)).min().unwrap_or(Truth::True),
        Expr::Any(parts) => parts.iter().map(|part| truth(part, has)).max().unwrap_or(Truth::False),
        Expr::Not(part) => truth(part, has).not(),
        Expr::Keyword(_) => Truth::Open,
        Expr::Field { name, test } if has(name) => match test {
            FieldTest::Same { field, negated: false, .. } if !has(field) => Truth::False,
            _ => Truth::Open,
        },
        Expr::Field { test: FieldTest::Null | FieldTest::Exists(false), .. } => Truth::True,
        Expr::Field { .. } => Truth::False,
    }
}

/// Appends the fields that decide an expression whose truth is not open: those without which it would not be decided, one
/// reason where several would do.
pub(super) fn reasons<'a>(expr: &'a Expr, has: &impl Fn(&str) -> bool, out: &mut Vec<&'a str>) {
    let decided = truth(expr, has);
    match expr {
        Expr::All(parts) | Expr::Any(parts) => {
            let one_decides =
                matches!((expr, decided), (Expr::All(_), Truth::False) | (Expr::Any(_), Truth::True));
            let deciding = parts.iter().filter(|part| truth(part, has) == decided);
            deciding.take(if one_decides { 1 } else { usize::MAX }).for_each(|part| reasons(part, has, out));
        }
        Expr::Not(part) => reasons(part, has, out),
        Expr::Field { name, test } => {
            let missing = match test {
                FieldTest::Same { field, .. } if has(name) => field,
                _ => name,
            };
            if decided != Truth::Open && !out.contains(&missing.as_str()) {
                out.push(missing);
            }
        }
        Expr::Keyword(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::sigma::{Pattern, PatternPart, ReferenceSite};

    fn is(name: &str) -> Expr {
        let parts = vec![PatternPart::Bytes(b"x".to_vec())];
        field(name, FieldTest::Pattern(Pattern { parts, cased: false }))
    }

    fn field(name: &str, test: FieldTest) -> Expr {
        Expr::Field { name: name.to_owned(), test }
    }

    fn not(expr: Expr) -> Expr {
        Expr::Not(Box::new(expr))
    }

    /// Fields that begin with `k` are known.
    fn has(name: &str) -> bool {
        name.starts_with('k')
    }

    #[test]
    fn a_missing_field_fails_all_tests_but_those_for_absence() {
        for (expr, expected) in [
            (is("k"), Truth::Open),
            (is("u"), Truth::False),
            (not(is("u")), Truth::True),
            (field("u", FieldTest::Null), Truth::True),
            (field("u", FieldTest::Exists(false)), Truth::True),
            (field("u", FieldTest::Exists(true)), Truth::False),
            (field("k", FieldTest::Null), Truth::Open),
            (Expr::Keyword(FieldTest::Regex("x".to_owned())), Truth::Open),
            (Expr::All(vec![is("k"), is("u")]), Truth::False),
            (Expr::All(vec![is("k"), not(is("u"))]), Truth::Open),
            (Expr::Any(vec![is("k"), is("u")]), Truth::Open),
            (Expr::Any(vec![is("u"), is("v")]), Truth::False),
            (Expr::Any(vec![is("k"), field("u", FieldTest::Null)]), Truth::True),
            (Expr::All(Vec::new()), Truth::True),
            (Expr::Any(Vec::new()), Truth::False),
        ] {
            assert_eq!(truth(&expr, &has), expected, "{expr:?}");
        }
    }

    #[test]
    fn a_value_cannot_be_that_of_a_missing_field() {
        let same = |name: &str, other: &str, negated| {
            let field_name = other.to_owned();
            field(
                name,
                FieldTest::Same { field: field_name, site: ReferenceSite::Whole, cased: false, negated },
            )
        };
        assert_eq!(truth(&same("k", "u", false), &has), Truth::False);
        assert_eq!(truth(&same("k", "u", true), &has), Truth::Open);
        assert_eq!(truth(&same("u", "k", true), &has), Truth::False);
        assert_eq!(truth(&same("k", "kk", false), &has), Truth::Open);
        let (mut names, expr) = (Vec::new(), same("k", "u", false));
        reasons(&expr, &has, &mut names);
        assert_eq!(names, ["u"]);
    }

    #[test]
    fn the_reasons_are_what_it_takes() {
        for (expr, expected) in [
            (Expr::All(vec![is("k"), is("u"), is("v")]), vec!["u"]),
            (Expr::Any(vec![is("u"), is("v"), is("u")]), vec!["u", "v"]),
            (Expr::All(vec![is("k"), Expr::Any(vec![is("u"), is("v")])]), vec!["u", "v"]),
            (not(Expr::Any(vec![is("k"), field("u", FieldTest::Null)])), vec!["u"]),
            (Expr::All(vec![is("k")]), vec![]),
            (Expr::Any(Vec::new()), vec![]),
        ] {
            let mut names = Vec::new();
            reasons(&expr, &has, &mut names);
            assert_eq!(names, expected, "{expr:?}");
        }
    }
}
