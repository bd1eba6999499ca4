//! Criteria of scopes as SQL: which resources of a type a permit opens, where that is not all of them.
//!
//! The condition stands beside the boundary in every statement that produces resources of the type (`visibility`). It asks the same index rows as a search
//! with these criteria would. Codes and systems are compared as keyed hashes, which a function of the connection makes ([`add_functions`]): without it a
//! statement with criteria fails, and nothing is shown.

use std::sync::Arc;

use portcullis_fhir::definitions::{ParameterType, SearchParameter};
use portcullis_fhir::index::{fold_code, normalise};
use portcullis_fhir::labels::Security;
use portcullis_fhir::reference::Reference;
use portcullis_fhir::search::{Filter, ReferenceMatch, Test, TokenMatch};
use portcullis_policy::{Admission, Exclusion};
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

use super::parameters::{Parameters, all, any};
use super::rows::TEXT_OFFSET;
use super::seal::Seal;
use super::{search_filter, search_range};

/// The function that makes keyed hashes.
const HASH: &str = "portcullis_hash64";

/// Gives a connection the function that the conditions use.
pub fn add_functions(connection: &Connection, seal: &Arc<Seal>) -> rusqlite::Result<()> {
    let seal = Arc::clone(seal);
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function(HASH, 1, flags, move |context| Ok(seal.hash64(context.get_raw(0).as_str()?)))
}

/// The keyed hash of a text, as an expression.
pub fn hash_of(text: &str, parameters: &mut Parameters) -> String {
    format!("{HASH}({})", parameters.bind(text.to_owned()))
}

/// A condition over `alias`, a row with a column `pk` of a resource of the type: its current version is not deleted and is admitted. The alias `r` stands
/// for a row of `resource` itself.
pub fn admitted(admission: &Admission, alias: &str, parameters: &mut Parameters) -> String {
    let mut alternatives = Vec::with_capacity(admission.alternatives().len());
    for qualifiers in admission.alternatives() {
        let filters = qualifiers.iter().flat_map(|qualifier| qualifier.filters());
        let mut criteria: Vec<String> = filters.map(|filter| criterion(filter, parameters)).collect();
        // Nor is an element absent because no row has it.
        let undecided = qualifiers.iter().fold(0, |all, qualifier| all | qualifier.undecided());
        if undecided != 0 {
            criteria.push(format!("(r.security & {undecided}) = 0"));
        }
        alternatives.push(all(&criteria));
    }
    let mut conditions = vec![any(&alternatives)];
    conditions.extend(admission.exclusions().iter().map(|exclusion| format!("NOT {}", excluded(exclusion, parameters))));
    let condition = all(&conditions);
    if alias == "r" {
        format!("(r.deleted = 0 AND {condition})")
    } else {
        format!("EXISTS (SELECT 1 FROM resource r WHERE r.pk = {alias}.pk AND r.deleted = 0 AND {condition})")
    }
}

/// A condition over `r`: whether an exclusion hits it.
fn excluded(exclusion: &Exclusion, parameters: &mut Parameters) -> String {
    let mut alternatives = Vec::with_capacity(exclusion.criteria().len());
    for qualifier in exclusion.criteria() {
        alternatives.push(all(&qualifier.filters().iter().map(|filter| criterion(filter, parameters)).collect::<Vec<_>>()));
    }
    let mut both = Vec::new();
    if !alternatives.is_empty() {
        // What no row tells may be what the rule takes away.
        alternatives.push(format!("(r.security & {}) <> 0", Security::NOT_TOLD));
        both.push(any(&alternatives));
    }
    if !exclusion.uncovered_by().is_full() {
        both.push(format!("(r.security & {}) <> 0", exclusion.uncovered_by().mask()));
    }
    format!("({})", all(&both))
}

