//! A consent as flat rows, for a store to join: each row is one whole set of conditions, those of the provisions around it included.
//!
//! Values of one element, which are alternatives, multiply out. Of the rows of one consent, those that match decide so: **it denies where a denying row matches
//! and no permitting row further inside does; else it permits where a permitting row matches; else it says nothing.** That is the same as the walk over the tree
//! (`evaluate.rs`), and a property test shows it. "Further inside" is: the path of the one begins with the path of the other and is longer.
//!
//! A consent of which the rows would be too many or a row would need too many values of one element is [`NotCompilable`]; searches then pass over its patient.

use portcullis_fhir::reference::Reference;
use portcullis_fhir::types::ResourceType;

use super::compiled::{CompiledConsent, Node};
use super::criteria::{Class, CodeKey, Criteria, DataCriterion, LabelCriterion, Match, at_time, claims};
use super::document::{Effect, Interval};
use super::facts::{Request, ResourceFacts};
use super::vocabulary::{Actions, Purpose};

/// How many rows a consent may have.
pub const MAXIMUM_ROWS: usize = 1_000;
/// How many values of one element a row may ask for at once: columns of a table.
pub const MAXIMUM_VALUES: usize = 2;

/// Why a consent has no rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCompilable {
    /// It cannot be read.
    #[error("the consent cannot be read")]
    Unreadable,
    /// Its alternatives multiply out to more than `MAXIMUM_ROWS`.
    #[error("the alternatives of the consent multiply out to more than {MAXIMUM_ROWS} rows")]
    TooManyRows,
    /// Nested provisions narrow one element more than `MAXIMUM_VALUES` times.
    #[error("nested provisions narrow one element more than {MAXIMUM_VALUES} times")]
    TooManyValues,
}

/// One row: it matches where all of its columns do. A list asks for each of its values; an empty one asks for nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsentRow {
    /// Where it stands: `""` at the top, `"0."`, `"0.2."` within.
    pub path: Box<str>,
    /// How many levels it is nested.
    pub depth: usize,
    /// What it says.
    pub effect: Effect,
    /// When it counts.
    pub valid: Interval,
    /// The requester is each of these.
    pub actors: Vec<Reference>,
    /// The purpose.
    pub purpose: Option<Purpose>,
    /// One action of each of these sets.
    pub actions: Vec<Actions>,
    /// The resource type.
    pub resource_type: Option<ResourceType>,
    /// The resource claims these profiles.
    pub profiles: Vec<Box<str>>,
    /// The resource has these codes.
    pub codes: Vec<CodeKey>,
    /// The resource has one label of each of these sets (bits of [`portcullis_fhir::labels::Labels`]).
    pub labels_any: Vec<u32>,
    /// The resource has none of these labels.
    pub labels_none: u32,
    /// The clinical time lies within each of these.
    pub data_periods: Vec<Interval>,
    /// The resource has these relations.
    pub data: Vec<DataCriterion>,
    /// Two provisions around each other ask for treatment and for break-glass: a doubt, which never permits.
    in_doubt: bool,
}

/// The rows of a consent.
pub fn rows(consent: &CompiledConsent) -> Result<Vec<ConsentRow>, NotCompilable> {
    let top = consent.top.as_deref().ok_or(NotCompilable::Unreadable)?;
    let everything = ConsentRow {
        path: "".into(),
        depth: 0,
        effect: Effect::Deny,
        valid: consent.valid,
        actors: Vec::new(),
        purpose: None,
        actions: Vec::new(),
        resource_type: None,
        profiles: Vec::new(),
        codes: Vec::new(),
        labels_any: Vec::new(),
        labels_none: 0,
        data_periods: Vec::new(),
        data: Vec::new(),
        in_doubt: false,
    };
    let mut rows = Vec::new();
    add(top, &[everything], &mut rows)?;
    Ok(rows)
}

