use std::collections::BTreeSet;

use super::*;
use crate::definitions::{Kind, structure};
use crate::instant::{MAXIMUM, MINIMUM};
use crate::json;

const BASE: &str = "https://example.org/fhir";

fn index(text: &str) -> Vec<IndexEntry> {
    let resource = Resource::parse(text.as_bytes()).unwrap_or_else(|issues| panic!("{issues:?}"));
    extract(&resource, BASE)
}

/// The values of one parameter in a short form.
fn values(entries: &[IndexEntry], code: &str) -> Vec<String> {
    let own = entries.iter().filter(|entry| entry.parameter.code == code);
    own.map(|entry| short(&entry.value)).collect()
}

fn short(value: &IndexValue) -> String {
    match value {
        IndexValue::Token { system, code, text } => format!("{system}|{code}|{text}"),
        IndexValue::String { normalised, exact } => format!("{normalised}={exact}"),
        IndexValue::Reference(Reference::Local(local)) => local.to_string(),
        IndexValue::Reference(Reference::Absolute(url)) => format!("<{url}>"),
        IndexValue::Reference(Reference::Identifier { system, value }) => format!("{system}|{value}"),
        IndexValue::Date { low, high } => format!("{}..{}", crate::instant::format(*low), crate::instant::format(*high)),
        IndexValue::Number { value, low, high } => format!("{value} {low:.4}..{high:.4}"),
        IndexValue::Quantity { value, low, high, system, code, unit } => {
            let end = |number: f64| if number.abs() == f64::MAX { "open".to_owned() } else { format!("{number:.4}") };
            format!("{value} {}..{} {system}|{code}|{unit}", end(*low), end(*high))
        }
        IndexValue::Uri(uri) => uri.to_string(),
        IndexValue::Component { element, component, value } => format!("{element}.{component} {}", short(value)),
    }
}

#[test]
fn every_datatype_that_a_parameter_can_meet_is_extracted_or_listed_here() {
    // Element types that a published expression reaches and that its kind of search cannot compare.
    let ignored = [
        "Quantity SampledData",
        "Reference Resource Bundle.",
        "Reference Attachment Consent.source-reference",
        "Date Age Procedure.date",
        "Date Range Procedure.date",
    ];
    let handled = |parameter_type: ParameterType, kind: Kind| {
        use crate::definitions::Datatype::*;
        match (parameter_type, kind) {
            (ParameterType::Composite | ParameterType::Special, _) => true,
            (_, Kind::Primitive(_)) => true,
            (ParameterType::Token, Kind::Datatype(kind)) => matches!(kind, Coding | CodeableConcept | Identifier | ContactPoint),
            (ParameterType::String, Kind::Datatype(kind)) => matches!(kind, HumanName | Address | CodeableConcept | Coding),
            (ParameterType::Reference, Kind::Datatype(kind)) => kind == Reference,
            (ParameterType::Date, Kind::Datatype(kind)) => matches!(kind, Period | Timing),
            (ParameterType::Number, Kind::Datatype(kind)) => kind == Range,
            (ParameterType::Quantity, Kind::Datatype(kind)) => matches!(kind, Quantity | Range | Money),
            _ => false,
        }
    };
    let mut unhandled = BTreeSet::new();
    for resource_type in ResourceType::all() {
        for Compiled { parameter, path, .. } in compiled(resource_type) {
            for found in path.types().map(structure).filter(|found| !handled(parameter.parameter_type, found.kind)) {
                unhandled.insert(format!("{:?} {} {resource_type}.{}", parameter.parameter_type, found.name, parameter.code));
            }
        }
    }
    unhandled.retain(|line| !ignored.iter().any(|prefix| line.starts_with(prefix)));
    assert!(unhandled.is_empty(), "{unhandled:#?}");
}

