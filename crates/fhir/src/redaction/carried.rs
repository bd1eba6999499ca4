//! Which labels of single elements a new version of a resource no longer has.
//!
//! Compared is element by element, not label by label: that some other element has the same label says nothing of this one. An element is recognised by what it
//! says at the same place (the names that lead to it, without positions, so that repetitions may change their order). One that says something else now has its
//! label where every element that is new at that place has it; where that cannot be told, or it is gone, its labels were dropped. A label on
//! something around an element counts for the element.

use std::collections::{HashMap, HashSet};

use super::inline::{self, INLINE_LABEL};
use crate::json::Value;
use crate::labels::Labels;

/// One element, or one repetition of it.
struct Found {
    /// What it says, without labels.
    says: Vec<u8>,
    /// Its own labels; `None` where it has none.
    own: Option<Labels>,
    /// These with those of everything around it.
    effective: Labels,
}

/// So many labelled elements are compared, and so many bytes of what they say.
const MOST_COMPARED: usize = 1000;
const MOST_BYTES: usize = 32 << 20;

type Elements = HashMap<String, Vec<Found>>;

/// Labels of elements of the version before that the new one does not have on the same elements.
pub fn dropped(before: &Value, after: &Value) -> Labels {
    let (mut labelled, mut count, mut all) = (HashSet::new(), 0_usize, Labels::NONE);
    let mut note = |path: &str, _: &dyn Fn() -> Vec<u8>, own: Option<Labels>, _: Labels| {
        let Some(own) = own else { return };
        (count, all) = (count + 1, all | own);
        if !labelled.contains(path) {
            labelled.insert(path.to_owned());
        }
    };
    walk(before, (&mut String::new(), Labels::NONE), &mut note);
    let compared = |resource| (count <= MOST_COMPARED).then(|| elements(resource, &labelled)).flatten();
    // Of more than this nobody works out which is which: what any of them had counts for the whole.
    let (Some(had), Some(has)) = (compared(before), compared(after)) else { return all };
    had.iter().fold(Labels::NONE, |dropped, (path, had)| {
        dropped | dropped_at(had, has.get(path).map(Vec::as_slice).unwrap_or_default())
    })
}

/// The same for the elements at one place.
fn dropped_at(had: &[Found], has: &[Found]) -> Labels {
    let known: HashSet<&[u8]> = had.iter().map(|one| one.says.as_slice()).collect();
    let fresh = has.iter().filter(|one| !known.contains(one.says.as_slice()));
    let fresh = fresh.map(|one| one.effective).reduce(Labels::common).unwrap_or_default();
    let mut there: HashMap<&[u8], Vec<Labels>> = HashMap::new();
    for one in has {
        there.entry(&one.says).or_default().push(one.effective);
    }
    let labelled = had.iter().filter_map(|one| Some((one.says.as_slice(), one.own?)));
    // Those that have just the same labels come first: of several that say the same each finds its own.
    let changed: Vec<(&[u8], Labels)> = labelled.filter(|one| !take(&mut there, one, PartialEq::eq)).collect();
    changed.into_iter().fold(Labels::NONE, |dropped, one| {
        let (says, own) = one;
        let is_gone = there.get(says).is_none_or(Vec::is_empty);
        if take(&mut there, &one, |labels, own| labels.contains(*own)) {
            dropped
        } else if is_gone {
            dropped | own.without(fresh)
        } else {
            dropped | own
        }
    })
}

/// Takes out one of the elements that say the same, where there is one whose labels are as wanted.
fn take<'a>(
    there: &mut HashMap<&'a [u8], Vec<Labels>>,
    (says, own): &(&'a [u8], Labels),
    wanted: impl Fn(&Labels, &Labels) -> bool,
) -> bool {
    let Some(same) = there.get_mut(says) else { return false };
    let found = same.iter().position(|labels| wanted(labels, own));
    found.map(|position| same.swap_remove(position)).is_some()
}

