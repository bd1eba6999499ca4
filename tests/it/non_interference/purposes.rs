//! Purposes of use, told a second time: who has leave for which, and what includes what.

use portcullis_oauth::users::Role;

use super::people::Person;

/// Each purpose of these tests with the one that includes it.
const WITHIN: [(&str, &str); 4] = [("COC", "TREAT"), ("ETREAT", "TREAT"), ("BTG", "ETREAT"), ("FAMRQT", "PATRQT")];

/// Those that requests state here.
pub const STATED: [&str; 6] = ["TREAT", "COC", "BTG", "PATRQT", "FAMRQT", "HPAYMT"];

/// A purpose and all that lie around it in the code system.
pub fn around(purpose: &str) -> Vec<&str> {
    let mut around = vec![purpose];
    while let Some((_, wider)) = WITHIN.iter().find(|(inner, _)| Some(inner) == around.last()) {
        around.push(wider);
    }
    around
}

/// Whether leave for one is leave for the other: breaking the glass is part of nothing.
pub fn includes(wider: &str, purpose: &str) -> bool {
    wider == purpose || purpose != "BTG" && around(purpose).contains(&wider)
}

impl Person {
    /// Why the person asks: as stated, or else as follows from what the person is.
    pub fn purpose(&self) -> &'static str {
        self.stated.unwrap_or_else(|| self.own_purposes()[0])
    }

    /// Whether there is leave for that.
    pub fn has_leave(&self) -> bool {
        let may_break = !self.glass.is_empty() && self.roles().contains(&Role::Clinician);
        let asked = self.purpose();
        self.own_purposes().iter().any(|own| includes(own, asked)) || asked == "BTG" && may_break
    }

    /// Whether somebody who acts for a patient does so for this purpose: what people ask for themselves is about themselves.
    pub fn acts_for(&self, patient: &str) -> bool {
        let represents = self.roles().contains(&Role::Representative);
        self.patients.contains(&patient) && (self.purpose() != "PATRQT" || !represents || self.own == Some(patient))
    }

    /// Whether it is for treatment, as which clinicians see their patients.
    pub fn treats(&self) -> bool {
        includes("TREAT", self.purpose())
    }

    fn own_purposes(&self) -> Vec<&'static str> {
        if let Some(service) = self.service {
            return if service.purposes.is_empty() { vec!["HOPERAT"] } else { service.purposes.to_vec() };
        }
        let roles = self.roles();
        let furthest = [(Role::Clinician, "TREAT"), (Role::Representative, "FAMRQT"), (Role::Patient, "PATRQT")];
        furthest.into_iter().filter(|(role, _)| roles.contains(role)).map(|(_, purpose)| purpose).collect()
    }
}
