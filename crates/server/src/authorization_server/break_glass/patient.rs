//! For whom the glass is to be broken: the one patient with this name, or this record number, and this birth date.
//!
//! Both must be given and exactly one patient must fit, so that the page serves to open the record of somebody who lies there, and not to look through who is known
//! here. It is searched like anything else, through the same decision, store and release.

use portcullis_fhir::instant;
use portcullis_fhir::search::SearchQuery;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_oauth::principal::Principal;
use portcullis_oauth::users::User;

use crate::authorization_server::authorization::people;
use crate::context::Server;

/// The longest name or number, in characters.
const MAXIMUM_TYPED: usize = 100;
/// Words of a name that are looked for.
const MAXIMUM_WORDS: usize = 8;

/// Whether what was typed is enough to look for somebody: a whole date, and a name or number that somebody may have.
pub fn is_enough(who: &str, born: &str) -> bool {
    let is_date = born.len() == "1970-01-31".len() && instant::is_date(born);
    is_date && !who.is_empty() && who.chars().count() <= MAXIMUM_TYPED
}

/// The patient, if exactly one fits what [`is_enough`].
pub async fn find(server: &Server, user: &User, who: &str, born: &str) -> Option<LogicalId> {
    let by_number = [("identifier".to_owned(), people::escaped(who))];
    if let Some(found) = single(server, user, &by_number, born).await {
        return Some(found);
    }
    let words: Vec<&str> = who.split_whitespace().collect();
    // One word is a first name as well as a family name: too little to know somebody by.
    if !(2..=MAXIMUM_WORDS).contains(&words.len()) || !are_different(&words) {
        return None;
    }
    let by_name: Vec<(String, String)> = words.into_iter().map(|word| ("name".to_owned(), people::escaped(word))).collect();
    single(server, user, &by_name, born).await
}

/// Whether no word is an initial, and none begins another: a name is found by the beginnings of its parts, so that one part would do for both.
fn are_different(words: &[&str]) -> bool {
    let words: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
    let is_own = |(place, word): (usize, &String)| {
        let mut others = words.iter().enumerate().filter(|(other, _)| *other != place);
        word.chars().count() > 1 && !others.any(|(_, other)| other.starts_with(word.as_str()))
    };
    words.iter().enumerate().all(is_own)
}

async fn single(server: &Server, user: &User, by: &[(String, String)], born: &str) -> Option<LogicalId> {
    let mut pairs = by.to_vec();
    pairs.extend([("birthdate".to_owned(), born.to_owned()), ("_count".to_owned(), "2".to_owned())]);
    let query: SearchQuery = people::parsed(server, ResourceType::PATIENT, &pairs)?;
    let principal = Principal::breaking_glass(people::principal_user(user), server.clock.now_seconds() + 60)
        .cleared(&server.settings.authorization.labels)
        .asking(server.circumstances());
    let found = people::search(server, &principal, query, &format!("break-glass\n{}", user.id.as_str())).await?;
    match found.matches.as_slice() {
        [one] => Some(one.id.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initials_and_the_same_word_twice_are_no_name() {
        for (words, expected) in [
            (&["Ann", "Bell"][..], true),
            (&["Bo", "Li"], true),
            (&["a", "b"], false),
            (&["Bell", "bell"], false),
            (&["Bel", "Bell"], false),
            (&["Bell", "Be", "Ann"], false),
        ] {
            assert_eq!(are_different(words), expected, "{words:?}");
        }
    }
}
