//! A Consent resource as types: what it says, element by element, before anybody judges whether it makes sense.
//!
//! <https://hl7.org/fhir/R4/consent.html>. Reading refuses what would change the meaning and is not understood: modifier extensions, implicit rules, unknown
//! statuses and types, values that only an extension gives.

use portcullis_fhir::instant::{self, MAXIMUM, MINIMUM, Range};
use portcullis_fhir::json::Value;
use portcullis_fhir::outcome::{Issue, IssueType};
use portcullis_fhir::reference::Reference;
use portcullis_fhir::resource::Resource;
use portcullis_fhir::types::LogicalId;

/// Whether something is allowed or forbidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Allowed.
    Permit,
    /// Forbidden.
    Deny,
}

impl Effect {
    /// What an exception to it says.
    pub fn opposite(self) -> Self {
        match self {
            Self::Permit => Self::Deny,
            Self::Deny => Self::Permit,
        }
    }
}

/// `Consent.status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// `draft`
    Draft,
    /// `proposed`
    Proposed,
    /// `active`: the only one that counts.
    Active,
    /// `rejected`
    Rejected,
    /// `inactive`
    Inactive,
    /// `entered-in-error`
    EnteredInError,
}

impl Status {
    pub(super) fn parse(code: &str) -> Option<Self> {
        Some(match code {
            "draft" => Self::Draft,
            "proposed" => Self::Proposed,
            "active" => Self::Active,
            "rejected" => Self::Rejected,
            "inactive" => Self::Inactive,
            "entered-in-error" => Self::EnteredInError,
            _ => return None,
        })
    }

    /// Whether the consent is over: it may then be as wrong as it was, so that it can always be taken back.
    pub fn is_withdrawn(self) -> bool {
        matches!(self, Self::Rejected | Self::Inactive | Self::EnteredInError)
    }
}

/// A span of time, `[from, to)` in milliseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The first millisecond.
    pub from: i64,
    /// The first millisecond after.
    pub to: i64,
}

impl Interval {
    /// All time.
    pub const ALWAYS: Self = Self { from: MINIMUM, to: MAXIMUM };

    /// Whether a moment lies inside.
    pub fn holds(self, moment: i64) -> bool {
        self.from <= moment && moment < self.to
    }

    /// The time that lies in both; `None` where there is none.
    pub fn and(self, other: Self) -> Option<Self> {
        let both = Self { from: self.from.max(other.from), to: self.to.min(other.to) };
        (both.from < both.to).then_some(both)
    }

    /// Whether all of the other lies inside.
    pub fn contains(self, other: Self) -> bool {
        self.from <= other.from && other.to <= self.to
    }

    fn read(period: &Value) -> Self {
        let moment = |member: &str| period.member(member).and_then(Value::as_str).and_then(instant::range);
        Self {
            from: moment("start").map_or(MINIMUM, |range: Range| range.low),
            to: moment("end").map_or(MAXIMUM, |range: Range| range.high),
        }
    }
}

/// A Coding; what it has not, is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Coding {
    pub(super) system: Box<str>,
    pub(super) code: Box<str>,
}

impl Coding {
    fn read(value: &Value) -> Self {
        let text = |member: &str| value.member(member).and_then(Value::as_str).unwrap_or_default().into();
        Self { system: text("system"), code: text("code") }
    }

    fn of_concept(concept: &Value) -> Vec<Self> {
        concept.member("coding").map(Value::items).unwrap_or_default().iter().map(Self::read).collect()
    }
}

/// `Consent.provision.data.meaning`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// `instance`: the target alone.
    Instance,
    /// `related`: the target, what it refers to, and what refers to it.
    Related,
    /// `dependents`: the target and what refers to it.
    Dependents,
    /// `authoredby`: what the target has written.
    AuthoredBy,
}

impl Meaning {
    fn parse(code: &str) -> Option<Self> {
        Some(match code {
            "instance" => Self::Instance,
            "related" => Self::Related,
            "dependents" => Self::Dependents,
            "authoredby" => Self::AuthoredBy,
            _ => return None,
        })
    }
}

/// `Consent.provision.actor`: its role, and who it is where the reference can be read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Actor {
    pub(super) role: Vec<Coding>,
    pub(super) who: Option<Reference>,
}

/// `Consent.provision.data`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Data {
    pub(super) meaning: Option<Meaning>,
    pub(super) target: Option<Reference>,
}

