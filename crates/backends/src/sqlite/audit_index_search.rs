//! Search and read of AuditEvents.
//!
//! Parameters: `_id`, `_lastUpdated`, `date`, `patient`, `agent` (a reference, `Device/[client]`, or `:identifier`), `entity`, `action`, `outcome`, `subtype`; order by
//! `date` or `_lastUpdated`, newest first without one. Everything else is refused by the grammar (`portcullis_fhir::search`), and here once more. A reader of some patients' records sees the events of
//! these patients only, and finds them only by what the view without other patients shows.

use portcullis_audit::{Position as LedgerPosition, Record};
use portcullis_fhir::reference::{LocalReference, Reference};
use portcullis_fhir::search::{Filter, ReferenceMatch, SearchQuery, Shape, Test, TokenMatch, Total};
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_policy::{Boundary, Constraint, Relationship, SearchPage, StoredVersion, Visibility};
use portcullis_store::StoreError;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension};

use super::audit_index::{AuditIndex, Place, stored_version};
use super::audit_turns::Deadline;
use super::cursor::{Bookmarks, Position};
use super::database::store_error;
use super::parameters::{MAXIMUM_PARAMETERS, Parameters, all, any};
use super::search_range;
use super::visibility;

/// The systems of the codes, which a query may name or leave out.
const ACTIONS: &str = "http://hl7.org/fhir/audit-event-action";
const OUTCOMES: &str = "http://hl7.org/fhir/audit-event-outcome";

/// What a row of `key` finds an event by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The patient in whose compartment the event lies.
    Compartment,
    /// A patient who acted or was touched: the parameter `patient`.
    Patient,
    /// Who acted, as `Type/id`.
    Agent,
    /// Who acted, by the id of a client or user.
    AgentIdentifier,
    /// What was touched, as `Type/id`.
    Entity,
}

impl Kind {
    /// The number in the table.
    pub(super) fn code(self) -> i64 {
        match self {
            Self::Compartment => 0,
            Self::Patient => 1,
            Self::Agent => 2,
            Self::AgentIdentifier => 3,
            Self::Entity => 4,
        }
    }
}

/// Which events a reader sees, and in which form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// The whole trail.
    Whole,
    /// The events in the compartments of these patients, without a trace of others.
    Patients {
        /// The patients, ascending.
        patients: Vec<LogicalId>,
        /// Those of them whom the reader is: others are not told whom the patient keeps out.
        own: Vec<LogicalId>,
    },
}

impl View {
    /// The view that a constraint gives; `in_care` names the patients with whom its actors have a care relationship.
    pub fn of(constraint: &Constraint, in_care: &[(Relationship, LogicalId)]) -> Self {
        let mut patients: Vec<LogicalId> = Vec::new();
        for way in visibility::ways(constraint, ResourceType::AUDIT_EVENT, constraint.letter()) {
            match way {
                Visibility::Every => return Self::Whole,
                Visibility::Compartment(Boundary::Patients(allowed)) => patients.extend(allowed.items().iter().cloned()),
                Visibility::Compartment(boundary @ Boundary::PatientsInCare(allowed, _)) => {
                    patients.extend(allowed.items().iter().filter(|patient| boundary.contains(patient, in_care)).cloned());
                }
                // Who looked at the records of a clinician's patients is not the clinician's business: no rule gives this.
                Visibility::Compartment(Boundary::CareRelationship(_) | Boundary::Related(..) | Boundary::Whole)
                | Visibility::Compartment(Boundary::Itself(_))
                | Visibility::Itself(_)
                | Visibility::ReferencedFrom { .. }
                | Visibility::About { .. }
                // No scope with criteria opens the audit trail.
                | Visibility::Qualified { .. }
                | Visibility::AboutNothingHidden { .. }
                | Visibility::Cleared { .. }
                | Visibility::Consented { .. } => {}
            }
        }
        patients.sort_unstable();
        patients.dedup();
        let is_reader = |patient: &&LogicalId| constraint.question().is_some_and(|question| question.own().contains(patient));
        let own = patients.iter().filter(is_reader).cloned().collect();
        Self::Patients { patients, own }
    }
}

