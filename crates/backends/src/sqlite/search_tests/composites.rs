//! Composites against a naive evaluator that reads the JSON of every resource, element by element, and knows neither tables nor extraction.

use portcullis_oauth::principal::Principal;
use portcullis_store::StoreError;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::super::row_codec;
use super::super::rows::Row;
use super::world::{self, BASE, NOW, World, operator, patient};

/// What one composite leads to in a resource: for each element the values of each component.
fn elements(composite: &str, resource: &Value) -> Vec<Vec<Vec<Value>>> {
    let list = |name: &str| resource[name].as_array().cloned().unwrap_or_default();
    let members = |element: &Value, names: &[&str]| -> Vec<Value> {
        names.iter().map(|name| element[*name].clone()).filter(|value| !value.is_null()).collect()
    };
    let coded = |elements: Vec<Value>, values: &[&str]| -> Vec<Vec<Vec<Value>>> {
        elements.iter().map(|element| vec![members(element, &["code"]), members(element, values)]).collect()
    };
    let whole = || vec![resource.clone()];
    let both = || [whole(), list("component")].concat();
    match composite {
        "code-value-quantity" => coded(whole(), &["valueQuantity"]),
        "code-value-concept" => coded(whole(), &["valueCodeableConcept"]),
        "code-value-string" => coded(whole(), &["valueString"]),
        "component-code-value-quantity" => coded(list("component"), &["valueQuantity"]),
        "component-code-value-concept" => coded(list("component"), &["valueCodeableConcept"]),
        "combo-code-value-quantity" => coded(both(), &["valueQuantity"]),
        "combo-code-value-concept" => coded(both(), &["valueCodeableConcept"]),
        "characteristic-value" => coded(list("characteristic"), &["valueCodeableConcept", "valueBoolean"]),
        "context-type-quantity" => coded(list("useContext"), &["valueQuantity", "valueRange"]),
        "context-type-value" => coded(list("useContext"), &["valueCodeableConcept"]),
        "relationship" => {
            let one = |element: &Value| vec![members(element, &["target"]), members(element, &["code"])];
            list("relatesTo").iter().map(one).collect()
        }
        "chromosome-variant-coordinate" => {
            let chromosome = members(&resource["referenceSeq"], &["chromosome"]);
            let one = |element: &Value| vec![chromosome.clone(), members(element, &["start"]), members(element, &["end"])];
            list("variant").iter().map(one).collect()
        }
        "chromosome-window-coordinate" => {
            let element = &resource["referenceSeq"];
            vec![["chromosome", "windowStart", "windowEnd"].iter().map(|name| members(element, &[name])).collect()]
        }
        _ => panic!("{composite}"),
    }
}

/// Whether one value is what one part of a query asks for.
fn matches(value: &Value, asked: &str) -> bool {
    if let Some(text) = value.as_str().filter(|text| text.starts_with(char::is_uppercase)) {
        return text.to_lowercase().starts_with(&asked.to_lowercase());
    }
    if let Some(reference) = value["reference"].as_str() {
        let own = |text: &str| text.strip_prefix("https://example.org/fhir/").unwrap_or(text).to_owned();
        return own(reference) == own(asked) || own(reference) == format!("DocumentReference/{asked}");
    }
    if value.is_number() || value["value"].is_number() || value["low"].is_object() || value["high"].is_object() {
        return number_matches(value, asked);
    }
    let codings = match value {
        Value::Object(_) if value["coding"].is_array() => value["coding"].as_array().unwrap().clone(),
        Value::Object(_) => vec![value.clone()],
        Value::Bool(plain) => vec![json!({"code": plain.to_string()})],
        plain => vec![json!({"code": plain})],
    };
    let holds = |coding: &Value| {
        let (system, code) = (coding["system"].as_str().unwrap_or_default(), coding["code"].as_str().unwrap_or_default());
        match asked.split_once('|') {
            Some((wanted, "")) => wanted == system,
            Some((wanted, plain)) => wanted == system && plain == code,
            None => !code.is_empty() && asked == code,
        }
    };
    codings.iter().any(holds)
}

