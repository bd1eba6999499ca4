//! Every page in every language: nothing stays in another one, and all of it is easy to read.
//!
//! Reading levels: Flesch-Kincaid grade for English, the Szigriszt-Pazos index on the INFLESZ scale for Spanish (Barrio-Cantalejo et al. 2008: 55 to 65
//! "normal", which texts for patients should reach; 65 to 80 "fairly easy").

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use portcullis_fhir::types::ResourceType;
use portcullis_oauth::consent_groups::ConsentGroup as Group;
use portcullis_oauth::scopes::{Scope, plain_words};

use super::*;

/// Text that is the same in both languages: names.
const NAMES: [&str; 6] = ["Portcullis", "7 – Portcullis", "Portcullis 7", "SMART OpenID Connect FHIR", "iss", "state"];
/// Words that nearly every sentence of one language has, and none of the other.
const ENGLISH_WORDS: &[&str] =
    &["the", "you", "your", "and", "is", "of", "to", "not", "with", "for", "this", "it", "in", "was", "sign", "app", "who"];
const SPANISH_WORDS: &[&str] =
    &["el", "la", "los", "las", "su", "sus", "de", "que", "para", "con", "una", "un", "usted", "por", "en", "se", "sesión", "lo"];
/// The highest Flesch-Kincaid grade of a page.
const EASY_GRADE: f64 = 8.0;
/// The lowest index of a page, and of all of them together. Some pages are about long words: an authenticator is an "autenticación".
const EASY_INDEX: f64 = 55.0;
const EASY_INDEX_OF_ALL: f64 = 70.0;
/// Pages for people who make apps, not for those whose records these are.
const FOR_DEVELOPERS: [&str; 4] = ["docs", "docs_without_demo", "start", "start_plain"];

/// The texts of a page, in blocks that are read in one go. Code is left out, and the links to other languages, which are in theirs.
fn blocks(html: &str) -> Vec<String> {
    const INLINE: [&str; 7] = ["strong", "bdi", "a", "span", "code", "small", "svg"];
    let mut blocks = vec![String::new()];
    let mut code = 0_u32;
    for piece in html.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').unwrap();
        let name = tag.trim_start_matches('/').split_whitespace().next().unwrap();
        if ["code", "script", "!DOCTYPE"].contains(&name) {
            code = if tag.starts_with('/') { code - 1 } else { code + u32::from(name == "code" || name == "script") };
        }
        if !INLINE.contains(&name) {
            blocks.push(String::new());
        }
        for attribute in ["aria-label=\"", "placeholder=\""] {
            blocks.extend(tag.split(attribute).nth(1).map(|rest| unescaped(rest.split('"').next().unwrap())));
        }
        if code == 0 && !tag.contains("hreflang=") {
            blocks.last_mut().unwrap().push_str(&unescaped(text));
        } else if code > 0 && tag.starts_with("code") {
            blocks.last_mut().unwrap().push_str("code");
        }
    }
    blocks
        .into_iter()
        .map(|block| block.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|block| !block.is_empty())
        .collect()
}

fn unescaped(text: &str) -> String {
    text.replace("&#38;", "&").replace("&#39;", "'").replace("&#34;", "\"").replace("&amp;", "&")
}

