//! The Patient and the patient's RelatedPersons (US Core Patient, US Core RelatedPerson, C4BB Patient, C4BB RelatedPerson).

use crate::calendar::{Moment, plus_days, push_date};
use crate::chart::Chart;
use crate::directory;
use crate::mark::mark;
use crate::names::{HISPANIC, NOT_HISPANIC};
use crate::people::{Person, Relative};
use crate::terminology::Code;
use crate::terminology::systems::{CARIN, IDENTIFIER_TYPE, MARITAL_STATUS, ROLE_CODE, US_CORE};
use crate::writer::Writer;

/// The naming system of medical record numbers.
pub(crate) const RECORD_NUMBER_SYSTEM: &str = "https://records.example.org/mrn";
pub(crate) const MEMBER_NUMBER: Code = Code::new(IDENTIFIER_TYPE, "MB", "Member Number");
const RECORD_NUMBER: Code = Code::new(IDENTIFIER_TYPE, "MR", "Medical record number");

/// Records who the patient is and who is related.
pub(crate) fn record(chart: &mut Chart<'_>) {
    let updated = Moment::at(plus_days(chart.end(), -1), 20, 0);
    let writer = patient(chart, updated);
    chart.add(writer);
    for relative in &chart.person.relatives {
        let writer = related_person(chart, relative, updated);
        chart.add(writer);
    }
}

/// The record number at the hospital, and the part of the member number that is the person's own.
pub(crate) fn record_number(person: &Person) -> String {
    format!("{:07}", 1_000_000 + person.number)
}

fn patient(chart: &Chart<'_>, updated: Moment) -> Writer {
    let person = chart.person;
    let mut w = Writer::resource("Patient", person.id.clone(), chart.seed);
    w.meta(&[(US_CORE, "us-core-patient"), (CARIN, "C4BB-Patient|2.0.0")], Some(updated));
    w.string("language", "en-US");
    narrative(&mut w, person);
    extensions(&mut w, person);
    let payer = directory::medical_payer(person.payer);
    let number = record_number(person);
    w.list("identifier", |list| {
        list.entry(|identifier| {
            identifier.string("use", "usual");
            identifier.identifier_members(Some(&RECORD_NUMBER), RECORD_NUMBER_SYSTEM, &[&number]);
        });
        list.entry(|identifier| identifier.identifier_members(Some(&MEMBER_NUMBER), payer.member_system, &["M", &number, "01"]));
    });
    w.boolean("active", true);
    w.single("name", |name| {
        name.string("use", "official");
        name.string("family", person.family);
        name.strings("given", &[person.given, person.middle]);
    });
    telecom(&mut w, person, chart.seed);
    w.string("gender", if person.female { "female" } else { "male" });
    w.date("birthDate", person.birth_date);
    if let Some(date) = person.deceased {
        w.moment("deceasedDateTime", Moment::at(date, 5, 40));
    }
    w.single("address", |address| {
        address.string("use", "home");
        person.address.write(address);
        address.object("period", |period| period.date("start", plus_days(chart.end(), -365 * 6)));
    });
    let marital = if person.married { ("M", "Married") } else { ("S", "Never Married") };
    w.concept("maritalStatus", &[Code::new(MARITAL_STATUS, marital.0, marital.1)]);
    w.single("communication", |communication| {
        communication.concept("language", &[person.origin.language]);
        communication.boolean("preferred", true);
    });
    w.practitioners("generalPractitioner", chart.primary());
    w.organization("managingOrganization", chart.practice());
    w
}

/// A small valid narrative (R4 section 2.6.19); names are escaped for XHTML.
fn narrative(w: &mut Writer, person: &Person) {
    let mut born = String::with_capacity(10);
    push_date(&mut born, person.birth_date);
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    w.object("text", |text| {
        text.string("status", "generated");
        text.joined(
            "div",
            &[
                "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p><b>",
                &escaped(person.given),
                " ",
                &escaped(person.family),
                "</b>, born ",
                &born,
                "</p></div>",
            ],
        );
    });
}

fn extensions(w: &mut Writer, person: &Person) {
    let ethnicity = if person.origin.hispanic { HISPANIC } else { NOT_HISPANIC };
    w.list("extension", |list| {
        for (name, code) in [("us-core-race", person.origin.race), ("us-core-ethnicity", ethnicity)] {
            list.entry(|extension| {
                extension.list("extension", |parts| {
                    parts.entry(|part| {
                        part.string("url", "ombCategory");
                        part.coding("valueCoding", &code);
                    });
                    parts.entry(|part| {
                        part.string("url", "text");
                        part.string("valueString", code.display);
                    });
                });
                extension.joined("url", &[US_CORE, name]);
            });
        }
        list.entry(|extension| {
            extension.joined("url", &[US_CORE, "us-core-birthsex"]);
            extension.string("valueCode", if person.female { "F" } else { "M" });
        });
    });
}

fn telecom(w: &mut Writer, person: &Person, seed: u64) {
    let mark = mark(seed);
    w.list("telecom", |list| {
        list.entry(|telecom| {
            telecom.string("system", "phone");
            telecom.string("value", &person.phone);
            telecom.string("use", "home");
        });
        list.entry(|telecom| {
            telecom.string("system", "email");
            telecom.joined("value", &[&person.id, &mark, "@mail.example.org"]);
            telecom.string("use", "home");
        });
    });
}

fn related_person(chart: &Chart<'_>, relative: &Relative, updated: Moment) -> Writer {
    let person = chart.person;
    let (code, display) = relative.relationship.code();
    let mut w = Writer::resource("RelatedPerson", relative.id.clone(), chart.seed);
    w.meta(&[(US_CORE, "us-core-relatedperson"), (CARIN, "C4BB-RelatedPerson|2.0.0")], Some(updated));
    w.boolean("active", true);
    w.reference("patient", "Patient", &person.id);
    w.concepts("relationship", &[Code::new(ROLE_CODE, code, display)]);
    w.single("name", |name| {
        name.string("family", relative.family);
        name.strings("given", &[relative.given]);
    });
    w.single("telecom", |telecom| {
        telecom.string("system", "phone");
        telecom.string("value", &person.phone);
    });
    w.string("gender", if relative.relationship.is_female() { "female" } else { "male" });
    w.date("birthDate", relative.birth_date);
    w.single("address", |address| person.address.write(address));
    w
}