/// Whole numbers only: the range of their precision holds no other whole number.
fn number_matches(value: &Value, asked: &str) -> bool {
    let parts: Vec<&str> = asked.split('|').collect();
    let digits = parts[0].trim_start_matches(char::is_alphabetic);
    let (prefix, wanted) = (parts[0].strip_suffix(digits).unwrap(), digits.parse::<f64>().unwrap());
    let end = |name: &str| value[name]["value"].as_f64();
    let (first, last, unit) = if value["low"].is_object() || value["high"].is_object() {
        let unit = if value["low"].is_object() { &value["low"] } else { &value["high"] };
        (end("low").unwrap_or(f64::MIN), end("high").unwrap_or(f64::MAX), unit)
    } else {
        let number = value.as_f64().or_else(|| value["value"].as_f64()).unwrap();
        match value["comparator"].as_str() {
            Some("<") => (f64::MIN, number, value),
            Some(">") => (number, f64::MAX, value),
            _ => (number, number, value),
        }
    };
    let text = |name: &str| unit[name].as_str().unwrap_or_default();
    let unit_fits = match parts.as_slice() {
        [_] => true,
        [_, "", code] => text("code") == *code || text("unit") == *code,
        [_, system, code] => text("system") == *system && text("code") == *code,
        _ => panic!("{asked}"),
    };
    unit_fits
        && match prefix {
            "" => first == wanted && last == wanted,
            "gt" => last > wanted,
            "ge" => last >= wanted,
            "lt" => first < wanted,
            "le" => first <= wanted,
            _ => panic!("{asked}"),
        }
}

fn naive(resource: &Value, composite: &str, asked: &str) -> bool {
    let elements = elements(composite, resource);
    asked.split(',').any(|alternative| {
        let parts: Vec<&str> = alternative.split('$').collect();
        elements.iter().any(|components| {
            assert_eq!(components.len(), parts.len(), "{composite}={asked}");
            components.iter().zip(&parts).all(|(values, part)| values.iter().any(|value| matches(value, part)))
        })
    })
}

fn concept() -> impl Strategy<Value = Value> + Clone {
    select(vec![
        json!({"coding": [{"system": "s", "code": "a"}]}),
        json!({"coding": [{"system": "s", "code": "b"}, {"system": "t", "code": "a"}]}),
        json!({"coding": [{"code": "a"}], "text": "Smith"}),
        json!({"coding": [{"system": "s"}]}),
        json!({"text": "Smith"}),
    ])
}

fn value() -> impl Strategy<Value = (&'static str, Value)> + Clone {
    let quantity = |value: i64| json!({"value": value, "unit": "milligram", "system": "u", "code": "mg"});
    select(vec![
        ("valueQuantity", quantity(1)),
        ("valueQuantity", quantity(2)),
        ("valueQuantity", json!({"value": 2, "code": "g", "system": "u", "comparator": "<"})),
        ("valueQuantity", json!({"value": 3, "comparator": ">"})),
        ("valueCodeableConcept", json!({"coding": [{"system": "s", "code": "a"}, {"system": "s", "code": "c"}]})),
        ("valueCodeableConcept", json!({"text": "Smith"})),
        ("valueString", json!("Smithson")),
        ("valueString", json!("Jones")),
        ("valueBoolean", json!(true)),
        (
            "valueRange",
            json!({"low": {"value": 1, "system": "u", "code": "mg"}, "high": {"value": 3, "system": "u", "code": "mg"}}),
        ),
        ("valueRange", json!({"low": {"value": 2, "system": "u", "code": "mg"}})),
        ("valueRange", json!({"high": {"value": 2, "unit": "mg"}})),
        ("none", json!(null)),
    ])
}

/// Pairs of a code and a value of one of these kinds, or without one.
fn coded(kinds: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec((concept(), value()), 0..=most).prop_map(|pairs| {
        let one = |(code, (name, value)): (Value, (&str, Value))| {
            let mut element = json!({"code": code});
            if kinds.contains(&name) {
                element[name] = value;
            }
            element
        };
        pairs.into_iter().map(one).collect()
    })
}

fn observations() -> impl Strategy<Value = Value> {
    const KINDS: &[&str] = &["valueQuantity", "valueCodeableConcept", "valueString", "valueBoolean", "valueRange"];
    (coded(KINDS, 3), concept(), value()).prop_map(|(components, code, (name, value))| {
        let mut observation = json!({"resourceType": "Observation", "status": "final", "code": code, "component": components});
        if KINDS.contains(&name) {
            observation[name] = value;
        }
        observation
    })
}

fn groups() -> impl Strategy<Value = Value> {
    coded(&["valueQuantity", "valueCodeableConcept", "valueBoolean"], 3).prop_map(|mut characteristics| {
        characteristics.retain(|element| element.as_object().unwrap().len() > 1);
        characteristics.iter_mut().for_each(|element| element["exclude"] = json!(false));
        json!({"resourceType": "Group", "type": "person", "actual": false, "characteristic": characteristics})
    })
}

