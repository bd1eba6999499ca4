//! Who reads a page: in which language, and where the same page is found in another one.
//!
//! Every page has a `reader`. Its template says short words as `{{ reader.say("Sign in", "Iniciar sesión") }}`, and sentences with values in them by
//! `{% match reader.language %}{% when English %}…{% when Spanish %}…{% endmatch %}`. So a text that lacks in one language does not compile; ADR 0015.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use portcullis_oauth::language::Language;

/// The path that changes the language of a browser.
pub const LANGUAGE_PATH: &str = "/language";
/// The longest address that a page is found at again, in bytes; a longer one is left to the browser's back button.
const MAXIMUM_HERE: usize = 4 * 1024;

const ENGLISH_MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const SPANISH_MONTHS: [&str; 12] =
    ["enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre"];

/// Whoever reads a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reader {
    /// The language of the page.
    pub language: Language,
    /// The path and query at which the page is found; empty: the start page.
    here: String,
    /// Whether an app asked for this language, so that forms carry it on.
    asked_by_app: bool,
}

impl Reader {
    /// A reader of this language.
    pub fn of(language: Language) -> Self {
        Self { language, ..Self::default() }
    }

    /// The same with the address at which the page is found again.
    pub fn at(self, here: &str) -> Self {
        Self { here: if here.len() <= MAXIMUM_HERE { here.to_owned() } else { String::new() }, ..self }
    }

    /// The same, where an app asked for the language.
    pub fn asked_by_app(self, asked_by_app: bool) -> Self {
        Self { asked_by_app, ..self }
    }

    /// The words in the reader's language.
    pub fn say<T>(&self, english: T, spanish: T) -> T {
        self.language.say(english, spanish)
    }

    /// What stands behind the path that a form posts to, so that the answer speaks the language that the app asked for.
    pub fn query(&self) -> &'static str {
        match (self.asked_by_app, self.language) {
            (false, _) => "",
            (true, Language::English) => "?ui_locales=en",
            (true, Language::Spanish) => "?ui_locales=es",
        }
    }

    /// The other languages, each with the address that changes to it.
    pub fn others(&self) -> impl Iterator<Item = (Language, String)> {
        Language::ALL.into_iter().filter(|language| *language != self.language).map(|language| {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.append_pair("to", language.tag());
            if !self.here.is_empty() {
                query.append_pair("return_to", &self.here);
            }
            (language, format!("{LANGUAGE_PATH}?{}", query.finish()))
        })
    }

    /// `12 March 2026`, `12 de marzo de 2026`; UTC.
    pub fn day(&self, seconds: i64) -> String {
        self.date(Timestamp::from_second(seconds).unwrap_or_default().to_zoned(TimeZone::UTC).date())
    }

    /// `12 March 2026 at 14:05 UTC`, `12 de marzo de 2026 a las 14:05 UTC`: the reader's time zone is not known.
    pub fn moment(&self, seconds: i64) -> String {
        self.timestamp(Timestamp::from_second(seconds).unwrap_or_default())
    }

    /// A date or time of FHIR as people write it; what is not whole stays as it is.
    pub fn written(&self, text: &str) -> String {
        if let Ok(time) = text.parse::<Timestamp>() {
            return self.timestamp(time);
        }
        text.parse::<Date>().map_or_else(|_| text.to_owned(), |date| self.date(date))
    }

    fn timestamp(&self, time: Timestamp) -> String {
        let time = time.to_zoned(TimeZone::UTC);
        let (date, clock) = (self.date(time.date()), time.strftime("%H:%M UTC"));
        match self.language {
            Language::English => format!("{date} at {clock}"),
            // "A la una", and "a las" for every other hour.
            Language::Spanish if time.hour() == 1 => format!("{date} a la {clock}"),
            Language::Spanish => format!("{date} a las {clock}"),
        }
    }

    fn date(&self, date: Date) -> String {
        let months = self.say(ENGLISH_MONTHS, SPANISH_MONTHS);
        let month = usize::try_from(date.month() - 1).ok().and_then(|month| months.get(month)).unwrap_or(&"");
        let (day, year) = (date.day(), date.year());
        match self.language {
            Language::English => format!("{day} {month} {year}"),
            Language::Spanish => format!("{day} de {month} de {year}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_people_of_the_language_write_them() {
        let (english, spanish) = (Reader::of(Language::English), Reader::of(Language::Spanish));
        assert_eq!(english.moment(1_773_324_300), "12 March 2026 at 14:05 UTC");
        assert_eq!(spanish.moment(1_773_324_300), "12 de marzo de 2026 a las 14:05 UTC");
        assert_eq!(spanish.moment(1_773_278_100), "12 de marzo de 2026 a la 01:15 UTC");
        assert_eq!((english.day(0), spanish.day(0)), ("1 January 1970".to_owned(), "1 de enero de 1970".to_owned()));
        for (text, in_english, in_spanish) in [
            ("2026-03-12T14:05:00+01:00", "12 March 2026 at 13:05 UTC", "12 de marzo de 2026 a las 13:05 UTC"),
            ("1951-12-04", "4 December 1951", "4 de diciembre de 1951"),
            ("1951-05", "1951-05", "1951-05"),
            ("2026", "2026", "2026"),
            ("", "", ""),
        ] {
            assert_eq!((english.written(text), spanish.written(text)), (in_english.to_owned(), in_spanish.to_owned()));
        }
    }

    #[test]
    fn a_page_leads_to_itself_in_each_other_language() {
        let reader = Reader::of(Language::English).at("/oauth/authorize?a=b&c=d");
        let others: Vec<_> = reader.others().collect();
        let address = "/language?to=es&return_to=%2Foauth%2Fauthorize%3Fa%3Db%26c%3Dd".to_owned();
        assert_eq!(others, [(Language::Spanish, address)]);
        let long = Reader::of(Language::Spanish).at(&"/x".repeat(MAXIMUM_HERE));
        assert_eq!(long.others().collect::<Vec<_>>(), [(Language::English, "/language?to=en".to_owned())]);
    }
}
