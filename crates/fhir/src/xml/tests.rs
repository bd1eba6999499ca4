use std::path::Path;

use super::*;
use crate::json::{self, Value};
use crate::resource::{Resource, same_content};

const ROOT: &str = "xmlns=\"http://www.w3.org/1999/xhtml\"";

fn to_xml(json: &str) -> String {
    let text = String::from_utf8(from_json(json.as_bytes()).expect(json)).unwrap();
    text.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>").expect("a declaration").to_owned()
}

fn to_json(xml: &str) -> String {
    String::from_utf8(parse(xml.as_bytes()).expect(xml).to_bytes()).unwrap()
}

fn refusal(xml: &str) -> ParseError {
    parse(xml.as_bytes()).expect_err(xml)
}

/// Content of a Patient.
fn patient(content: &str) -> String {
    format!("<Patient xmlns=\"http://hl7.org/fhir\">{content}</Patient>")
}

#[test]
fn each_form_of_an_element_is_the_same_in_both() {
    for (json, xml) in [
        (r#"{"resourceType":"Patient"}"#, "<Patient xmlns=\"http://hl7.org/fhir\"/>".to_owned()),
        // The order is that of the definitions: Resource, DomainResource, Patient.
        (
            r#"{"resourceType":"Patient","birthDate":"1970","id":"a","extension":[{"url":"u","valueBoolean":true}],"active":false,"meta":{"versionId":"1"}}"#,
            patient(
                "<id value=\"a\"/><meta><versionId value=\"1\"/></meta><extension url=\"u\"><valueBoolean value=\"true\"/></extension>\
                 <active value=\"false\"/><birthDate value=\"1970\"/>",
            ),
        ),
        // Of a datatype the id is an attribute, of a resource an element.
        (
            r#"{"resourceType":"Patient","name":[{"id":"n1","given":["A","B"]},{"family":"C"}]}"#,
            patient("<name id=\"n1\"><given value=\"A\"/><given value=\"B\"/></name><name><family value=\"C\"/></name>"),
        ),
        // Primitives with extensions, with and without a value; nulls where one of several has none.
        (
            r#"{"resourceType":"Patient","birthDate":"1970","_birthDate":{"id":"b","extension":[{"url":"u","valueTime":"10:00:00"}]}}"#,
            patient(
                "<birthDate value=\"1970\" id=\"b\"><extension url=\"u\"><valueTime value=\"10:00:00\"/></extension></birthDate>",
            ),
        ),
        (
            r#"{"resourceType":"Patient","_gender":{"extension":[{"url":"u","valueCode":"x"}]}}"#,
            patient("<gender><extension url=\"u\"><valueCode value=\"x\"/></extension></gender>"),
        ),
        (
            r#"{"resourceType":"Patient","name":[{"given":["A",null,"C"],"_given":[null,{"id":"g"},{"id":"h"}]}]}"#,
            patient("<name><given value=\"A\"/><given id=\"g\"/><given value=\"C\" id=\"h\"/></name>"),
        ),
        (
            r#"{"resourceType":"Patient","name":[{"_given":[{"id":"g"},{"id":"h"}]}]}"#,
            patient("<name><given id=\"g\"/><given id=\"h\"/></name>"),
        ),
        // Text as written, white space that is data included.
        (
            r#"{"resourceType":"Patient","name":[{"text":" a\t<b> & \"c\"\r\n'é😀 "}]}"#,
            patient("<name><text value=\" a&#9;&lt;b&gt; &amp; &quot;c&quot;&#13;&#10;'é😀 \"/></name>"),
        ),
        (
            r##"{"resourceType":"Patient","contained":[{"resourceType":"Organization","id":"o","name":"O"}],"managingOrganization":{"reference":"#o"}}"##,
            patient(
                "<contained><Organization><id value=\"o\"/><name value=\"O\"/></Organization></contained>\
                 <managingOrganization><reference value=\"#o\"/></managingOrganization>",
            ),
        ),
        (
            &format!(
                r#"{{"resourceType":"Patient","text":{{"status":"generated","div":"<div {0}>a <b>b</b> &amp; c<br/></div>"}}}}"#,
                ROOT.replace('"', "\\\"")
            ),
            patient(&format!("<text><status value=\"generated\"/><div {ROOT}>a <b>b</b> &amp; c<br/></div></text>")),
        ),
    ] {
        assert_eq!(to_xml(json), xml, "{json}");
        let back = to_json(&xml);
        assert!(same_content(back.as_bytes(), json.as_bytes()), "{json}\n{back}");
    }
}

#[test]
fn decimals_choices_and_resources_within_resources_keep_their_text() {
    for json in [
        r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.10}}"#,
        r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":-0.0E+2}}"#,
        r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueInteger":7,"component":[{"code":{"text":"y"},"valueString":"1"}]}"#,
        r#"{"resourceType":"Bundle","type":"batch-response","total":0,"entry":[{"response":{"status":"404","outcome":{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"not-found"}]}}},{"resource":{"resourceType":"Basic","code":{"text":"b"}}}]}"#,
        r#"{"resourceType":"Parameters","parameter":[{"name":"p","resource":{"resourceType":"Patient","active":true}},{"name":"q","part":[{"name":"r","valueDecimal":0.10}]}]}"#,
        r#"{"resourceType":"Questionnaire","status":"draft","item":[{"linkId":"1","type":"group","item":[{"linkId":"2","type":"string"}]}]}"#,
    ] {
        assert_eq!(to_json(&to_xml(json)), json);
    }
}

