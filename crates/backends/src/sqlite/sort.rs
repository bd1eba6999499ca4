//! The order of a search and the place of a row in it.
//!
//! <https://hl7.org/fhir/R4/search.html#sort>. Without `_sort` the newest come first, by the time that the index keeps for each resource (`rows::neg_time`).
//! That order is also the answer to `_sort` by the date parameter which that time comes from first; a resource without such a date stands where
//! its other dates or its last change put it. By any other parameter a resource stands at its least value, or at its greatest in descending
//! order; those without a value come last in both. Texts are ordered by their first [`SORTED_CHARACTERS`], tokens by their text, references by
//! type and id.
//!
//! Ties are broken by the logical id and never by an internal number: that depends on what else is stored, which may be hidden.

use portcullis_fhir::definitions::{ParameterType, SearchParameter, search_parameters};
use portcullis_fhir::search::SortKey;
use portcullis_fhir::types::ResourceType;
use portcullis_mutants::off;
use portcullis_store::StoreError;
use rusqlite::types::Value;

use super::cursor::Position;
use super::parameters::{Parameters, all, any};
use super::rows::{CLINICAL_TIME, TEXT_OFFSET};

/// How many characters of a text count: bookmarks have a limited length.
const SORTED_CHARACTERS: usize = 90;

/// One value by which rows are ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    /// An expression over `r`, `l` and the tables that [`Order`] adds.
    sql: String,
    descending: bool,
    /// Whether a row may have no value.
    nullable: bool,
}

/// An order in which no two rows are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    keys: Vec<Key>,
    /// Queries with the columns `pk` and `value` that the keys need.
    tables: Vec<String>,
}

impl Order {
    /// The order that a query asks for. `time` is the column with the negative time of a row.
    pub fn new(resource_type: ResourceType, sort: &[SortKey], time: &str) -> Result<Self, StoreError> {
        let mut order = Self { keys: Vec::new(), tables: Vec::new() };
        let mut ordered_by_time = false;
        for SortKey { parameter, descending } in sort {
            if is_chronological(resource_type, parameter) {
                // The column is the negative of the time.
                order.push(time.to_owned(), !descending, false);
                ordered_by_time = true;
            } else {
                order.push_parameter(parameter, *descending)?;
            }
        }
        let decided_before =
            sort.iter().any(|key| key.parameter.base.is_none() && matches!(key.parameter.code, "_id" | "_lastUpdated"));
        if !ordered_by_time && !decided_before {
            order.push(time.to_owned(), false, false);
        }
        order.push(if off!("sort-ties") { "r.pk" } else { "l.id" }.to_owned(), false, false);
        Ok(order)
    }

    fn push(&mut self, sql: String, descending: bool, nullable: bool) {
        self.keys.push(Key { sql, descending, nullable });
    }

    fn push_parameter(&mut self, parameter: &SearchParameter, descending: bool) -> Result<(), StoreError> {
        let key = u32::from(parameter.key);
        match (parameter.parameter_type, parameter.code) {
            (_, "_id") if parameter.base.is_none() => self.push("l.id".to_owned(), descending, false),
            (_, "_lastUpdated") if parameter.base.is_none() => self.push("r.last_updated".to_owned(), descending, false),
            (ParameterType::Date, _) => {
                let end = if descending { "max(x.high)" } else { "min(x.low)" };
                let sql = format!("(SELECT {end} FROM index_date x WHERE x.pk = r.pk AND x.parameter = {key})");
                self.push(sql, descending, true);
            }
            (ParameterType::String, _) => self.push_table("index_string", "normalised", key, descending),
            (ParameterType::Token, _) => self.push_table("index_string", "normalised", key + TEXT_OFFSET, descending),
            (ParameterType::Uri, _) => self.push_table("index_uri", "uri", key, descending),
            (ParameterType::Number | ParameterType::Quantity, _) => self.push_table("index_number", "value", key, descending),
            (ParameterType::Reference, _) => self.push_reference(key, descending),
            (ParameterType::Composite | ParameterType::Special, code) => {
                return Err(StoreError::NotSupported(format!("'_sort' by '{code}': composites have no order")));
            }
        }
        Ok(())
    }

    /// A key from a table that is not ordered by resource: each resource's value is collected once.
    fn push_table(&mut self, table: &str, column: &str, parameter: u32, descending: bool) {
        let name = format!("k{}", self.tables.len());
        let value = format!("{}({column})", if descending { "max" } else { "min" });
        let value = if column == "value" { value } else { format!("substr({value}, 1, {SORTED_CHARACTERS})") };
        self.push(format!("{name}.value"), descending, true);
        self.tables.push(format!("SELECT pk, {value} AS value FROM {table} WHERE parameter = {parameter} GROUP BY pk"));
    }

    /// A reference stands at what it says: type and id, before identifiers, before addresses of other servers. Nothing of the target counts, which
    /// may be hidden.
    fn push_reference(&mut self, parameter: u32, descending: bool) {
        let name = format!("k{}", self.tables.len());
        let end = if descending { "max" } else { "min" };
        self.push(format!("{name}.value"), descending, true);
        self.tables.push(format!(
            "SELECT x.pk AS pk, substr({end}(printf('%03d %s', t.type, t.id)), 1, {SORTED_CHARACTERS}) AS value \
             FROM index_reference x CROSS JOIN locator t ON t.pk = x.target WHERE x.parameter = {parameter} GROUP BY x.pk"
        ));
    }