/// What the rows of one consent say; `None`: nothing. Says the same as [`CompiledConsent`] for a consent that counts now.
pub fn decide_by_rows(rows: &[ConsentRow], request: &Request<'_>, resource: &ResourceFacts) -> Option<Effect> {
    let matching = |effect: Effect| rows.iter().filter(move |row| row.effect == effect && row.counts(request, resource));
    let names_client = |row: &&ConsentRow| row.actors.iter().any(|actor| request.client.contains(actor));
    let is_excepted = |denying: &ConsentRow| {
        matching(Effect::Permit).any(|row| row.depth > denying.depth && row.path.starts_with(&*denying.path))
    };
    let mut denying = matching(Effect::Deny).filter(|row| !request.own_record || names_client(row));
    if denying.any(|row| !is_excepted(row)) {
        return Some(Effect::Deny);
    }
    matching(Effect::Permit).next().map(|_| Effect::Permit)
}

/// Adds the rows of a node and of what is nested in it; `around` are the rows of what is around it.
fn add(node: &Node, around: &[ConsentRow], rows: &mut Vec<ConsentRow>) -> Result<(), NotCompilable> {
    let mut own = around.to_vec();
    for alternatives in alternatives(&node.criteria) {
        let mut narrowed = Vec::new();
        for row in &own {
            narrowed.extend(alternatives.iter().filter_map(|alternative| row.narrowed(alternative)));
            if narrowed.len() > MAXIMUM_ROWS {
                return Err(NotCompilable::TooManyRows);
            }
        }
        own = narrowed;
    }
    if own.iter().any(ConsentRow::is_too_wide) {
        return Err(NotCompilable::TooManyValues);
    }
    if let Some(effect) = node.effect {
        rows.extend(own.iter().filter_map(|row| row.with_effect(effect)));
        if rows.len() > MAXIMUM_ROWS {
            return Err(NotCompilable::TooManyRows);
        }
    }
    for (index, child) in node.children.iter().enumerate() {
        let within: Vec<ConsentRow> = own.iter().map(|row| row.within(index)).collect();
        add(child, &within, rows)?;
    }
    Ok(())
}

