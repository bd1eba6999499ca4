//! The operations on resources, refusals first.

use super::*;

const PATIENT: &str = r#"{"resourceType":"Patient","id":"p","meta":{"versionId":"1","lastUpdated":"2020-01-01T00:00:00Z"},
    "active":true,"name":[{"family":"Old","given":["A","B"]}],"multipleBirthInteger":2}"#;

fn apply_to(resource: &str, patch: &str) -> Result<String, String> {
    let document = Document::parse(patch.as_bytes()).unwrap_or_else(|issue| panic!("{patch}: {issue:?}"));
    let patched = document.apply(resource.as_bytes());
    patched.map(|patched| String::from_utf8(patched.to_bytes()).unwrap()).map_err(|issues| issues[0].diagnostics.clone())
}

fn apply(patch: &str) -> Result<String, String> {
    apply_to(PATIENT, patch)
}

#[test]
fn what_is_no_json_patch_is_refused() {
    for patch in [
        "",
        "{}",
        "[1]",
        r#"[{"path":"/active"}]"#,
        r#"[{"op":"erase","path":"/active"}]"#,
        r#"[{"op":"Remove","path":"/active"}]"#,
        r#"[{"op":"remove"}]"#,
        r#"[{"op":"remove","path":1}]"#,
        r#"[{"op":"remove","path":"active"}]"#,
        r#"[{"op":"remove","path":"/a~2"}]"#,
        r#"[{"op":"remove","path":"/a~"}]"#,
        r#"[{"op":"add","path":"/active"}]"#,
        r#"[{"op":"test","path":"/active"}]"#,
        r#"[{"op":"copy","path":"/active"}]"#,
        r#"[{"op":"move","path":"/active","from":"x"}]"#,
        r#"[{"op":"remove","op":"add","path":"/active"}]"#,
    ] {
        assert!(Document::parse(patch.as_bytes()).is_err(), "{patch}");
    }
    let one = r#"{"op":"remove","path":"/active"}"#;
    let too_many = format!("[{}]", vec![one; MAXIMUM_OPERATIONS + 1].join(","));
    assert_eq!(Document::parse(too_many.as_bytes()).unwrap_err().code, IssueType::TooLong);
    let too_long = format!(r#"[{{"op":"remove","path":"/{}"}}]"#, "x".repeat(MAXIMUM_LENGTH));
    assert_eq!(Document::parse(too_long.as_bytes()).unwrap_err().code, IssueType::TooLong);
    let too_deep = format!(r#"[{{"op":"remove","path":"{}"}}]"#, "/a".repeat(MAXIMUM_DEPTH + 1));
    assert!(Document::parse(too_deep.as_bytes()).is_err());
}

#[test]
fn an_operation_that_cannot_be_done_undoes_the_patch() {
    for patch in [
        r#"[{"op":"remove","path":"/gender"}]"#,
        r#"[{"op":"replace","path":"/gender","value":"male"}]"#,
        r#"[{"op":"add","path":"/contact/0/gender","value":"male"}]"#,
        r#"[{"op":"add","path":"/name/2","value":{}}]"#,
        r#"[{"op":"add","path":"/name/01","value":{}}]"#,
        r#"[{"op":"add","path":"/name/0/given/+0","value":"x"}]"#,
        r#"[{"op":"remove","path":"/name/0/given/-"}]"#,
        r#"[{"op":"remove","path":"/name/0/given/2"}]"#,
        r#"[{"op":"add","path":"/active/x","value":1}]"#,
        r#"[{"op":"move","from":"/name","path":"/name/0/given/0"}]"#,
        r#"[{"op":"copy","from":"/gender","path":"/active"}]"#,
        r#"[{"op":"test","path":"/active","value":false}]"#,
        r#"[{"op":"test","path":"/active","value":"true"}]"#,
        r#"[{"op":"test","path":"/gender","value":null}]"#,
        r#"[{"op":"replace","path":"/active","value":false},{"op":"test","path":"/active","value":true}]"#,
        r#"[{"op":"remove","path":""}]"#,
    ] {
        assert!(apply(patch).is_err(), "{patch} {:?}", apply(patch));
    }
}

#[test]
fn what_the_server_assigns_stays() {
    for patch in [
        r#"[{"op":"replace","path":"/id","value":"q"}]"#,
        r#"[{"op":"remove","path":"/id"}]"#,
        r#"[{"op":"move","from":"/id","path":"/language"}]"#,
        r#"[{"op":"replace","path":"/resourceType","value":"Person"}]"#,
        r#"[{"op":"replace","path":"/meta/versionId","value":"2"}]"#,
        r#"[{"op":"remove","path":"/meta"}]"#,
        r#"[{"op":"replace","path":"/meta","value":{"tag":[{"code":"x"}]}}]"#,
        r#"[{"op":"replace","path":"/meta/lastUpdated","value":"2021-01-01T00:00:00Z"}]"#,
        r#"[{"op":"replace","path":"","value":{"resourceType":"Patient","id":"q"}}]"#,
        r#"[{"op":"copy","from":"/name/0/family","path":"/id"}]"#,
    ] {
        let refused = apply(patch).expect_err(patch);
        assert!(refused.contains("the server assigns"), "{patch} {refused}");
    }
    let tagged = apply(r#"[{"op":"add","path":"/meta/tag","value":[{"code":"x"}]}]"#).unwrap();
    assert!(tagged.contains(r#""tag":[{"code":"x"}]"#), "{tagged}");
}

#[test]
fn what_comes_out_is_a_resource_or_refused() {
    for patch in [
        r#"[{"op":"add","path":"/nothing","value":1}]"#,
        r#"[{"op":"replace","path":"/active","value":"yes"}]"#,
        r#"[{"op":"replace","path":"/name","value":[]}]"#,
        r#"[{"op":"add","path":"/multipleBirthBoolean","value":true}]"#,
    ] {
        assert!(apply(patch).is_err(), "{patch}");
    }
}

#[test]
fn the_operations_do_what_their_names_say() {
    for (patch, part) in [
        (
            r#"[{"op":"test","path":"/multipleBirthInteger","value":2.0},{"op":"replace","path":"/active","value":false}]"#,
            r#""active":false"#,
        ),
        (r#"[{"op":"add","path":"/name/0/given/1","value":"X"}]"#, r#"["A","X","B"]"#),
        (r#"[{"op":"add","path":"/name/0/given/-","value":"X","unknown":1}]"#, r#"["A","B","X"]"#),
        (r#"[{"op":"remove","path":"/name/0/given/0"}]"#, r#"["B"]"#),
        (r#"[{"op":"move","from":"/name/0/given/0","path":"/name/0/given/1"}]"#, r#"["B","A"]"#),
        (
            r#"[{"op":"copy","from":"/name/0","path":"/name/-"}]"#,
            r#"{"family":"Old","given":["A","B"]},{"family":"Old","given":["A","B"]}"#,
        ),
        (r#"[{"op":"test","path":"/name/0","value":{"given":["A","B"],"family":"Old"}}]"#, r#""family":"Old""#),
        (r#"[{"op":"move","from":"/name","path":"/name"}]"#, r#""family":"Old""#),
        (r#"[{"op":"add","path":"/gender","value":"female"}]"#, r#""gender":"female""#),
    ] {
        let patched = apply(patch).unwrap_or_else(|refused| panic!("{patch}: {refused}"));
        assert!(patched.contains(part), "{patch} {patched}");
    }
}

#[test]
fn copies_of_copies_and_tests_of_huge_values_come_to_an_end() {
    let grow = r#"{"op":"copy","from":"/name","path":"/name/0/given/0"}"#;
    let refused = apply(&format!("[{}]", vec![grow; 400].join(","))).unwrap_err();
    assert!(refused.contains("nest too deeply") || refused.contains("more work"), "{refused}");
    let double = r#"{"op":"copy","from":"/name","path":"/contact"},{"op":"add","path":"/name/-","value":{"family":"x"}}"#;
    assert!(apply(&format!("[{}]", vec![double; 200].join(","))).is_err());
    let long = format!(r#"{{"resourceType":"Patient","id":"p","name":[{{"family":"{}"}}]}}"#, "x".repeat(1 << 20));
    let copies = vec![r#"{"op":"copy","from":"/name/0","path":"/name/-"}"#; 100].join(",");
    let refused = apply_to(&long, &format!("[{copies}]")).unwrap_err();
    assert!(refused.contains("more work"), "{refused}");
}

#[test]
fn a_generated_narrative_goes_with_what_it_said_and_a_written_one_is_the_clients() {
    let with = |status: &str| {
        format!(
            r#"{{"resourceType":"Patient","id":"p","active":true,"text":{{"status":"{status}","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"}}}}"#
        )
    };
    let change = r#"{"op":"replace","path":"/active","value":false}"#;
    let patched = apply_to(&with("generated"), &format!("[{change}]")).unwrap();
    assert!(!patched.contains("text") && patched.contains("false"), "{patched}");
    assert!(apply_to(&with("additional"), &format!("[{change}]")).unwrap_err().contains("/text"));
    let both = format!(r#"[{change},{{"op":"remove","path":"/text"}}]"#);
    assert!(apply_to(&with("additional"), &both).is_ok());
    let test = r#"[{"op":"test","path":"/active","value":true}]"#;
    assert!(apply_to(&with("generated"), test).unwrap().contains("div"));
}