fn value_sets() -> impl Strategy<Value = Value> {
    coded(&["valueQuantity", "valueCodeableConcept", "valueRange"], 3).prop_map(|mut contexts| {
        contexts.retain(|element| element.as_object().unwrap().len() > 1);
        for element in &mut contexts {
            element["code"] = element["code"]["coding"].get(0).cloned().unwrap_or_else(|| json!({"display": "x"}));
        }
        json!({"resourceType": "ValueSet", "status": "draft", "useContext": contexts})
    })
}

fn documents() -> impl Strategy<Value = Value> {
    let target = select(vec!["DocumentReference/1", "DocumentReference/2", "https://example.org/fhir/DocumentReference/2"]);
    prop::collection::vec((select(vec!["replaces", "appends"]), target), 0..4).prop_map(|related| {
        let one = |(code, target): &(&str, &str)| json!({"code": code, "target": {"reference": target}});
        let related: Vec<Value> = related.iter().map(one).collect();
        let content = json!([{"attachment": {"title": "x"}}]);
        json!({"resourceType": "DocumentReference", "status": "current", "content": content, "relatesTo": related})
    })
}

fn sequences() -> impl Strategy<Value = Value> {
    let place = || prop::option::weighted(0.8, 1..5_i64);
    let variant = (place(), place());
    (prop::option::of(concept()), place(), place(), prop::collection::vec(variant, 0..4)).prop_map(
        |(chromosome, start, end, variants)| {
            let present = |pairs: &[(&str, Option<Value>)]| {
                let members = pairs.iter().filter_map(|(name, value)| Some(((*name).to_owned(), value.clone()?)));
                Value::Object(members.collect())
            };
            let number = |number: Option<i64>| number.map(Value::from);
            let window = present(&[("chromosome", chromosome), ("windowStart", number(start)), ("windowEnd", number(end))]);
            let variants = variants.into_iter().map(|(start, end)| present(&[("start", number(start)), ("end", number(end))]));
            let variants: Vec<Value> = variants.collect();
            json!({"resourceType": "MolecularSequence", "coordinateSystem": 1, "referenceSeq": window, "variant": variants})
        },
    )
}

/// Resources of all kinds, with ids, and half of those that can be are of patient `p0`.
fn resources() -> impl Strategy<Value = Vec<Value>> {
    let one = prop_oneof![4 => observations(), 1 => groups(), 1 => value_sets(), 1 => documents(), 1 => sequences()];
    prop::collection::vec(one, 1..30).prop_map(|mut resources| {
        for (number, resource) in resources.iter_mut().enumerate() {
            resource["id"] = format!("r{number}").into();
            let about = match resource["resourceType"].as_str().unwrap() {
                "Observation" | "DocumentReference" => "subject",
                "MolecularSequence" => "patient",
                _ => continue,
            };
            resource[about] = json!({"reference": format!("Patient/p{}", number % 2)});
        }
        resources.iter_mut().for_each(remove_empty);
        resources
    })
}

/// FHIR has no empty arrays and objects.
fn remove_empty(value: &mut Value) {
    let empty = |value: &Value| {
        value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(serde_json::Map::is_empty) || value.is_null()
    };
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(remove_empty);
            members.retain(|_, value| !empty(value));
        }
        Value::Array(items) => {
            items.iter_mut().for_each(remove_empty);
            items.retain(|value| !empty(value));
        }
        _ => {}
    }
}

const TOKENS: &[&str] = &["a", "s|a", "|a", "s|", "t|a", "b", "s|c", "nothing", "true"];
const QUANTITIES: &[&str] = &["1", "2", "gt1", "ge2", "lt2", "le1", "gt3", "2|u|mg", "gt0||mg", "lt9|u|g", "le2||milligram"];
const NUMBERS: &[&str] = &["1", "2", "gt1", "ge2", "lt3", "le4"];