    /// The joins to the tables that the order goes by. Not by `WITH`: SQLite refuses that after a thousand tables, which a wide chain has.
    pub fn joins(&self) -> String {
        let join = |(number, table): (usize, &String)| format!(" LEFT JOIN ({table}) k{number} ON k{number}.pk = r.pk");
        self.tables.iter().enumerate().map(join).collect()
    }

    /// The columns whose values are the [`Position`] of a row.
    pub fn columns(&self) -> String {
        self.keys.iter().map(|key| key.sql.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// How many columns these are.
    pub fn width(&self) -> usize {
        self.keys.len()
    }

    /// Whether this is the order by one column and, among equals, by id: an index that has the column delivers it but for the ties.
    pub fn is_by(&self, column: &str) -> bool {
        matches!(self.keys.as_slice(), [first, last] if first.sql == column && !first.nullable && last.sql == "l.id" && !last.descending)
    }

    /// The first term of `ORDER BY`.
    pub fn first_term(&self) -> String {
        self.keys.first().map(|first| format!("{}{}", first.sql, if first.descending { " DESC" } else { "" })).unwrap_or_default()
    }

    /// The terms of `ORDER BY`.
    pub fn terms(&self) -> String {
        let term = |key: &Key| {
            let direction = if key.descending { " DESC" } else { "" };
            let nulls = if key.nullable { " NULLS LAST" } else { "" };
            format!("{}{direction}{nulls}", key.sql)
        };
        self.keys.iter().map(term).collect::<Vec<_>>().join(", ")
    }

    /// A condition: the row stands after this position.
    pub fn after(&self, position: &Position, parameters: &mut Parameters) -> Result<String, StoreError> {
        if position.len() != self.keys.len() {
            return Err(StoreError::InvalidCursor);
        }
        let mut same: Vec<String> = Vec::new();
        let mut later: Vec<String> = Vec::new();
        let mut bound = None;
        for (Key { sql, descending, nullable }, value) in self.keys.iter().zip(position) {
            let placeholder = parameters.bind(value.clone());
            let operator = if *descending { "<" } else { ">" };
            let beyond = match (value, nullable) {
                // Nothing stands after those without a value.
                (Value::Null, _) => "0".to_owned(),
                (_, true) => format!("({sql} {operator} {placeholder} OR {sql} IS NULL)"),
                (_, false) => format!("{sql} {operator} {placeholder}"),
            };
            if later.is_empty() && !nullable {
                // The same again in a form that an index can begin at.
                bound = Some(format!("{sql} {operator}= {placeholder}"));
            }
            let mut terms = same.clone();
            terms.push(beyond);
            later.push(all(&terms));
            same.push(format!("{sql} IS {placeholder}"));
        }
        let later = any(&later);
        Ok(bound.map_or(later.clone(), |bound| format!("({bound} AND {later})")))
    }
}

/// Whether the store's own order of a type is the order by this parameter.
fn is_chronological(resource_type: ResourceType, parameter: &SearchParameter) -> bool {
    let rank = |code: &str| CLINICAL_TIME.iter().position(|clinical| *clinical == code);
    let dates = search_parameters(resource_type).iter().filter(|candidate| candidate.parameter_type == ParameterType::Date);
    let first = dates.filter_map(|candidate| Some((rank(candidate.code)?, candidate.key))).min();
    first.is_some_and(|(_, key)| key == parameter.key)
}

#[cfg(test)]
mod tests {
    use portcullis_fhir::definitions::search_parameter;

    use super::*;

    fn sort(resource_type: ResourceType, names: &[&str]) -> Vec<SortKey> {
        let key = |name: &&str| SortKey {
            parameter: search_parameter(resource_type, name.trim_start_matches('-')).unwrap(),
            descending: name.starts_with('-'),
        };
        names.iter().map(key).collect()
    }

    #[test]
    fn the_clinical_date_is_the_order_of_the_index_in_both_directions() {
        let observation = ResourceType::OBSERVATION;
        for (names, terms) in [
            (&[] as &[&str], "d.neg_time, l.id"),
            (&["-date"], "d.neg_time, l.id"),
            (&["date"], "d.neg_time DESC, l.id"),
            (&["-_lastUpdated"], "r.last_updated DESC, l.id"),
            (&["_id"], "l.id, l.id"),
        ] {
            assert_eq!(Order::new(observation, &sort(observation, names), "d.neg_time").unwrap().terms(), terms, "{names:?}");
        }
    }

    #[test]
    fn a_position_of_another_order_is_no_bookmark() {
        let patient = ResourceType::PATIENT;
        let order = Order::new(patient, &sort(patient, &["family"]), "r.neg_time").unwrap();
        let refused = order.after(&vec![Value::Integer(1)], &mut Parameters::default());
        assert!(matches!(refused, Err(StoreError::InvalidCursor)));
    }
}
