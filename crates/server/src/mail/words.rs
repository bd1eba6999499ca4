//! The words of letters, in every language of the pages. Short sentences; the link once, in a line of its own; no address of ours beside it, since people
//! shall not learn to sign in by way of letters.

use portcullis_oauth::language::Language;
use portcullis_store::mail::LetterKind;

use super::compose::Facts;
use super::safeguards;
use crate::ui::Reader;

/// Whom and what a letter is about.
#[derive(Debug)]
pub struct About<'a> {
    /// The person's name.
    pub person: &'a str,
    /// The name to sign in with.
    pub username: &'a str,
    /// The host of this server.
    pub host: &'a str,
    /// When it happened, in seconds since the epoch.
    pub at: i64,
    /// What else.
    pub facts: &'a Facts,
}

/// Subject and text.
pub fn say(kind: LetterKind, language: Language, about: &About<'_>) -> (String, String) {
    let reader = Reader::of(language);
    let About { person, username, host, at, facts } = about;
    let (subject, happened) = happened(kind, &reader, about);
    let mut text = match language {
        Language::English => format!("Hello {person},\n\n{happened}\n"),
        Language::Spanish => format!("Hola, {person}:\n\n{happened}\n"),
    };
    if let Some((browser, network)) = &facts.place {
        text += &reader
            .say(format!("\nBrowser: {browser}\nNetwork: {network}\n"), format!("\nNavegador: {browser}\nRed: {network}\n"));
    }
    if let Some((link, until)) = &facts.link {
        let until = reader.moment(*until);
        text += &reader.say(
            format!("\nOpen this link to choose a password. It works once, and only until {until}:\n\n"),
            format!("\nAbra este enlace para elegir una contraseña. Sirve una sola vez, y solo hasta el {until}:\n\n"),
        );
        text += &format!("{}\n", link.expose());
    }
    if let Some(code) = &facts.code {
        text += &format!("\n{code}\n");
    }
    text += &format!("\n{}\n", advice(kind, &reader));
    let when = reader.moment(*at);
    text += &reader.say(
        format!("\nAccount: {username}\nServer: {host}\nTime: {when}\n\nA program wrote this message. Nobody reads replies to it.\n"),
        format!("\nCuenta: {username}\nServidor: {host}\nHora: {when}\n\nUn programa escribió este mensaje. Nadie lee las respuestas.\n"),
    );
    (subject.to_owned(), text)
}

/// What happened: in the subject, and in a sentence.
fn happened(kind: LetterKind, reader: &Reader, about: &About<'_>) -> (&'static str, String) {
    let host = about.host;
    let (subjects, english, spanish): ((&str, &str), String, String) = match kind {
        LetterKind::Invitation => (
            ("Your new account", "Su cuenta nueva"),
            format!("An account was made for you at {host}. Your username there is: {}", about.username),
            format!("Se creó una cuenta para usted en {host}. Su nombre de usuario allí es: {}", about.username),
        ),
        LetterKind::Reset => (
            ("A new password for your account", "Una contraseña nueva para su cuenta"),
            format!("The people who run {host} made a link for you to choose a new password."),
            format!("Quienes administran {host} crearon un enlace para que usted elija una contraseña nueva."),
        ),
        LetterKind::PasswordRequest | LetterKind::Forgotten => (
            ("A new password for your account", "Una contraseña nueva para su cuenta"),
            format!("Somebody asked for a new password for your account at {host}. We hope that it was you."),
            format!("Alguien pidió una contraseña nueva para su cuenta en {host}. Esperamos que haya sido usted."),
        ),
        LetterKind::PasswordChanged => (
            ("Your password was changed", "Se cambió su contraseña"),
            format!("The password of your account at {host} was changed."),
            format!("Se cambió la contraseña de su cuenta en {host}."),
        ),
        LetterKind::AuthenticatorAdded => (
            ("An authenticator app was added", "Se agregó una aplicación de autenticación"),
            format!("An authenticator app was added to your account at {host}."),
            format!("Se agregó una aplicación de autenticación a su cuenta en {host}."),
        ),
        LetterKind::PasskeyAdded => (
            ("A passkey was added", "Se agregó una llave de acceso"),
            format!("A passkey was added to your account at {host}. It opens your account without your password."),
            format!("Se agregó una llave de acceso a su cuenta en {host}. Abre su cuenta sin su contraseña."),
        ),
        LetterKind::FactorRemoved => (
            ("A way to sign in was removed", "Se quitó una forma de iniciar sesión"),
            format!("An authenticator app or a passkey was removed from your account at {host}."),
            format!("Se quitó una aplicación de autenticación o una llave de acceso de su cuenta en {host}."),
        ),
        LetterKind::RecoveryCodes => (
            ("New recovery codes were made", "Se crearon códigos de recuperación nuevos"),
            format!("New recovery codes were made for your account at {host}. The old ones do not work any more."),
            format!("Se crearon códigos de recuperación nuevos para su cuenta en {host}. Los anteriores ya no sirven."),
        ),
        LetterKind::Recovery => (
            ("Somebody else opened a way into your account", "Otra persona abrió un acceso a su cuenta"),
            format!(
                "Somebody who runs {host} opened a new way into your account. Until you or a second person confirm it, it opens no health records."
            ),
            format!(
                "Alguien que administra {host} abrió un acceso nuevo a su cuenta. Hasta que usted u otra persona lo confirme, no abre expedientes médicos."
            ),
        ),
        LetterKind::RecoveryConfirmed => (
            ("Your account was confirmed", "Se confirmó su cuenta"),
            format!("A second person who runs {host} confirmed that your account is with you. It opens health records again."),
            format!(
                "Otra persona que administra {host} confirmó que usted tiene su cuenta. La cuenta vuelve a abrir expedientes médicos."
            ),
        ),
        LetterKind::IdentityLinked => (
            ("An account elsewhere was linked", "Se vinculó una cuenta de otro sitio"),
            format!("An account at another site was linked with your account at {host}. It can open your account from now on."),
            format!("Se vinculó una cuenta de otro sitio con su cuenta en {host}. Desde ahora puede abrir su cuenta."),
        ),
        LetterKind::AddressChanged => (
            ("Your email address was changed", "Se cambió su dirección de correo"),
            format!("Messages about your account at {host} do not come to this address any more."),
            format!("Los mensajes sobre su cuenta en {host} ya no llegarán a esta dirección."),
        ),
        LetterKind::AddressConfirmation => (
            ("A code for your email address", "Un código para su dirección de correo"),
            format!(
                "Somebody wants messages about an account at {host} to come here. If it is you, type this code into the page. It works for 15 minutes."
            ),
            format!(
                "Alguien quiere que los mensajes sobre una cuenta en {host} lleguen aquí. Si es usted, escriba este código en la página. Sirve durante 15 minutos."
            ),
        ),
        LetterKind::AddressConfirmed => (
            ("Your new email address", "Su nueva dirección de correo"),
            format!("Messages about your account at {host} come to this address from now on."),
            format!("Los mensajes sobre su cuenta en {host} llegarán a esta dirección desde ahora."),
        ),
        LetterKind::GlassBroken
        | LetterKind::GlassBrokenReview
        | LetterKind::GlassRefused
        | LetterKind::GlassSearched
        | LetterKind::ApprovalAwaited => {
            return safeguards::happened(kind, reader, about);
        }
        LetterKind::NewBrowser => (
            ("A sign-in from a new browser", "Un inicio de sesión desde un navegador nuevo"),
            format!("Somebody signed in to your account at {host} with a browser that was not used for it before."),
            format!("Alguien inició sesión en su cuenta en {host} con un navegador que no se había usado antes para ella."),
        ),
    };
    (reader.say(subjects.0, subjects.1), reader.say(english, spanish))
}

