//! Numbers: stored values are exact, ranges reach as far as they say.

use super::world::{World, operator};

#[tokio::test]
async fn a_stored_number_is_exact_and_the_searched_one_has_its_precision() {
    let risk = |id: &str, probability: &str| {
        format!(
            r#"{{"resourceType":"RiskAssessment","id":"{id}","status":"final","subject":{{"reference":"Patient/p"}},"prediction":[{{{probability}}}]}}"#
        )
    };
    let texts = [
        risk("a", r#""probabilityDecimal":0.4"#),
        risk("b", r#""probabilityDecimal":0.44"#),
        risk("c", r#""probabilityRange":{"low":{"value":0.3},"high":{"value":0.6}}"#),
        risk("d", r#""probabilityRange":{"low":{"value":0.5}}"#),
        risk("e", r#""outcome":{"text":"none"}"#),
    ];
    let world = World::of(&texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for (value, expected) in [
        ("0.4", "a b"),
        ("0.40", "a"),
        ("ne0.4", "c d"),
        ("gt0.4", "b c d"),
        ("ge0.4", "a b c d"),
        ("lt0.4", "c"),
        ("le0.4", "a c"),
        ("sa0.4", "b d"),
        ("eb0.44", "a"),
        ("ap0.4", "a b c"),
        ("gt100", "d"),
        ("0.40,0.440", "a b"),
    ] {
        let found = world.matches(&operator(), &format!("RiskAssessment?probability={value}&_sort=_id")).await;
        let found: Vec<&str> = found.iter().filter_map(|name| name.strip_prefix("RiskAssessment/")).collect();
        assert_eq!(found.join(" "), expected, "{value}");
    }
    let missing = world.matches(&operator(), "RiskAssessment?probability:missing=true").await;
    assert_eq!(missing, ["RiskAssessment/e"]);
}
