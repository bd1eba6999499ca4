//! The comparison prefixes (`eq`, `ne`, `gt`, ...) over ranges of time and over numbers.
//!
//! <https://hl7.org/fhir/R4/search.html#prefix>. Times are half-open ranges on both sides. For numbers the specification says that "the
//! implicit precision of the number is ignored" with `gt`, `lt`, `ge`, `le`, `sa` and `eb`; with `eq`, `ne` and `ap` the search value stands for the range
//! of its precision. A stored number stands for itself.

use portcullis_fhir::search::{DateMatch, NumberMatch, Prefix};

use super::parameters::{Parameters, any};
use super::search_filter::{Condition, Route};

/// A date parameter of `r` compares to one of these.
pub(super) fn date(key: u16, alternatives: &[DateMatch], parameters: &mut Parameters) -> Condition {
    let comparisons: Vec<String> = alternatives.iter().map(|one| range("x.low", "x.high", one, parameters)).collect();
    let comparison = any(&comparisons);
    // Only a lower or upper bound of `low` narrows the index.
    let narrow = matches!(alternatives, [DateMatch { prefix: Prefix::Eq | Prefix::Sa | Prefix::Lt, .. }]);
    let set = format!("SELECT x.pk FROM index_date x WHERE x.parameter = {key} AND {comparison}");
    Condition {
        sql: format!("EXISTS (SELECT 1 FROM index_date x WHERE x.pk = r.pk AND x.parameter = {key} AND {comparison})"),
        route: narrow.then_some(Route::Set(set)),
    }
}

/// The instant in this column, in milliseconds, compares to one of these.
pub(super) fn instant(column: &str, alternatives: &[DateMatch], parameters: &mut Parameters) -> String {
    let end = format!("({column} + 1)");
    let one = |date: &DateMatch| range(column, &end, date, parameters);
    any(&alternatives.iter().map(one).collect::<Vec<_>>())
}

/// The stored range from `low` to `high` against the range of the query.
fn range(low: &str, high: &str, date: &DateMatch, parameters: &mut Parameters) -> String {
    let (first, end) = (parameters.bind(date.low), parameters.bind(date.high));
    match date.prefix {
        Prefix::Eq => format!("({low} >= {first} AND {high} <= {end})"),
        Prefix::Ne => format!("({low} < {first} OR {high} > {end})"),
        Prefix::Gt => format!("{high} > {end}"),
        Prefix::Lt => format!("{low} < {first}"),
        Prefix::Ge => format!("({high} > {end} OR ({low} >= {first} AND {high} <= {end}))"),
        Prefix::Le => format!("({low} < {first} OR ({low} >= {first} AND {high} <= {end}))"),
        Prefix::Sa => format!("{low} >= {end}"),
        Prefix::Eb => format!("{high} <= {first}"),
        Prefix::Ap => format!("({low} < {end} AND {high} > {first})"),
    }
}

/// The ends of a stored number, which is itself, unless it is a range or has a comparator: then the range of the row reaches farther on one
/// side of the value than its written precision does.
const LOWER: &str = "(CASE WHEN x.value - x.low > 1.5 * (x.high - x.value) THEN x.low ELSE x.value END)";
const UPPER: &str = "(CASE WHEN x.high - x.value > 1.5 * (x.value - x.low) THEN x.high ELSE x.value END)";

/// A stored number (a row `x` of `index_number`) against the number of the query.
pub(super) fn number(number: &NumberMatch, parameters: &mut Parameters) -> String {
    let mut exactly = |end: &str, operator: &str| format!("{end} {operator} {}", parameters.bind(number.value));
    match number.prefix {
        Prefix::Gt => exactly(UPPER, ">"),
        Prefix::Ge => exactly(UPPER, ">="),
        Prefix::Lt => exactly(LOWER, "<"),
        Prefix::Le => exactly(LOWER, "<="),
        Prefix::Sa => exactly(LOWER, ">"),
        Prefix::Eb => exactly(UPPER, "<"),
        Prefix::Eq | Prefix::Ne | Prefix::Ap => {
            let (low, high) = (parameters.bind(number.low), parameters.bind(number.high));
            match number.prefix {
                Prefix::Ap => format!("({LOWER} < {high} AND {UPPER} >= {low})"),
                Prefix::Ne => format!("NOT ({LOWER} >= {low} AND {UPPER} < {high})"),
                _ => format!("({LOWER} >= {low} AND {UPPER} < {high})"),
            }
        }
    }
}
