//! Who has to do with the patients of a resource, and when: what an Encounter, EpisodeOfCare, CareTeam or Patient says of practitioners, roles and
//! organisations. What lets whom in is for rules to say.
//!
//! - An Encounter names practitioners and roles (`participant.individual`) and the organisation that provides it, an EpisodeOfCare its organisation, a Patient the
//!   general practitioners and the organisation that manages the record. They count whenever the resource does.
//! - A CareTeam names its members (`participant.member`). They count within the `period` of the team and that of their place in it.
//! - What did not take place, was entered in error, or is a team that is not at work says nothing.

use portcullis_mutants::off;

use crate::index::{IndexEntry, IndexValue};
use crate::instant::{self, Range};
use crate::json::Value;
use crate::reference::{LocalReference, Reference};
use crate::resource::Resource;
use crate::types::ResourceType;

/// Somebody who has to do with the patients of a resource, and the time in which that is so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Carer {
    /// A practitioner, a role or an organisation of this server.
    pub actor: LocalReference,
    /// When.
    pub time: Range,
}

/// Those whom a resource names, in order; of one actor the times neither touch nor overlap. `index` is what [`crate::index::extract`] gave for the resource, and
/// `base_url` tells local references from foreign ones.
pub fn carers(resource: &Resource, index: &[IndexEntry], base_url: &str) -> Vec<Carer> {
    const PEOPLE: &[ResourceType] = &[ResourceType::PRACTITIONER, ResourceType::PRACTITIONER_ROLE];
    const ORGANISATIONS: &[ResourceType] = &[ResourceType::ORGANIZATION];
    let named: &[(&str, &[ResourceType])] = match resource.resource_type() {
        ResourceType::ENCOUNTER => &[("participant", PEOPLE), ("service-provider", ORGANISATIONS)],
        ResourceType::CARE_TEAM => &[("participant", PEOPLE)],
        ResourceType::PATIENT => &[("general-practitioner", PEOPLE), ("organization", ORGANISATIONS)],
        ResourceType::EPISODE_OF_CARE => &[("organization", ORGANISATIONS)],
        _ => return Vec::new(),
    };
    if is_void(resource) && !off!("care-void") {
        return Vec::new();
    }
    let is_actor = |entry: &IndexEntry, target: &LocalReference| {
        named.iter().any(|(code, types)| entry.parameter.code == *code && types.contains(&target.resource_type))
    };
    let targets = index.iter().filter_map(|entry| match &entry.value {
        IndexValue::Reference(Reference::Local(target)) => Some((entry, target)),
        _ => None,
    });
    let mut actors: Vec<LocalReference> =
        targets.filter(|(entry, target)| is_actor(entry, target)).map(|(_, target)| target.clone()).collect();
    actors.sort_unstable();
    actors.dedup();
    if resource.resource_type() == ResourceType::CARE_TEAM && !off!("care-dates") {
        return members(resource, &actors, base_url);
    }
    actors.into_iter().map(|actor| Carer { actor, time: Range::ALWAYS }).collect()
}

/// Whether a record of care is about none: an Encounter or EpisodeOfCare that did not take place, and a CareTeam that is not at work.
fn is_void(resource: &Resource) -> bool {
    let status = resource.body().member("status").and_then(Value::as_str);
    match (resource.resource_type(), status) {
        (ResourceType::CARE_TEAM, status) => !matches!(status, None | Some("active")),
        (_, status) => matches!(status, Some("cancelled" | "entered-in-error")),
    }
}