/// One criterion as a condition over `r`. What a qualifier cannot contain is never fulfilled.
fn criterion(filter: &Filter, parameters: &mut Parameters) -> String {
    let key = filter.parameter.key;
    match &filter.test {
        Test::Missing(true) => format!("NOT {}", present(filter.parameter)),
        Test::Missing(false) => present(filter.parameter),
        Test::Token(wanted) => tokens(key, wanted, parameters),
        Test::TokenNot(unwanted) => format!("NOT {}", tokens(key, unwanted, parameters)),
        Test::StringStarts(texts) => {
            let starts: Vec<String> = texts.iter().map(|text| search_filter::prefix("x.normalised", text, parameters)).collect();
            among("index_string", key, &any(&starts))
        }
        Test::StringContains(texts) => {
            let parts = texts.iter().map(|text| format!("instr(x.normalised, {}) > 0", parameters.bind(text.to_string())));
            among("index_string", key, &any(&parts.collect::<Vec<_>>()))
        }
        Test::StringExact(texts) => {
            let mut equals = |text: &str| {
                let (normalised, exact) = (parameters.bind(normalise(text)), parameters.bind(text.to_owned()));
                format!("(x.normalised = {normalised} AND x.exact = {exact})")
            };
            let texts: Vec<String> = texts.iter().map(|text| equals(text)).collect();
            among("index_string", key, &any(&texts))
        }
        Test::Uri(uris) => {
            let uris = parameters.bind_list(uris.iter().map(|uri| uri.to_string()));
            among("index_uri", key, &format!("x.uri IN ({uris})"))
        }
        Test::Date(dates) => search_range::date(key, dates, parameters).sql,
        Test::Reference(wanted) => any(&wanted.iter().map(|one| reference(key, one, parameters)).collect::<Vec<_>>()),
        _ => "0".to_owned(),
    }
}

fn among(table: &str, key: u16, condition: &str) -> String {
    format!("r.pk IN (SELECT x.pk FROM {table} x WHERE x.parameter = {key} AND {condition})")
}

fn present(parameter: &SearchParameter) -> String {
    let key = parameter.key;
    match parameter.parameter_type {
        ParameterType::Date => format!("EXISTS (SELECT 1 FROM index_date x WHERE x.pk = r.pk AND x.parameter = {key})"),
        ParameterType::Reference => format!("EXISTS (SELECT 1 FROM index_reference x WHERE x.pk = r.pk AND x.parameter = {key})"),
        ParameterType::String => among("index_string", key, "1"),
        ParameterType::Uri => among("index_uri", key, "1"),
        // A concept may have nothing but text.
        _ => {
            let texts = u32::from(key) + TEXT_OFFSET;
            let text = format!("r.pk IN (SELECT x.pk FROM index_string x WHERE x.parameter = {texts})");
            format!("({} OR {text})", among("index_token", key, "1"))
        }
    }
}

fn tokens(key: u16, wanted: &[TokenMatch], parameters: &mut Parameters) -> String {
    any(&wanted.iter().map(|token| one_token(key, token, parameters)).collect::<Vec<_>>())
}

fn one_token(key: u16, token: &TokenMatch, parameters: &mut Parameters) -> String {
    let mut hash = |text: &str| format!("{HASH}({})", parameters.bind(text.to_owned()));
    let own_row = "x.neg_time = r.neg_time AND x.pk = r.pk";
    let code = token.code.as_deref().map(|code| hash(&fold_code(code)));
    let system = token.system.as_deref().map(hash);
    match (code, system) {
        (Some(code), Some(system)) => format!(
            "EXISTS (SELECT 1 FROM index_token x WHERE x.parameter = {key} AND x.code = {code} AND x.system = {system} AND {own_row})"
        ),
        (Some(code), None) => of_any_system(key, &code, own_row),
        (None, Some(system)) => among("index_token", key, &format!("x.system = {system}")),
        (None, None) => "0".to_owned(),
    }
}

/// The systems of a code are few: the first of them are found once, one step each, and then each row is one seek for each. Those that follow are looked through
/// row by row, where there are any. No recursive query: SQLite refuses one after a thousand tables, which wide chains have.
fn of_any_system(key: u16, code: &str, own_row: &str) -> String {
    const STEPS: usize = 2;
    let row = |system: &str| {
        format!(
            "EXISTS (SELECT 1 FROM index_token x WHERE x.parameter = {key} AND x.code = {code} AND x.system {system} AND {own_row})"
        )
    };
    let next =
        |after: &str| format!("(SELECT min(y.system) FROM index_token y WHERE y.parameter = {key} AND y.code = {code}{after})");
    let mut system = next("");
    let mut found = Vec::with_capacity(STEPS + 1);
    for _ in 1..STEPS {
        found.push(row(&format!("= {system}")));
        system = next(&format!(" AND y.system > {system}"));
    }
    found.extend([row(&format!("= {system}")), row(&format!("> {system}"))]);
    any(&found)
}

fn reference(key: u16, wanted: &ReferenceMatch, parameters: &mut Parameters) -> String {
    let ReferenceMatch::Exact(Reference::Local(local)) = wanted else { return "0".to_owned() };
    let id = parameters.bind(local.id.as_str().to_owned());
    format!(
        "EXISTS (SELECT 1 FROM index_reference x WHERE x.parameter = {key} \
         AND x.target = (SELECT pk FROM locator WHERE type = {} AND id = {id}) AND x.neg_time = r.neg_time AND x.pk = r.pk)",
        local.resource_type.code()
    )
}

