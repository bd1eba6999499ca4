//! Social history and surveys: smoking status, the exercise vital sign, and the PHQ-9 depression questionnaire.

use super::observations::{self, SOCIAL_HISTORY, SURVEY, Topic, Value};
use crate::chart::{Chart, Visit};
use crate::terminology::{Code, Unit, loinc, snomed};
use crate::writer::Decimal;

const SCREENING: &str = "us-core-observation-screening-assessment";

static SMOKING: &[Code] = &[
    snomed("266919005", "Never smoked tobacco"),
    snomed("266919005", "Never smoked tobacco"),
    snomed("266919005", "Never smoked tobacco"),
    snomed("8517006", "Ex-smoker"),
    snomed("8517006", "Ex-smoker"),
    snomed("449868002", "Smokes tobacco daily"),
    snomed("428041000124106", "Occasional tobacco smoker"),
];

/// The nine items of the PHQ-9.
static PHQ_9_ITEMS: &[Code] = &[
    loinc("44250-9", "Little interest or pleasure in doing things in last 2 weeks"),
    loinc("44255-8", "Feeling down, depressed, or hopeless in last 2 weeks"),
    loinc("44259-0", "Trouble falling or staying asleep, or sleeping too much in last 2 weeks"),
    loinc("44254-1", "Feeling tired or having little energy in last 2 weeks"),
    loinc("44251-7", "Poor appetite or overeating in last 2 weeks"),
    loinc(
        "44258-2",
        "Feeling bad about yourself - or that you are a failure or have let yourself or your family down in last 2 weeks",
    ),
    loinc("44252-5", "Trouble concentrating on things, such as reading the newspaper or watching television in last 2 weeks"),
    loinc(
        "44253-3",
        "Moving or speaking so slowly that other people could have noticed. Or the opposite - being so fidgety or restless that you have been moving around a lot more than usual in last 2 weeks",
    ),
    loinc("44260-8", "Thoughts that you would be better off dead, or of hurting yourself in some way in last 2 weeks"),
];

static PHQ_9_ANSWERS: [Code; 4] = [
    loinc("LA6568-5", "Not at all"),
    loinc("LA6569-3", "Several days"),
    loinc("LA6570-1", "More than half the days"),
    loinc("LA6571-9", "Nearly every day"),
];

/// Writes the smoking status.
pub(crate) fn smoking_status(chart: &mut Chart<'_>, visit: &Visit<'_>) {
    // The status of a person is drawn from the number, not the stream: it stays the same from visit to visit.
    let status = SMOKING.iter().cycle().nth((chart.person.number as usize).wrapping_mul(5) % SMOKING.len());
    let topic = Topic {
        profile: "us-core-smokingstatus",
        category: SOCIAL_HISTORY,
        codes: &[loinc("72166-2", "Tobacco smoking status")],
        moment: visit.start.plus_minutes(8),
    };
    if let Some(status) = status {
        observations::record(chart, visit, &topic, Value::Concept(*status), |_| {});
    }
}

/// Writes the exercise vital sign: days a week and minutes a day.
pub(crate) fn exercise(chart: &mut Chart<'_>, visit: &Visit<'_>) {
    let days = chart.rng.between(0, 6);
    let minutes = if days == 0 { 0 } else { chart.rng.between(2, 9) * 10 };
    let items = [
        (
            loinc(
                "89555-7",
                "How many days per week did you engage in moderate to strenuous physical activity in the last 30 days",
            ),
            days,
            Unit::new("days per week", "d/wk"),
        ),
        (
            loinc(
                "68516-4",
                "On those days that you engage in moderate to strenuous exercise, how many minutes, on average, do you exercise",
            ),
            minutes,
            Unit::new("minutes per day", "min/d"),
        ),
    ];
    let moment = visit.start.plus_minutes(9);
    for (code, value, unit) in items {
        let topic = Topic { profile: SCREENING, category: SURVEY, codes: &[code], moment };
        observations::record(chart, visit, &topic, Value::Quantity(Decimal::new(value.into(), 0), unit), |_| {});
    }
}

/// Writes a PHQ-9: nine answers, the total, and the panel that holds them. A higher burden gives a higher score.
pub(crate) fn phq_9(chart: &mut Chart<'_>, visit: &Visit<'_>, burden: i32) {
    let moment = visit.start.plus_minutes(12);
    let mut total = 0;
    let mut members = Vec::with_capacity(10);
    for item in PHQ_9_ITEMS {
        let score = chart.rng.around(burden, 1).clamp(0, 3);
        total += i64::from(score);
        let topic = Topic { profile: SCREENING, category: SURVEY, codes: &[*item], moment };
        let answer = PHQ_9_ANSWERS.get(score.unsigned_abs() as usize).unwrap_or(&PHQ_9_ANSWERS[0]);
        members.push(observations::record(chart, visit, &topic, Value::Concept(*answer), |_| {}));
    }
    let total_code = loinc("44261-6", "Patient Health Questionnaire 9 item (PHQ-9) total score [Reported]");
    let topic = Topic { profile: SCREENING, category: SURVEY, codes: &[total_code], moment };
    members.push(observations::record(chart, visit, &topic, Value::Integer(total), |_| {}));
    let panel_code = loinc("44249-1", "PHQ-9 quick depression assessment panel [Reported.PHQ]");
    let topic = Topic { profile: SCREENING, category: SURVEY, codes: &[panel_code], moment };
    observations::record(chart, visit, &topic, Value::Absent, |w| observations::members(w, &members));
}