impl AuditIndex {
    /// The event of this id, where it is in the view. Blocks.
    pub(super) fn read(&self, id: &LogicalId, (view, deadline): (&View, Deadline)) -> Result<Option<StoredVersion>, StoreError> {
        self.catch_up(deadline)?;
        let mut search = Search::new(view, true);
        let id = search.parameters.bind(id.as_str().to_owned());
        search.terms.push(format!("e.id = {id}"));
        let mut connection = self.lock();
        let found = deadline.limit(&mut connection, |connection| search.page(connection, None, 1))?;
        drop(connection);
        found.first().map(|found| self.show(found, view, &mut None)).transpose().map(Option::flatten)
    }

    /// One page of a search. Blocks.
    pub(super) fn search(
        &self,
        query: &SearchQuery,
        (view, deadline): (&View, Deadline),
        binding: &[u8],
    ) -> Result<SearchPage, StoreError> {
        if !(query.includes.is_empty() && query.reverse_includes.is_empty()) {
            return Err(StoreError::NotSupported("'_include' and '_revinclude' with AuditEvent".to_owned()));
        }
        let descending = is_newest_first(query)?;
        let bookmarks = Bookmarks::new(self.seal(), "search of audit events", binding, &query.canonical());
        let after = query.cursor.as_deref().map(|bookmark| bookmarks.open(bookmark)).transpose()?;
        self.catch_up(deadline)?;

        let mut connection = self.lock();
        let mut search = Search::new(view, descending);
        for filter in &query.filters {
            search.add(filter, &connection)?;
            if search.parameters.len() > MAXIMUM_PARAMETERS {
                return Err(StoreError::NotSupported("so many alternatives in one search".to_owned()));
            }
        }
        let counts_only = query.count == 0 || query.shape == Shape::Count;
        let total = if counts_only || query.total != Total::None {
            Some(deadline.limit(&mut connection, |connection| search.count(connection))?)
        } else {
            None
        };
        if counts_only {
            return Ok(SearchPage { total, ..SearchPage::default() });
        }
        let size = usize::try_from(query.count).unwrap_or(usize::MAX);
        let mut rows = deadline.limit(&mut connection, |connection| search.page(connection, after.as_ref(), query.count))?;
        drop(connection);
        let more = rows.len() > size;
        rows.truncate(size);
        let last = rows.last().filter(|_| more).map(|row| [Value::Integer(row.recorded), Value::Integer(row.pk)]);
        let next = last.map(|position| bookmarks.seal(&position)).transpose()?;
        let lost = || StoreError::Corrupt("the audit index names an event that the ledger does not have".to_owned());
        let mut last = None;
        let shown = rows.iter().map(|row| {
            deadline.check()?;
            self.show(row, view, &mut last)?.ok_or_else(lost)
        });
        let matches = shown.collect::<Result<_, StoreError>>()?;
        Ok(SearchPage { matches, included: Vec::new(), total, next })
    }

    /// Renders an event for its reader. For a reader of some patients it is rendered as the one of them may see it in whose compartment it lies:
    /// what another patient's compartment holds cannot come out, whatever the index says.
    fn show(
        &self,
        found: &Found,
        view: &View,
        last: &mut Option<(LedgerPosition, Record)>,
    ) -> Result<Option<StoredVersion>, StoreError> {
        match view {
            View::Whole => self.rendered(&found.place, None, last)?.map(stored_version).transpose(),
            View::Patients { patients, own } => {
                let is_reader = |id: &&LogicalId| {
                    found.compartment.as_deref().and_then(|name| name.strip_prefix("Patient/")) == Some(id.as_str())
                };
                match patients.iter().find(is_reader) {
                    Some(patient) => {
                        let event = self.rendered(&found.place, Some(patient.as_str()), last)?;
                        let event = event.filter(|event| !event.for_the_patient_alone || own.contains(patient));
                        event.map(stored_version).transpose()
                    }
                    None => Ok(None),
                }
            }
        }
    }
}