#[test]
fn a_document_may_have_a_declaration_comments_white_space_a_prefix_and_the_place_of_its_schema() {
    let expected = r#"{"resourceType":"Patient","active":true}"#;
    for xml in [
        "\u{feff}<?xml version='1.0' encoding='utf-8' standalone='yes'?>\r\n<!-- a -->\n<Patient xmlns='http://hl7.org/fhir'>\n\t<!-- b --><active value='true'></active >\n</Patient>\n<!-- c -->\n",
        "<f:Patient xmlns:f=\"http://hl7.org/fhir\"><f:active value=\"true\"/></f:Patient>",
        "<Patient xmlns=\"http://hl7.org/fhir\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:schemaLocation=\"http://hl7.org/fhir a.xsd\"><active value=\"&#x74;rue\"/></Patient>",
    ] {
        assert_eq!(to_json(xml), expected, "{xml}");
    }
    // Line ends and tabs in an attribute are spaces, but for those that are references.
    assert_eq!(
        to_json(&patient("<language value=\"a\r\nb\tc&#10;d\"/>")),
        "{\"resourceType\":\"Patient\",\"language\":\"a b c\\nd\"}"
    );
}

#[test]
fn what_is_not_understood_is_refused_with_its_place() {
    let deep = format!("{}{}", "<extension url=\"u\">".repeat(10_000), "</extension>".repeat(10_000));
    let entities = "<!DOCTYPE Patient [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]>";
    let many = (0..17).map(|number| format!(" xmlns:n{number}=\"u\"")).collect::<String>();
    let body = patient;
    for (xml, place, words) in [
        (String::new(), "Resource", "no resource"),
        ("x".to_owned(), "Resource", "text before"),
        ("<Patient".to_owned(), "Resource", "not well-formed"),
        ("<Patient xmlns=\"http://hl7.org/fhir\">".to_owned(), "Patient", "ends inside"),
        (body("<active value=\"true\">"), "Patient.active", "not well-formed"),
        (format!("{}{}", body(""), body("")), "Patient", "after the resource"),
        (format!("{}x", body("")), "Patient", "after the resource"),
        ("<Patient/>".to_owned(), "Resource", "namespace"),
        ("<Patient xmlns=\"urn:x\"/>".to_owned(), "Resource", "namespace"),
        ("<x:Patient/>".to_owned(), "Resource", "namespace"),
        ("<Patint xmlns=\"http://hl7.org/fhir\"/>".to_owned(), "Resource", "did you mean `Patient`"),
        ("<Resource xmlns=\"http://hl7.org/fhir\"/>".to_owned(), "Resource", "not a resource type"),
        ("<Patient xmlns=\"http://hl7.org/fhir\" id=\"a\"/>".to_owned(), "Patient", "no attribute `id`"),
        (format!("<Patient xmlns=\"http://hl7.org/fhir\"{many}/>"), "Resource", "not well-formed"),
        (format!("<Patient xmlns=\"http://hl7.org/fhir\"{}/>", many.replace("xmlns:", "")), "Patient", "too many attributes"),
        (body("<actve value=\"true\"/>"), "Patient.actve", "did you mean `active`"),
        (body("<resourceType value=\"Patient\"/>"), "Patient.resourceType", "no element"),
        (body("<value value=\"1\"/>"), "Patient.value", "no element"),
        (body("<active xmlns=\"urn:x\" value=\"true\"/>"), "Patient.active", "namespace"),
        (body("<active value=\"true\"/><active value=\"true\"/>"), "Patient.active", "at most once"),
        (body("<deceasedBoolean value=\"true\"/><deceasedDateTime value=\"2020\"/>"), "Patient.deceasedDateTime", "only one of"),
        (body("<birthDate value=\"2020\"/><active value=\"true\"/>"), "Patient.active", "order"),
        (body("<name><family value=\"a\"/></name><active value=\"true\"/><name/>"), "Patient.active", "order"),
        (body("<active value=\"yes\"/>"), "Patient.active", "true or false"),
        (body("<multipleBirthInteger value=\"1 \"/>"), "Patient.multipleBirthInteger", "a number"),
        (body("<multipleBirthInteger value=\"+1\"/>"), "Patient.multipleBirthInteger", "a number"),
        (body("<multipleBirthInteger value=\"[1]\"/>"), "Patient.multipleBirthInteger", "a number"),
        (body("<active value=\"\"/>"), "Patient.active", "is empty"),
        (body("<active/>"), "Patient.active", "a value or an extension"),
        (body("<active>true</active>"), "Patient.active", "text between"),
        (body("text"), "Patient", "text between"),
        (body("&amp;"), "Patient", "text between"),
        (body("<name/>"), "Patient.name[0]", "cannot be empty"),
        (body("<name><family value=\"a\"/></name><name>x</name>"), "Patient.name[1]", "text between"),
        (body("<name value=\"a\"/>"), "Patient.name[0]", "no attribute `value`"),
        (body("<name use=\"a\"/>"), "Patient.name[0]", "no attribute `use`"),
        (body("<name id=\"a\" id=\"b\"/>"), "Patient.name[0]", "not well-formed"),
        (body("<name id=a/>"), "Patient.name[0]", "not well-formed"),
        (body("<active id=\"a\"value=\"true\"/>"), "Patient.active", "not well-formed"),
        (body("<active value/>"), "Patient.active", "not well-formed"),
        (body("<active v&lue=\"true\"/>"), "Patient.active", "not well-formed"),
        (body("<name><id value=\"a\"/></name>"), "Patient.name[0].id", "is an attribute"),
        (body("<extension><url value=\"a\"/></extension>"), "Patient.extension[0].url", "is an attribute"),
        (body("<active xml:lang=\"a\" value=\"true\"/>"), "Patient.active", "no attribute"),
        (body("<active xsi:schemaLocation=\"a\" value=\"true\"/>"), "Patient.active", "no attribute"),
        (body("<active value=\"&xxe;\"/>"), "Patient.active", "entity"),
        (body("<active value=\"&#0;\"/>"), "Patient.active", "entity"),
        (body("<active value=\"&#xFFFE;\"/>"), "Patient.active", "entity"),
        (body("<active value=\"a & b\"/>"), "Patient.active", "&amp;"),
        (body("<active value=\"a < b\"/>"), "Patient.active", "&lt;"),
        (body("\u{1}"), "Resource", "does not have"),
        (body("\u{ffff}"), "Resource", "does not have"),
        (body("<![CDATA[x]]>"), "Patient", "CDATA"),
        (body("<?x y?>"), "Patient", "processing instructions"),
        (body("<?xml version=\"1.0\"?>"), "Patient", "only at the beginning"),
        (body("<!-- a -- b -->"), "Patient", "not well-formed"),
        (format!("{entities}{}", body("<active value=\"&b;\"/>")), "Resource", "DOCTYPE"),
        (format!("<!DOCTYPE x SYSTEM \"file:///etc/passwd\">{}", body("")), "Resource", "DOCTYPE"),
        (format!("<?xml version=\"1.1\"?>{}", body("")), "Resource", "version"),
        (format!("<?xml version=\"1.0\" encoding=\"UTF-16\"?>{}", body("")), "Resource", "UTF-8"),
        (format!("<?xml version=\"1.0\" encdng=\"UTF-8\"?>{}", body("")), "Resource", "declaration"),
        (format!("<?xml version=\"1.0\" standalone=\"yes\" encoding=\"UTF-8\"?>{}", body("")), "Resource", "declaration"),
        (format!("<?xml encoding=\"UTF-8\"?>{}", body("")), "Resource", "version"),
        (format!("<?xml-stylesheet href=\"x\"?>{}", body("")), "Resource", "processing instructions"),
        (body("<contained/>"), "Patient.contained[0]", "a resource was expected"),
        (body("<contained>x</contained>"), "Patient.contained[0]", "text between"),
        (body("<contained><name/></contained>"), "Patient.contained[0]", "not a resource type"),
        (body("<contained id=\"a\"><Basic/></contained>"), "Patient.contained[0]", "no attribute"),
        (body("<contained><Basic/><Basic/></contained>"), "Patient.contained[0]", "one resource"),
        (body("<text><status value=\"empty\"/><div>x</div></text>"), "Patient.text.div", "xhtml"),
        (body(&format!("<text><div {ROOT}>x</div><div {ROOT}>y</div></text>")), "Patient.text.div", "at most once"),
        (body(&format!("<text><div {ROOT}><p xmlns=\"urn:x\">x</p></div></text>")), "Patient.text.div", "XHTML alone"),
        (body(&format!("<text><div {ROOT}>&nbsp;</div></text>")), "Patient.text.div", "entity"),
        (body(&format!("<text><div {ROOT}><p title=\"&nbsp;\"/></div></text>")), "Patient.text.div", "entity"),
        (body(&format!("<text><div {ROOT}><![CDATA[x]]></div></text>")), "Patient.text.div", "CDATA"),
        (body(&format!("<text><div {ROOT}>{}</div></text>", "<b>".repeat(10_000))), "Patient.text.div", "too deeply"),
        (body(&deep), &format!("Patient{}", ".extension[0]".repeat(15)), "too deeply"),
    ] {
        let error = refusal(&xml);
        let shown: String = xml.chars().take(300).collect();
        assert!(error.message.contains(words), "{shown}: {error}");
        assert_eq!(error.expression, place, "{shown}: {error}");
        assert!(error.message.len() < 400, "{error}");
    }
}

