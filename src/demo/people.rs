//! Who can sign in to the demo: at least one person for each role, with names and bindings from the synthetic data, and random passwords.

use portcullis_fhir::index::normalise;
use portcullis_generator::{Options, PersonSummary, people, practitioners};
use portcullis_oauth::users::Role;
use portcullis_server::context::{Entropy, SystemEntropy};

use super::description::DemoUser;

/// Letters and digits that are not taken for one another.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Groups of four characters in a password: 80 bits.
const GROUPS: usize = 4;

/// A user of the demo, as it is added.
#[derive(Clone, Debug)]
pub struct Person {
    /// What `demo.json` says.
    pub user: DemoUser,
    /// The name that others see.
    pub display_name: String,
    /// The patients whom the person may act for.
    pub patients: Vec<String>,
}

/// Everybody, for this data.
pub fn everybody(options: &Options) -> Vec<Person> {
    let patients = people(&Options { patients: 2, ..*options });
    let mut everybody: Vec<Person> = patients.iter().map(patient).collect();
    everybody.extend(representative(&patients));
    everybody.extend(practitioners(options).first().map(|practitioner| {
        let name = format!("{} {}", practitioner.given, practitioner.family);
        person(Role::Clinician, &name, Some(format!("Practitioner/{}", practitioner.id)), Vec::new())
    }));
    let offices = [
        (Role::Auditor, "Auditor"),
        (Role::SecurityOfficer, "Security officer"),
        (Role::Administrator, "Administrator"),
        (Role::Developer, "App developer"),
    ];
    everybody.extend(offices.into_iter().map(|(role, name)| Person {
        user: DemoUser {
            username: role.as_str().to_owned(),
            password: password(),
            fhir_user: None,
            roles: vec![role.as_str().to_owned()],
        },
        display_name: name.to_owned(),
        patients: Vec::new(),
    }));
    make_distinct(&mut everybody);
    everybody
}

fn patient(summary: &PersonSummary) -> Person {
    let name = format!("{} {}", summary.given, summary.family);
    let id = &summary.patient_id;
    person(Role::Patient, &name, Some(format!("Patient/{id}")), vec![id.clone()])
}

/// A relative of one of the patients who may act for the patient; one of another name than every patient's, so that nobody takes them for the same.
fn representative(patients: &[PersonSummary]) -> Option<Person> {
    let relatives =
        || patients.iter().flat_map(|patient| patient.related_persons.iter().map(move |relative| (patient, relative)));
    let is_distinct =
        |given: &str, family: &str| !patients.iter().any(|patient| patient.given == given && patient.family == family);
    let distinct = relatives().find(|(_, relative)| is_distinct(&relative.given, &relative.family));
    let (patient, relative) = distinct.or_else(|| relatives().next())?;
    let name = format!("{} {}", relative.given, relative.family);
    Some(person(Role::Representative, &name, Some(format!("RelatedPerson/{}", relative.id)), vec![patient.patient_id.clone()]))
}

fn person(role: Role, name: &str, fhir_user: Option<String>, patients: Vec<String>) -> Person {
    let words: Vec<String> = normalise(name).split_whitespace().map(str::to_owned).collect();
    Person {
        user: DemoUser { username: words.join("."), password: password(), fhir_user, roles: vec![role.as_str().to_owned()] },
        display_name: name.to_owned(),
        patients,
    }
}

/// Two people of one name get two names to sign in with.
fn make_distinct(everybody: &mut [Person]) {
    let mut taken: Vec<String> = Vec::new();
    for person in everybody {
        let name = person.user.username.clone();
        let mut number = 2;
        while taken.contains(&person.user.username) {
            person.user.username = format!("{name}{number}");
            number += 1;
        }
        taken.push(person.user.username.clone());
    }
}

fn password() -> String {
    let mut bytes = [0; GROUPS * 4];
    SystemEntropy.fill(&mut bytes);
    let letter = |byte: &u8| char::from(ALPHABET.get(usize::from(byte % 32)).copied().unwrap_or(b'a'));
    bytes.chunks(4).map(|group| group.iter().map(letter).collect::<String>()).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options { patients: 50, seed: 1, as_of: "2026-01-31".parse().unwrap() }
    }

    #[test]
    fn every_role_has_somebody_and_patients_are_two() {
        let everybody = everybody(&options());
        for role in Role::ALL {
            let count = everybody.iter().filter(|person| person.user.roles == [role.as_str()]).count();
            let expected = match role {
                Role::Patient => 2,
                // Staff see nothing without rules of an operator, of which a demo has none.
                Role::Staff => 0,
                _ => 1,
            };
            assert_eq!(count, expected, "{role}");
        }
        for person in &everybody {
            let clinical = Role::parse(&person.user.roles[0]).unwrap().reads_clinical_data();
            assert_eq!(person.user.fhir_user.is_some(), clinical, "{person:?}");
            assert!(person.user.username.is_ascii() && !person.user.username.contains(' '), "{person:?}");
        }
    }

    #[test]
    fn names_are_distinct_and_so_are_passwords() {
        let everybody = everybody(&options());
        for (index, one) in everybody.iter().enumerate() {
            for other in &everybody[index + 1..] {
                assert_ne!(one.user.username, other.user.username);
                assert_ne!(one.user.password, other.user.password);
            }
            assert_eq!(one.user.password.len(), 19);
        }
        let mut twins = vec![everybody[0].clone(), everybody[0].clone(), everybody[0].clone()];
        make_distinct(&mut twins);
        assert_ne!(twins[0].user.username, twins[1].user.username);
        assert_ne!(twins[1].user.username, twins[2].user.username);
    }
}
