//! JSON as a second reader sees it: members without order, numbers as written. It shares nothing with the product's own parser.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;

/// A JSON value.
#[derive(PartialEq, Eq)]
pub enum Tree {
    /// An object.
    Object(BTreeMap<String, Tree>),
    /// An array.
    Array(Vec<Tree>),
    /// A string, unescaped.
    Text(String),
    /// A number as written, `true`, `false` or `null`.
    Word(String),
}

impl fmt::Debug for Tree {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(members) => formatter.debug_map().entries(members).finish(),
            Self::Array(items) => formatter.debug_list().entries(items).finish(),
            Self::Text(text) => text.fmt(formatter),
            Self::Word(word) => formatter.write_str(word),
        }
    }
}

impl Tree {
    /// Reads a JSON text.
    pub fn read(text: &str) -> Self {
        let text = text.trim();
        match text.chars().next() {
            Some('{') => {
                let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).unwrap();
                Self::Object(members.into_iter().map(|(name, value)| (name, Self::read(value.get()))).collect())
            }
            Some('[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text).unwrap();
                Self::Array(items.into_iter().map(|item| Self::read(item.get())).collect())
            }
            Some('"') => Self::Text(serde_json::from_str(text).unwrap()),
            _ => Self::Word(text.to_owned()),
        }
    }

    /// A resource without what the server assigns: `meta.versionId` and `meta.lastUpdated`, and a `meta` that holds nothing else.
    pub fn resource(text: &str) -> Self {
        let mut tree = Self::read(text);
        if let Self::Object(members) = &mut tree
            && let Some(Self::Object(meta)) = members.get_mut("meta")
        {
            meta.retain(|name, _| !matches!(name.as_str(), "versionId" | "lastUpdated"));
            if meta.is_empty() {
                members.remove("meta");
            }
        }
        tree
    }

    /// An answer to be compared with what was written: the same without the security labels that the server found by the codes of the resource.
    pub fn answer(text: &str, written: &Self) -> Self {
        let mut tree = Self::resource(text);
        let own = written.member("meta").and_then(|meta| meta.member("security"));
        if let Self::Object(members) = &mut tree
            && let Some(Self::Object(meta)) = members.get_mut("meta")
        {
            if let Some(Self::Array(labels)) = meta.get_mut("security") {
                labels.retain(|label| matches!(own, Some(Self::Array(own)) if own.contains(label)));
                if labels.is_empty() {
                    meta.remove("security");
                }
            }
            if meta.is_empty() {
                members.remove("meta");
            }
        }
        tree
    }

    fn member(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.get(name),
            _ => None,
        }
    }

    /// The first place where two trees differ, with both values.
    pub fn difference(&self, other: &Self) -> Option<String> {
        match (self, other) {
            (Self::Object(left), Self::Object(right)) => {
                let names = left.keys().chain(right.keys());
                names.into_iter().find_map(|name| match (left.get(name), right.get(name)) {
                    (Some(left), Some(right)) => left.difference(right).map(|place| format!(".{name}{place}")),
                    (left, right) => Some(format!(".{name}: {left:?} against {right:?}")),
                })
            }
            (Self::Array(left), Self::Array(right)) if left.len() == right.len() => {
                let pairs = left.iter().zip(right).enumerate();
                pairs.into_iter().find_map(|(index, (left, right))| Some(format!("[{index}]{}", left.difference(right)?)))
            }
            (left, right) => (left != right).then(|| format!(": {left:?} against {right:?}")),
        }
    }
}

#[test]
fn two_texts_are_equal_in_meaning_only_with_equal_number_texts_and_equal_order_of_items() {
    let tree = Tree::resource;
    let written = r#"{"a":1.50,"b":[1,"\u00e9"],"meta":{"versionId":"1"}}"#;
    assert_eq!(tree(written), tree(r#"{ "b": [1, "é"], "a": 1.50 }"#));
    for (other, place) in [
        (r#"{"a":1.5,"b":[1,"é"]}"#, ".a: 1.50 against 1.5"),
        (r#"{"a":1.50,"b":["é",1]}"#, ".b[0]: 1 against \"é\""),
        (r#"{"a":1.50,"b":[1]}"#, ".b: [1, \"é\"] against [1]"),
        (r#"{"a":1.50,"b":[1,"é"],"c":null}"#, ".c: None against Some(null)"),
        (r#"{"a":1.50,"b":[1,"é"],"meta":{"source":"x"}}"#, ".meta: None against Some({\"source\": \"x\"})"),
    ] {
        assert_eq!(tree(written).difference(&tree(other)).as_deref(), Some(place));
    }
    assert_eq!(tree(written).difference(&tree(written)), None);
}