#[cfg(test)]
mod tests {
    use portcullis_fhir::qualifier::{self, Qualifier};
    use portcullis_fhir::types::ResourceType;

    use super::super::testing::{BASE, World};
    use super::*;

    /// Observations that differ in what criteria ask for, by the members that they have beside the common ones.
    const BODIES: [&str; 14] = [
        "",
        r#","category":[{"coding":[{"system":"s","code":"lab"}]}]"#,
        r#","category":[{"coding":[{"system":"t","code":"lab"}]}]"#,
        r#","category":[{"coding":[{"code":"lab"}]}]"#,
        r#","category":[{"coding":[{"system":"s","code":"LAB"}]}]"#,
        r#","category":[{"coding":[{"system":"s","code":"survey"}]},{"coding":[{"system":"t","code":"lab"}]}]"#,
        r#","category":[{"coding":[{"system":"s"}]}]"#,
        r#","category":[{"text":"lab"}]"#,
        r#","effectiveDateTime":"2024-03-05""#,
        r#","effectiveDateTime":"2024""#,
        r#","effectivePeriod":{"start":"2024-03-05"}"#,
        r#","subject":{"reference":"Patient/a"}"#,
        r#","subject":{"reference":"https://localhost:8443/fhir/Patient/a"},"performer":[{"display":"x"}]"#,
        r#","subject":{"identifier":{"system":"s","value":"v"}},"meta":{"profile":["http://p/1|2"],"tag":[{"code":"x"}]}"#,
    ];

    const CRITERIA: [&str; 30] = [
        "category=s|lab",
        "category=lab",
        "category=|lab",
        "category=s|",
        "category=s|lab,t|lab",
        "category=s|survey&category=t|lab",
        "category:not=s|lab",
        "category:not=lab",
        "category:not=s|lab,survey",
        "category:missing=true",
        "category:missing=false",
        "date=2024",
        "date=2024-03",
        "date=ne2024-03",
        "date=gt2024-03",
        "date=lt2024-03-05",
        "date=ge2024-03-05",
        "date=le2024-03-05",
        "date=sa2023",
        "date=eb2025",
        "date:missing=true",
        "date:missing=false",
        "subject=Patient/a",
        "subject=Patient/b",
        "subject:missing=true",
        "performer:missing=true",
        "_profile=http://p/1",
        "_profile:missing=true",
        "_tag=x",
        "_tag:not=x",
    ];

    /// What release says of the bodies, the statement says of the rows: else a page is an internal error, or shows what it must not.
    #[tokio::test]
    async fn the_statement_admits_what_release_admits() {
        let body = |number: usize, more: &str| {
            format!(r#"{{"resourceType":"Observation","id":"o{number:02}","status":"final","code":{{"text":"c"}}{more}}}"#)
        };
        let bodies: Vec<String> = BODIES.iter().enumerate().map(|(number, more)| body(number, more)).collect();
        let world = World::of(&bodies).await;
        let (mut some, mut none) = (0, 0);
        for text in CRITERIA {
            let qualifier = Qualifier::parse(ResourceType::OBSERVATION, text).unwrap();
            let admits =
                |body: &String| qualifier.admits(&qualifier::entries([&qualifier].into_iter(), body.as_bytes(), BASE).unwrap());
            let by_release: Vec<String> = (0..)
                .zip(&bodies)
                .filter(|(_, body)| admits(body))
                .map(|(number, _): (usize, _)| format!("o{number:02}"))
                .collect();
            let mut parameters = Parameters::default();
            let conditions: Vec<String> = qualifier.filters().iter().map(|filter| criterion(filter, &mut parameters)).collect();
            let sql = format!(
                "SELECT l.id FROM resource r CROSS JOIN locator l ON l.pk = r.pk WHERE r.type = {} AND {} ORDER BY l.id",
                ResourceType::OBSERVATION.code(),
                all(&conditions)
            );
            let read = |connection: &Connection| Ok(parameters.rows(connection, &sql, |row| row.get::<_, String>(0)).unwrap());
            assert_eq!(world.store.readers().with(read).unwrap(), by_release, "{text}");
            some += by_release.len();
            none += bodies.len() - by_release.len();
        }
        assert!(some > 60 && none > 60, "{some} {none}");
    }
}
