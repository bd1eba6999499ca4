//! `[denials]`: how a denial looks (<https://hl7.org/fhir/R4/security.html#AccessDenied>).

use portcullis_server::resource_server::denials::{BeyondInclude, BeyondSearch, Denials, Hidden};
use serde::Deserialize;

/// `[denials]`
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DenialSettings {
    hidden: HiddenAnswers,
    search: SearchComesTo,
    include: IncludeComesTo,
    advice: bool,
}

impl Default for DenialSettings {
    fn default() -> Self {
        Self {
            hidden: HiddenAnswers::default(),
            search: SearchComesTo::default(),
            include: IncludeComesTo::default(),
            advice: true,
        }
    }
}

/// What a hidden record answers.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum HiddenAnswers {
    #[default]
    NotFound,
    Forbidden,
}

/// What a search beyond the rights comes to.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SearchComesTo {
    #[default]
    Refuse,
    Empty,
}

/// What a search comes to that asks to include what is beyond the rights.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum IncludeComesTo {
    #[default]
    LeaveOut,
    Refuse,
    Empty,
}

impl DenialSettings {
    /// The choices.
    pub fn settings(self) -> Denials {
        Denials {
            hidden: match self.hidden {
                HiddenAnswers::NotFound => Hidden::NotFound,
                HiddenAnswers::Forbidden => Hidden::Forbidden,
            },
            search: match self.search {
                SearchComesTo::Refuse => BeyondSearch::Refuse,
                SearchComesTo::Empty => BeyondSearch::Empty,
            },
            include: match self.include {
                IncludeComesTo::LeaveOut => BeyondInclude::LeaveOut,
                IncludeComesTo::Refuse => BeyondInclude::Refuse,
                IncludeComesTo::Empty => BeyondInclude::Empty,
            },
            advice: self.advice,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_choice_has_its_word_and_others_are_refused() {
        let read = |text: &str| toml::from_str::<DenialSettings>(text).map(DenialSettings::settings);
        assert_eq!(read("").unwrap(), Denials::default());
        let chosen = read("hidden = 'forbidden'\nsearch = 'empty'\ninclude = 'refuse'\nadvice = false").unwrap();
        let (hidden, search, include) = (Hidden::Forbidden, BeyondSearch::Empty, BeyondInclude::Refuse);
        assert_eq!(chosen, Denials { hidden, search, include, advice: false });
        assert_eq!(read("include = 'empty'").unwrap().include, BeyondInclude::Empty);
        for wrong in ["hidden = '403'", "search = 'leave-out'", "style = 'empty'", "advice = 'no'"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