/// Newest first unless `_sort` says otherwise; AuditEvents have one time.
fn is_newest_first(query: &SearchQuery) -> Result<bool, StoreError> {
    match query.sort.as_slice() {
        [] => Ok(true),
        [key] if matches!(key.parameter.code, "date" | "_lastUpdated") => Ok(key.descending),
        _ => Err(StoreError::NotSupported("another order of AuditEvents than '_sort=date' or '_sort=-date'".to_owned())),
    }
}

/// A row that a search found.
struct Found {
    pk: i64,
    recorded: i64,
    place: Place,
    /// `Patient/[id]` of the reader in whose compartment it lies.
    compartment: Option<String>,
}

/// The statements of one search, as they grow.
struct Search {
    parameters: Parameters,
    /// Conditions over `e`, an event.
    terms: Vec<String>,
    /// A condition over `d`, rows of `key` with one kind and name: the events of one agent, patient or entity, in order.
    route: Option<String>,
    /// A query for the names of the reader's patients; `None`: the whole trail.
    allowed: Option<String>,
    descending: bool,
}

impl Search {
    fn new(view: &View, descending: bool) -> Self {
        let mut parameters = Parameters::default();
        let mut terms = Vec::new();
        let mut route = None;
        let allowed = match view {
            View::Whole => None,
            View::Patients { patients, own } => {
                let names = parameters.bind_list(patients.iter().map(|patient| format!("Patient/{patient}")));
                let allowed = format!("SELECT pk FROM name WHERE text IN ({names})");
                terms.push(has_key(Kind::Compartment, &format!("IN ({allowed})"), false));
                if own.is_empty() {
                    terms.push("e.own = 0".to_owned());
                } else if own.len() < patients.len() {
                    let names = parameters.bind_list(own.iter().map(|patient| format!("Patient/{patient}")));
                    let own = has_key(Kind::Compartment, &format!("IN (SELECT pk FROM name WHERE text IN ({names}))"), false);
                    terms.push(format!("(e.own = 0 OR {own})"));
                }
                if patients.len() == 1 {
                    route = Some(format!("d.kind = {} AND d.name = ({allowed})", Kind::Compartment.code()));
                }
                Some(allowed)
            }
        };
        Self { parameters, terms, route, allowed, descending }
    }

    fn add(&mut self, filter: &Filter, connection: &Connection) -> Result<(), StoreError> {
        let code = filter.parameter.code;
        let term = match (code, &filter.test) {
            ("_id", Test::Id(ids)) => {
                format!("e.id IN ({})", self.parameters.bind_list(ids.iter().map(|id| id.as_str().to_owned())))
            }
            ("_id" | "_lastUpdated", Test::Missing(missing)) => if *missing { "0" } else { "1" }.to_owned(),
            ("_lastUpdated", Test::LastUpdated(dates)) | ("date", Test::Date(dates)) => {
                search_range::instant("e.recorded", dates, &mut self.parameters)
            }
            ("action", Test::Token(codes)) => self.codes(self.action(), ACTIONS, codes),
            ("action", Test::TokenNot(codes)) => format!("NOT {}", self.codes(self.action(), ACTIONS, codes)),
            ("outcome", Test::Token(codes)) => self.codes(self.outcome(), OUTCOMES, codes),
            ("outcome", Test::TokenNot(codes)) => format!("NOT {}", self.codes(self.outcome(), OUTCOMES, codes)),
            ("subtype", Test::Token(codes)) => self.subtypes(codes),
            ("subtype", Test::TokenNot(codes)) => format!("NOT {}", self.subtypes(codes)),
            ("patient", Test::Reference(references)) => {
                self.keys(&[(Kind::Patient, resources(filter, references))], connection)?
            }
            ("entity", Test::Reference(references)) => self.keys(&[(Kind::Entity, resources(filter, references))], connection)?,
            ("agent", Test::Reference(references)) => {
                let agents = [(Kind::Agent, resources(filter, references)), (Kind::AgentIdentifier, clients(references))];
                self.keys(&agents, connection)?
            }
            ("agent", Test::ReferenceIdentifier(identifiers)) => {
                // Ids of clients and users have no system.
                let without_system = identifiers.iter().filter(|one| one.system.as_deref().is_none_or(str::is_empty));
                let ids: Vec<String> = without_system.filter_map(|one| one.code.as_deref().map(str::to_owned)).collect();
                self.keys(&[(Kind::AgentIdentifier, ids)], connection)?
            }
            _ => {
                let message = format!(
                    "'{code}' in this form with AuditEvent, which is searched by _id, _lastUpdated, date, patient, agent, entity, action, outcome and subtype"
                );
                return Err(StoreError::NotSupported(message));
            }
        };
        self.terms.push(term);
        Ok(())
    }

