//! Comparisons of numbers as patterns over their text.
//!
//! The text of a number is digits with or without a sign and a fraction. Whole numbers can be compared with; what is written with an
//! exponent is not taken.

use crate::ir::sigma::Comparison;

/// The largest number that a pattern is written for.
const MOST: f64 = 1e15;

const SIGN: &str = r"\+?";
const FRACTION: &str = r"(?:\.[0-9]*)?";
const NO_FRACTION: &str = r"(?:\.0*)?";
const SOME_FRACTION: &str = r"\.[0-9]*[1-9][0-9]*";

/// The pattern for texts of numbers that compare like this.
pub(super) fn pattern(comparison: Comparison, number: f64) -> Result<String, String> {
    if number.fract() != 0.0 || number.abs() > MOST {
        return Err(format!(
            "a comparison with {number} cannot be written as a pattern, only one with a whole number"
        ));
    }
    // Whole and small, as was just checked.
    #[allow(clippy::cast_possible_truncation)]
    let number = number as i64;
    let alternatives = match comparison {
        Comparison::Equal => equal(number),
        Comparison::NotEqual => [above(number), below(number)].concat(),
        Comparison::Greater => above(number),
        Comparison::GreaterOrEqual => [equal(number), above(number)].concat(),
        Comparison::Less => below(number),
        Comparison::LessOrEqual => [equal(number), below(number)].concat(),
    };
    Ok(format!(r"^(?:{})\z", alternatives.join("|")))
}

fn equal(number: i64) -> Vec<String> {
    let sign = match number {
        0 => "[+-]?",
        1.. => SIGN,
        _ => "-",
    };
    vec![format!("{sign}0*{}{NO_FRACTION}", number.unsigned_abs())]
}

fn above(number: i64) -> Vec<String> {
    match number {
        0.. => farther(SIGN, number.unsigned_abs()),
        // All from zero on, and what is nearer to zero.
        _ => [vec![format!("{SIGN}[0-9]+{FRACTION}")], nearer("-", number.unsigned_abs())].concat(),
    }
}

fn below(number: i64) -> Vec<String> {
    match number {
        1.. => [vec![format!("-[0-9]+{FRACTION}")], nearer(SIGN, number.unsigned_abs())].concat(),
        _ => farther("-", number.unsigned_abs()),
    }
}

/// Numbers with this sign whose amount is more than `amount`.
fn farther(sign: &str, amount: u64) -> Vec<String> {
    let mut out = vec![format!("{sign}0*{amount}{SOME_FRACTION}")];
    out.extend(whole_above(amount).into_iter().map(|whole| format!("{sign}0*{whole}{FRACTION}")));
    out
}

/// Numbers with this sign whose amount is less than `amount`, which is not 0.
fn nearer(sign: &str, amount: u64) -> Vec<String> {
    whole_below(amount).into_iter().map(|whole| format!("{sign}0*{whole}{FRACTION}")).collect()
}

/// Patterns for whole numbers above one, without leading zeros.
fn whole_above(amount: u64) -> Vec<String> {
    let digits = amount.to_string();
    let mut out = vec![format!("[1-9][0-9]{{{},}}", digits.len())];
    for (at, digit) in digits.bytes().enumerate().filter(|(_, digit)| *digit < b'9') {
        let prefix = digits.get(..at).unwrap_or_default();
        out.push(format!("{prefix}{}{}", range(digit + 1, b'9'), any(digits.len() - at - 1)));
    }
    out
}

/// Patterns for whole numbers below one, without leading zeros.
fn whole_below(amount: u64) -> Vec<String> {
    let digits = amount.to_string();
    let mut out = Vec::new();
    for (at, digit) in digits.bytes().enumerate() {
        let prefix = digits.get(..at).unwrap_or_default();
        let least = if at == 0 && digits.len() > 1 { b'1' } else { b'0' };
        if digit > least {
            out.push(format!("{prefix}{}{}", range(least, digit - 1), any(digits.len() - at - 1)));
        }
    }
    match digits.len() {
        1 => {}
        2 => out.push("[0-9]".to_owned()),
        length => out.push(format!("[0-9]{{1,{}}}", length - 1)),
    }
    out
}

fn range(from: u8, to: u8) -> String {
    let (from, to) = (char::from(from), char::from(to));
    if from == to { from.to_string() } else { format!("[{from}-{to}]") }
}

fn any(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => "[0-9]".to_owned(),
        count => format!("[0-9]{{{count}}}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Pcre2;

    #[test]
    fn patterns_compare_as_numbers_do() {
        use Comparison::*;
        for number in [0_i32, 1, 5, 9, 10, 99, 100, 105, 1000, -1, -10, -105] {
            for comparison in [Less, LessOrEqual, Greater, GreaterOrEqual, Equal, NotEqual] {
                let pattern = Pcre2::new(&pattern(comparison, f64::from(number)).unwrap()).unwrap();
                for near in [
                    -1100, -106, -105, -104, -11, -10, -9, -2, -1, 0, 1, 2, 4, 5, 6, 8, 9, 10, 11, 98, 99,
                    100, 101, 104, 105, 106, 999, 1000, 1001, 20000,
                ] {
                    for text in [
                        format!("{near}"),
                        format!("{near}.500000"),
                        format!("{near}.0"),
                        format!("{near:+05}"),
                    ] {
                        let value: f64 = text.parse().unwrap();
                        let number = f64::from(number);
                        let expected = match comparison {
                            Less => value < number,
                            LessOrEqual => value <= number,
                            Greater => value > number,
                            GreaterOrEqual => value >= number,
                            Equal => value == number,
                            NotEqual => value != number,
                        };
                        assert_eq!(
                            pattern.is_match(text.as_bytes()),
                            expected,
                            "{text} {comparison:?} {number}"
                        );
                    }
                }
                for text in ["", "x", "1x", " 1", "-", "1 000", "null"] {
                    assert!(!pattern.is_match(text.as_bytes()), "{text}");
                }
            }
        }
    }

    #[test]
    fn fractions_are_refused() {
        assert!(pattern(Comparison::Less, 0.5).is_err() && pattern(Comparison::Less, 1e300).is_err());
    }
}
