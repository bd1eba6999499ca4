//! Up to which security labels records may go to a client.
//!
//! A limit beside that of whoever uses the client: what both allow. A client cannot ask for one itself, neither when it registers itself nor later, and one that it has stays
//! with it whatever it changes.

use std::fmt;

use portcullis_fhir::labels::Clearance;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A clearance as an operator writes it: `N`, or `R,HIV,PSY`, or `V,*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredClearance {
    text: Box<str>,
    clearance: Clearance,
}

impl RegisteredClearance {
    /// Reads a clearance: the highest confidentiality (`N`, `R` or `V`), then sensitivities, or `*` for all of them; or what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split(',').map(str::trim);
        let highest = words.next().unwrap_or_default();
        let clearance = Clearance::parse(highest, words)?;
        Ok(Self { text: text.into(), clearance })
    }

    /// The clearance.
    pub fn clearance(&self) -> Clearance {
        self.clearance
    }
}

impl fmt::Display for RegisteredClearance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Serialize for RegisteredClearance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for RegisteredClearance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(|problem| serde::de::Error::custom(format!("clearance must be such as R,HIV,PSY: {problem}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clearance_reads_back_and_what_is_none_is_refused_with_what_would_be() {
        for text in ["N", "R,HIV,PSY", "V,*", "R, HIV"] {
            let read = RegisteredClearance::parse(text).unwrap();
            assert_eq!(read.to_string(), text);
            assert_eq!(serde_json::from_str::<RegisteredClearance>(&serde_json::to_string(&read).unwrap()).unwrap(), read);
        }
        assert!(RegisteredClearance::parse("V,*").unwrap().clearance().is_full());
        for (text, named) in
            [("", "N, R or V"), ("L", "N, R or V"), ("R,AIDS", "HIV"), ("R,", "''"), ("HIV", "N, R or V"), ("R,R", "'R' is none")]
        {
            assert!(RegisteredClearance::parse(text).unwrap_err().contains(named), "{text}");
        }
    }
}