fn advice(kind: LetterKind, reader: &Reader) -> &'static str {
    match kind {
        LetterKind::Invitation => reader.say(
            "If you did not expect this, delete this message.",
            "Si no esperaba esto, borre este mensaje.",
        ),
        LetterKind::AddressConfirmation => reader.say(
            "If it was not you, delete this message, and tell nobody the code. Nothing changes without it.",
            "Si no fue usted, borre este mensaje y no diga el código a nadie. Sin él no cambia nada.",
        ),
        LetterKind::PasswordRequest | LetterKind::Forgotten => reader.say(
            "If it was not you, delete this message. Your password stays as it is.",
            "Si no fue usted, borre este mensaje. Su contraseña no cambia.",
        ),
        LetterKind::GlassBroken
        | LetterKind::GlassBrokenReview
        | LetterKind::GlassRefused
        | LetterKind::GlassSearched
        | LetterKind::ApprovalAwaited => {
            safeguards::advice(kind, reader)
        }
        LetterKind::Reset => reader.say(
            "If you did not ask them for it, do not open the link, and tell them.",
            "Si usted no se lo pidió, no abra el enlace y avíseles.",
        ),
        _ => reader.say(
            "If you know of this, there is nothing to do. If not, open the address of your account as you always do, change your password, end the other \
             sessions, and tell the people who run the server.",
            "Si usted sabe de esto, no tiene que hacer nada. Si no, abra su cuenta como siempre lo hace, cambie su contraseña, cierre las otras sesiones y \
             avise a quienes administran el servidor.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use portcullis_jose::Secret;

    use super::*;

    #[test]
    fn every_letter_has_words_in_every_language_and_its_link_once() {
        let link = "https://fhir.example.org/set-password?link=abc";
        let facts = Facts {
            link: Some((Secret::new(link.to_owned()), 1_800_003_600)),
            place: Some(("Firefox".into(), "192.0.2.1".into())),
            code: Some("ABCD-EFGH".into()),
            other: Some("Dr. Ben Lee".into()),
        };
        for kind in LetterKind::ALL {
            let mut texts = Vec::new();
            for language in Language::ALL {
                let about = About { person: "Ann", username: "ann", host: "fhir.example.org", at: 1_800_000_000, facts: &facts };
                let (subject, text) = say(kind, language, &about);
                assert!(!subject.is_empty() && subject.chars().count() < 60, "{subject}");
                assert_eq!((text.matches(link).count(), text.matches("://").count()), (1, 1), "{text}");
                assert!(
                    text.contains("Ann")
                        && text.contains("192.0.2.1")
                        && text.contains("ABCD-EFGH")
                        && text.lines().all(|line| line.len() < 900),
                    "{text}"
                );
                texts.push((subject, text));
            }
            assert_ne!(texts[0], texts[1], "{kind:?}");
            let plain = About { person: "Ann", username: "ann", host: "h", at: 0, facts: &Facts::default() };
            assert!(!say(kind, Language::English, &plain).1.contains("http"));
        }
    }
}
