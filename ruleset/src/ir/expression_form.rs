//! Expressions as a flat list, operands before what joins them.
//!
//! Enters: an expression to be written, or a list from bytes whose author is not known. Leaves: the list, or the
//! expression, or a word on why it is none. Reading a list needs no recursion, so that no bytes can make reading use
//! up the stack.

use serde::{Deserialize, Serialize};

use super::sigma::{Expr, FieldTest, OccurrenceExpr};

/// Deeper than any condition that a front end takes.
const MAX_DEPTH: usize = 512;

/// An expression as a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Form<L>(Vec<Step<L>>);

/// One step: a leaf is put on the stack, the others take their operands from it and put the whole back.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Step<L> {
    Leaf(L),
    Not,
    All(u32),
    Any(u32),
}

/// What an [`Expr`] is made of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ExprLeaf {
    /// A test of a field.
    Field(String, FieldTest),
    /// A test of the event.
    Keyword(FieldTest),
}

/// One node of an expression, taken apart.
enum Node<T, L> {
    Leaf(L),
    Not(T),
    All(Vec<T>),
    Any(Vec<T>),
}

fn flatten<T, L>(tree: T, apart: fn(T) -> Node<T, L>, steps: &mut Vec<Step<L>>) {
    let joined = |parts: Vec<T>, steps: &mut Vec<Step<L>>| {
        let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        parts.into_iter().for_each(|part| flatten(part, apart, steps));
        count
    };
    let last = match apart(tree) {
        Node::Leaf(leaf) => Step::Leaf(leaf),
        Node::Not(inner) => {
            flatten(inner, apart, steps);
            Step::Not
        }
        Node::All(parts) => Step::All(joined(parts, steps)),
        Node::Any(parts) => Step::Any(joined(parts, steps)),
    };
    steps.push(last);
}

fn rebuild<T, L>(form: Form<L>, together: fn(Node<T, L>) -> T) -> Result<T, &'static str> {
    let mut stack: Vec<(T, usize)> = Vec::new();
    for step in form.0 {
        let (node, depth) = match step {
            Step::Leaf(leaf) => (Node::Leaf(leaf), 0),
            Step::Not => {
                let (inner, depth) = stack.pop().ok_or("an expression lacks an operand")?;
                (Node::Not(inner), depth)
            }
            Step::All(count) => {
                let (parts, depth) = operands(&mut stack, count)?;
                (Node::All(parts), depth)
            }
            Step::Any(count) => {
                let (parts, depth) = operands(&mut stack, count)?;
                (Node::Any(parts), depth)
            }
        };
        if depth >= MAX_DEPTH {
            return Err("an expression is nested too deeply");
        }
        stack.push((together(node), depth + 1));
    }
    match (stack.pop(), stack.is_empty()) {
        (Some((whole, _)), true) => Ok(whole),
        _ => Err("an expression is not one whole"),
    }
}

fn operands<T>(stack: &mut Vec<(T, usize)>, count: u32) -> Result<(Vec<T>, usize), &'static str> {
    let from = stack.len().checked_sub(count as usize).ok_or("an expression lacks an operand")?;
    let parts = stack.split_off(from);
    let depth = parts.iter().map(|(_, depth)| *depth).max().unwrap_or_default();
    Ok((parts.into_iter().map(|(part, _)| part).collect(), depth))
}

impl From<Expr> for Form<ExprLeaf> {
    fn from(expr: Expr) -> Self {
        let mut steps = Vec::new();
        flatten(
            expr,
            |expr| match expr {
                Expr::All(parts) => Node::All(parts),
                Expr::Any(parts) => Node::Any(parts),
                Expr::Not(inner) => Node::Not(*inner),
                Expr::Field { name, test } => Node::Leaf(ExprLeaf::Field(name, test)),
                Expr::Keyword(test) => Node::Leaf(ExprLeaf::Keyword(test)),
            },
            &mut steps,
        );
        Self(steps)
    }
}

impl TryFrom<Form<ExprLeaf>> for Expr {
    type Error = &'static str;

    fn try_from(form: Form<ExprLeaf>) -> Result<Self, Self::Error> {
        rebuild(form, |node| match node {
            Node::All(parts) => Self::All(parts),
            Node::Any(parts) => Self::Any(parts),
            Node::Not(inner) => Self::Not(Box::new(inner)),
            Node::Leaf(ExprLeaf::Field(name, test)) => Self::Field { name, test },
            Node::Leaf(ExprLeaf::Keyword(test)) => Self::Keyword(test),
        })
    }
}

impl From<OccurrenceExpr> for Form<u32> {
    fn from(expr: OccurrenceExpr) -> Self {
        let mut steps = Vec::new();
        flatten(
            expr,
            |expr| match expr {
                OccurrenceExpr::All(parts) => Node::All(parts),
                OccurrenceExpr::Any(parts) => Node::Any(parts),
                OccurrenceExpr::Not(inner) => Node::Not(*inner),
                OccurrenceExpr::Matched(at) => Node::Leaf(at),
            },
            &mut steps,
        );
        Self(steps)
    }
}

impl TryFrom<Form<u32>> for OccurrenceExpr {
    type Error = &'static str;

    fn try_from(form: Form<u32>) -> Result<Self, Self::Error> {
        rebuild(form, |node| match node {
            Node::All(parts) => Self::All(parts),
            Node::Any(parts) => Self::Any(parts),
            Node::Not(inner) => Self::Not(Box::new(inner)),
            Node::Leaf(at) => Self::Matched(at),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(steps: Vec<Step<u32>>) -> Result<OccurrenceExpr, &'static str> {
        OccurrenceExpr::try_from(Form(steps))
    }

    #[test]
    fn what_is_written_is_read() {
        use OccurrenceExpr::{All, Any, Matched, Not};
        let expr = Any(vec![All(vec![Matched(0), Not(Box::new(Matched(1)))]), Any(Vec::new()), Matched(2)]);
        let bytes = postcard::to_stdvec(&expr).unwrap();
        assert_eq!(postcard::from_bytes::<OccurrenceExpr>(&bytes).unwrap(), expr);
        let field = |name: &str| Expr::Field { name: name.into(), test: FieldTest::Null };
        let expr =
            Expr::Not(Box::new(Expr::All(vec![field("a"), Expr::Keyword(FieldTest::Regex("x".into()))])));
        let bytes = postcard::to_stdvec(&expr).unwrap();
        assert_eq!(postcard::from_bytes::<Expr>(&bytes).unwrap(), expr);
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        assert_eq!(read(Vec::new()), Err("an expression is not one whole"));
        assert_eq!(read(vec![Step::Leaf(0), Step::Leaf(1)]), Err("an expression is not one whole"));
        assert_eq!(read(vec![Step::Not]), Err("an expression lacks an operand"));
        assert_eq!(read(vec![Step::Leaf(0), Step::All(2)]), Err("an expression lacks an operand"));
        let mut steps = vec![Step::Leaf(0)];
        steps.extend((0..100_000).map(|_| Step::Not));
        assert_eq!(read(steps), Err("an expression is nested too deeply"));
    }
}