/// Every element at these places; `None` where they say too much.
fn elements(resource: &Value, places: &HashSet<String>) -> Option<Elements> {
    let (mut elements, mut bytes) = (Elements::new(), 0_usize);
    let mut note = |path: &str, says: &dyn Fn() -> Vec<u8>, own: Option<Labels>, effective: Labels| {
        if bytes <= MOST_BYTES && places.contains(path) {
            let says = says();
            bytes += says.len();
            elements.entry(path.to_owned()).or_default().push(Found { says, own, effective });
        }
    };
    walk(resource, (&mut String::new(), Labels::NONE), &mut note);
    (bytes <= MOST_BYTES).then_some(elements)
}

type Note<'a> = dyn FnMut(&str, &dyn Fn() -> Vec<u8>, Option<Labels>, Labels) + 'a;

fn walk(value: &Value, (path, around): (&mut String, Labels), note: &mut Note<'_>) {
    for (name, member) in value.as_object().unwrap_or_default() {
        let plain = name.strip_prefix('_');
        // A primitive comes with what stands beside it.
        if plain.is_some_and(|plain| value.member(plain).is_some()) {
            continue;
        }
        let beside = match plain {
            Some(_) => Some(member),
            None => value.member(&format!("_{name}")),
        };
        let length = path.len();
        path.push('.');
        path.push_str(plain.unwrap_or(name));
        let values = if plain.is_some() { &[][..] } else { member.items() };
        let beside = beside.map(Value::items).unwrap_or_default();
        for position in 0..values.len().max(beside.len()) {
            let parts = [values.get(position), beside.get(position)];
            let own = parts.iter().flatten().find_map(|part| inline::labels_of_value(part));
            let effective = own.map_or(around, |own| around | own);
            let says = || parts.iter().flatten().flat_map(|part| bare(part).to_bytes()).collect();
            note(path, &says, own, effective);
            for part in parts.into_iter().flatten() {
                walk(part, (path, effective), note);
            }
        }
        path.truncate(length);
    }
}

