//! Vaccines by their CVX code.

use super::Code;
use super::systems::CVX;

/// A CVX code.
const fn cvx(code: &'static str, display: &'static str) -> Code {
    Code::new(CVX, code, display)
}

pub(crate) static INFLUENZA: Code = cvx("150", "Influenza, injectable, quadrivalent, preservative free");
pub(crate) static COVID_19: Code = cvx("208", "COVID-19, mRNA, LNP-S, PF, 30 mcg/0.3 mL dose");

pub(crate) static CHILDHOOD: &[Code] = &[
    cvx("20", "DTaP"),
    cvx("10", "IPV"),
    cvx("03", "MMR"),
    cvx("21", "varicella"),
    cvx("08", "Hep B, adolescent or pediatric"),
    cvx("133", "Pneumococcal conjugate PCV 13"),
    cvx("83", "Hep A, ped/adol, 2 dose"),
];

pub(crate) static ADULT: &[Code] =
    &[cvx("115", "Tdap"), cvx("113", "Td (adult), 5 Lf tetanus toxoid, preservative free, adsorbed")];

pub(crate) static OLDER: &[Code] = &[cvx("187", "zoster recombinant"), cvx("33", "pneumococcal polysaccharide PPV23")];