#[test]
fn a_patient_is_found_by_names_identifiers_contacts_and_dates() {
    let entries = index(
        r##"{"resourceType":"Patient","id":"1","meta":{"tag":[{"system":"t","code":"c"}],"profile":["http://p.example/x|2"],"source":"urn:s",
            "security":[{"system":"s","code":"R","display":"Restricted"}]},
            "identifier":[{"system":"urn:mrn","value":"00 1","type":{"text":"Medical Record"}},{"value":"7"},{"system":"x"}],
            "name":[{"family":"O'Brien","given":["Zoë","Anna"],"prefix":["Dr."]}],"gender":"female","birthDate":"1990-05",
            "telecom":[{"system":"phone","value":"555"},{"system":"email","value":"a@b.example"},{"value":"9"}],
            "address":[{"line":["1 Main St."],"city":"Köln","use":"home"}],
            "generalPractitioner":[{"reference":"https://example.org/fhir/Practitioner/9"},{"reference":"https://other.example/Practitioner/9"},
            {"reference":"#p"},{"identifier":{"system":"npi","value":"42"}}],"contained":[{"resourceType":"Practitioner","id":"p"}]}"##,
    );
    let table: [(&str, &[&str]); 16] = [
        ("identifier", &["|7|", "urn:mrn|00 1|medical record"]),
        ("family", &["obrien=O'Brien"]),
        ("given", &["anna=Anna", "zoe=Zoë"]),
        ("name", &["anna=Anna", "dr=Dr.", "obrien=O'Brien", "zoe=Zoë"]),
        ("gender", &["http://hl7.org/fhir/administrative-gender|female|"]),
        ("birthdate", &["1990-05-01T00:00:00.000Z..1990-06-01T00:00:00.000Z"]),
        ("phone", &["|555|"]),
        ("email", &["|a@b.example|"]),
        ("telecom", &["|555|", "|9|", "|a@b.example|"]),
        ("address", &["1 main st=1 Main St.", "koln=Köln"]),
        ("address-use", &["http://hl7.org/fhir/address-use|home|"]),
        ("general-practitioner", &["Practitioner/9", "<https://other.example/Practitioner/9>", "npi|42"]),
        ("deceased", &["|false|"]),
        ("_tag", &["t|c|"]),
        ("_profile", &["http://p.example/x", "http://p.example/x|2"]),
        ("_security", &["s|R|restricted"]),
    ];
    for (code, expected) in table {
        assert_eq!(values(&entries, code), expected, "{code}");
    }
    assert_eq!(values(&entries, "_source"), ["urn:s"]);
    assert!(values(&entries, "_id").is_empty());
}

#[test]
fn an_observation_is_found_by_codes_values_and_dates() {
    let entries = index(
        r#"{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"1","display":"Sugar"},
            {"system":"http://loinc.org","code":"1","display":"Sugar"}],"text":"Blood Sugar"},
            "subject":{"reference":"Patient/1"},"effectivePeriod":{"start":"2024-01-01"},
            "valueQuantity":{"value":5.40,"comparator":"<","system":"http://unitsofmeasure.org","code":"mmol/L","unit":"mmol/l"},
            "component":[{"code":{"text":"x"},"valueQuantity":{"value":1}},{"code":{"coding":[{"code":"y"}]},"valueCodeableConcept":{"coding":[{"code":"z"}]}}]}"#,
    );
    assert_eq!(values(&entries, "code"), ["||blood sugar", "http://loinc.org|1|sugar"]);
    assert_eq!(values(&entries, "combo-code"), ["||blood sugar", "||x", "|y|", "http://loinc.org|1|sugar"]);
    assert_eq!(values(&entries, "patient"), ["Patient/1"]);
    assert_eq!(values(&entries, "date"), [format!("2024-01-01T00:00:00.000Z..{}", crate::instant::format(MAXIMUM))]);
    assert_eq!(values(&entries, "value-quantity"), ["5.4 open..5.4050 http://unitsofmeasure.org|mmol/L|mmol/l"]);
    assert_eq!(values(&entries, "component-value-concept"), ["|z|"]);
    assert_eq!(values(&entries, "combo-value-quantity").len(), 2);
}