fn question() -> impl Strategy<Value = (&'static str, &'static str, String)> {
    let composites: Vec<(&str, &str, Vec<&'static [&'static str]>)> = vec![
        ("Observation", "code-value-quantity", vec![TOKENS, QUANTITIES]),
        ("Observation", "code-value-concept", vec![TOKENS, TOKENS]),
        ("Observation", "code-value-string", vec![TOKENS, &["smith", "SMITHS", "jones", "x"]]),
        ("Observation", "component-code-value-quantity", vec![TOKENS, QUANTITIES]),
        ("Observation", "component-code-value-concept", vec![TOKENS, TOKENS]),
        ("Observation", "combo-code-value-quantity", vec![TOKENS, QUANTITIES]),
        ("Observation", "combo-code-value-concept", vec![TOKENS, TOKENS]),
        ("Group", "characteristic-value", vec![TOKENS, TOKENS]),
        ("ValueSet", "context-type-quantity", vec![TOKENS, QUANTITIES]),
        ("ValueSet", "context-type-value", vec![TOKENS, TOKENS]),
        (
            "DocumentReference",
            "relationship",
            vec![
                &["DocumentReference/1", "2", "https://example.org/fhir/DocumentReference/2", "3"],
                &["replaces", "appends", "signs"],
            ],
        ),
        ("MolecularSequence", "chromosome-variant-coordinate", vec![TOKENS, NUMBERS, NUMBERS]),
        ("MolecularSequence", "chromosome-window-coordinate", vec![TOKENS, NUMBERS, NUMBERS]),
    ];
    select(composites).prop_flat_map(|(resource_type, composite, pools)| {
        let alternative = pools.into_iter().map(|pool| select(pool.to_vec())).collect::<Vec<_>>();
        let alternative = alternative.prop_map(|parts| parts.join("$"));
        let value = prop::collection::vec(alternative, 1..=3).prop_map(|alternatives| alternatives.join(","));
        value.prop_map(move |value| (resource_type, composite, value))
    })
}

async fn stored(resources: &[Value]) -> World {
    let world = World::new();
    let version =
        |(number, resource): (usize, &Value)| world::version(&resource.to_string(), NOW * 1000 + i64::try_from(number).unwrap());
    world.import(resources.iter().enumerate().map(version).collect()).await;
    world
}

async fn ask(world: &World, person: &Principal, text: &str) -> Vec<String> {
    let mut found = world.matches(person, text).await;
    found.sort_unstable();
    found
}

fn expected(
    resources: &[Value],
    resource_type: &str,
    visible: impl Fn(&Value) -> bool,
    fits: impl Fn(&Value) -> bool,
) -> Vec<String> {
    let own = resources.iter().filter(|resource| resource["resourceType"] == resource_type);
    let fitting = own.filter(|resource| visible(resource) && fits(resource));
    let mut keys: Vec<String> = fitting.map(|one| format!("{resource_type}/{}", one["id"].as_str().unwrap())).collect();
    keys.sort_unstable();
    keys
}

