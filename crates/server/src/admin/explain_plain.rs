//! What of an explanation a patient needs to know, in plain words: English and Spanish.

use portcullis_policy::explanation::{BY_PART, Says, Step};

use super::explain::Comes;
use super::explain_reasons::{ExplainedConsent, Reasons};
use crate::ui::Language;

/// One sentence or two.
pub(super) fn plain(comes: Comes, (steps, ways): (&[Step], &[Vec<Step>]), reasons: &Reasons, language: Language) -> String {
    let say = |english: &'static str, spanish: &'static str| language.say(english, spanish).to_owned();
    match comes {
        Comes::Absent => say("There is no such record.", "Ese registro no existe."),
        Comes::Permit => {
            let why = permitting((steps, ways), reasons, language);
            match language {
                Language::English => format!("Yes: this record can be seen, because {why}."),
                Language::Spanish => format!("Sí: este registro se puede ver, porque {why}."),
            }
        }
        Comes::Deny | Comes::Hidden => {
            let why = refusing(comes, (steps, ways), reasons, language);
            match language {
                Language::English => format!("No: this record cannot be seen, because {why}."),
                Language::Spanish => format!("No: este registro no se puede ver, porque {why}."),
            }
        }
    }
}

fn permitting((steps, ways): (&[Step], &[Vec<Step>]), reasons: &Reasons, language: Language) -> String {
    let says_yes = |name: &str| steps.iter().any(|step| step.says == Says::Yes && step.rule.starts_with(name));
    let mut open = ways.iter().filter(|way| way.iter().all(|step| step.says == Says::Yes)).peekable();
    let by_part_alone = open.peek().is_some() && open.all(|way| way.iter().any(|step| step.rule == BY_PART));
    let mut why = if by_part_alone {
        language.say(
            "the person who asks wrote it, did it or recorded it, and the organisation that keeps the record lets such people see it",
            "la persona que lo pide lo escribió, lo hizo o lo registró, y la organización que guarda el expediente deja que esas personas lo vean",
        )
    } else if says_yes("break-glass") {
        language.say("somebody opened it in an emergency", "alguien lo abrió por una emergencia")
    } else if says_yes("relationship:care") {
        language.say(
            "a visit or a care team names the person who asks",
            "una visita o un equipo de atención menciona a la persona que lo pide",
        )
    } else if says_yes("relationship") {
        language.say(
            "a rule of the organisation that keeps the record lets in people who have to do with this patient",
            "una regla de la organización que guarda el expediente deja entrar a quienes tienen que ver con este paciente",
        )
    } else if says_yes("system-context") {
        language.say(
            "the organisation that keeps the record let this program work with it",
            "la organización que guarda el expediente permitió que este programa trabaje con él",
        )
    } else {
        language.say(
            "it is the record of the person who asks, or of somebody for whom that person may act",
            "es el expediente de la persona que lo pide, o de alguien por quien esa persona puede actuar",
        )
    }
    .to_owned();
    if let Some(consent) = deciding(reasons, "permit") {
        why.push_str(language.say(", and the consent ", ", y el consentimiento "));
        why.push_str(&consent.consent);
        why.push_str(language.say(" allows it", " lo permite"));
    }
    why
}

fn refusing(comes: Comes, (steps, ways): (&[Step], &[Vec<Step>]), reasons: &Reasons, language: Language) -> String {
    let says_no = |name: &str| steps.iter().any(|step| step.says == Says::No && step.rule.starts_with(name));
    let missing = |part: &str| ways.iter().any(|way| way.iter().all(|step| step.says == Says::Yes || step.rule == part));
    let why = if says_no("scope") {
        language.say(
            "the app was not allowed to ask for this kind of record",
            "la aplicación no tenía permiso para pedir esta clase de registros",
        )
    } else if says_no("purpose") || says_no("break-glass") {
        language.say("nobody may ask for it for this purpose", "nadie puede pedirlo con este propósito")
    } else if says_no("rule:") {
        language.say(
            "a rule of the organisation that keeps the record does not allow it",
            "una regla de la organización que guarda el expediente no lo permite",
        )
    } else if comes == Comes::Deny {
        language
            .say("the person or app has no right to such records", "la persona o aplicación no tiene derecho a ver registros así")
    } else if reasons.deny() {
        let consent = deciding(reasons, "deny").map(|consent| consent.consent.clone());
        return match (language, consent) {
            (Language::English, Some(consent)) => format!("the patient's consent does not allow it ({consent})"),
            (Language::Spanish, Some(consent)) => format!("el consentimiento del paciente no lo permite ({consent})"),
            (Language::English, None) => "the patient has not consented to it".to_owned(),
            (Language::Spanish, None) => "el paciente no ha dado su consentimiento".to_owned(),
        };
    } else if missing("labels") {
        language.say(
            "the record is specially protected, and the person or app may not see such records",
            "el registro tiene una protección especial, y la persona o aplicación no puede ver registros así",
        )
    } else if missing("criteria") {
        language.say(
            "the app was allowed to see other records of this kind only",
            "la aplicación solo tenía permiso para ver otros registros de esta clase",
        )
    } else {
        language.say(
            "nothing says that the person has to do with this patient",
            "nada dice que la persona tenga que ver con este paciente",
        )
    };
    why.to_owned()
}

fn deciding<'a>(reasons: &'a Reasons, effect: &str) -> Option<&'a ExplainedConsent> {
    reasons.consents.iter().find(|consent| consent.decided && consent.says.as_deref() == Some(effect))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_by_a_part_in_it_is_not_called_the_own_record() {
        let yes = |rule: &str| Step::new(rule, Says::Yes, "");
        let by_part = vec![yes("boundary"), yes(BY_PART)];
        let own = vec![yes("boundary"), yes("labels")];
        let told =
            |ways: &[Vec<Step>], language| plain(Comes::Permit, (&[yes("user-context")], ways), &Reasons::default(), language);
        for (language, part, record) in
            [(Language::English, "recorded it", "is the record of"), (Language::Spanish, "lo registró", "es el expediente de")]
        {
            let alone = told(&[by_part.clone(), vec![yes("boundary"), Step::new("labels", Says::No, "")]], language);
            assert!(alone.contains(part) && !alone.contains(record), "{alone}");
            let both = told(&[by_part.clone(), own.clone()], language);
            assert!(both.contains(record) && !both.contains(part), "{both}");
        }
    }
}
