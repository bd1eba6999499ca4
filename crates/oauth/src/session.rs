//! How somebody signed in, how strong that is, and when an app's request needs more.
//!
//! `amr` values are those of RFC 8176, `acr` values the assurance levels of NIST SP 800-63 as US identity services write them, and `phr`
//! (OpenID Connect EAP ACR Values 1.0) for what no imitation of our page can catch. `acr_values` is a voluntary claim (OpenID Connect Core
//! section 5.5.1.1): it asks for a second factor of those who have one, and does not lock out those who have none; the id_token says what was reached.
//!
//! A request is sensitive where it may write, or where it may reach many patients without anybody at the keyboard (`user/` scopes with
//! `offline_access`). A sensitive request needs a second factor of the last quarter of an hour, of those who have one.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::scopes::{Letter, Scope, ScopeContext, ScopeKind, ScopeSet};

/// How long a second factor counts for a sensitive request, in seconds.
pub const SECOND_FACTOR_COUNTS_SECONDS: i64 = 15 * 60;
/// How long a session lasts, in seconds.
pub const LIFETIME_SECONDS: i64 = 8 * 3600;
/// How long a session lasts without a page being opened, in seconds (NIST SP 800-63B-4 section 2.2.3).
pub const IDLE_SECONDS: i64 = 3600;

/// One proof of who somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// A password.
    Password,
    /// A code of an authenticator app.
    Totp,
    /// A recovery code.
    RecoveryCode,
    /// A passkey, with the owner verified by the device.
    Passkey,
    /// Another identity provider vouched.
    Federation,
    /// Another identity provider vouched for two factors, and the operator trusts it in that.
    FederatedFactors,
}

impl Method {
    /// All methods.
    pub const ALL: [Self; 6] =
        [Self::Password, Self::Totp, Self::RecoveryCode, Self::Passkey, Self::Federation, Self::FederatedFactors];

    /// The name under which it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Totp => "totp",
            Self::RecoveryCode => "recovery-code",
            Self::Passkey => "passkey",
            Self::Federation => "federation",
            Self::FederatedFactors => "federated-factors",
        }
    }
}

/// The proofs of one sign-in.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Methods(u8);

impl Methods {
    /// These.
    pub fn of<const N: usize>(methods: [Method; N]) -> Self {
        methods.into_iter().fold(Self::default(), Self::with)
    }

    /// One more.
    #[must_use]
    pub fn with(self, method: Method) -> Self {
        Self(self.0 | Self::bit(method))
    }

    /// Whether it was among them.
    pub fn contains(self, method: Method) -> bool {
        self.0 & Self::bit(method) != 0
    }

    /// As stored: names separated by spaces.
    pub fn parse(text: &str) -> Option<Self> {
        text.split(' ').filter(|word| !word.is_empty()).try_fold(Self::default(), |methods, word| {
            Method::ALL.into_iter().find(|method| method.as_str() == word).map(|method| methods.with(method))
        })
    }

    /// `amr` (RFC 8176 section 2).
    pub fn amr(self) -> Vec<&'static str> {
        let mut values = Vec::new();
        for (method, value) in [(Method::Password, "pwd"), (Method::Totp, "otp"), (Method::Passkey, "pop")] {
            if self.contains(method) {
                values.push(value);
            }
        }
        if self.contains(Method::Passkey) {
            // The device checked a finger, a face or its own code; which one it does not say.
            values.push("user");
        }
        if self.level() >= AssuranceLevel::TwoFactors {
            values.push("mfa");
        }
        values
    }

    /// How strong they are together.
    pub fn level(self) -> AssuranceLevel {
        let first = self.contains(Method::Password) || self.contains(Method::Federation);
        if self.contains(Method::Passkey) {
            AssuranceLevel::PhishingResistant
        } else if self.contains(Method::FederatedFactors)
            || (first && (self.contains(Method::Totp) || self.contains(Method::RecoveryCode)))
        {
            AssuranceLevel::TwoFactors
        } else {
            AssuranceLevel::OneFactor
        }
    }

    fn bit(method: Method) -> u8 {
        1 << (method as u8)
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Method::ALL.into_iter().filter(|method| self.contains(*method)).map(Method::as_str).collect();
        formatter.write_str(&names.join(" "))
    }
}

impl fmt::Debug for Methods {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "[{self}]")
    }
}

/// `acr`: how sure it is that it was this person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AssuranceLevel {
    /// One proof.
    OneFactor,
    /// Two of different kinds.
    TwoFactors,
    /// Two, of which one is bound to this server's address.
    PhishingResistant,
}

impl AssuranceLevel {
    /// All levels, the weakest first.
    pub const ALL: [Self; 3] = [Self::OneFactor, Self::TwoFactors, Self::PhishingResistant];

    /// The value of `acr`.
    pub fn acr(self) -> &'static str {
        match self {
            Self::OneFactor => "http://idmanagement.gov/ns/assurance/aal/1",
            Self::TwoFactors => "http://idmanagement.gov/ns/assurance/aal/2",
            Self::PhishingResistant => "phr",
        }
    }

    /// The level of this `acr`.
    pub fn parse(acr: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.acr() == acr)
    }

    /// The first of `acr_values` that is known here: they stand in the order of preference.
    pub fn preferred(acr_values: &str) -> Option<Self> {
        acr_values.split(' ').find_map(Self::parse)
    }
}

impl Serialize for AssuranceLevel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.acr())
    }
}

impl<'de> Deserialize<'de> for AssuranceLevel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not an acr that is known here"))
    }
}