/// One value of one element.
enum Alternative<'a> {
    Valid(Interval),
    Actor(&'a Reference),
    Purpose(&'a Purpose),
    Actions(Actions),
    Class(&'a Class),
    Code(&'a CodeKey),
    Label(LabelCriterion),
    DataPeriod(Interval),
    Data(&'a DataCriterion),
}

/// The elements that are there, each with its values.
fn alternatives(criteria: &Criteria) -> Vec<Vec<Alternative<'_>>> {
    let actions = Some(criteria.actions).filter(|actions| !actions.is_empty());
    let elements = [
        criteria.valid.into_iter().map(Alternative::Valid).collect(),
        criteria.actors.iter().map(Alternative::Actor).collect(),
        criteria.purposes.iter().map(Alternative::Purpose).collect(),
        actions.into_iter().map(Alternative::Actions).collect(),
        criteria.classes.iter().map(Alternative::Class).collect(),
        criteria.codes.iter().map(Alternative::Code).collect(),
        criteria.labels.iter().copied().map(Alternative::Label).collect(),
        criteria.data_period.into_iter().map(Alternative::DataPeriod).collect(),
        criteria.data.iter().map(Alternative::Data).collect::<Vec<_>>(),
    ];
    elements.into_iter().filter(|element| !element.is_empty()).collect()
}

impl ConsentRow {
    /// The row that also asks for this; `None` where nothing can match both.
    fn narrowed(&self, alternative: &Alternative<'_>) -> Option<Self> {
        let mut row = self.clone();
        match alternative {
            Alternative::Valid(valid) => row.valid = row.valid.and(*valid)?,
            Alternative::Actor(actor) => insert(&mut row.actors, (*actor).clone()),
            Alternative::Purpose(purpose) => row.ask_for_purpose(purpose)?,
            Alternative::Actions(actions) => insert(&mut row.actions, *actions),
            Alternative::Class(Class::Profile(profile)) => insert(&mut row.profiles, profile.clone()),
            Alternative::Class(Class::Type(resource_type)) => {
                if row.resource_type.is_some_and(|known| known != *resource_type) {
                    return None;
                }
                row.resource_type = Some(*resource_type);
            }
            Alternative::Code(code) => insert(&mut row.codes, (*code).clone()),
            Alternative::Label(label) => {
                if label.any_of != 0 {
                    insert(&mut row.labels_any, label.any_of);
                }
                row.labels_none |= label.none_of;
            }
            Alternative::DataPeriod(period) => {
                // Of two spans of which one holds the other, the inner one says all: also about what lies partly inside.
                row.data_periods.retain(|known| !known.contains(*period));
                if !row.data_periods.iter().any(|known| period.contains(*known)) {
                    row.data_periods.push(*period);
                }
            }
            Alternative::Data(data) => insert(&mut row.data, (*data).clone()),
        }
        Some(row)
    }

    fn within(&self, index: usize) -> Self {
        Self { path: format!("{}{index}.", self.path).into(), depth: self.depth + 1, ..self.clone() }
    }

    /// The row with its effect, unless it would never count.
    fn with_effect(&self, effect: Effect) -> Option<Self> {
        let counts = effect == Effect::Deny || !self.in_doubt;
        counts.then(|| Self { effect, ..self.clone() })
    }

    /// Asks for a purpose besides the one that is asked for already: the narrower of the two; `None` where no request has both.
    fn ask_for_purpose(&mut self, purpose: &Purpose) -> Option<()> {
        let known = self.purpose.take().unwrap_or_else(|| purpose.clone());
        let (narrower, matches) = match known.covers(purpose) {
            Match::No => (known.clone(), purpose.covers(&known)),
            matches => (purpose.clone(), matches),
        };
        self.in_doubt |= matches == Match::Doubt;
        self.purpose = Some(narrower);
        (matches != Match::No).then_some(())
    }

    fn is_too_wide(&self) -> bool {
        [
            self.actors.len(),
            self.actions.len(),
            self.profiles.len(),
            self.codes.len(),
            self.labels_any.len(),
            self.data_periods.len(),
            self.data.len(),
        ]
        .into_iter()
        .any(|values| values > MAXIMUM_VALUES)
    }

    fn counts(&self, request: &Request<'_>, resource: &ResourceFacts) -> bool {
        match self.effect {
            Effect::Permit => self.matches(request, resource) == Match::Yes,
            Effect::Deny => self.matches(request, resource) != Match::No,
        }
    }

    fn matches(&self, request: &Request<'_>, resource: &ResourceFacts) -> Match {
        let bits = resource.labels.bits();
        let certain = self.valid.holds(request.now)
            && self.actions.iter().all(|actions| actions.intersects(request.actions))
            && self.resource_type.is_none_or(|resource_type| resource_type == resource.resource_type())
            && self.labels_any.iter().all(|any| bits & any != 0)
            && bits & self.labels_none == 0;
        if !certain {
            return Match::No;
        }
        let purpose = self.purpose.iter().map(|purpose| purpose.covers(request.purpose));
        let actors = self.actors.iter().map(|actor| request.is(actor));
        purpose.chain(actors).min().unwrap_or(Match::Yes).min(self.covers(resource))
    }

    /// Whether it asks for what only the content of a resource says: what a store cannot tell from its own columns.
    pub fn asks_for_content(&self) -> bool {
        !(self.profiles.is_empty() && self.codes.is_empty() && self.data_periods.is_empty() && self.data.is_empty())
    }

    /// Whether the content of a resource is what the row asks for: the part of the match that a store keeps.
    pub fn covers(&self, resource: &ResourceFacts) -> Match {
        let profiles = self.profiles.iter().map(|profile| claims(profile, resource));
        let codes = self.codes.iter().map(|code| code.is_in(resource));
        let periods = self.data_periods.iter().map(|period| at_time(*period, resource));
        let data = self.data.iter().map(|data| data.covers(resource));
        profiles.chain(codes).chain(periods).chain(data).min().unwrap_or(Match::Yes)
    }
}

fn insert<T: PartialEq>(values: &mut Vec<T>, value: T) {
    if !values.contains(&value) {
        values.push(value);
    }
}
