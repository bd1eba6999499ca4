//! The organisation that the demo plays.

use portcullis_server::brand::{Brand, BrandAddress};

/// Its brand; the logo is the mark of this product, from the demo at this issuer.
pub fn brand(issuer: &str) -> Brand {
    Brand {
        name: Some("Portcullis Demo Health".to_owned()),
        aliases: vec!["Demo Health".to_owned()],
        website: Some("https://demo-health.example".to_owned()),
        categories: vec!["clinical".to_owned(), "insurer".to_owned()],
        logo: Some(format!("{issuer}/static/mark.svg")),
        portal_name: Some("Your record at Portcullis Demo Health".to_owned()),
        portal_description: Some("For the people in this demo. Nobody in it is real.".to_owned()),
        addresses: vec![BrandAddress {
            city: Some("Boston".to_owned()),
            state: Some("MA".to_owned()),
            postal_code: Some("02111".to_owned()),
            ..BrandAddress::default()
        }],
        ..Brand::default()
    }
}
