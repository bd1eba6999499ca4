//! The values of one statement: text is bound, never written into SQL.
//!
//! Placeholders are numbered (`?7`), so that conditions can be put together in any order, named twice, and shared by the statements of one search: a
//! statement binds as many values as its highest placeholder says.

use rusqlite::types::Value;
use rusqlite::{CachedStatement, Connection, Rows, Statement};

/// The most values of one statement: below SQLite's own limit of 32,766, so that a huge query is refused in our words.
pub const MAXIMUM_PARAMETERS: usize = 32_000;
/// Statements up to this length are kept prepared; longer ones have lists of values that will hardly come again.
const LONGEST_CACHED_STATEMENT: usize = 24 * 1024;

/// Values in the order of their placeholders.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters(Vec<Value>);

impl Parameters {
    /// Adds a value; returns its placeholder.
    pub fn bind(&mut self, value: impl Into<Value>) -> String {
        self.0.push(value.into());
        format!("?{}", self.0.len())
    }

    /// Adds a list of values; returns their placeholders, separated by commas.
    pub fn bind_list<V: Into<Value>>(&mut self, values: impl IntoIterator<Item = V>) -> String {
        let placeholders: Vec<String> = values.into_iter().map(|value| self.bind(value)).collect();
        placeholders.join(", ")
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Calls `each` with every row of a query until it returns `false`.
    pub fn for_each_row(
        &self,
        connection: &Connection,
        sql: &str,
        mut each: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<bool>,
    ) -> rusqlite::Result<()> {
        let mut run = |statement: &mut Statement<'_>| {
            let mut rows = self.query(statement)?;
            while let Some(row) = rows.next()? {
                if !each(row)? {
                    break;
                }
            }
            Ok(())
        };
        if sql.len() <= LONGEST_CACHED_STATEMENT {
            let mut statement: CachedStatement<'_> = connection.prepare_cached(sql)?;
            run(&mut statement)
        } else {
            run(&mut connection.prepare(sql)?)
        }
    }

    /// Every row of a query, mapped.
    pub fn rows<T>(
        &self,
        connection: &Connection,
        sql: &str,
        map: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        let mut output = Vec::new();
        self.for_each_row(connection, sql, |row| {
            output.push(map(row)?);
            Ok(true)
        })?;
        Ok(output)
    }

    /// The first column of the only row of a query, as an integer.
    pub fn integer(&self, connection: &Connection, sql: &str) -> rusqlite::Result<i64> {
        let mut output = None;
        self.for_each_row(connection, sql, |row| {
            output = Some(row.get(0)?);
            Ok(false)
        })?;
        output.ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    fn query<'s>(&self, statement: &'s mut Statement<'_>) -> rusqlite::Result<Rows<'s>> {
        for (position, value) in self.0.iter().take(statement.parameter_count()).enumerate() {
            statement.raw_bind_parameter(position + 1, value)?;
        }
        Ok(statement.raw_query())
    }
}

/// The disjunction of conditions, balanced so that its depth stays small; nothing is false.
pub fn any(conditions: &[String]) -> String {
    joined(conditions, "OR").unwrap_or_else(|| "0".to_owned())
}

/// The conjunction of conditions, balanced; nothing is true.
pub fn all(conditions: &[String]) -> String {
    joined(conditions, "AND").unwrap_or_else(|| "1".to_owned())
}

fn joined(conditions: &[String], operator: &str) -> Option<String> {
    let mut output = String::with_capacity(conditions.iter().map(|condition| condition.len() + operator.len() + 4).sum());
    join(conditions, operator, &mut output);
    (!conditions.is_empty()).then_some(output)
}

fn join(conditions: &[String], operator: &str, output: &mut String) {
    match conditions {
        [] => {}
        [only] => output.push_str(only),
        several => {
            let (left, right) = several.split_at(several.len() / 2);
            output.push('(');
            join(left, operator, output);
            for part in [" ", operator, " "] {
                output.push_str(part);
            }
            join(right, operator, output);
            output.push(')');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_can_be_named_twice_and_out_of_order() {
        let connection = Connection::open_in_memory().unwrap();
        let mut parameters = Parameters::default();
        let (one, two) = (parameters.bind(1), parameters.bind(2));
        parameters.bind("never named".to_owned());
        assert_eq!(parameters.integer(&connection, &format!("SELECT {two} * 10 + {one} + {one}")).unwrap(), 22);
    }

    #[test]
    fn text_is_bound_and_never_becomes_sql() {
        let connection = Connection::open_in_memory().unwrap();
        let mut parameters = Parameters::default();
        let placeholder = parameters.bind("x'); DROP TABLE resource; --".to_owned());
        assert_eq!(parameters.integer(&connection, &format!("SELECT length({placeholder})")).unwrap(), 28);
    }

    #[test]
    fn an_empty_disjunction_is_false_and_an_empty_conjunction_true() {
        assert_eq!((any(&[]).as_str(), all(&[]).as_str()), ("0", "1"));
        let many: Vec<String> = (0..5000).map(|number| format!("?1 = {number}")).collect();
        let connection = Connection::open_in_memory().unwrap();
        let mut parameters = Parameters::default();
        parameters.bind(4999);
        assert_eq!(parameters.integer(&connection, &format!("SELECT {}", any(&many))).unwrap(), 1);
    }
}