    /// Events with one of these keys. A reader of some patients' records finds events by what the narrow view shows.
    fn keys(&mut self, keys: &[(Kind, Vec<String>)], connection: &Connection) -> Result<String, StoreError> {
        let mut find = connection.prepare_cached("SELECT pk FROM name WHERE text = ?1").map_err(store_error)?;
        let mut found: Vec<(Kind, String)> = Vec::new();
        for (kind, names) in keys {
            for name in names {
                let pk = find.query_row([name], |row| row.get::<_, i64>(0)).optional().map_err(store_error)?;
                found.extend(pk.map(|pk| (*kind, self.parameters.bind(pk))));
            }
        }
        let narrow = self.allowed.is_some();
        if let [(kind, name)] = found.as_slice() {
            let view = if narrow { " AND d.narrow = 1" } else { "" };
            self.route = Some(format!("d.kind = {} AND d.name = {name}{view}", kind.code()));
        }
        Ok(any(&found.iter().map(|(kind, name)| has_key(*kind, &format!("= {name}"), narrow)).collect::<Vec<_>>()))
    }

    /// The action as the view shows it.
    fn action(&self) -> &'static str {
        if self.allowed.is_some() { "e.narrow_action" } else { "e.action" }
    }

    /// The outcome as the view shows it.
    fn outcome(&self) -> &'static str {
        if self.allowed.is_some() { "e.narrow_outcome" } else { "e.outcome" }
    }

    fn codes(&mut self, column: &str, code_system: &str, codes: &[TokenMatch]) -> String {
        let one = |TokenMatch { system, code }: &TokenMatch| match (system.as_deref(), code) {
            (None | Some(""), Some(code)) => format!("{column} = {}", self.parameters.bind(code.to_string())),
            (Some(system), Some(code)) if system == code_system => {
                format!("{column} = {}", self.parameters.bind(code.to_string()))
            }
            (Some(system), None) if system == code_system => "1".to_owned(),
            _ => "0".to_owned(),
        };
        any(&codes.iter().map(one).collect::<Vec<_>>())
    }

    /// Events with one of these subtypes; what has none has no code.
    fn subtypes(&mut self, codes: &[TokenMatch]) -> String {
        let column = if self.allowed.is_some() { "e.narrow_subtype" } else { "e.subtype" };
        let (system_of, code_of) =
            (format!("substr({column}, 1, instr({column}, '|') - 1)"), format!("substr({column}, instr({column}, '|') + 1)"));
        let mut bound = |value: &str| self.parameters.bind(value.to_owned());
        let one = |TokenMatch { system, code }: &TokenMatch| match (system.as_deref(), code.as_deref()) {
            (None, Some(code)) => format!("{code_of} = {}", bound(code)),
            (Some(system), Some(code)) => format!("{column} = {}", bound(&format!("{system}|{code}"))),
            (Some(system), None) => format!("{system_of} = {}", bound(system)),
            (None, None) => "0".to_owned(),
        };
        format!("ifnull({}, 0)", any(&codes.iter().map(one).collect::<Vec<_>>()))
    }

    /// Tables with the alias of the one whose key is the order.
    fn from(&self) -> (&'static str, &'static str, &'static str) {
        if self.route.is_some() {
            ("key d CROSS JOIN event e ON e.pk = d.event", "d.recorded", "d.event")
        } else {
            ("event e", "e.recorded", "e.pk")
        }
    }

    fn condition(&self) -> String {
        all(&self.route.iter().chain(&self.terms).cloned().collect::<Vec<_>>())
    }

    fn count(&self, connection: &Connection) -> Result<u64, StoreError> {
        let sql = format!("SELECT count(*) FROM {} WHERE {}", self.from().0, self.condition());
        Ok(self.parameters.integer(connection, &sql).map_err(store_error)?.cast_unsigned())
    }

    /// The rows of a page and one more, where there is one.
    fn page(&mut self, connection: &Connection, after: Option<&Position>, count: u32) -> Result<Vec<Found>, StoreError> {
        let (tables, recorded, pk) = self.from();
        let (operator, direction) = if self.descending { ("<", "DESC") } else { (">", "ASC") };
        if let Some(position) = after {
            let [Value::Integer(_), Value::Integer(_)] = position.as_slice() else { return Err(StoreError::InvalidCursor) };
            let place = self.parameters.bind_list(position.iter().cloned());
            self.terms.push(format!("({recorded}, {pk}) {operator} ({place})"));
        }
        let compartment = match &self.allowed {
            None => "NULL".to_owned(),
            Some(allowed) => {
                let lies_there = has_key(Kind::Compartment, "= n.pk", false);
                format!("(SELECT n.text FROM name n WHERE n.pk IN ({allowed}) AND {lies_there} LIMIT 1)")
            }
        };
        let limit = self.parameters.bind(i64::from(count) + 1);
        let sql = format!(
            "SELECT e.pk, e.recorded, e.id, e.segment, e.offset, {compartment} FROM {tables} WHERE {} \
             ORDER BY {recorded} {direction}, {pk} {direction} LIMIT {limit}",
            self.condition()
        );
        self.parameters.rows(connection, &sql, found).map_err(store_error)
    }
}