/// `Consent.provision` and what is nested in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Provision {
    /// As FHIRPath, `Consent.provision.provision[0]`.
    pub(super) expression: Box<str>,
    pub(super) effect: Option<Effect>,
    pub(super) period: Option<Interval>,
    pub(super) actors: Vec<Actor>,
    pub(super) actions: Vec<Vec<Coding>>,
    pub(super) labels: Vec<Coding>,
    pub(super) purposes: Vec<Coding>,
    pub(super) classes: Vec<Coding>,
    pub(super) codes: Vec<Vec<Coding>>,
    pub(super) data_period: Option<Interval>,
    pub(super) data: Vec<Data>,
    pub(super) provisions: Vec<Provision>,
}

impl Provision {
    /// How many values narrow it, the time of its validity excepted.
    pub(super) fn narrowings(&self) -> usize {
        self.actors.len()
            + self.actions.len()
            + self.labels.len()
            + self.purposes.len()
            + self.classes.len()
            + self.codes.len()
            + self.data.len()
            + usize::from(self.data_period.is_some())
    }

    /// Itself and everything nested in it.
    pub(super) fn all(&self) -> Vec<&Self> {
        let mut all = vec![self];
        for provision in &self.provisions {
            all.extend(provision.all());
        }
        all
    }

    /// How many levels are nested in it.
    pub(super) fn depth(&self) -> usize {
        self.provisions.iter().map(|provision| provision.depth() + 1).max().unwrap_or_default()
    }
}

/// A Consent.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsentDocument {
    pub(super) id: Option<LogicalId>,
    pub(super) profiles: Vec<Box<str>>,
    pub(super) status: Status,
    pub(super) scope: Vec<Coding>,
    pub(super) has_patient: bool,
    pub(super) patient: Option<Reference>,
    /// The beginning of `dateTime`.
    pub(super) date_time: Option<i64>,
    /// Each as far as it can be read.
    pub(super) performers: Vec<Option<Reference>>,
    pub(super) organisations: Vec<Option<Reference>>,
    pub(super) has_source: bool,
    pub(super) source: Option<Reference>,
    /// `policy.uri` of each policy.
    pub(super) policies: Vec<Option<Box<str>>>,
    pub(super) has_authority: bool,
    pub(super) policy_rule: Option<Vec<Coding>>,
    /// `verification.verifiedWith` of each verification.
    pub(super) verified_with: Vec<Option<Reference>>,
    pub(super) provision: Option<Provision>,
}

impl ConsentDocument {
    /// Reads a resource; `base_url` tells local references from foreign ones.
    pub fn read(resource: &Resource, base_url: &str) -> Result<Self, Vec<Issue>> {
        let body = resource.body();
        let mut reader = Reader { base_url, issues: Vec::new() };
        reader.refuse_modifiers(body, "Consent", false);
        if body.member("implicitRules").is_some() {
            let reason =
                "Rules that the content follows and that this server does not know cannot be obeyed: leave implicitRules out.";
            reader.issues.push(Issue::error(IssueType::NotSupported, reason).at("Consent.implicitRules"));
        }
        let code = text(body, "status");
        let status = Status::parse(code.unwrap_or_default());
        if status.is_none() {
            let reason = "status must be draft, proposed, active, rejected, inactive or entered-in-error.";
            reader.issues.push(Issue::error(IssueType::Value, reason).at("Consent.status"));
        }
        let provision = body.member("provision").map(|provision| reader.provision(provision, "Consent.provision".into()));
        let references = |member: &str| many(body, member).iter().map(|value| reader.reference(value)).collect::<Vec<_>>();
        let document = Self {
            id: resource.id().cloned(),
            profiles: body
                .member("meta")
                .map_or(&[][..], |meta| many(meta, "profile"))
                .iter()
                .filter_map(Value::as_str)
                .map(Into::into)
                .collect(),
            status: status.unwrap_or(Status::Draft),
            scope: body.member("scope").map(Coding::of_concept).unwrap_or_default(),
            has_patient: body.member("patient").is_some(),
            patient: body.member("patient").and_then(|patient| reader.reference(patient)),
            date_time: text(body, "dateTime").and_then(instant::range).map(|range| range.low),
            performers: references("performer"),
            organisations: references("organization"),
            has_source: body.member("sourceAttachment").is_some() || body.member("sourceReference").is_some(),
            source: body.member("sourceReference").and_then(|source| reader.reference(source)),
            policies: many(body, "policy").iter().map(|policy| text(policy, "uri").map(Into::into)).collect(),
            has_authority: many(body, "policy").iter().any(|policy| policy.member("authority").is_some()),
            policy_rule: body.member("policyRule").map(Coding::of_concept),
            verified_with: many(body, "verification")
                .iter()
                .map(|verification| verification.member("verifiedWith").and_then(|with| reader.reference(with)))
                .collect(),
            provision,
        };
        if reader.issues.is_empty() { Ok(document) } else { Err(reader.issues) }
    }

