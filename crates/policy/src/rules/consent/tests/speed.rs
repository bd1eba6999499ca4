//! How long a decision takes: `cargo test --release -p portcullis-policy -- --ignored --nocapture consent`.

use std::hint::black_box;
use std::time::Instant;

use super::*;

#[test]
#[ignore = "a measurement"]
fn measure_a_decision_by_ten_consents() {
    let consents: Vec<CompiledConsent> = (0..10)
        .map(|number| {
            let organisation = format!("Organization/o{number}");
            let provision = json!({"type": "permit", "purpose": [purpose("TREAT"), purpose("HPAYMT"), purpose("HOPERAT")],
            "actor": [actor(&organisation), actor("Organization/o")],
            "provision": [
                {"type": "deny", "securityLabel": [coding(ACT_CODE, "PSY"), coding(ACT_CODE, "HIV")]},
                {"type": "deny", "code": [concept("http://loinc.org", "1-1"), concept("http://loinc.org", "1-2")]},
                {"type": "deny", "dataPeriod": {"start": "2022", "end": "2022"},
                 "provision": [{"type": "permit", "class": [coding(TYPES, "Claim")]}]},
            ]});
            compiled(&with(consent(provision), json!({"organization": [{"reference": organisation}]})))
        })
        .collect();
    let asked = Asked::for_resource(&observation());
    let (patient, request) = (id("p"), asked.request());
    let mut times: Vec<u128> = (0..2_000)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..100 {
                black_box(decide(black_box(&consents), &patient, (&request, &asked.resource), ImplicitPolicy::Deny));
            }
            start.elapsed().as_nanos() / 100
        })
        .collect();
    times.sort_unstable();
    println!("ten consents: median {} ns, 99 % {} ns", times[times.len() / 2], times[times.len() * 99 / 100]);
    assert_eq!(asked.of(&consents), Some(Effect::Permit));
}
