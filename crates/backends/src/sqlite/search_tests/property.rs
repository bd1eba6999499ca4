//! For random data, people and queries: the same ids in the same order as the oracle's, and pages that add up to the whole.

use portcullis_fhir::types::ResourceType;
use portcullis_fhir::version::NewVersion;
use portcullis_oauth::principal::Principal;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::oracle;
use super::world::{self, NOW, World, clinician, ids, operator, patient, query};

/// One Observation: fragments of JSON, and when it was stored.
#[derive(Clone, Debug)]
struct Sample {
    members: Vec<String>,
    updated: i64,
}

const DATES: [&str; 8] = [
    "2024",
    "2024-03",
    "2024-03-05",
    "2024-03-05T10:00:00Z",
    "2024-03-05T10:00:00.500Z",
    "2023-12-31T23:30:00-02:00",
    "2025-06",
    "2023",
];

/// A member that is absent, or one of these; `@` separates a member's name from its JSON.
fn member(choices: &'static [&'static str]) -> impl Strategy<Value = Option<String>> {
    prop::option::weighted(
        0.8,
        select(choices).prop_map(|choice| {
            let (name, value) = choice.split_once('@').unwrap();
            format!("\"{name}\":{value}")
        }),
    )
}

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let code = select(&[
        r#"{"coding":[{"system":"s","code":"a","display":"Alpha"}]}"#,
        r#"{"coding":[{"system":"t","code":"a"},{"system":"s","code":"b","display":"Beta"}],"text":"Both"}"#,
        r#"{"coding":[{"code":"a"}]}"#,
        r#"{"coding":[{"system":"s","code":"c"}]}"#,
        r#"{"text":"Älpha only"}"#,
    ]);
    let subject = member(&[
        r#"subject@{"reference":"Patient/p0"}"#,
        r#"subject@{"reference":"Patient/p1"}"#,
        r#"subject@{"reference":"https://example.org/fhir/Patient/p2"}"#,
        r#"subject@{"reference":"Group/p1"}"#,
        r#"subject@{"reference":"https://elsewhere.org/Patient/p0"}"#,
    ]);
    let performer = member(&[
        r#"performer@[{"reference":"Practitioner/d1"}]"#,
        r#"performer@[{"reference":"Practitioner/d2"},{"reference":"Patient/p0"}]"#,
        r#"performer@[{"identifier":{"system":"i","value":"1"}}]"#,
        r#"performer@[{"identifier":{"value":"1"}}]"#,
        r#"performer@[{"identifier":{"system":"j","value":"2"}}]"#,
    ]);
    let effective = prop::option::weighted(0.8, (select(&DATES), prop::option::of(select(&DATES)))).prop_map(|dates| {
        dates.map(|(start, end)| match end {
            None => format!(r#""effectiveDateTime":"{start}""#),
            Some(end) if end == start => format!(r#""effectivePeriod":{{"end":"{end}"}}"#),
            Some(end) => format!(r#""effectivePeriod":{{"start":"{}","end":"{}"}}"#, start.min(end), start.max(end)),
        })
    });
    let value = member(&[
        r#"valueQuantity@{"value":5.4,"unit":"milligram","system":"http://unitsofmeasure.org","code":"mg"}"#,
        r#"valueQuantity@{"value":5,"unit":"mg"}"#,
        r#"valueQuantity@{"value":5.35,"system":"http://unitsofmeasure.org","code":"g"}"#,
        r#"valueQuantity@{"value":6,"comparator":"<","code":"mg","system":"u"}"#,
        r#"valueQuantity@{"value":4.0,"comparator":">"}"#,
        r#"valueQuantity@{"value":-100}"#,
        r#"valueString@"Smith""#,
        r#"valueString@"smithy, %_""#,
        r#"valueString@"Blacksmith""#,
        r#"valueDateTime@"2024-03-05""#,
        r#"valueDateTime@"2020""#,
    ]);
    let meta = member(&[
        r#"meta@{"profile":["http://x/a","http://x/a/b"],"tag":[{"system":"s","code":"a"}]}"#,
        r#"meta@{"profile":["http://x/ab"],"tag":[{"code":"z"}]}"#,
        r#"meta@{"tag":[{"system":"t","code":"z","display":"Zed"}]}"#,
    ]);
    let linked = member(&[
        r#"encounter@{"reference":"Encounter/e0"}"#,
        r#"encounter@{"reference":"Encounter/e1"}"#,
        r#"hasMember@[{"reference":"Observation/o0"},{"reference":"Observation/o1"}]"#,
        r#"hasMember@[{"reference":"Observation/o2"}]"#,
    ]);
    let sample = (code, subject, performer, effective, value, meta, linked, 0..4_i64);
    let sample = sample.prop_map(|(code, a, b, c, d, e, f, updated)| {
        let mut members = vec![format!("\"code\":{code}")];
        members.extend([a, b, c, d, e, f].into_iter().flatten());
        Sample { members, updated: NOW * 1000 - updated * 86_400_000 }
    });
    prop::collection::vec(sample, 1..24)
}

const CRITERIA: &[&str] = &[
    "code=a",
    "code=s|a",
    "code=s|A",
    "code=S|a",
    "code=B,C",
    "code=|a",
    "code=s|",
    "code=a,b",
    "code=s|a,t|a,s|c",
    "code=nothing",
    "code=t|",
    "code:not=a",
    "code:not=s|b",
    "code:not=nothing",
    "code:text=al",
    "code:text=alpha,both",
    "code:missing=true",
    "_id:missing=true",
    "_lastUpdated:missing=false",
    "code-value-quantity=a$5.4",
    "code-value-quantity=s|a$gt5,s|b$lt5||mg,nothing$1",
    "code-value-date=a$2024-03-05",
    "code-value-date=s|c$ge2020,t|$2020",
    "code:missing=false",
    "status=final",
    "status=a,b,c,d,e,f,g,h,i,final",
    "subject=Patient/p0",
    "patient=p0",
    "patient=Patient/p0,Patient/p1",
    "subject=p1",
    "subject:Group=p1",
    "subject=https://example.org/fhir/Patient/p2",
    "subject=https://elsewhere.org/Patient/p0",
    "subject=Patient/unknown",
    "subject:missing=true",
    "subject:missing=false",
    "performer=Practitioner/d1",
    "performer:identifier=i|1",
    "performer:identifier=1",
    "performer:identifier=j|",
    "performer:identifier=|1",
    "performer:missing=false",
    "date:missing=true",
    "date:missing=false",
    "value-string=smith",
    "value-string=SMITHY",
    "value-string:contains=smith",
    "value-string:exact=Smith",
    "value-string:exact=smith",
    "value-string=smithy%",
    r"value-string:exact=smithy\, %_",
    "value-string=black,smithy",
    "value-string:missing=true",
    "value-quantity=5.4",
    "value-quantity=5",
    "value-quantity=5.4|http://unitsofmeasure.org|mg",
    "value-quantity=5||mg",
    "value-quantity=ne5",
    "value-quantity=gt5",
    "value-quantity=ge5",
    "value-quantity=lt5.4",
    "value-quantity=le5.4",
    "value-quantity=sa5",
    "value-quantity=eb6",
    "value-quantity=ap5",
    "value-quantity=-100",
    "value-quantity=lt6|u|mg",
    "value-quantity:missing=false",
    "value-date=2024",
    "value-date=lt2024",
    "_profile=http://x/a",
    "_profile:below=http://x/a",
    "_profile:above=http://x/a/b/c",
    "_profile:missing=true",
    "_tag=s|a",
    "_tag=z",
    "_tag:text=ze",
    "_id=o1,o3,none",
    "_lastUpdated=2027",
    "_lastUpdated=lt2027-01-14",
    "_lastUpdated=ge2027-01-14",
    "subject:Patient.name=smith",
    "subject.name:contains=th",
    "subject.birthdate=lt1980,2001",
    "patient.gender:not=female",
    "patient._id=p0,p1",
    "patient.link:missing=true",
    "performer:Patient.family=smith",
    "encounter.status=finished",
    "encounter.class=|AMB",
    "encounter:Encounter.subject:Patient.family:exact=Smith",
    "has-member.code=a",
    "has-member:Observation.has-member.code=s|b",
    "has-member.subject:Patient.gender=female",
    "_has:Observation:has-member:code=a,c",
    "_has:Observation:has-member:_has:Observation:has-member:status=final",
    "_has:Observation:has-member:patient.family=jones",
    "patient._has:Encounter:patient:status=finished",
    "patient._has:Encounter:patient:_id=e1",
    "has-member.date=ge2024-03",
    "has-member.value-quantity=gt5",
    "has-member._lastUpdated=ge2027-01-14",
];
const PREFIXES: [&str; 9] = ["", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"];
const SORTS: &[&str] = &[
    "",
    "date",
    "-date",
    "_lastUpdated",
    "-_lastUpdated",
    "_id",
    "-_id",
    "value-string",
    "-value-string",
    "value-quantity",
    "-value-quantity",
    "value-date",
    "-value-date",
    "code",
    "-code",
    "_profile",
    "value-string,-date",
    "-value-quantity,value-string",
    "status,-_lastUpdated",
    "date,value-string",
];

fn queries() -> impl Strategy<Value = Vec<(String, usize)>> {
    let date = (select(&PREFIXES), select(&DATES)).prop_map(|(prefix, date)| format!("date={prefix}{date}"));
    let date = (date, prop::option::of(select(&DATES))).prop_map(|(date, other)| match other {
        Some(other) => format!("{date},{other}"),
        None => date,
    });
    let criteria = (subsequence(CRITERIA.to_vec(), 0..=2), prop::option::weighted(0.3, date))
        .prop_map(|(criteria, date)| criteria.into_iter().map(str::to_owned).chain(date).collect::<Vec<_>>());
    let one = (criteria, select(SORTS), 1..5_usize).prop_map(|(mut parts, sort, count)| {
        if !sort.is_empty() {
            parts.push(format!("_sort={sort}"));
        }
        (format!("Observation?{}", parts.join("&")), count)
    });
    prop::collection::vec(one, 1..20)
}

fn stored(samples: &[Sample]) -> Vec<NewVersion> {
    let observation = |(number, sample): (usize, &Sample)| {
        let body = format!(r#"{{"resourceType":"Observation","id":"o{number}","status":"final",{}}}"#, sample.members.join(","));
        world::version(&body, sample.updated)
    };
    let others = [
        r#"{"resourceType":"Patient","id":"p0","name":[{"family":"Smith"}],"gender":"female","birthDate":"1970-01-01"}"#,
        r#"{"resourceType":"Patient","id":"p1","name":[{"family":"Jones"}],"gender":"male","birthDate":"2001-05-05"}"#,
        r#"{"resourceType":"Patient","id":"p2","name":[{"family":"Smithson"}],"gender":"female","link":[{"other":{"reference":"Patient/p0"},"type":"seealso"}]}"#,
        r#"{"resourceType":"Encounter","id":"e0","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/p0"},"participant":[{"individual":{"reference":"Practitioner/d1"}}]}"#,
        r#"{"resourceType":"CareTeam","id":"t0","subject":{"reference":"Patient/p2"},"participant":[{"member":{"reference":"Practitioner/d1"}}]}"#,
        r#"{"resourceType":"Encounter","id":"e1","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/p1"},"participant":[{"individual":{"reference":"Practitioner/d2"}}]}"#,
    ];
    samples.iter().enumerate().map(observation).chain(others.map(|body| world::version(body, NOW * 1000))).collect()
}

/// People, and the patients whose records they see (`None`: everything).
fn people() -> Vec<(Principal, Option<&'static [&'static str]>)> {
    vec![
        (operator(), None),
        (patient("p1", "patient/*.rs"), Some(&["p1"])),
        (clinician("d1", "user/*.rs"), Some(&["p0", "p2"])),
        (clinician("d3", "user/*.rs"), Some(&[])),
    ]
}

async fn check(samples: Vec<Sample>, queries: Vec<(String, usize)>) {
    let world = World::new();
    let versions = stored(&samples);
    let oracle_versions = stored(&samples);
    world.import(versions).await;
    for (person, patients) in people() {
        let sees = |version: &&NewVersion| {
            patients.is_none_or(|patients| version.patients.iter().any(|patient| patients.contains(&patient.as_str())))
        };
        let visible: Vec<&NewVersion> = oracle_versions.iter().filter(sees).collect();
        for (text, count) in &queries {
            let expected = oracle::find(&query(text), &visible);
            let name = format!("{text} for {patients:?}");
            let mut whole = query(text);
            (whole.count, whole.total) = (1000, portcullis_fhir::search::Total::Accurate);
            let found = ids(&world.search(&person, whole).await.unwrap());
            assert_eq!(found.matches, expected, "{name}");
            assert_eq!(found.total, Some(expected.len() as u64), "{name}");
            assert_eq!(pages(&world, &person, text, *count).await, expected, "{name}, pages of {count}");
        }
    }
}

async fn pages(world: &World, person: &Principal, text: &str, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    let mut cursor = None;
    loop {
        let mut page = query(text);
        (page.count, page.cursor) = (u32::try_from(count).unwrap(), cursor);
        let page = world.search(person, page).await.unwrap();
        assert!(page.next.is_none() || page.matches.len() == count, "only the last page may be short");
        assert!(all.is_empty() || !page.matches.is_empty(), "there is no empty page after the first");
        all.extend(ids(&page).matches);
        match page.next {
            Some(next) => cursor = Some(next.into()),
            None => return all,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_search_finds_what_looking_at_every_visible_resource_finds(samples in samples(), queries in queries()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(check(samples, queries));
    }
}

#[test]
fn every_criterion_and_order_is_accepted_by_the_grammar() {
    for criterion in CRITERIA {
        assert_eq!(query(&format!("Observation?{criterion}")).resource_type, ResourceType::OBSERVATION);
    }
    for sort in SORTS.iter().filter(|sort| !sort.is_empty()) {
        assert!(!query(&format!("Observation?_sort={sort}")).sort.is_empty());
    }
}
