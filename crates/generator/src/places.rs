//! Invented towns and streets, in real states.

use crate::rng::Rng;
use crate::writer::Writer;

/// A town.
pub(crate) struct Town {
    pub(crate) name: &'static str,
    pub(crate) state: &'static str,
    pub(crate) postal_code: &'static str,
}

const fn town(name: &'static str, state: &'static str, postal_code: &'static str) -> Town {
    Town { name, state, postal_code }
}

static TOWNS: &[Town] = &[
    town("Larkfield Hollow", "MA", "01999"),
    town("Marrowbrook", "OH", "44998"),
    town("Upper Tamsin", "PA", "15999"),
    town("Quillmere", "VT", "05999"),
    town("Saltmarsh Point", "ME", "04999"),
    town("Cobblewick", "NY", "12999"),
    town("Dunharrow Falls", "MI", "49099"),
    town("Peregrine Bay", "NJ", "08999"),
    town("Elderbank", "IN", "46999"),
    town("Copper Ferry", "KY", "41999"),
];

static STREETS: &[&str] = &[
    "Lantern Street",
    "Juniper Way",
    "Old Mill Road",
    "Heron Lane",
    "Foxglove Court",
    "Granary Row",
    "Sycamore Avenue",
    "Tidewater Drive",
    "Beacon Hill Road",
    "Orchard Terrace",
    "Millrace Close",
    "Station Parade",
];

/// An address.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) town: &'static Town,
    line: String,
}

impl Address {
    /// Draws an address.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        Self { town: rng.pick(TOWNS), line: format!("{} {}", rng.between(2, 389), rng.pick(STREETS)) }
    }

    /// The members of an Address.
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.strings("line", &[&self.line]);
        writer.string("city", self.town.name);
        writer.string("state", self.town.state);
        writer.string("postalCode", self.town.postal_code);
        writer.string("country", "US");
    }
}

/// A telephone number of the range that is reserved for fiction (555-0100 to 555-0199).
pub(crate) fn phone(rng: &mut Rng) -> String {
    format!("({}) 555-01{:02}", rng.between(201, 989), rng.below(100))
}