#[test]
fn dates_of_every_form_become_ranges() {
    let date = |occurrence: &str| {
        let request = format!(
            r#"{{"resourceType":"ServiceRequest","status":"active","intent":"order","subject":{{"reference":"Patient/1"}},{occurrence}}}"#
        );
        values(&index(&request), "occurrence")
    };
    assert_eq!(date(r#""occurrenceDateTime":"2024-02""#), ["2024-02-01T00:00:00.000Z..2024-03-01T00:00:00.000Z"]);
    assert_eq!(
        date(r#""occurrencePeriod":{"end":"2024"}"#),
        [format!("{}..2025-01-01T00:00:00.000Z", crate::instant::format(MINIMUM))]
    );
    assert!(date(r#""occurrencePeriod":{"extension":[{"url":"x","valueString":"y"}]}"#).is_empty());
    assert_eq!(
        date(
            r#""occurrenceTiming":{"event":["2024-03","2024-01-05T10:00:00+01:00"],"repeat":{"boundsPeriod":{"start":"2024-01-07","end":"2024-02"}}}"#
        ),
        ["2024-01-05T09:00:00.000Z..2024-04-01T00:00:00.000Z"]
    );
}

#[test]
fn numbers_ranges_and_money_become_ranges() {
    let risk = |probability: &str| {
        let text = format!(
            r#"{{"resourceType":"RiskAssessment","status":"final","subject":{{"reference":"Patient/1"}},"prediction":[{{{probability}}}]}}"#
        );
        values(&index(&text), "probability")
    };
    assert_eq!(risk(r#""probabilityDecimal":0.10"#), ["0.1 0.0950..0.1050"]);
    let invoice = index(r#"{"resourceType":"Invoice","status":"draft","totalNet":{"value":10.00,"currency":"EUR"}}"#);
    assert_eq!(values(&invoice, "totalnet"), ["10 9.9950..10.0050 urn:iso:std:iso:4217|EUR|EUR"]);
    let condition = |onset: &str| {
        values(&index(&format!(r#"{{"resourceType":"Condition","subject":{{"reference":"Patient/1"}},{onset}}}"#)), "onset-age")
    };
    assert_eq!(condition(r#""onsetAge":{"value":52,"unit":"years","code":"a"}"#), ["52 51.5000..52.5000 |a|years"]);
    assert_eq!(condition(r#""onsetRange":{"low":{"value":5},"high":{"value":7,"code":"a"}}"#), ["5 5.0000..7.0000 ||"]);
    assert_eq!(condition(r#""onsetRange":{"high":{"value":7,"code":"a"}}"#), ["7 open..7.0000 |a|"]);
}

#[test]
fn codes_that_differ_in_case_alone_compare_equal() {
    for (left, right) in [("AMB", "amb"), ("A1c", "a1C"), ("\u{c4}", "\u{e4}"), ("", ""), ("12-3", "12-3")] {
        assert_eq!(fold_code(left), fold_code(right), "{left}");
    }
    for (left, right) in [("a", "b"), ("a", "\u{e4}"), ("a b", "a-b"), ("a", "")] {
        assert_ne!(fold_code(left), fold_code(right), "{left}");
    }
}

#[test]
fn canonicals_are_found_with_and_without_version() {
    let entries =
        index(r#"{"resourceType":"QuestionnaireResponse","status":"completed","questionnaire":"http://q.example/Q|1.0"}"#);
    assert_eq!(values(&entries, "questionnaire"), ["<http://q.example/Q>", "<http://q.example/Q|1.0>"]);
}

#[test]
fn guide_extensions_are_found() {
    let patient = index(
        r#"{"resourceType":"Patient","extension":[{"url":"http://hl7.org/fhir/us/core/StructureDefinition/us-core-race","extension":[
            {"url":"ombCategory","valueCoding":{"system":"urn:oid:2.16.840.1.113883.6.238","code":"2106-3"}},{"url":"text","valueString":"White"}]}]}"#,
    );
    assert_eq!(values(&patient, "race"), ["|2106-3|"]);
    let encounter = index(
        r#"{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"basedOn":[{"extension":[{
            "url":"http://hl7.org/fhir/us/pacio-rt/StructureDefinition/clinicalImpression","valueReference":{"reference":"ClinicalImpression/7"}}]}]}"#,
    );
    assert_eq!(values(&encounter, "based-on"), ["ClinicalImpression/7"]);
}

#[test]
fn every_local_reference_in_a_body_is_listed_once() {
    let resource = Resource::parse(
        br##"{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/1"},
            "performer":[{"reference":"https://example.org/fhir/Practitioner/2/_history/3"},{"reference":"Patient/1"},{"reference":"#c"},{"display":"Practitioner/8"}],
            "extension":[{"url":"u","valueReference":{"reference":"Device/4"}},{"url":"v","valueUri":"Device/9"}],
            "contained":[{"resourceType":"Practitioner","id":"c","extension":[{"url":"u","valueReference":{"reference":"Organization/5"}}]}]}"##,
    )
    .unwrap();
    let found: Vec<String> = references(&resource, BASE).iter().map(ToString::to_string).collect();
    assert_eq!(found, ["Device/4", "Organization/5", "Patient/1", "Practitioner/2"]);
    let elsewhere: Vec<String> = references(&resource, "https://elsewhere.example").iter().map(ToString::to_string).collect();
    assert_eq!(elsewhere, ["Device/4", "Organization/5", "Patient/1"]);
}

#[test]
fn a_bundle_speaks_of_what_is_in_it_but_of_what_another_server_holds() {
    let resource = Resource::parse(
        br#"{"resourceType":"Bundle","type":"collection","entry":[
            {"resource":{"resourceType":"Observation","id":"1","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/2"}}},
            {"fullUrl":"https://example.org/fhir/Device/3/_history/4","resource":{"resourceType":"Device","id":"5"}},
            {"fullUrl":"http://EXAMPLE.org:8080/fhir/Device/9","resource":{"resourceType":"Device","id":"9"}},
            {"fullUrl":"http://other.example/fhir/Device/6","resource":{"resourceType":"Device","id":"6","patient":{"reference":"Patient/7"},
                "owner":{"reference":"https://example.org/fhir/Organization/8"}}}]}"#,
    )
    .unwrap();
    let found: Vec<String> = references(&resource, BASE).iter().map(ToString::to_string).collect();
    assert_eq!(found, ["Device/3", "Device/5", "Device/9", "Observation/1", "Organization/8", "Patient/2"]);
}

#[test]
fn components_are_extracted_together_with_the_number_of_their_element() {
    let quantity = |value: &str| format!(r#""valueQuantity":{{"value":{value},"unit":"mmHg","system":"u","code":"mm[Hg]"}}"#);
    let code = |code: &str| format!(r#""code":{{"coding":[{{"system":"l","code":"{code}"}},{{"code":"{code}"}}]}}"#);
    let entries = index(&format!(
        r#"{{"resourceType":"Observation","status":"final","code":{{"text":"pressure"}},"component":[
            {{{},{}}},{{{}}},{{"code":{{"text":"text alone"}},{}}},{{{},{}}},
            {{{},"valueCodeableConcept":{{"coding":[{{"system":"s","code":"a"}},{{"system":"s","code":"a"}}]}}}}]}}"#,
        code("systolic"),
        quantity("120"),
        code("no value"),
        quantity("1"),
        code("diastolic"),
        quantity("80"),
        code("position"),
    ));
    assert_eq!(
        values(&entries, "component-code-value-quantity"),
        [
            "0.1 120 119.5000..120.5000 u|mm[Hg]|mmHg",
            "0.0 |systolic|",
            "0.0 l|systolic|",
            "1.1 80 79.5000..80.5000 u|mm[Hg]|mmHg",
            "1.0 |diastolic|",
            "1.0 l|diastolic|"
        ]
    );
    assert_eq!(values(&entries, "component-code-value-concept"), ["0.1 s|a|", "0.0 |position|", "0.0 l|position|"]);
    // What consists of other parameters has no values of its own.
    for code in ["code-value-quantity", "combo-code-value-quantity", "combo-code-value-concept", "code-value-string"] {
        assert!(values(&entries, code).is_empty(), "{code}");
    }
}

#[test]
fn a_component_may_belong_to_the_resource_and_a_composite_may_have_three() {
    let entries = index(
        r#"{"resourceType":"MolecularSequence","coordinateSystem":0,"referenceSeq":{"chromosome":{"coding":[{"code":"1"}]},
            "windowStart":10,"windowEnd":20},"variant":[{"start":1,"end":2},{"start":3},{"start":5,"end":6}]}"#,
    );
    assert_eq!(
        values(&entries, "chromosome-variant-coordinate"),
        ["0.2 2 1.5000..2.5000", "0.1 1 0.5000..1.5000", "0.0 |1|", "1.2 6 5.5000..6.5000", "1.1 5 4.5000..5.5000", "1.0 |1|"]
    );
    assert_eq!(values(&entries, "chromosome-window-coordinate").len(), 3);
    let entries = index(
        r#"{"resourceType":"DocumentReference","status":"current","content":[{"attachment":{"title":"x"}}],
            "relatesTo":[{"code":"replaces","target":{"reference":"DocumentReference/1"}}]}"#,
    );
    let own = values(&entries, "relationship");
    assert_eq!(own, ["0.1 http://hl7.org/fhir/document-relationship-type|replaces|", "0.0 DocumentReference/1"]);
}

#[test]
fn components_count_towards_the_most_values_of_a_resource() {
    let component = |number: usize| {
        format!(
            r#"{{"code":{{"coding":[{{"code":"c{number}"}}]}},"valueQuantity":{{"value":{number},"code":"mg","system":"u"}}}}"#
        )
    };
    let components: Vec<String> = (0..60_000).map(component).collect();
    let text = format!(
        r#"{{"resourceType":"Observation","status":"final","code":{{"text":"x"}},"component":[{}]}}"#,
        components.join(",")
    );
    let length = index(&text).len();
    assert!(length > MAXIMUM_ENTRIES && length <= 2 * MAXIMUM_ENTRIES + 10, "{length}");
}

#[test]
fn an_extraction_finds_the_same_where_only_the_members_are_left_that_it_looks_at() {
    let element = r#"{"coding":[{"system":"s","code":"c"}],"system":"s","code":"c","value":"v","reference":"Patient/a","start":"2020","text":"t","family":"f",
        "profile":["http://p"],"tag":[{"code":"x"}],"extension":[{"url":"http://e","valueString":"e"}]}"#;
    let (mut found, mut passed_over) = (0, 0);
    for resource_type in ResourceType::all() {
        let names: BTreeSet<&str> =
            compiled(resource_type).iter().flat_map(|compiled| compiled.members.iter().flatten()).map(|name| &**name).collect();
        let members: String = names.iter().map(|name| format!(",\"{name}\":{element}")).collect();
        let body = json::parse(format!(r#"{{"resourceType":"{resource_type}","id":"a"{members}}}"#).as_bytes()).unwrap();
        for parameter in compiled(resource_type).iter().map(|compiled| compiled.parameter) {
            let only = |one: &SearchParameter| one.key == parameter.key;
            let looks_at = looks_at(resource_type, only);
            let left: Vec<_> = body.as_object().unwrap().iter().filter(|(name, _)| looks_at(name)).cloned().collect();
            passed_over += names.len() + 2 - left.len();
            let of_all = extract_some((&body, resource_type), "https://localhost/fhir", only);
            found += of_all.len();
            assert_eq!(
                extract_some((&Value::Object(left), resource_type), "https://localhost/fhir", only),
                of_all,
                "{resource_type} {}",
                parameter.code
            );
        }
    }
    assert!(found > 1000 && passed_over > 1000, "{found} {passed_over}");
}