#[test]
fn errors_name_the_line_and_the_column_in_characters() {
    let error = refusal("\u{feff}<Patient xmlns=\"http://hl7.org/fhir\">\n <!--ä--><active value=\"x\"/></Patient>");
    assert_eq!((error.line, error.column), (2, 10), "{error}");
    assert_eq!(error.to_string(), "line 2, column 10: expected true or false");
    let error = parse(b"<Patient\n \xff").unwrap_err();
    assert_eq!((error.line, error.column, error.message.as_str()), (2, 2, "the text is not valid UTF-8"));
    let utf_16: Vec<u8> = "\u{feff}<Patient/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [utf_16.clone(), utf_16[2..].to_vec(), "\u{feff}<Patient/>".encode_utf16().flat_map(u16::to_be_bytes).collect()]
    {
        assert!(parse(&bytes).unwrap_err().message.contains("UTF-16"), "{bytes:?}");
    }
}

#[test]
fn the_depth_is_that_of_json() {
    let nested = |depth: usize| {
        let inner = (0..depth)
            .fold(r#"{"url":"u","valueBoolean":true}"#.to_owned(), |inner, _| format!(r#"{{"url":"u","extension":[{inner}]}}"#));
        format!(r#"{{"resourceType":"Patient","extension":[{inner}]}}"#)
    };
    // One for the resource, two for each extension.
    let deepest = nested(48);
    assert_eq!(to_json(&to_xml(&deepest)), deepest);
    // What may be stored may be answered in a Bundle, which is deeper.
    let bundle = format!(
        r#"{{"resourceType":"Bundle","type":"batch-response","entry":[{{"resource":{{"resourceType":"Bundle","type":"searchset","entry":[{{"resource":{deepest}}}]}}}}]}}"#
    );
    assert!(json::parse(bundle.as_bytes()).is_err() && from_json(bundle.as_bytes()).is_ok());
    assert!(from_json("[".repeat(100_000).as_bytes()).is_err());
    let one_more = to_xml(&deepest).replacen("<extension ", "<extension url=\"u\"><extension ", 2).replacen(
        "</extension>",
        "</extension></extension>",
        2,
    );
    assert!(refusal(&one_more).message.contains("too deeply"));
}

#[test]
fn named_characters_and_other_habits_of_narratives_are_written_as_xml_has_them() {
    let narrative = |div: &str| {
        let text = Value::object([("status", "generated".into()), ("div", div.into())]);
        Value::object([("resourceType", "Patient".into()), ("text", text)])
    };
    let content = "a&nbsp;&eacute;&thetasym;&amp;&#160;&#XE9; ]]> <!-- c --->\r\n<p title='&copy;&quot;' >x</p >";
    let source = narrative(&format!(" <div {ROOT}>{content}</div>\n"));
    assert!(Resource::from_value(source.clone()).is_ok());
    let xml = String::from_utf8(from_json(&source.to_bytes()).unwrap()).unwrap();
    assert!(
        xml.contains("a&#160;&#233;&#977;&amp;&#160;&#xE9; ]]&gt; <!-- c - -->\r\n<p title='&#169;&quot;' >x</p ></div></text>"),
        "{xml}"
    );
    let back = parse(xml.as_bytes()).unwrap();
    assert!(Resource::from_value(back).is_ok());
}

#[test]
fn what_xml_cannot_say_is_not_stored() {
    for json in [
        r#"{"resourceType":"Patient","name":[{"id":"a","_id":{"id":"b"}}]}"#,
        r#"{"resourceType":"Patient","extension":[{"url":"u","_url":{"id":"b"},"valueBoolean":true}]}"#,
        r#"{"resourceType":"Patient","name":[{"family":"a\uffffb"}]}"#,
        r#"{"resourceType":"Patient","name":[{"family":"a\u0001b"}]}"#,
        r#"{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">a\u0001</div>"}}"#,
    ] {
        assert!(Resource::parse(json.as_bytes()).is_err(), "{json}");
    }
    assert!(
        Resource::parse(br#"{"resourceType":"Patient","id":"a","_id":{"id":"b"}}"#).is_ok(),
        "of a resource it is an element"
    );
}

#[test]
fn what_xml_cannot_say_is_not_written() {
    for (json, place) in [
        ("", "Resource"),
        ("[]", "Resource"),
        ("{}", "Resource"),
        (r#"{"resourceType":"Patint"}"#, "Resource"),
        (r#"{"resourceType":"Patient","x":1}"#, "Patient.x"),
        (r#"{"resourceType":"Patient","active":"true"}"#, "Patient.active"),
        (r#"{"resourceType":"Patient","birthDate":1970}"#, "Patient.birthDate"),
        (r#"{"resourceType":"Patient","birthDate":""}"#, "Patient.birthDate"),
        (r#"{"resourceType":"Patient","birthDate":null}"#, "Patient.birthDate"),
        (r#"{"resourceType":"Patient","name":{"family":"a"}}"#, "Patient.name"),
        (r#"{"resourceType":"Patient","name":[]}"#, "Patient.name"),
        (r#"{"resourceType":"Patient","name":[{"family":"a"},{}]}"#, "Patient.name[1]"),
        (r#"{"resourceType":"Patient","name":[{"family":"a\u0001b"}]}"#, "Patient.name[0].family"),
        (r#"{"resourceType":"Patient","name":[{"family":"a\uffffb"}]}"#, "Patient.name[0].family"),
        (r#"{"resourceType":"Patient","name":[{"id":"a","_id":{"id":"b"}}]}"#, "Patient.name[0].id"),
        (r#"{"resourceType":"Patient","name":[{"given":["a"],"_given":[null,{"id":"b"}]}]}"#, "Patient.name[0].given"),
        (r#"{"resourceType":"Patient","deceasedBoolean":true,"deceasedDateTime":"2020"}"#, "Patient.deceasedDateTime"),
        (r#"{"resourceType":"Patient","contained":[{"resourceType":"Basic","x":1}]}"#, "Patient.contained[0].x"),
        (r#"{"resourceType":"Patient","text":{"status":"generated","div":"<div>x</div>"}}"#, "Patient.text.div"),
        (
            r#"{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"></div></text><x/>"}}"#,
            "Patient.text.div",
        ),
    ] {
        assert_eq!(from_json(json.as_bytes()).unwrap_err().expression, place, "{json}");
    }
}

/// Whether they say the same; a narrative is as XML reads it.
fn assert_same(name: &str, left: &[u8], right: &[u8]) {
    let canonical = |bytes: &[u8]| {
        let mut value = json::parse(bytes).unwrap();
        trim_narratives(&mut value);
        value.to_bytes()
    };
    assert!(same_content(&canonical(left), &canonical(right)), "{name}");
}

fn trim_narratives(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if &**name == "div" => {
                        let xml = narrative::to_xml(text).unwrap_or_default();
                        *text = narrative::to_json(&xml).into();
                    }
                    other => trim_narratives(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(trim_narratives),
        _ => {}
    }
}

#[test]
fn published_examples_come_back_from_xml_as_they_were() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let mut folders = vec![data];
    let (mut examples, mut bytes) = (0, 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let text = std::fs::read(&path).unwrap();
            if Resource::parse(&text).is_err() {
                continue;
            }
            let name = path.display().to_string();
            let xml = from_json(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            let back = parse(&xml).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_same(&name, &back.to_bytes(), &text);
            assert!(Resource::from_value(back).is_ok(), "{name}");
            examples += 1;
            bytes += text.len();
        }
    }
    if examples == 0 {
        eprintln!("skipped: ../shared/data has no published examples");
        return;
    }
    assert!(examples >= 250, "{examples} of {bytes} bytes");
}
