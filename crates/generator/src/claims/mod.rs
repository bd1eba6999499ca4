//! Claims after CARIN Blue Button 2.0.0 (C4BB): Coverage, and ExplanationOfBenefit in its five profiles.

pub(crate) mod amounts;
pub(crate) mod coverage;
mod explanation;
pub(crate) mod inpatient;
pub(crate) mod oral;
pub(crate) mod outpatient;
pub(crate) mod pharmacy;
pub(crate) mod professional;
