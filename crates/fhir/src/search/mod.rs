//! The search grammar: a query string becomes a [`SearchQuery`] whose every part is understood, or is named as ignored.
//!
//! <https://hl7.org/fhir/R4/search.html>. The special parameter of R4 that is a value of a resource (`near` of Location) is recognised, and is not accepted:
//! an error under strict handling, otherwise ignored and named. So are `_content`, `_text`, `_filter`, `_query` and `_list`, which are no parameters here.
//! A search of several types, of a compartment or of everything about somebody, is a search of each type ([`SearchOfTypes`]).

use crate::definitions::SearchParameter;
use crate::reference::{LocalReference, Reference};
use crate::types::{LogicalId, ResourceType};

pub(crate) mod audit_event;
mod canonical;
mod chain;
mod composite;
pub(crate) mod control;
mod everything;
mod filter;
mod key;
mod membership;
mod parse;
#[cfg(test)]
mod robustness;
#[cfg(test)]
mod tests;
mod types;
mod value;

pub use everything::{pairs_of, parse_everything};
pub(crate) use filter::Rejection;
pub use membership::within;
pub use parse::parse;
pub(crate) use parse::settle;
pub use types::{SearchOfTypes, SearchPlace, parse_types};

/// What parsing a search needs to know besides the query.
#[derive(Clone, Copy, Debug)]
pub struct SearchContext<'a> {
    /// The server's own base URL, without a slash at the end.
    pub base_url: &'a str,
    /// What happens to parameters that are not understood.
    pub handling: Handling,
    /// Now, in milliseconds since the epoch: `ap` on dates depends on it.
    pub now_ms: i64,
}

/// `Prefer: handling=` (<https://hl7.org/fhir/R4/search.html#errors>).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Handling {
    /// A parameter that is not understood is an error.
    Strict,
    /// A parameter that is not understood is ignored, and named in the answer.
    #[default]
    Lenient,
}

/// A search of one type, completely parsed.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchQuery {
    /// The type that is searched.
    pub resource_type: ResourceType,
    /// Whose compartment the address names. It says nothing that the criteria do not say.
    pub compartment: Option<LocalReference>,
    /// The criteria, all of which must hold.
    pub filters: Vec<Filter>,
    /// `_include`: from a match to what it refers to.
    pub includes: Vec<Include>,
    /// `_revinclude`: from a match to what refers to it.
    pub reverse_includes: Vec<Include>,
    /// `_sort`, most significant first; empty means the store's own stable order.
    pub sort: Vec<SortKey>,
    /// Matches per page; already bounded by [`SearchQuery::MAXIMUM_COUNT`]. 0 asks for the count alone.
    pub count: u32,
    /// `_total`
    pub total: Total,
    /// `_summary` and `_elements`
    pub shape: Shape,
    /// The encrypted bookmark of a further page, as received (`_cursor`). It is a place in the answer, never a permit.
    pub cursor: Option<Box<str>>,
    /// The parameters that were understood, as sent and in order: the self link.
    pub applied: Vec<(String, String)>,
    /// The parameters that were not understood and therefore ignored, with the reason.
    pub ignored: Vec<Ignored>,
}

impl SearchQuery {
    /// The page size where the client names none.
    pub const DEFAULT_COUNT: u32 = 50;
    /// The largest page.
    pub const MAXIMUM_COUNT: u32 = 1000;
    /// The largest number of parameters in one query.
    pub const MAXIMUM_PARAMETERS: usize = 100;
    /// The largest number of alternatives (comma-separated values) in one search.
    pub const MAXIMUM_ALTERNATIVES: usize = 500;
    /// The largest number of reference parameters that the includes of one query follow; `Type:*` counts as many as it stands for, `*` as one.
    pub const MAXIMUM_INCLUDES: usize = 100;
    /// The largest number of chained parameters and `_has` in one search.
    pub const MAXIMUM_CHAINS: usize = 8;
    /// The largest number of keys in `_sort`.
    pub const MAXIMUM_SORT_KEYS: usize = 8;
    /// The longest `_cursor`, in bytes.
    pub const MAXIMUM_CURSOR_LENGTH: usize = 4096;
}

/// One criterion: a parameter with a test, any of whose alternatives may hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// The parameter. `_id` and `_lastUpdated` are parameters too (base `None`).
    pub parameter: &'static SearchParameter,
    /// What is asked of it.
    pub test: Test,
}

