//! Names of people by origin, with the race, ethnicity (categories of the US Office of Management and Budget) and first language
//! that a chart then carries.

use crate::rng::Rng;
use crate::terminology::Code;
use crate::terminology::systems::{LANGUAGE, OMB_RACE_ETHNICITY};

/// A group of people who share names.
pub(crate) struct Origin {
    percent: u32,
    pub(crate) race: Code,
    pub(crate) hispanic: bool,
    pub(crate) language: Code,
    pub(crate) female: &'static [&'static str],
    pub(crate) male: &'static [&'static str],
    pub(crate) family: &'static [&'static str],
}

pub(crate) const HISPANIC: Code = Code::new(OMB_RACE_ETHNICITY, "2135-2", "Hispanic or Latino");
pub(crate) const NOT_HISPANIC: Code = Code::new(OMB_RACE_ETHNICITY, "2186-5", "Not Hispanic or Latino");

const WHITE: Code = Code::new(OMB_RACE_ETHNICITY, "2106-3", "White");
const BLACK: Code = Code::new(OMB_RACE_ETHNICITY, "2054-5", "Black or African American");
const ASIAN: Code = Code::new(OMB_RACE_ETHNICITY, "2028-9", "Asian");
const NATIVE: Code = Code::new(OMB_RACE_ETHNICITY, "1002-5", "American Indian or Alaska Native");
const PACIFIC: Code = Code::new(OMB_RACE_ETHNICITY, "2076-8", "Native Hawaiian or Other Pacific Islander");
const ENGLISH: Code = Code::new(LANGUAGE, "en", "English");

pub(crate) static ORIGINS: &[Origin] = &[
    Origin {
        percent: 38,
        race: WHITE,
        hispanic: false,
        language: ENGLISH,
        female: &["Eleanor", "Abigail", "Maeve", "Charlotte", "Beatrice", "Rosalind", "Harriet", "Louisa", "Imogen", "Frances"],
        male: &["Theodore", "Oliver", "Declan", "Graham", "Walter", "Edmund", "Fergus", "Miles", "Leonard", "Hugh"],
        family: &[
            "Whitcombe",
            "Ashford",
            "O'Malley",
            "Fairbanks",
            "Thornbury",
            "Halloran",
            "Pemberton",
            "Kingsley",
            "Merriweather",
            "Dunmore",
            "Lockhart",
            "Bramwell",
        ],
    },
    Origin {
        percent: 8,
        race: WHITE,
        hispanic: false,
        language: Code::new(LANGUAGE, "pl", "Polish"),
        female: &["Agnieszka", "Zofia", "Małgorzata", "Hanna", "Irena", "Wiesława"],
        male: &["Łukasz", "Tomasz", "Stanisław", "Marek", "Piotr", "Kazimierz"],
        family: &["Wiśniewski", "Kowalczyk", "Zieliński", "Dąbrowski", "Mazur", "Jabłoński"],
    },
    Origin {
        percent: 4,
        race: WHITE,
        hispanic: false,
        language: Code::new(LANGUAGE, "ar", "Arabic"),
        female: &["Layla", "Yasmin", "Salma", "Rania", "Huda"],
        male: &["Omar", "Khalid", "Tariq", "Samir", "Yusuf"],
        family: &["Haddad", "al-Rashid", "Mansour", "Khoury", "Nasser"],
    },
    Origin {
        percent: 15,
        race: BLACK,
        hispanic: false,
        language: ENGLISH,
        female: &["Denise", "Imani", "Latoya", "Naomi", "Ebony", "Amara", "Gwendolyn", "Nia"],
        male: &["Marcus", "Jerome", "Malik", "Darnell", "Isaiah", "Terrence", "Kofi", "Andre"],
        family: &["Freeman", "Booker", "Okafor", "Jefferson", "Mensah", "Baptiste", "Gaines", "Tubman-Reed"],
    },
    Origin {
        percent: 18,
        race: Code::new(OMB_RACE_ETHNICITY, "2131-1", "Other Race"),
        hispanic: true,
        language: Code::new(LANGUAGE, "es", "Spanish"),
        female: &["Lucía", "Guadalupe", "Marisol", "Ximena", "Inés", "Rosario", "Belén", "Carmen"],
        male: &["José", "Joaquín", "Andrés", "Ramón", "Mateo", "Íñigo", "Héctor", "Emilio"],
        family: &["Núñez", "Castañeda", "Echeverría", "de la Cruz", "Ibáñez", "Villaseñor", "Quiñones", "Montoya"],
    },
    Origin {
        percent: 5,
        race: ASIAN,
        hispanic: false,
        language: Code::new(LANGUAGE, "vi", "Vietnamese"),
        female: &["Thảo", "Linh", "Hương", "Mai", "Ngọc"],
        male: &["Dũng", "Minh", "Quang", "Tuấn", "Bảo"],
        family: &["Nguyễn", "Trần", "Phạm", "Lê", "Hoàng"],
    },
    Origin {
        percent: 5,
        race: ASIAN,
        hispanic: false,
        language: Code::new(LANGUAGE, "zh", "Chinese"),
        female: &["Meiling", "Xiulan", "Yuna", "Jingyi", "Lihua"],
        male: &["Wei", "Junjie", "Haoran", "Zhiqiang", "Ming"],
        family: &["Zhang", "Liu", "Huang", "Ouyang", "Xu"],
    },
    Origin {
        percent: 4,
        race: ASIAN,
        hispanic: false,
        language: ENGLISH,
        female: &["Priya", "Ananya", "Lakshmi", "Deepa", "Meera"],
        male: &["Arjun", "Rohan", "Vikram", "Sanjay", "Kiran"],
        family: &["Subramanian", "Chatterjee", "Deshpande", "Iyer", "Kapoor"],
    },
    Origin {
        percent: 2,
        race: NATIVE,
        hispanic: false,
        language: ENGLISH,
        female: &["Winona", "Dezba", "Sahkyo", "Rose"],
        male: &["Delmar", "Hoskie", "Virgil", "Leland"],
        family: &["Begay", "Yazzie", "Tsosie", "Whitehorse"],
    },
    Origin {
        percent: 1,
        race: PACIFIC,
        hispanic: false,
        language: ENGLISH,
        female: &["Leilani", "Kalea", "Noelani"],
        male: &["Keoni", "Kaimana", "Makoa"],
        family: &["Kealoha", "Kahananui", "Tuiasosopo"],
    },
];

/// Draws an origin by its share.
pub(crate) fn origin(rng: &mut Rng) -> &'static Origin {
    let mut rest = rng.below(ORIGINS.iter().map(|origin| origin.percent).sum());
    for origin in ORIGINS {
        match rest.checked_sub(origin.percent) {
            Some(after) => rest = after,
            None => return origin,
        }
    }
    rng.pick(ORIGINS)
}

impl Origin {
    /// Draws a given name.
    pub(crate) fn given(&self, female: bool, rng: &mut Rng) -> &'static str {
        rng.choose(if female { self.female } else { self.male })
    }

    /// Draws a middle name: another one than the first.
    pub(crate) fn middle(&self, female: bool, first: &str, rng: &mut Rng) -> &'static str {
        loop {
            let name = self.given(female, rng);
            if name != first {
                return name;
            }
        }
    }
}