async fn check(resources: Vec<Value>, questions: Vec<(&'static str, &'static str, String)>) {
    let world = stored(&resources).await;
    let patient = patient("p0", "patient/*.rs");
    let of_patient = |resource: &Value| {
        ["subject", "patient"].iter().any(|member| resource[*member]["reference"].as_str() == Some("Patient/p0"))
    };
    for (resource_type, composite, value) in &questions {
        let text = format!("{resource_type}?{composite}={value}");
        let fits = |resource: &Value| naive(resource, composite, value);
        assert_eq!(ask(&world, &operator(), &text).await, expected(&resources, resource_type, |_| true, fits), "{text}");
        // Groups and value sets are not in a patient's compartment.
        if matches!(*resource_type, "Observation" | "DocumentReference" | "MolecularSequence") {
            let expected = expected(&resources, resource_type, of_patient, fits);
            assert_eq!(ask(&world, &patient, &text).await, expected, "{text} for a patient");
        }
    }
    // Together with another criterion, which may be the way to the candidates.
    for (resource_type, composite, value) in questions.iter().filter(|(resource_type, ..)| *resource_type == "Observation") {
        let text = format!("{resource_type}?{composite}={value}&patient=p1&_sort=_id");
        let fits = |resource: &Value| !of_patient(resource) && naive(resource, composite, value);
        assert_eq!(ask(&world, &operator(), &text).await, expected(&resources, resource_type, |_| true, fits), "{text}");
        assert!(ask(&world, &patient, &text).await.is_empty(), "{text} for another patient");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_composite_finds_what_reading_every_element_finds(
        resources in resources(),
        questions in prop::collection::vec(question(), 1..30),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(check(resources, questions));
    }
}

#[tokio::test]
async fn the_ends_of_a_range_are_exact() {
    let end = |value: u8| json!({"value": value, "system": "u", "code": "mg"});
    let context = json!({"code": {"system": "s", "code": "b"}, "valueRange": {"low": end(1), "high": end(3)}});
    let resource = json!({"resourceType": "ValueSet", "id": "r0", "status": "draft", "useContext": [context]});
    let world = stored(&[resource]).await;
    for (asked, is_found) in [("gt3", false), ("ge3", true), ("gt2", true), ("lt1", false), ("le1", true), ("1", false)] {
        let found = ask(&world, &operator(), &format!("ValueSet?context-type-quantity=s|${asked}")).await;
        assert_eq!(!found.is_empty(), is_found, "{asked}");
    }
}

fn pressure(id: &str, systolic: i64, diastolic: i64) -> Value {
    let component = |code: &str, value: i64| {
        json!({"code": {"coding": [{"system": "http://loinc.org", "code": code}]},
               "valueQuantity": {"value": value, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}})
    };
    json!({"resourceType": "Observation", "id": id, "status": "final", "subject": {"reference": "Patient/p0"},
           "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]},
           "component": [component("8480-6", systolic), component("8462-4", diastolic)]})
}

#[tokio::test]
async fn values_of_different_components_do_not_match_together() {
    let world = stored(&[pressure("high", 160, 80), pressure("low", 100, 60)]).await;
    let ask = |text: &'static str| ask(&world, &OPERATOR, text);
    static OPERATOR: std::sync::LazyLock<Principal> = std::sync::LazyLock::new(operator);
    assert_eq!(ask("Observation?component-code-value-quantity=http://loinc.org|8480-6$gt140").await, ["Observation/high"]);
    // A diastolic number above 140 is nowhere, though a number above 140 and the diastolic code are.
    assert!(ask("Observation?component-code-value-quantity=8462-4$gt140").await.is_empty());
    assert_eq!(ask("Observation?component-code=8462-4&component-value-quantity=gt140").await, ["Observation/high"]);
    assert_eq!(ask("Observation?combo-code-value-quantity=8480-6$gt90||mm[Hg]").await.len(), 2);
    assert!(ask("Observation?combo-code-value-quantity=85354-9$gt90").await.is_empty(), "the panel has no value");
}

#[tokio::test]
async fn a_changed_or_deleted_resource_is_no_longer_found_by_its_components() {
    let world = stored(&[pressure("o", 160, 80)]).await;
    let high = "Observation?component-code-value-quantity=8480-6$gt140";
    assert_eq!(ask(&world, &operator(), high).await, ["Observation/o"]);
    world.import(vec![world::version(&pressure("o", 120, 80).to_string(), NOW * 1000 + 5)]).await;
    assert!(ask(&world, &operator(), high).await.is_empty());
    assert_eq!(ask(&world, &operator(), "Observation?component-code-value-quantity=8480-6$120").await, ["Observation/o"]);
    let rows = |world: &World| {
        let count = "SELECT count(*) FROM index_composite";
        world.store.readers().with(|connection| Ok(connection.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap())).unwrap()
    };
    assert_eq!(rows(&world), 4);
    world
        .import(vec![world::version(
            r#"{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"}}"#,
            NOW * 1000 + 9,
        )])
        .await;
    assert_eq!(rows(&world), 0);
}

/// Makes a store what the program before these rows left behind.
async fn as_before(world: &World) {
    let strip = |connection: &mut rusqlite::Connection| -> Result<(), StoreError> {
        connection
            .execute_batch("DELETE FROM index_composite; INSERT INTO index_backlog SELECT pk FROM resource WHERE deleted = 0")
            .unwrap();
        let mut statement = connection.prepare("SELECT pk FROM resource").unwrap();
        let all: Vec<i64> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        for pk in all {
            let mut rows = row_codec::load(connection, pk)?;
            rows.retain(|row| !matches!(row, Row::Component(_)));
            row_codec::store(connection, pk, &rows)?;
        }
        Ok(())
    };
    world.store.writer().run(strip).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_stored_before_the_rows_existed_gets_them_once() {
    let mut resources: Vec<Value> = (0..600).map(|number| pressure(&format!("o{number}"), 100 + number, 80)).collect();
    resources.push(json!({"resourceType": "Patient", "id": "p0"}));
    let world = stored(&resources).await;
    as_before(&world).await;
    let high = "Observation?component-code-value-quantity=8480-6$ge690";
    assert!(ask(&world, &operator(), high).await.is_empty());
    // One of them changes before the next start.
    world.import(vec![world::version(&pressure("o5", 699, 80).to_string(), NOW * 1000 + 10_000)]).await;
    assert_eq!(world.store.complete_index(BASE).unwrap(), 599);
    assert_eq!(ask(&world, &operator(), high).await.len(), 11);
    assert_eq!(world.store.complete_index(BASE).unwrap(), 0);
    // The rows that were added are known, and go with the next version.
    world.import(vec![world::version(&pressure("o599", 1, 80).to_string(), NOW * 1000 + 10_001)]).await;
    assert_eq!(ask(&world, &operator(), high).await.len(), 10);
}