/// What is asked of a parameter's values. Each variant holds the alternatives of one parameter (OR).
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// `:missing=true` or `:missing=false`
    Missing(bool),
    /// A token equals one of these.
    Token(Vec<TokenMatch>),
    /// `:not`: no token of the resource equals one of these (also true where there is no token).
    TokenNot(Vec<TokenMatch>),
    /// `:text` on a token: the text starts with one of these (normalised).
    TokenText(Vec<Box<str>>),
    /// A string starts with one of these (normalised).
    StringStarts(Vec<Box<str>>),
    /// `:contains` (normalised).
    StringContains(Vec<Box<str>>),
    /// `:exact` (as written).
    StringExact(Vec<Box<str>>),
    /// A reference equals one of these.
    Reference(Vec<ReferenceMatch>),
    /// `:identifier` on a reference: system (as in [`TokenMatch`]) and value.
    ReferenceIdentifier(Vec<TokenMatch>),
    /// A date compares to one of these.
    Date(Vec<DateMatch>),
    /// A number compares to one of these.
    Number(Vec<NumberMatch>),
    /// A quantity compares to one of these.
    Quantity(Vec<QuantityMatch>),
    /// A uri equals one of these.
    Uri(Vec<Box<str>>),
    /// `:below`: a uri starts with one of these.
    UriBelow(Vec<Box<str>>),
    /// `:above`: a uri is a path prefix of one of these.
    UriAbove(Vec<Box<str>>),
    /// `_id`: the logical id equals one of these.
    Id(Vec<LogicalId>),
    /// `_lastUpdated`
    LastUpdated(Vec<DateMatch>),
    /// A composite of parameters of the resource: both criteria of one of these pairs hold.
    Pairs(Vec<[Filter; 2]>),
    /// A composite over elements: all criteria of one of these hold within one element. The filter's own parameter is the composite; those of the
    /// criteria say how they compare.
    Components(Vec<Vec<Filter>>),
    /// One of these holds: a composite that stands for others, or a membership in a compartment. The filter's own parameter says nothing.
    Either(Vec<Filter>),
    /// A chain: the parameter refers to a resource as one of these says.
    Chain(Vec<Link>),
    /// `_has`: a resource as this says refers here. The filter's own parameter is one of that resource's type.
    ReverseChain(Box<Link>),
}

/// The other end of a step in a chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Its type.
    pub resource_type: ResourceType,
    /// What holds for it.
    pub criterion: Filter,
}

/// `[system]|[code]` in its four forms.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenMatch {
    /// `None`: any system; `Some("")`: only tokens without a system; else that system.
    pub system: Option<Box<str>>,
    /// `None`: any code of the system.
    pub code: Option<Box<str>>,
}

/// A reference value in a query.
#[derive(Clone, Debug, PartialEq)]
pub enum ReferenceMatch {
    /// `Type/id`, a typed modifier with an id, an absolute URL under our base, or any absolute URL.
    Exact(Reference),
    /// A bare id: any of the parameter's target types with this id.
    AnyType(LogicalId),
}

/// A comparison prefix (<https://hl7.org/fhir/R4/search.html#prefix>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// equal (the default)
    Eq,
    /// not equal
    Ne,
    /// greater
    Gt,
    /// less
    Lt,
    /// greater or equal
    Ge,
    /// less or equal
    Le,
    /// starts after
    Sa,
    /// ends before
    Eb,
    /// approximately
    Ap,
}

impl Prefix {
    /// Every prefix with its two letters.
    const ALL: [(&'static str, Self); 9] = [
        ("eq", Self::Eq),
        ("ne", Self::Ne),
        ("gt", Self::Gt),
        ("lt", Self::Lt),
        ("ge", Self::Ge),
        ("le", Self::Le),
        ("sa", Self::Sa),
        ("eb", Self::Eb),
        ("ap", Self::Ap),
    ];

    /// The prefix with these two letters.
    pub fn parse(letters: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == letters).map(|(_, prefix)| *prefix)
    }

    /// The two letters in a query.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, prefix)| *prefix == self).map_or("eq", |(name, _)| name)
    }
}

/// A date with its implied range `[low, high)` in milliseconds since the epoch. For `ap` the range is already widened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DateMatch {
    /// The comparison.
    pub prefix: Prefix,
    /// First millisecond of the range.
    pub low: i64,
    /// First millisecond after the range.
    pub high: i64,
}

/// A number with the half-open range of its implied precision. For `ap` the range is already widened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NumberMatch {
    /// The comparison.
    pub prefix: Prefix,
    /// The value as written.
    pub value: f64,
    /// Low end of the implied range, inclusive.
    pub low: f64,
    /// High end of the implied range, exclusive.
    pub high: f64,
}

/// A number with unit.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantityMatch {
    /// The number.
    pub number: NumberMatch,
    /// `None`: any system.
    pub system: Option<Box<str>>,
    /// A code (or, without system, a code or unit text); `None`: any.
    pub code: Option<Box<str>>,
}

/// `_include=Source:parameter[:target]` or `_revinclude` of the same form; `Source:*` becomes several of these.
#[derive(Clone, Debug, PartialEq)]
pub struct Include {
    /// The type that holds the reference.
    pub source: ResourceType,
    /// The reference parameter.
    pub parameter: &'static SearchParameter,
    /// Only targets of this type, where given.
    pub target: Option<ResourceType>,
    /// `:iterate`: followed from what was included, too.
    pub iterates: bool,
}

/// One key of `_sort`.
#[derive(Clone, Debug, PartialEq)]
pub struct SortKey {
    /// The parameter; `_id` and `_lastUpdated` too.
    pub parameter: &'static SearchParameter,
    /// `true` where the name had a minus.
    pub descending: bool,
}

/// `_total`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Total {
    /// No total is asked for.
    None,
    /// An estimate is enough (answered exactly).
    Estimate,
    /// The exact number.
    Accurate,
}

/// Which elements of each resource the answer carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Everything.
    Whole,
    /// `_summary=true`: the elements that the definitions mark as summary.
    Summary,
    /// `_summary=text`: narrative, id, meta and mandatory top-level elements.
    Text,
    /// `_summary=data`: everything but the narrative.
    Data,
    /// `_summary=count`: only the total.
    Count,
    /// `_elements`: these, plus mandatory ones.
    Elements(Vec<Box<str>>),
}

/// A parameter that the server did not understand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// The parameter as sent, with modifier.
    pub parameter: String,
    /// Why, and what would be accepted.
    pub reason: String,
}
