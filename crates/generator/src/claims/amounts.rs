//! What was charged, what the insurer allowed, and who pays it. All in cents.

use crate::terminology::Code;
use crate::terminology::systems::{ADJUDICATION, C4BB_ADJUDICATION};
use crate::writer::Writer;

/// The amounts of a claim line, or the sum of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amounts {
    submitted: i64,
    discount: i64,
    eligible: i64,
    deductible: i64,
    copay: i64,
    coinsurance: i64,
    benefit: i64,
}

impl Amounts {
    /// Adjudicates a charge: a contract discount, then the patient's fixed and relative shares.
    pub(crate) fn adjudicate(submitted: i64, copay: i64) -> Self {
        let discount = submitted * 28 / 100;
        let eligible = submitted - discount;
        let copay = copay.min(eligible);
        let deductible = (eligible - copay) * 5 / 100;
        let coinsurance = (eligible - copay - deductible) * 15 / 100;
        let benefit = eligible - copay - deductible - coinsurance;
        Self { submitted, discount, eligible, deductible, copay, coinsurance, benefit }
    }

    /// The sum of several lines.
    pub(crate) fn sum(lines: impl Iterator<Item = Self>) -> Self {
        lines.fold(Self::default(), |sum, line| Self {
            submitted: sum.submitted + line.submitted,
            discount: sum.discount + line.discount,
            eligible: sum.eligible + line.eligible,
            deductible: sum.deductible + line.deductible,
            copay: sum.copay + line.copay,
            coinsurance: sum.coinsurance + line.coinsurance,
            benefit: sum.benefit + line.benefit,
        })
    }

    /// What the insurer pays.
    pub(crate) fn benefit(&self) -> i64 {
        self.benefit
    }

    /// Writes one entry of `category` and `amount` for each: the form of both `adjudication` and `total`.
    pub(crate) fn write(&self, list: &mut Writer) {
        let member = self.deductible + self.copay + self.coinsurance;
        let rows = [
            (ADJUDICATION, "submitted", "Submitted Amount", self.submitted),
            (C4BB_ADJUDICATION, "discount", "Discount", self.discount),
            (ADJUDICATION, "eligible", "Eligible Amount", self.eligible),
            (ADJUDICATION, "deductible", "Deductible", self.deductible),
            (ADJUDICATION, "copay", "CoPay", self.copay),
            (C4BB_ADJUDICATION, "coinsurance", "Co-insurance", self.coinsurance),
            (C4BB_ADJUDICATION, "memberliability", "Member liability", member),
            (ADJUDICATION, "benefit", "Benefit Amount", self.benefit),
            (C4BB_ADJUDICATION, "paidtoprovider", "Paid to provider", self.benefit),
        ];
        for (system, code, display, cents) in rows {
            list.entry(|entry| {
                entry.concept("category", &[Code::new(system, code, display)]);
                entry.money("amount", cents);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_between_charge_and_payment() {
        for submitted in [0, 1, 99, 12_050, 1_234_567] {
            let amounts = Amounts::adjudicate(submitted, 2500);
            assert_eq!(amounts.discount + amounts.eligible, submitted);
            assert_eq!(amounts.deductible + amounts.copay + amounts.coinsurance + amounts.benefit, amounts.eligible);
            assert!(amounts.benefit >= 0 && amounts.copay >= 0, "{amounts:?}");
        }
    }
}
