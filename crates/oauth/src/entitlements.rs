//! Rights of single people that no role brings with it. Each is given by two people together, unless the operator switched that off.

use std::fmt;

/// A right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Entitlement {
    /// To break the glass: to read, in an emergency, a record without a care relationship. Counts for clinicians.
    BreakGlass,
    /// To verify what a consent opens. Never for a consent that benefits the verifier.
    VerifyConsents,
    /// To agree to changes that somebody else proposed. Counts for security officers.
    ApproveChanges,
}

impl Entitlement {
    /// All rights.
    pub const ALL: [Self; 3] = [Self::BreakGlass, Self::VerifyConsents, Self::ApproveChanges];

    /// The name as it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BreakGlass => "break-glass",
            Self::VerifyConsents => "verify-consents",
            Self::ApproveChanges => "approve-changes",
        }
    }

    /// The right of this exact name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|entitlement| entitlement.as_str() == name)
    }
}

impl fmt::Display for Entitlement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_read_back_by_name_and_others_do_not() {
        for entitlement in Entitlement::ALL {
            assert_eq!(Entitlement::parse(entitlement.as_str()), Some(entitlement));
        }
        for name in ["", "Break-Glass", "clinician", "approve"] {
            assert_eq!(Entitlement::parse(name), None, "{name}");
        }
    }
}