/// Whether a request for these scopes is sensitive.
pub fn is_sensitive(scopes: &ScopeSet) -> bool {
    let everywhere = scopes.has(ScopeKind::OfflineAccess) && scopes.has_context(ScopeContext::User);
    everywhere || scopes.iter().any(writes)
}

fn writes(scope: &Scope) -> bool {
    let writing = [Letter::Create, Letter::Update, Letter::Delete];
    scope.resource().is_some_and(|resource| writing.into_iter().any(|letter| resource.letters.contains(letter)))
}

/// What a sign-in proved so far, and what the person could prove.
#[derive(Clone, Copy, Debug)]
pub struct Proven {
    /// The proofs of the session.
    pub methods: Methods,
    /// When the last second factor was given, in seconds since the epoch.
    pub second_factor_at: Option<i64>,
    /// Whether the person has an authenticator app or a passkey.
    pub has_second_factor: bool,
    /// Whether the person has a passkey.
    pub has_passkey: bool,
}

/// Whether a request for these scopes and `acr_values` needs a second factor (again) at this time.
pub fn needs_step_up(scopes: &ScopeSet, wanted: Option<AssuranceLevel>, proven: &Proven, now: i64) -> bool {
    if !proven.has_second_factor {
        return false;
    }
    let fresh = proven.second_factor_at.is_some_and(|at| now.saturating_sub(at) <= SECOND_FACTOR_COUNTS_SECONDS);
    let reachable = if proven.has_passkey { AssuranceLevel::PhishingResistant } else { AssuranceLevel::TwoFactors };
    let below = wanted.is_some_and(|wanted| proven.methods.level() < wanted.min(reachable));
    below || (is_sensitive(scopes) && !fresh)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn proven(methods: Methods, second_factor_at: Option<i64>) -> Proven {
        Proven { methods, second_factor_at, has_second_factor: true, has_passkey: false }
    }

    fn scopes(text: &str) -> ScopeSet {
        ScopeSet::parse(text).unwrap()
    }

    #[test]
    fn each_way_of_signing_in_has_its_amr_and_acr() {
        let password = Methods::of([Method::Password]);
        for (methods, amr, level) in [
            (password, vec!["pwd"], AssuranceLevel::OneFactor),
            (password.with(Method::Totp), vec!["pwd", "otp", "mfa"], AssuranceLevel::TwoFactors),
            (password.with(Method::RecoveryCode), vec!["pwd", "mfa"], AssuranceLevel::TwoFactors),
            (Methods::of([Method::Passkey]), vec!["pop", "user", "mfa"], AssuranceLevel::PhishingResistant),
            (Methods::of([Method::Federation]), vec![], AssuranceLevel::OneFactor),
            (Methods::of([Method::Federation, Method::Totp]), vec!["otp", "mfa"], AssuranceLevel::TwoFactors),
            (Methods::of([Method::FederatedFactors]), vec!["mfa"], AssuranceLevel::TwoFactors),
        ] {
            assert_eq!((methods.amr(), methods.level()), (amr, level), "{methods}");
            assert_eq!(Methods::parse(&methods.to_string()), Some(methods));
        }
        assert_eq!(Methods::parse("password sms"), None);
    }

    #[test]
    fn writing_and_reaching_many_without_a_person_is_sensitive() {
        for text in ["patient/Observation.c", "user/*.cruds", "patient/*.write", "user/Patient.rs offline_access"] {
            assert!(is_sensitive(&scopes(text)), "{text}");
        }
        for text in ["patient/*.rs offline_access", "user/Patient.rs", "openid fhirUser", "user/*.read online_access"] {
            assert!(!is_sensitive(&scopes(text)), "{text}");
        }
    }

    #[test]
    fn a_sensitive_request_needs_a_second_factor_of_the_last_quarter_of_an_hour() {
        let both = Methods::of([Method::Password, Method::Totp]);
        let writing = scopes("patient/Observation.cu");
        assert!(!needs_step_up(&writing, None, &proven(both, Some(NOW - 900)), NOW));
        assert!(needs_step_up(&writing, None, &proven(both, Some(NOW - 901)), NOW));
        assert!(needs_step_up(&writing, None, &proven(Methods::of([Method::Password]), None), NOW));
        assert!(!needs_step_up(&scopes("patient/*.rs"), None, &proven(both, Some(NOW - 901)), NOW));
        let without = Proven { has_second_factor: false, ..proven(Methods::of([Method::Password]), None) };
        assert!(!needs_step_up(&writing, Some(AssuranceLevel::TwoFactors), &without, NOW), "who has none is not locked out");
    }

    #[test]
    fn acr_values_ask_for_what_the_person_can_reach() {
        let reading = scopes("patient/*.rs");
        let password = proven(Methods::of([Method::Password]), None);
        let both = proven(Methods::of([Method::Password, Method::Totp]), Some(0));
        assert!(needs_step_up(&reading, Some(AssuranceLevel::TwoFactors), &password, NOW));
        assert!(!needs_step_up(&reading, Some(AssuranceLevel::OneFactor), &password, NOW));
        assert!(!needs_step_up(&reading, Some(AssuranceLevel::PhishingResistant), &both, NOW), "there is no passkey to ask for");
        let owner = Proven { has_passkey: true, ..both };
        assert!(needs_step_up(&reading, Some(AssuranceLevel::PhishingResistant), &owner, NOW));
        let acr = "unknown phr http://idmanagement.gov/ns/assurance/aal/1";
        assert_eq!(AssuranceLevel::preferred(acr), Some(AssuranceLevel::PhishingResistant));
        assert_eq!(AssuranceLevel::preferred("1 2"), None);
    }
}
