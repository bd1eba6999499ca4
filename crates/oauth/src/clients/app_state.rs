//! Which app state a client may keep and see (SMART App Launch 2.2.0, "Persisting App State": "EHRs SHALL only associate state codes with an app if the app
//! is trusted to access those data").
//!
//! A state has a code, `system|code`, that an operator registered for each client that may use it. Two clients share what is kept under a code only where
//! both have it. Where the state lies, and whose it is, is decided in the policy, for each request.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest system and the longest code, in bytes.
const MAXIMUM_BYTES: usize = 1024;

/// A kind of state: `Basic.code.coding`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppStateCode {
    system: Box<str>,
    code: Box<str>,
}

impl AppStateCode {
    /// Reads `system|code`, as a search has it: both are there, and the system is an absolute address without blanks.
    pub fn parse(text: &str) -> Option<Self> {
        let (system, code) = text.split_once('|')?;
        Self::new(system, code)
    }

    /// A code of a system.
    pub fn new(system: &str, code: &str) -> Option<Self> {
        let visible = |text: &str| (1..=MAXIMUM_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        let absolute = url::Url::parse(system).is_ok();
        let sound = visible(system) && visible(code) && absolute && !system.contains('|') && !code.contains(['|', ',', '\\']);
        sound.then(|| Self { system: system.into(), code: code.into() })
    }

    /// The system.
    pub fn system(&self) -> &str {
        &self.system
    }

    /// The code.
    pub fn code(&self) -> &str {
        &self.code
    }
}

impl std::fmt::Display for AppStateCode {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}|{}", self.system, self.code)
    }
}

/// What a client may do with state under a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AppStateAccess {
    /// See it: a companion of the app that keeps it.
    Query,
    /// See it, and change what belongs to a person or a record.
    Modify,
    /// Also change what belongs to nobody and is the same for all ("global app configuration").
    Administer,
}

impl AppStateAccess {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Query, Self::Modify, Self::Administer];

    /// The name in registrations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Modify => "modify",
            Self::Administer => "administer",
        }
    }

    /// The access of this exact name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|access| access.as_str() == name)
    }
}

/// A code that a client may use, and for what. As text `access=system|code`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppStateEntitlement {
    /// What it may do.
    pub access: AppStateAccess,
    /// With what.
    pub code: AppStateCode,
}

impl AppStateEntitlement {
    /// Reads `access=system|code`.
    pub fn parse(text: &str) -> Option<Self> {
        let (access, code) = text.split_once('=')?;
        Some(Self { access: AppStateAccess::parse(access)?, code: AppStateCode::parse(code)? })
    }
}

impl std::fmt::Display for AppStateEntitlement {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}={}", self.access.as_str(), self.code)
    }
}

impl Serialize for AppStateEntitlement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AppStateEntitlement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let expected =
            "app_state is a list of texts such as modify=https://app.example|preferences, with query, modify or administer";
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom(expected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_access_with_a_system_and_a_code_is_refused() {
        for wrong in [
            "",
            "modify",
            "modify=",
            "modify=preferences",
            "modify=|preferences",
            "modify=https://app.example|",
            "modify=app|preferences",
            "modify=https://app.example|a|b",
            "modify=https://app.example|a b",
            "modify=https://app.example|a,b",
            "Modify=https://app.example|a",
            "all=https://app.example|a",
            "https://app.example|a",
        ] {
            assert_eq!(AppStateEntitlement::parse(wrong), None, "{wrong}");
        }
        assert_eq!(AppStateCode::new("https://app.example", &"a".repeat(1025)), None);
    }

    #[test]
    fn entitlements_read_back() {
        for access in AppStateAccess::ALL {
            let text = format!("{}=https://app.example|preferences", access.as_str());
            let read = AppStateEntitlement::parse(&text).unwrap();
            assert_eq!((read.access, read.code.system(), read.code.code()), (access, "https://app.example", "preferences"));
            assert_eq!(serde_json::to_value(&read).unwrap(), text);
            assert_eq!(serde_json::from_value::<AppStateEntitlement>(text.into()).unwrap(), read);
        }
        assert!(AppStateAccess::Query < AppStateAccess::Modify && AppStateAccess::Modify < AppStateAccess::Administer);
    }
}
