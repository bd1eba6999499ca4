//! At once, and when confirmed: what nobody has confirmed narrows and never widens.

use portcullis_policy::Change;

use super::routes::import_as_create;
use super::*;

fn update_of(resource: &Value, named: &str) -> Change {
    update(&resource.to_string(), named, None)
}

#[tokio::test]
async fn a_denial_counts_at_once_and_its_withdrawal_when_it_is_confirmed() {
    let world = world(&[]).await;
    let denial = consent("c", "pat", json!({"type": "deny", "actor": [practitioner("doc")]}));
    world.commit(PAT, vec![import_as_create(&denial)]).await.unwrap();
    assert!(!sees(&world, DOC, "Observation", "of-pat").await, "nobody has confirmed it");
    // What nobody ever confirmed can be taken back as it came.
    world.commit(PAT, vec![update_of(&withdrawn(denial.clone()), "v2")]).await.unwrap();
    assert!(sees(&world, DOC, "Observation", "of-pat").await);
    // The operator's import is a confirmation: from here on only another one takes it back.
    world.commit(Who::Operator, vec![import(&denial.to_string())]).await.unwrap();
    assert!(!sees(&world, DOC, "Observation", "of-pat").await);
    world.commit(PAT, vec![update_of(&withdrawn(denial.clone()), "v4")]).await.unwrap();
    assert!(!sees(&world, DOC, "Observation", "of-pat").await, "the withdrawal is not confirmed");
    let weaker = consent("c", "pat", json!({"type": "permit"}));
    world.commit(PAT, vec![update_of(&weaker, "v5")]).await.unwrap();
    assert!(!sees(&world, DOC, "Observation", "of-pat").await, "nor is the weaker one");
    world.commit(PAT, vec![delete("Consent", "c", "v6", None)]).await.unwrap();
    assert!(!sees(&world, DOC, "Observation", "of-pat").await, "nor is the deletion");
    world.commit(Who::Operator, vec![import(&withdrawn(denial).to_string())]).await.unwrap();
    assert!(sees(&world, DOC, "Observation", "of-pat").await, "this is");
    assert_eq!(world.integer("SELECT count(*) FROM consent_base"), 0);
    assert_eq!(world.integer("SELECT count(*) FROM consent_rule"), 0);
}

#[tokio::test]
async fn a_permit_counts_when_it_is_confirmed_and_ends_at_once() {
    let world = world(&[]).await;
    let strict = |who: Who<'static>| Strictly(who);
    assert!(!strict(DOC).sees(&world).await, "the implicit policy lets nobody in");
    let permit = consent("c", "pat", json!({"type": "permit", "actor": [practitioner("doc")]}));
    world.commit(PAT, vec![import_as_create(&permit)]).await.unwrap();
    assert!(!strict(DOC).sees(&world).await, "nobody has confirmed it: the client that wrote it may be the one that it lets in");
    world.commit(Who::Operator, vec![import(&permit.to_string())]).await.unwrap();
    assert!(strict(DOC).sees(&world).await && !strict(OTHER).sees(&world).await);
    // A version that permits the same keeps it; one that permits somebody else gives nobody anything.
    world.commit(PAT, vec![update_of(&permit, "v3")]).await.unwrap();
    assert!(strict(DOC).sees(&world).await);
    let another = consent("c", "pat", json!({"type": "permit", "actor": [practitioner("other")]}));
    world.commit(PAT, vec![update_of(&another, "v4")]).await.unwrap();
    assert!(!strict(DOC).sees(&world).await && !strict(OTHER).sees(&world).await, "both must permit");
    world.commit(PAT, vec![update_of(&permit, "v5")]).await.unwrap();
    assert!(strict(DOC).sees(&world).await);
    world.commit(PAT, vec![delete("Consent", "c", "v6", None)]).await.unwrap();
    assert!(!strict(DOC).sees(&world).await, "a permit that was withdrawn ends at once");
}

#[tokio::test]
async fn a_consent_that_moves_to_another_patient_keeps_what_it_denied_until_that_is_confirmed() {
    let denial = |subject: &str| consent("c", subject, json!({"type": "deny", "actor": [practitioner("doc")]}));
    let world = world(&[denial("pat").to_string()]).await;
    assert!(!sees(&world, DOC, "Observation", "of-pat").await && sees(&world, DOC, "Observation", "of-quinn").await);
    world.commit(Who::Operator, vec![import(&denial("quinn").to_string())]).await.unwrap();
    assert!(sees(&world, DOC, "Observation", "of-pat").await && !sees(&world, DOC, "Observation", "of-quinn").await);
}

#[tokio::test]
async fn rows_that_another_program_made_are_made_again() {
    let code = json!({"type": "deny", "actor": [practitioner("doc")], "code": [concept("http://loinc.org", "4548-4")]});
    let world = world(&[consent("c", "pat", code).to_string()]).await;
    assert!(!sees(&world, DOC, "Observation", "of-pat").await);
    assert!(world.store.derive_consents(BASE).unwrap(), "nobody said yet from what the rows were derived");
    assert!(!world.store.derive_consents(BASE).unwrap());
    for table in ["consent_base", "consent_rule", "consent_covered"] {
        world.tamper(&format!("DELETE FROM {table}"));
    }
    world.tamper("UPDATE consent_derivation SET made = 'consents 0'");
    assert!(world.store.derive_consents(BASE).unwrap());
    assert!(!sees(&world, DOC, "Observation", "of-pat").await);
    assert_eq!(world.integer("SELECT standing FROM consent_base"), 0, "it stays confirmed");
}

#[tokio::test]
async fn rows_that_say_less_than_the_consents_are_an_error_and_no_answer() {
    let world = world(&[consent("c", "pat", json!({"type": "deny", "actor": [practitioner("doc")]})).to_string()]).await;
    world.tamper("UPDATE consent_rule SET actor = 'Practitioner/nobody'");
    assert!(world.disagrees(DOC, "Observation", "of-pat").await);
    assert!(!world.disagrees(OTHER, "Observation", "of-pat").await);
    for table in ["consent_rule", "consent_base"] {
        world.tamper(&format!("DELETE FROM {table}"));
    }
    assert!(world.disagrees(DOC, "Observation", "of-pat").await, "also where no row is left");
    assert!(!world.disagrees(OTHER, "Observation", "of-pat").await);
}

/// Asks under an implicit policy that lets nobody in.
struct Strictly(Who<'static>);

impl Strictly {
    async fn sees(&self, world: &World) -> bool {
        let circumstances = portcullis_oauth::principal::Circumstances {
            implicit: portcullis_oauth::principal::ImplicitPolicy::Deny,
            ..circumstances()
        };
        let principal = self.0.principal().asking(circumstances);
        world.reads(&principal, "Observation", "of-pat").await.unwrap()
    }
}

#[tokio::test]
async fn what_is_confirmed_twice_counts_as_before() {
    let denial = consent("c", "pat", json!({"type": "deny", "actor": [practitioner("doc")]}));
    let world = world(&[denial.to_string()]).await;
    for _ in 0..2 {
        world.commit(Who::Operator, vec![import(&denial.to_string())]).await.unwrap();
        assert!(!sees(&world, DOC, "Observation", "of-pat").await);
        assert_eq!(world.integer("SELECT count(*) FROM consent_base WHERE standing = 0"), 1);
    }
}