fn words(text: &str) -> Vec<String> {
    let is_of_word = |character: char| character.is_alphabetic() || character == '’' || character == '\'';
    text.split(|character| !is_of_word(character)).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

/// A word of the other language in a text, the names of specifications left out.
fn foreign(text: &str, language: Language) -> Option<String> {
    let others = language.say(SPANISH_WORDS, ENGLISH_WORDS);
    words(&text.replace("SMART App Launch", "")).into_iter().find(|word| others.contains(&word.as_str()))
}

#[test]
fn no_page_has_words_of_another_language() {
    let english = all_pages(&Reader::of(Language::English), "7");
    let spanish = all_pages(&Reader::of(Language::Spanish), "7");
    assert_eq!(english.len(), spanish.len());
    let mut problems = Vec::new();
    for ((name, english), (_, spanish)) in english.iter().zip(&spanish) {
        assert!(english.contains("<html lang=\"en\">") && spanish.contains("<html lang=\"es\">"), "{name}");
        let [english, spanish] = [english, spanish].map(|html| blocks(html).into_iter().collect::<BTreeSet<_>>());
        for same in english.intersection(&spanish) {
            let is_wordless = !same.chars().any(char::is_alphabetic) || NAMES.contains(&same.as_str());
            if !is_wordless && !same.starts_with("code") {
                problems.push(format!("{name} says this in both languages: {same}"));
            }
        }
        for (language, blocks) in [(Language::English, &english), (Language::Spanish, &spanish)] {
            for block in blocks {
                problems.extend(foreign(block, language).map(|word| format!("{name}, {language:?}, {word}: {block}")));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// What docs/terms.md has another word for, or what is said otherwise in Latin America, as beginnings of words.
#[rustfmt::skip]
const NOT_OUR_SPANISH: &[&str] = &[
    "manej", "operador", "delicad", "regres", "dedo", "anota", "caduc", "ordenador", "móvil", "logue", "autenticador", "carta", "estancia", "desvincule",
    "vosotros", "vuestr", "tú", "tus", "encuentro", "ficha",
];

#[test]
fn spanish_keeps_to_the_terms_and_speaks_to_usted() {
    let terms = include_str!("../../../../../../docs/terms.md");
    assert!(terms.contains("quienes administran este servidor") && terms.contains("expediente médico"), "docs/terms.md");
    let pages = all_pages(&Reader::of(Language::Spanish), "7").into_iter().flat_map(|(_, html)| blocks(&html));
    let code = pairs().into_iter().flat_map(|(_, spanish)| spanish);
    let words_of_scopes = scopes().into_iter().map(|scope| plain_words(&scope, Language::Spanish));
    for text in pages.chain(code).chain(words_of_scopes) {
        let wrong = words(&text).into_iter().find(|word| NOT_OUR_SPANISH.iter().any(|beginning| is_of(word, beginning)));
        assert_eq!(wrong, None, "{text}");
        assert!(!text.contains(['«', '»']), "quotation marks: {text}");
    }
}

/// Whether a word is one that is not ours: short ones as they stand, longer ones with any ending.
fn is_of(word: &str, beginning: &str) -> bool {
    if beginning.chars().count() < 4 { word == beginning } else { word.starts_with(beginning) }
}

/// Scopes of every type, and those of other kinds.
fn scopes() -> Vec<Scope> {
    let types = ResourceType::all().flat_map(|name| ["patient", "user"].map(|context| format!("{context}/{name}.rs")));
    let others =
        ["openid", "fhirUser", "profile", "offline_access", "online_access", "launch", "launch/patient", "launch/encounter"];
    let wide = ["patient/*.rs", "patient/*.cud", "patient/*.cruds", "user/*.rs", "user/*.cruds", "user/*.cud", "system/*.rs"];
    let all = types.chain(others.into_iter().chain(wide).map(str::to_owned));
    all.map(|text| Scope::parse(&text).unwrap()).collect()
}

#[test]
fn scopes_are_told_in_each_language_and_in_no_other() {
    for scope in scopes() {
        let [english, spanish] = Language::ALL.map(|language| plain_words(&scope, language));
        assert_ne!(english, spanish, "{scope}");
        assert_eq!(foreign(&english, Language::English), None, "{scope}: {english}");
        assert_eq!(foreign(&spanish, Language::Spanish), None, "{scope}: {spanish}");
        assert!(!spanish.contains(scope.as_str()) && !english.contains(scope.as_str()), "{scope}");
    }
    for group in Group::ALL {
        assert_ne!(group.title(Language::English), group.title(Language::Spanish));
    }
}

/// The string literals of a piece of source.
fn literals(source: &str) -> Vec<String> {
    let mut literals = Vec::new();
    let mut rest = source;
    while let Some((_, after)) = rest.split_once('"') {
        let Some((literal, behind)) = after.split_once('"') else { break };
        literals.push(literal.to_owned());
        rest = behind;
    }
    literals
}

/// Pairs of what Rust code says in each language: error pages, whose words are two arrays, and phrases.
fn pairs_in_source(source: &str) -> Vec<(Vec<String>, Vec<String>)> {
    let mut pairs = Vec::new();
    for call in source.split("error(").chain(source.split("page(")).skip(1) {
        let Some((head, body)) = call.split_once('[') else { continue };
        if head.contains(';') || head.contains('{') {
            continue;
        }
        let Some((english, rest)) = body.split_once("],") else { continue };
        let Some((between, rest)) = rest.split_once('[') else { continue };
        let Some((spanish, _)) = rest.split_once(']') else { continue };
        if between.trim().is_empty() {
            pairs.push((literals(english), literals(spanish)));
        }
    }
    for call in source.split("say(").skip(1) {
        let arguments = call.split(')').next().unwrap();
        let both = literals(arguments);
        if let [english, spanish] = both.as_slice() {
            pairs.push((vec![english.clone()], vec![spanish.clone()]));
        }
    }
    pairs
}

fn sources(directory: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).unwrap();
            found.push(source.split("#[cfg(test)]").next().unwrap().to_owned());
        }
    }
}

fn pairs() -> Vec<(Vec<String>, Vec<String>)> {
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found.iter().flat_map(|source| pairs_in_source(source)).collect()
}

#[test]
fn what_the_code_says_is_in_both_languages() {
    let pairs = pairs();
    let pages = pairs.iter().filter(|(english, _)| english.len() > 1).count();
    assert!(pages >= 20 && pairs.len() >= 60, "{pages} error pages of {} texts were found", pairs.len());
    for (english, spanish) in pairs {
        assert_eq!(english.len(), spanish.len(), "{english:?} {spanish:?}");
        for (english, spanish) in english.iter().zip(&spanish) {
            assert_ne!(english, spanish);
            assert_eq!(foreign(english, Language::English), None, "{english}");
            // What is told in the words of a specification says so.
            let is_technical = spanish.contains("en inglés") || spanish.contains("before");
            assert!(is_technical || foreign(spanish, Language::Spanish).is_none(), "{spanish}");
        }
    }
}

/// Syllables of an English word: groups of vowels, without a silent e at the end.
fn english_syllables(word: &str) -> usize {
    let is_vowel = |character: char| "aeiouy".contains(character);
    let mut count = 0;
    let mut before = false;
    for character in word.chars() {
        let vowel = is_vowel(character);
        count += usize::from(vowel && !before);
        before = vowel;
    }
    let silent = (word.ends_with('e') && !word.ends_with("le"))
        || (word.ends_with("ed") && !word.ends_with("ted") && !word.ends_with("ded"));
    if silent && count > 1 { count - 1 } else { count.max(1) }
}

/// Syllables of a Spanish word: two strong vowels, or a weak one with an accent beside another, are two; other vowels in a row are one.
fn spanish_syllables(word: &str) -> usize {
    let strong = |character: char| "aeoáéó".contains(character);
    let accented = |character: char| "íú".contains(character);
    let vowel = |character: char| strong(character) || accented(character) || "iuü".contains(character);
    let mut count = 0;
    let mut before: Option<char> = None;
    // The u of "que" and "guía" is not heard.
    let silent = ["que", "qui", "qué", "quí", "gue", "gui", "gué", "guí"];
    let heard = silent.iter().fold(word.to_owned(), |word, pair| word.replace(pair, &pair.replace('u', "")));
    for character in heard.chars() {
        if vowel(character) {
            let joined =
                before.is_some_and(|before| !(strong(before) && strong(character) || accented(before) || accented(character)));
            count += usize::from(!joined);
            before = Some(character);
        } else {
            before = None;
        }
    }
    count.max(1)
}

#[derive(Default)]
struct Counts {
    words: usize,
    sentences: usize,
    syllables: usize,
}

impl Counts {
    fn add(&mut self, text: &str, language: Language) {
        for sentence in text.split_inclusive(['.', '?', '!', ':']) {
            let words = words(sentence);
            // Headings, labels and buttons are no sentences: they would make any page look easy.
            if words.len() < 4 {
                continue;
            }
            self.sentences += 1;
            self.words += words.len();
            self.syllables +=
                words.iter().map(|word| language.say(english_syllables(word), spanish_syllables(word))).sum::<usize>();
        }
    }

    /// Flesch-Kincaid grade (lower is easier) or INFLESZ (higher is easier).
    fn level(&self, language: Language) -> f64 {
        let number = |count: usize| f64::from(u32::try_from(count).unwrap());
        let (words, sentences, syllables) = (number(self.words), number(self.sentences), number(self.syllables));
        match language {
            Language::English => 0.39 * words / sentences + 11.8 * syllables / words - 15.59,
            Language::Spanish => 206.835 - 62.3 * syllables / words - words / sentences,
        }
    }

    fn assert_easy(&self, name: &str, language: Language) {
        let level = self.level(language);
        println!("{name}, {language:?}: {level:.1} ({} words in {} sentences)", self.words, self.sentences);
        match language {
            Language::English => assert!(level <= EASY_GRADE, "{name} has grade {level:.1}"),
            Language::Spanish => assert!(level >= EASY_INDEX, "{name} has an index of {level:.1}"),
        }
    }
}

#[test]
fn syllables_are_counted_as_people_speak() {
    for (word, count) in
        [("record", 2), ("the", 1), ("decide", 2), ("allowed", 2), ("wanted", 2), ("table", 2), ("you", 1), ("e", 1)]
    {
        assert_eq!(english_syllables(word), count, "{word}");
    }
    for (word, count) in [
        ("expediente", 4),
        ("médico", 3),
        ("aplicación", 4),
        ("día", 2),
        ("guía", 2),
        ("leer", 2),
        ("que", 1),
        ("y", 1),
        ("muy", 1),
        ("usted", 2),
    ] {
        assert_eq!(spanish_syllables(word), count, "{word}");
    }
}

#[test]
fn every_page_reads_at_grade_eight_in_both_languages() {
    for language in Language::ALL {
        let mut all = Counts::default();
        for (name, html) in all_pages(&Reader::of(language), "Ana") {
            let mut page = Counts::default();
            for block in blocks(&html) {
                page.add(&block, language);
                all.add(&block, language);
            }
            if !FOR_DEVELOPERS.contains(&name) && page.sentences >= 3 {
                page.assert_easy(name, language);
            }
        }
        all.assert_easy("all pages", language);
        assert!(language == Language::English || all.level(language) >= EASY_INDEX_OF_ALL);
        let mut code = Counts::default();
        for (english, spanish) in pairs() {
            language.say(english, spanish).iter().for_each(|text| code.add(text, language));
        }
        code.assert_easy("error pages and phrases", language);
    }
}

#[test]
fn scopes_read_at_grade_eight_in_both_languages() {
    for language in Language::ALL {
        let mut counts = Counts::default();
        // What patients' records usually have; the names of the other types are technical in any language.
        for scope in scopes().iter().filter(|scope| scope.as_str().starts_with("patient/")) {
            let common = scope.resource().is_some_and(|resource| match resource.target {
                portcullis_oauth::scopes::ScopeTarget::Type(of) => portcullis_oauth::consent_groups::noun(of).is_some(),
                portcullis_oauth::scopes::ScopeTarget::Any => true,
            });
            if common {
                counts.add(&plain_words(scope, language), language);
            }
        }
        let level = counts.level(language);
        println!("scopes, {language:?}: {level:.1} ({} words in {} phrases)", counts.words, counts.sentences);
        match language {
            Language::English => assert!(level <= EASY_GRADE, "grade {level:.1}"),
            Language::Spanish => assert!(level >= EASY_INDEX, "index {level:.1}"),
        }
    }
}