/// Whether `e` has a key of this kind whose name fulfils the condition.
fn has_key(kind: Kind, name: &str, narrow: bool) -> String {
    let view = if narrow { " AND k.narrow = 1" } else { "" };
    let kind = kind.code();
    format!(
        "EXISTS (SELECT 1 FROM key k WHERE k.kind = {kind} AND k.name {name} AND k.recorded = e.recorded AND k.event = e.pk{view})"
    )
}

fn found(row: &rusqlite::Row<'_>) -> rusqlite::Result<Found> {
    let position =
        LedgerPosition { segment: row.get::<_, i64>(3)?.cast_unsigned(), offset: row.get::<_, i64>(4)?.cast_unsigned() };
    Ok(Found { pk: row.get(0)?, recorded: row.get(1)?, place: Place { id: row.get(2)?, position }, compartment: row.get(5)? })
}

/// `Type/id` of every resource that the references may mean.
fn resources(filter: &Filter, references: &[ReferenceMatch]) -> Vec<String> {
    let mut names = Vec::new();
    for reference in references {
        match reference {
            ReferenceMatch::Exact(Reference::Local(local)) => names.push(local.to_string()),
            ReferenceMatch::Exact(_) => {}
            ReferenceMatch::AnyType(id) => {
                let targets = &filter.parameter.targets;
                let possible = ResourceType::all().filter(|possible| targets.is_empty() || targets.contains(possible));
                names.extend(possible.map(|resource_type| LocalReference { resource_type, id: id.clone() }.to_string()));
            }
        }
    }
    names
}

/// The clients that the references may mean: a client stands for a Device.
fn clients(references: &[ReferenceMatch]) -> Vec<String> {
    let client = |reference: &ReferenceMatch| match reference {
        ReferenceMatch::Exact(Reference::Local(local)) if local.resource_type == ResourceType::DEVICE => {
            Some(local.id.to_string())
        }
        ReferenceMatch::AnyType(id) => Some(id.to_string()),
        ReferenceMatch::Exact(_) => None,
    };
    references.iter().filter_map(client).collect()
}