/// The same without labels, and without what is empty then.
fn bare(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let bare = members.iter().map(|(name, value)| (name.clone(), bare(value)));
            Value::Object(bare.filter(|(_, value)| !says_nothing(value)).collect())
        }
        Value::Array(items) => {
            let is_label = |item: &&Value| item.member("url").and_then(Value::as_str) == Some(INLINE_LABEL);
            Value::array(items.iter().filter(|item| !is_label(item)).map(bare))
        }
        other => other.clone(),
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.iter().all(says_nothing),
        Value::Null => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn label(code: &str) -> String {
        let system = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
        format!(r#""extension":[{{"url":"{INLINE_LABEL}","valueCoding":{{"system":"{system}","code":"{code}"}}}}]"#)
    }

    fn dropped_codes(before: &str, after: &str) -> Vec<&'static str> {
        let parsed = |text: &str| {
            let text =
                ["R", "V", "N"].iter().fold(text.to_owned(), |text, code| text.replace(&format!("<{code}>"), &label(code)));
            json::parse(format!(r#"{{"resourceType":"Patient",{text}}}"#).as_bytes())
                .unwrap_or_else(|error| panic!("{text}: {error}"))
        };
        dropped(&parsed(before), &parsed(after)).codings().map(|(_, code, _)| code).collect()
    }

    #[test]
    fn a_label_that_another_element_has_is_dropped_all_the_same() {
        let before = r#""identifier":[{<R>,"value":"ssn"},{"value":"mrn"}]"#;
        for (after, expected) in [
            (before, vec![]),
            (r#""identifier":[{"value":"mrn"},{"value":"ssn",<R>}]"#, vec![]),
            (r#""identifier":[{<V>,"value":"ssn"},{"value":"mrn"}]"#, vec![]),
            // Moved to the other one, or to another place.
            (r#""identifier":[{"value":"ssn"},{<R>,"value":"mrn"}]"#, vec!["R"]),
            (r#""identifier":[{"value":"ssn"},{"value":"mrn"}],"telecom":[{<R>,"value":"1"}]"#, vec!["R"]),
            (r#""identifier":[{<N>,"value":"ssn"},{"value":"mrn"}]"#, vec!["R"]),
            // Left out: nobody can tell.
            (r#""identifier":[{"value":"mrn"}]"#, vec!["R"]),
            // It says something else, and still has its label.
            (r#""identifier":[{<R>,"value":"other"},{"value":"mrn"}]"#, vec![]),
            (r#""identifier":[{"value":"other"},{"value":"mrn",<R>}]"#, vec!["R"]),
            (r#""identifier":[{<R>,"value":"other"},{"value":"ssn "},{"value":"mrn"}]"#, vec!["R"]),
        ] {
            assert_eq!(dropped_codes(before, after), expected, "{after}");
        }
    }

    #[test]
    fn each_of_several_elements_that_say_the_same_keeps_its_own_label() {
        let both = r#""telecom":[{<R>,"value":"1"},{<V>,"value":"1"}]"#;
        for (after, expected) in [
            (both, vec![]),
            (r#""telecom":[{<V>,"value":"1"},{<R>,"value":"1"}]"#, vec![]),
            (r#""telecom":[{<R>,"value":"1"},{<R>,"value":"1"}]"#, vec!["V"]),
            (r#""telecom":[{<V>,"value":"1"}]"#, vec!["R"]),
        ] {
            assert_eq!(dropped_codes(both, after), expected, "{after}");
        }
        let one = r#""telecom":[{<R>,"value":"1"},{"value":"1"}]"#;
        assert_eq!(dropped_codes(one, one), Vec::<&str>::new());
    }

    #[test]
    fn primitives_extensions_and_nested_elements_are_elements_too() {
        let name = r#""name":[{"given":["Ann","Bea"],"_given":[null,{<R>}]}]"#;
        for (before, after, expected) in [
            (name, name, vec![]),
            (name, r#""name":[{"given":["Ann","Bea"],"_given":[{<R>}]}]"#, vec!["R"]),
            (name, r#""name":[{"given":["Ann","Bea"]}]"#, vec!["R"]),
            (name, r#""name":[{<R>,"given":["Ann","Bea"]}]"#, vec![]),
            (r#""birthDate":"1970","_birthDate":{<R>}"#, r#""birthDate":"1971","_birthDate":{<R>}"#, vec![]),
            (r#""birthDate":"1970","_birthDate":{<R>}"#, r#""birthDate":"1970""#, vec!["R"]),
            (r#""_birthDate":{<R>}"#, r#""_birthDate":{<R>}"#, vec![]),
            (
                r#""birthDate":"1970","_birthDate":{"extension":[{"url":"u","valueCoding":{<R>,"code":"c"}}]}"#,
                r#""birthDate":"1970","_birthDate":{"extension":[{"url":"u","valueCoding":{"code":"c"}}]}"#,
                vec!["R"],
            ),
            (
                r#""contained":[{"resourceType":"Patient","identifier":[{<R>,"value":"x"}]}]"#,
                r#""contained":[{"resourceType":"Patient","identifier":[{"value":"x"}]}],"identifier":[{<R>,"value":"x"}]"#,
                vec!["R"],
            ),
        ] {
            assert_eq!(dropped_codes(before, after), expected, "{after}");
        }
    }

    #[test]
    fn of_more_elements_than_are_compared_every_label_counts_for_the_whole() {
        let many = |count: usize| format!(r#""telecom":[{}]"#, vec![r#"{<R>,"value":"1"}"#; count].join(","));
        assert_eq!(dropped_codes(&many(MOST_COMPARED), &many(MOST_COMPARED)), Vec::<&str>::new());
        assert_eq!(dropped_codes(&many(MOST_COMPARED + 1), &many(MOST_COMPARED + 1)), ["R"]);
    }
}