/// The members of a team among these actors, with the times that the team states.
fn members(team: &Resource, actors: &[LocalReference], base_url: &str) -> Vec<Carer> {
    let Some(whole) = period(team.body()) else { return Vec::new() };
    let participants = team.body().member("participant").map(Value::items).unwrap_or_default();
    let mut places: Vec<Carer> = Vec::new();
    for participant in participants {
        let reference = participant.member("member").and_then(|member| member.member("reference")).and_then(Value::as_str);
        let Some(Reference::Local(actor)) = reference.and_then(|text| Reference::parse(text, base_url)) else { continue };
        let time = period(participant).and_then(|own| own.meet(whole)).filter(|_| actors.binary_search(&actor).is_ok());
        places.extend(time.map(|time| Carer { actor, time }));
    }
    places.sort_unstable();
    places.dedup_by(|later, earlier| {
        let continues = later.actor == earlier.actor && later.time.low <= earlier.time.high;
        if continues {
            earlier.time.high = earlier.time.high.max(later.time.high);
        }
        continues
    });
    places
}

/// The time that the `period` of something states: always where there is none, and `None` where an end cannot be read or comes before the start.
fn period(value: &Value) -> Option<Range> {
    let end = |name: &str| value.member("period").and_then(|period| period.member(name));
    let low = end("start").map_or(Some(Range::ALWAYS.low), |start| Some(instant::range(start.as_str()?)?.low))?;
    let high = end("end").map_or(Some(Range::ALWAYS.high), |end| Some(instant::range(end.as_str()?)?.high))?;
    (low < high).then_some(Range { low, high })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::extract;

    const BASE: &str = "https://example.org/fhir";

    fn stated(text: &str) -> Vec<(String, Range)> {
        let resource = Resource::parse(text.as_bytes()).unwrap_or_else(|issues| panic!("{text}: {issues:?}"));
        let index = extract(&resource, BASE);
        carers(&resource, &index, BASE).into_iter().map(|carer| (carer.actor.to_string(), carer.time)).collect()
    }

    fn actors(text: &str) -> Vec<String> {
        stated(text).into_iter().map(|(actor, _)| actor).collect()
    }

    /// The times of the practitioner c in a team.
    fn times(team_period: &str, participants: &[(&str, &str)]) -> Vec<(String, String)> {
        let participants = participants
            .iter()
            .map(|(who, period)| {
                format!(r#"{{"member":{{"reference":"{who}"}},"period":{{{period}}}}}"#).replace(r#","period":{}"#, "")
            })
            .collect::<Vec<_>>()
            .join(",");
        let period = if team_period.is_empty() { String::new() } else { format!(r#""period":{{{team_period}}},"#) };
        let team = format!(
            r#"{{"resourceType":"CareTeam",{period}"subject":{{"reference":"Patient/p"}},"participant":[{participants}]}}"#
        );
        let day = |time: i64| instant::format(time).get(..10).unwrap_or_default().to_owned();
        let own = stated(&team).into_iter().filter(|(actor, _)| actor == "Practitioner/c");
        own.map(|(_, time)| (day(time.low), if time.high == instant::MAXIMUM { "ever".to_owned() } else { day(time.high) }))
            .collect()
    }

    #[test]
    fn care_that_did_not_take_place_says_nothing_of_who_cares() {
        for (status, cares) in
            [("planned", true), ("in-progress", true), ("finished", true), ("cancelled", false), ("entered-in-error", false)]
        {
            let visit = format!(
                r#"{{"resourceType":"Encounter","status":"{status}","class":{{"code":"AMB"}},"subject":{{"reference":"Patient/p"}},
                "participant":[{{"individual":{{"reference":"Practitioner/b"}},"period":{{"end":"2020-01-01"}}}}],"serviceProvider":{{"reference":"Organization/o"}}}}"#
            );
            assert_eq!(!actors(&visit).is_empty(), cares, "{status}");
            assert!(stated(&visit).iter().all(|(_, time)| *time == Range::ALWAYS), "{status}");
        }
        for (status, cares) in
            [("active", true), ("proposed", false), ("suspended", false), ("inactive", false), ("entered-in-error", false)]
        {
            let team = format!(
                r#"{{"resourceType":"CareTeam","status":"{status}","subject":{{"reference":"Patient/p"}},"participant":[{{"member":{{"reference":"Practitioner/c"}}}}]}}"#
            );
            assert_eq!(!actors(&team).is_empty(), cares, "{status}");
        }
    }

    #[test]
    fn a_place_in_a_team_has_the_times_of_the_team_and_its_own() {
        const C: &str = "Practitioner/c";
        let owned =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(low, high)| ((*low).to_owned(), (*high).to_owned())).collect::<Vec<_>>();
        type Pairs = &'static [(&'static str, &'static str)];
        let table: [(&str, Pairs, Pairs); 13] = [
            ("", &[(C, "")], &[("0001-01-01", "ever")]),
            (r#""start":"2019-01-01""#, &[(C, "")], &[("2019-01-01", "ever")]),
            (r#""end":"2027-01-15""#, &[(C, "")], &[("0001-01-01", "2027-01-16")]),
            (r#""end":"2027""#, &[(C, r#""start":"2026-03""#)], &[("2026-03-01", "2028-01-01")]),
            ("", &[(C, r#""start":"2026-03","end":"2026-04""#)], &[("2026-03-01", "2026-05-01")]),
            // Over before it began, or outside the team's time: no place at all.
            ("", &[(C, r#""start":"2027","end":"2026""#)], &[]),
            (r#""end":"2020""#, &[(C, r#""start":"2021""#)], &[]),
            // Who came back has two times; times that touch are one.
            ("", &[(C, r#""end":"2020""#), (C, r#""start":"2023""#)], &[("0001-01-01", "2021-01-01"), ("2023-01-01", "ever")]),
            ("", &[(C, r#""start":"2021""#), (C, r#""end":"2020""#)], &[("0001-01-01", "ever")]),
            ("", &[(C, r#""end":"2030""#), (C, r#""start":"2021","end":"2022""#)], &[("0001-01-01", "2031-01-01")]),
            // A reference under the base or to a version is the same person; one elsewhere is somebody else.
            ("", &[("https://example.org/fhir/Practitioner/c/_history/1", r#""end":"2020""#)], &[("0001-01-01", "2021-01-01")]),
            ("", &[(C, r#""end":"2020""#), ("https://other.example/fhir/Practitioner/c", "")], &[("0001-01-01", "2021-01-01")]),
            ("", &[("Practitioner/d", "")], &[]),
        ];
        for (team, participants, expected) in table {
            assert_eq!(times(team, participants), owned(expected), "{team} {participants:?}");
        }
    }

    #[test]
    fn who_has_to_do_with_a_patient_is_named_by_few_types_and_elements() {
        let encounter = r#"{"resourceType":"Encounter","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/p"},"participant":[
            {"individual":{"reference":"Practitioner/b"}},{"individual":{"reference":"PractitionerRole/r"}},{"individual":{"reference":"RelatedPerson/x"}},
            {"individual":{"reference":"https://other.example/fhir/Practitioner/z"}},{"individual":{"reference":"Practitioner/b"}}]}"#;
        assert_eq!(actors(encounter), ["Practitioner/b", "PractitionerRole/r"]);
        let team = r#"{"resourceType":"CareTeam","subject":{"reference":"Patient/p"},"participant":[{"member":{"reference":"Practitioner/c"}},
            {"member":{"reference":"Patient/p"}},{"member":{"reference":"Organization/o"},"onBehalfOf":{"reference":"Organization/p"}}]}"#;
        assert_eq!(actors(team), ["Practitioner/c"]);
        let provided = r#"{"resourceType":"Encounter","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/p"},
            "serviceProvider":{"reference":"Organization/o"}}"#;
        assert_eq!(actors(provided), ["Organization/o"]);
        let patient = r#"{"resourceType":"Patient","id":"p","managingOrganization":{"reference":"Organization/o"},"contact":[{"organization":{"reference":"Organization/x"}}],
            "generalPractitioner":[{"reference":"Practitioner/g"},{"reference":"Organization/q"}]}"#;
        assert_eq!(actors(patient), ["Organization/o", "Practitioner/g"]);
        let observation =
            r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"performer":[{"reference":"Practitioner/d"}]}"#;
        assert!(actors(observation).is_empty());
    }
}