    /// Its status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The policies that it names by URI.
    pub(super) fn policy_uris(&self) -> impl Iterator<Item = &str> {
        self.policies.iter().flatten().map(|uri| &**uri)
    }
}

fn text<'a>(value: &'a Value, member: &str) -> Option<&'a str> {
    value.member(member).and_then(Value::as_str)
}

fn many<'a>(value: &'a Value, member: &str) -> &'a [Value] {
    value.member(member).map_or(&[], Value::items)
}

struct Reader<'a> {
    base_url: &'a str,
    issues: Vec<Issue>,
}

impl Reader<'_> {
    /// Refuses what may change the meaning of everything else: modifier extensions anywhere, and in provisions values that only an extension gives.
    fn refuse_modifiers(&mut self, value: &Value, expression: &str, in_provision: bool) {
        for (name, member) in value.as_object().unwrap_or_default() {
            match &**name {
                "modifierExtension" => {
                    let reason =
                        "A modifier extension can change what the consent means, and this server does not know it: leave it out.";
                    self.issues.push(Issue::error(IssueType::NotSupported, reason).at(format!("{expression}.modifierExtension")));
                }
                "contained" | "text" | "extension" => {}
                name => {
                    if let Some(base) = name.strip_prefix('_')
                        && in_provision
                        && value.member(base).is_none()
                    {
                        let reason =
                            "A value that only an extension gives cannot be enforced: give the value, or leave the element out.";
                        self.issues.push(Issue::error(IssueType::NotSupported, reason).at(format!("{expression}.{base}")));
                    }
                    for (index, item) in member.items().iter().enumerate() {
                        let place = if matches!(member, Value::Array(_)) { format!("[{index}]") } else { String::new() };
                        self.refuse_modifiers(item, &format!("{expression}.{name}{place}"), in_provision || name == "provision");
                    }
                }
            }
        }
    }

    /// `None` for what names nothing that could be compared: contained resources, or a display alone.
    fn reference(&self, value: &Value) -> Option<Reference> {
        if let Some(literal) = text(value, "reference") {
            return Reference::parse(literal, self.base_url);
        }
        let identifier = value.member("identifier")?;
        let (system, value) = (text(identifier, "system")?, text(identifier, "value")?);
        Some(Reference::Identifier { system: system.into(), value: value.into() })
    }

    fn provision(&mut self, value: &Value, expression: String) -> Provision {
        let effect = match text(value, "type") {
            None => None,
            Some("permit") => Some(Effect::Permit),
            Some("deny") => Some(Effect::Deny),
            Some(_) => {
                let issue = Issue::error(IssueType::Value, "type must be permit or deny.");
                self.issues.push(issue.at(format!("{expression}.type")));
                None
            }
        };
        let codings = |member: &str| many(value, member).iter().map(Coding::read).collect();
        let concepts = |member: &str| many(value, member).iter().map(Coding::of_concept).collect();
        let role = |actor: &Value| actor.member("role").map(Coding::of_concept).unwrap_or_default();
        let who = |actor: &Value| actor.member("reference").and_then(|reference| self.reference(reference));
        let actors = many(value, "actor").iter().map(|actor| Actor { role: role(actor), who: who(actor) }).collect();
        let datum = |data: &Value| Data { meaning: text(data, "meaning").and_then(Meaning::parse), target: who(data) };
        let data = many(value, "data").iter().map(datum).collect();
        let nested = many(value, "provision").iter().enumerate();
        Provision {
            effect,
            period: value.member("period").map(Interval::read),
            actors,
            actions: concepts("action"),
            labels: codings("securityLabel"),
            purposes: codings("purpose"),
            classes: codings("class"),
            codes: concepts("code"),
            data_period: value.member("dataPeriod").map(Interval::read),
            data,
            provisions: nested
                .map(|(index, nested)| self.provision(nested, format!("{expression}.provision[{index}]")))
                .collect(),
            expression: expression.into(),
        }
    }
}
