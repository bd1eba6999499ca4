//! Care teams, groups and devices as actors: denied are those who are, were or may be of them; permitted those who are by the word of somebody who may write everything.

use super::elements::strictly;
use super::routes::import_as_create;
use super::*;

fn team(members: &[&str]) -> Value {
    let participant: Vec<Value> = members.iter().map(|member| json!({"member": {"reference": member}})).collect();
    let mut team = json!({"resourceType": "CareTeam", "id": "team", "status": "active", "subject": {"reference": "Patient/pat"}});
    if !participant.is_empty() {
        team["participant"] = participant.into();
    }
    team
}

fn group(members: &[&str]) -> Value {
    let member: Vec<Value> = members.iter().map(|member| json!({"entity": {"reference": member}})).collect();
    json!({"resourceType": "Group", "id": "team", "type": "practitioner", "actual": true, "member": member})
}

fn about(effect: &str, party: &str) -> String {
    let provision = json!({"type": effect, "actor": [actor(json!({"reference": party}))]});
    consent("c", "pat", provision).to_string()
}

async fn permitted(world: &World, who: Who<'_>) -> bool {
    world.reads(&strictly(who.principal()), "Observation", "of-pat").await.unwrap()
}

#[tokio::test]
async fn members_of_teams_and_groups_are_permitted_and_denied() {
    type Party = (&'static str, fn(&[&str]) -> Value);
    let parties: [Party; 2] = [("CareTeam/team", team), ("Group/team", group)];
    for (party, stored) in parties {
        let world = world(&[]).await;
        world.commit(Who::Operator, vec![import(&about("permit", party))]).await.unwrap();
        assert!(!permitted(&world, DOC).await, "{party}: nobody knows its members");
        world.commit(Who::Operator, vec![import(&stored(&["Practitioner/doc"]).to_string())]).await.unwrap();
        assert!(permitted(&world, DOC).await && !permitted(&world, OTHER).await, "{party}");
        world.commit(Who::Operator, vec![import(&about("deny", party))]).await.unwrap();
        // Other may be of an organisation, and no member is one: Other is certainly none.
        assert!(
            !sees(&world, DOC, "Observation", "of-pat").await && sees(&world, OTHER, "Observation", "of-pat").await,
            "{party}"
        );
        world.commit(Who::Operator, vec![import(&stored(&["Practitioner/doc", "Organization/org"]).to_string())]).await.unwrap();
        assert!(!sees(&world, OTHER, "Observation", "of-pat").await, "{party}: Other may be of the organisation");
        world.commit(Who::Operator, vec![import(&stored(&["Practitioner/other"]).to_string())]).await.unwrap();
        assert!(
            sees(&world, DOC, "Observation", "of-pat").await && !sees(&world, OTHER, "Observation", "of-pat").await,
            "{party}"
        );
        assert!(sees(&world, PAT, "Observation", "of-pat").await);
    }
}

#[tokio::test]
async fn who_may_write_everything_says_who_is_in_a_team_also_by_what_is_stored_already() {
    let members = team(&["RelatedPerson/aunt"]);
    let world = world(&[about("permit", "CareTeam/team")]).await;
    world.commit(OTHER, vec![import_as_create(&members)]).await.unwrap();
    let standing = "SELECT standing FROM consent_party WHERE member LIKE '%RelatedPerson/aunt'";
    assert_eq!(world.integer(standing), 1, "Other may not write everything");
    world.commit(Who::Operator, vec![import(&members.to_string())]).await.unwrap();
    assert_eq!(world.integer("SELECT count(*) FROM version"), 0, "nothing was changed");
    assert_eq!(world.integer(standing), 0, "one for certain");
}

#[tokio::test]
async fn nobody_gets_into_a_team_or_out_of_one_by_writing_it() {
    let world = world(&[team(&["Practitioner/other"]).to_string(), about("permit", "CareTeam/team")]).await;
    assert!(permitted(&world, OTHER).await && !permitted(&world, DOC).await);
    let both = team(&["Practitioner/other", "Practitioner/doc"]);
    world.commit(PAT, vec![update(&both.to_string(), "v2", None)]).await.unwrap();
    assert!(!permitted(&world, DOC).await, "added by somebody who may not write everything");
    world.commit(Who::Operator, vec![import(&about("deny", "CareTeam/team"))]).await.unwrap();
    assert!(!sees(&world, DOC, "Observation", "of-pat").await, "a member for a denial");
    world.commit(PAT, vec![update(&team(&[]).to_string(), "v3", None)]).await.unwrap();
    assert!(
        !sees(&world, OTHER, "Observation", "of-pat").await && !sees(&world, DOC, "Observation", "of-pat").await,
        "they were members"
    );
    world.commit(PAT, vec![delete("CareTeam", "team", "v4", None)]).await.unwrap();
    assert!(
        !sees(&world, OTHER, "Observation", "of-pat").await && !sees(&world, Who::Clinician("third"), "Patient", "pat").await
    );
}

#[tokio::test]
async fn a_device_is_that_of_the_client_whose_id_it_has() {
    let device = |client: &str| {
        json!({"resourceType": "Device", "id": "phone", "identifier": [{"system": "https://localhost:8443", "value": client}]})
            .to_string()
    };
    let world = world(&[about("permit", "Device/phone")]).await;
    assert!(!permitted(&world, DOC).await, "nobody knows whose it is");
    world.commit(Who::Operator, vec![import(&device("client"))]).await.unwrap();
    assert!(permitted(&world, DOC).await);
    world.commit(Who::Operator, vec![import(&device("another"))]).await.unwrap();
    assert!(!permitted(&world, DOC).await);
    world.commit(Who::Operator, vec![import(&about("deny", "Device/phone"))]).await.unwrap();
    assert!(sees(&world, DOC, "Observation", "of-pat").await, "the device of another client");
    world.commit(Who::Operator, vec![import(&device("client"))]).await.unwrap();
    assert!(!sees(&world, DOC, "Observation", "of-pat").await);
    assert!(!sees(&world, PAT, "Observation", "of-pat").await, "the app in the patient's own hands is named");
}

#[tokio::test]
async fn nobody_gets_a_member_whom_no_reference_names_out_of_a_team() {
    let mut unnamed = team(&[]);
    unnamed["participant"] = json!([{"member": {"identifier": {"value": "dr-x"}}}]);
    let world = world(&[unnamed.to_string(), about("deny", "CareTeam/team")]).await;
    assert!(!sees(&world, DOC, "Observation", "of-pat").await, "may be the one with the identifier");
    world.commit(PAT, vec![update(&team(&[]).to_string(), "v2", None)]).await.unwrap();
    assert!(!sees(&world, DOC, "Observation", "of-pat").await, "nobody who may not write everything says that there are none");
    world.commit(Who::Operator, vec![import(&team(&["Practitioner/third"]).to_string())]).await.unwrap();
    assert!(sees(&world, DOC, "Observation", "of-pat").await);
}
