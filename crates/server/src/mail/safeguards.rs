//! The words of letters about broken glass and about changes that take two people. They name who did it, and neither the patient nor the reason: mail is no safe place.

use portcullis_store::mail::LetterKind;

use super::words::About;
use crate::ui::Reader;

/// What happened: in the subject, and in a sentence.
pub fn happened(kind: LetterKind, reader: &Reader, about: &About<'_>) -> (&'static str, String) {
    let host = about.host;
    let other = about.facts.other.as_deref().unwrap_or_else(|| reader.say("Somebody", "Alguien"));
    match kind {
        LetterKind::GlassBroken => (
            reader.say("A record was opened in an emergency", "Se abrió un expediente por una emergencia"),
            reader.say(
                format!(
                    "{other} opened a health record at {host} in an emergency. It is your record, or the record of a person you act for. It closes by \
                     itself after a short time."
                ),
                format!(
                    "{other} abrió un expediente médico en {host} por una emergencia. Es su expediente, o el de una persona por quien usted actúa. Se \
                     cierra por sí solo después de poco tiempo."
                ),
            ),
        ),
        LetterKind::GlassBrokenReview => (
            reader.say("Please review: a record was opened in an emergency", "Por favor revise: un expediente abierto por emergencia"),
            reader.say(
                format!("{other} opened a health record at {host} in an emergency. The reason is on the page for security officers."),
                format!(
                    "{other} abrió un expediente médico en {host} por una emergencia. El motivo está en la página de los responsables de seguridad."
                ),
            ),
        ),
        LetterKind::GlassRefused => (
            reader.say("Alert: emergency access without the right to it", "Alerta: acceso de emergencia sin permiso"),
            reader.say(
                format!("{other} asked for emergency access to a health record at {host} without the right to it. Nothing was opened."),
                format!("{other} pidió acceso de emergencia a un expediente médico en {host} sin tener permiso. No se abrió nada."),
            ),
        ),
        LetterKind::GlassSearched => (
            reader.say("Alert: several look-ups for emergency access", "Alerta: varias búsquedas para acceso de emergencia"),
            reader.say(
                format!(
                    "{other} looked several times at {host} for somebody whose record to open in an emergency, and nobody fit. Nothing was opened."
                ),
                format!(
                    "{other} buscó varias veces en {host} a alguien para abrir su expediente por una emergencia, y nadie coincidió. No se abrió nada."
                ),
            ),
        ),
        _ => (
            reader.say("A change waits for a second person", "Un cambio espera a una segunda persona"),
            reader.say(
                format!("{other} proposed a change at {host} that takes two people. It waits on the page for security officers."),
                format!(
                    "{other} propuso en {host} un cambio que necesita dos personas. Espera en la página de los responsables de seguridad."
                ),
            ),
        ),
    }
}

/// What to do about it.
pub fn advice(kind: LetterKind, reader: &Reader) -> &'static str {
    match kind {
        LetterKind::GlassBroken => reader.say(
            "If you know of an emergency, there is nothing to do. If not, tell the people who run the server. Your page there shows what was seen.",
            "Si usted sabe de una emergencia, no tiene que hacer nada. Si no, avise a quienes administran el servidor. Su página allí muestra qué se vio.",
        ),
        LetterKind::GlassBrokenReview => reader.say(
            "Open the address of the server as you always do. If it was not right, end the access there, or tell the people who run the server.",
            "Abra la dirección del servidor como siempre lo hace. Si no fue correcto, termine allí el acceso, o avise a quienes administran el servidor.",
        ),
        LetterKind::GlassRefused | LetterKind::GlassSearched => reader.say(
            "Ask the person why. The audit trail tells when and from where.",
            "Pregunte a la persona por qué. El registro de auditoría dice cuándo y desde dónde.",
        ),
        _ => reader.say(
            "Open the address of the server as you always do, look at the change, and agree to it or refuse it.",
            "Abra la dirección del servidor como siempre lo hace, mire el cambio, y acéptelo o rechácelo.",
        ),
    }
}
