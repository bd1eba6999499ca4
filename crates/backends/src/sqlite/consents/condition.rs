//! The question of a request as SQL: whether the consents of a record's patients let it have the record.
//!
//! The same as `portcullis_policy::rules::consent::decide`, over the rows of `consent_base` and `consent_rule`: *a consent denies where a denying rule matches and no
//! permitting rule further inside does; else it permits where a permitting rule matches*. What the requester is, the purpose and the time are bound; so one text
//! serves everybody who is as many things. A doubt matches denying rules alone.

use portcullis_fhir::reference::Reference;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_mutants::off;
use portcullis_policy::constraint::Asking;
use portcullis_policy::rules::consent::{Actions, Match, Purpose, Question, actions_of};

use super::super::parameters::{Parameters, all};
use super::parties::PARTIES;

/// A reference as the columns `actor` hold it.
pub fn key(reference: &Reference) -> String {
    match reference {
        Reference::Local(local) => local.to_string(),
        Reference::Absolute(url) => url.to_string(),
        Reference::Identifier { system, value } => format!("{system}|{value}"),
    }
}

/// A condition over `alias`, a row of `resource`: whether the consents of its patients permit what is asked. `own_only`: every record for which it stands
/// lies in the record of somebody whose own it is.
pub fn consented(asking: Asking<'_>, alias: &str, own_only: bool, parameters: &mut Parameters) -> String {
    let agreed = asking.question.agreed();
    if agreed.is_empty() {
        return of_each(asking, alias, own_only, parameters);
    }
    let agreed = one_of(agreed, parameters);
    let of_others = of_each(asking, alias, own_only, parameters);
    format!(
        "CASE WHEN NOT EXISTS (SELECT 1 FROM compartment ka WHERE ka.pk = {alias}.pk AND ka.patient NOT {agreed}) THEN 1 ELSE {of_others} END"
    )
}

/// The same, whoever the patients of the record are.
fn of_each(asking: Asking<'_>, alias: &str, own_only: bool, parameters: &mut Parameters) -> String {
    let Asking { question, letter } = asking;
    let own = question.own();
    let mut asked = Asked::new(question, alias, parameters);
    let actions = actions_of(letter);
    if own.is_empty() {
        return all(&actions.iter().map(|actions| asked.everybody(*actions)).collect::<Vec<_>>());
    }
    let patients = one_of(own, asked.parameters);
    let of_own: Vec<String> = actions.iter().map(|actions| asked.own(*actions, &patients)).collect();
    if own_only {
        return all(&of_own);
    }
    let others: Vec<String> = actions.iter().map(|actions| asked.everybody(*actions)).collect();
    format!(
        "CASE WHEN EXISTS (SELECT 1 FROM compartment kc WHERE kc.pk = {alias}.pk AND kc.patient {patients}) THEN {} ELSE {} END",
        all(&of_own),
        all(&others)
    )
}

/// What stands behind `FROM` in queries for the bases `kb` that deny the record in `alias`, each by a patient `kc` of it: those of everybody, and those of the patients whose own
/// record it may be.
pub fn denying(asking: Asking<'_>, alias: &str, parameters: &mut Parameters) -> (Vec<String>, Vec<String>) {
    let Asking { question, letter } = asking;
    let mut asked = Asked::new(question, alias, parameters);
    let mut everybodys = Vec::new();
    for actions in actions_of(letter) {
        everybodys.push(asked.denying_bases(*actions, Denying::Everybody));
        for (whose, purposes) in asked.besides.clone() {
            let stated = std::mem::replace(&mut asked.purposes, purposes);
            everybodys.push(asked.denying_bases(*actions, Denying::Besides(&whose)));
            asked.purposes = stated;
        }
    }
    let own = question.own();
    if own.is_empty() {
        return (everybodys, Vec::new());
    }
    let patients = one_of(own, asked.parameters);
    let of_own = actions_of(letter).iter().map(|actions| asked.denying_bases(*actions, Denying::Own(&patients))).collect();
    (everybodys, of_own)
}

/// What stands behind `FROM` in queries for the patients `kc` of the record in `alias` none of whose consents permits it.
pub fn unpermitted(asking: Asking<'_>, alias: &str, parameters: &mut Parameters) -> Vec<String> {
    let asked = Asked::new(asking.question, alias, parameters);
    let of = |actions: &Actions| {
        let permits = asked.permits(*actions);
        format!(
            "compartment kc WHERE kc.pk = {alias}.pk AND NOT EXISTS (SELECT 1 FROM consent_base kb WHERE kb.patient = kc.patient AND {permits})"
        )
    };
    actions_of(asking.letter).iter().map(of).collect()
}

fn one_of(patients: &[LogicalId], parameters: &mut Parameters) -> String {
    let ids = parameters.bind_list(patients.iter().map(|id| id.as_str().to_owned()));
    format!("IN (SELECT pk FROM locator WHERE type = {} AND id IN ({ids}))", ResourceType::PATIENT.code())
}

/// The purposes that cover one, and those of which that is in doubt.
fn bound(purpose: &Purpose, parameters: &mut Parameters) -> (String, String) {
    let (covering, doubtful) = purpose.covering();
    let covering = parameters.bind_list(covering.into_iter().map(String::from));
    (covering, parameters.bind_list(doubtful.into_iter().map(String::from)))
}

/// The values of a question, bound once.
struct Asked<'a> {
    question: &'a Question,
    alias: &'a str,
    now: String,
    actors: String,
    client: String,
    /// The organisations of which those are parts.
    wider: String,
    /// The types of actors of which the requester may be one, as text of SQL.
    unresolved: String,
    /// The purposes that are asked for, and those of which that is in doubt.
    purposes: (String, String),
    /// Purposes that nobody may deny besides, each with whose records it is about.
    besides: Vec<(String, (String, String))>,
    parameters: &'a mut Parameters,
}

impl<'a> Asked<'a> {
    fn new(question: &'a Question, alias: &'a str, parameters: &'a mut Parameters) -> Self {
        let types: Vec<String> = question.unresolved().iter().map(|unknown| format!("'{unknown}'")).collect();
        let (acts_for, family, others) = question.capacities();
        let mut besides = Vec::new();
        if family.is_some() || others.is_some() {
            let whose = if acts_for.is_empty() { "IN (0)".to_owned() } else { one_of(acts_for, parameters) };
            let each = [(family, format!(" AND kc.patient {whose}")), (others, format!(" AND kc.patient NOT {whose}"))];
            for (purpose, whose) in each.into_iter().filter_map(|(purpose, whose)| Some((purpose?, whose))) {
                besides.push((whose, bound(purpose, parameters)));
            }
        }
        let purposes = bound(question.purpose(), parameters);
        Self {
            question,
            alias,
            now: parameters.bind(question.now()),
            actors: parameters.bind_list(question.actors().map(key)),
            client: parameters.bind_list(question.client().iter().map(key)),
            wider: parameters.bind_list(question.wider().iter().map(key)),
            unresolved: types.join(", "),
            purposes,
            besides,
            parameters,
        }
    }

    /// Nobody's consent denies it, and where the implicit policy does not let it in, everybody's permits it.
    fn everybody(&mut self, actions: Actions) -> String {
        let mut denied = format!("NOT {}", self.denied(actions, Denying::Everybody));
        for (whose, purposes) in self.besides.clone() {
            let stated = std::mem::replace(&mut self.purposes, purposes);
            denied = format!("{denied} AND NOT {}", self.denied(actions, Denying::Besides(&whose)));
            self.purposes = stated;
        }
        if self.question.is_implicitly_permitted() || off!("consent-permit") {
            return format!("({denied})");
        }
        let (alias, permits) = (self.alias, self.permits(actions));
        format!(
            "({denied} AND NOT EXISTS (SELECT 1 FROM compartment kc WHERE kc.pk = {alias}.pk AND NOT EXISTS \
             (SELECT 1 FROM consent_base kb WHERE kb.patient = kc.patient AND {permits})))"
        )
    }

    /// No own consent that names the client denies it.
    fn own(&mut self, actions: Actions, patients: &str) -> String {
        format!("NOT {}", self.denied(actions, Denying::Own(patients)))
    }

    /// A consent of a patient of the record denies it.
    fn denied(&mut self, actions: Actions, denying: Denying<'_>) -> String {
        if off!("consent-deny") || off!("consent-own-app") && matches!(denying, Denying::Own(_)) {
            return "0".to_owned();
        }
        format!("EXISTS (SELECT 1 FROM {})", self.denying_bases(actions, denying))
    }

    /// What stands behind `FROM`: the bases `kb` that deny it, by which patient `kc` of the record.
    fn denying_bases(&mut self, actions: Actions, denying: Denying<'_>) -> String {
        let (whose, by_unreadable, naming) = match denying {
            Denying::Everybody => (String::new(), "kb.compilable = 0 OR ", String::new()),
            Denying::Besides(whose) => (whose.to_owned(), "", String::new()),
            Denying::Own(patients) => {
                let client = &self.client;
                let names = |column: &str| {
                    let device = Party { column, actors: client, wider: "", unresolved: "" }.has_member();
                    format!("{column} IN ({client}) OR {device}")
                };
                let naming = format!(" AND ({} OR {})", names("kd.actor"), names("kd.actor_2"));
                (format!(" AND kc.patient {patients}"), "", naming)
            }
        };
        let (alias, counts, rule) = (self.alias, self.counts("kb"), self.denying_rule("kb", actions));
        format!(
            "compartment kc CROSS JOIN consent_base kb ON kb.patient = kc.patient \
             WHERE kc.pk = {alias}.pk{whose} AND {counts} AND ({by_unreadable}EXISTS ({rule}{naming}))"
        )
    }

    /// A query for a rule of a base that denies and of which no exception permits.
    fn denying_rule(&self, base: &str, actions: Actions) -> String {
        let (denies, permits) = (self.matches("kd", actions, Match::Doubt), self.matches("kp", actions, Match::Yes));
        let permits = if off!("consent-exception") { "0".to_owned() } else { permits };
        format!(
            "SELECT 1 FROM consent_rule kd WHERE kd.base = {base}.id AND kd.effect = 1 AND {denies} AND NOT EXISTS \
             (SELECT 1 FROM consent_rule kp WHERE kp.base = kd.base AND kp.effect = 0 AND kp.depth > kd.depth \
             AND substr(kp.path, 1, length(kd.path)) = kd.path AND {permits})"
        )
    }

    /// A condition over `kb`, of which it is known that nothing denies: whether it permits.
    fn permits(&self, actions: Actions) -> String {
        let counts = self.counts("kb");
        let rule = |base: &str| {
            let permits = self.matches("kp", actions, Match::Yes);
            format!("EXISTS (SELECT 1 FROM consent_rule kp WHERE kp.base = {base}.id AND kp.effect = 0 AND {permits})")
        };
        let (of_base, of_current, denying) = (rule("kb"), rule("ku"), self.denying_rule("ku", actions));
        let valid = self.is_valid("ku");
        let verified = if off!("consent-verified") { "1" } else { "kb.standing < 2" };
        format!(
            "{counts} AND kb.compilable = 1 AND {verified} AND {of_base} AND (kb.standing = 0 OR EXISTS \
             (SELECT 1 FROM consent_base ku WHERE ku.consent = kb.consent AND ku.patient = kb.patient AND ku.standing = 2 \
             AND ku.compilable = 1 AND {valid} AND {of_current} AND NOT EXISTS ({denying})))"
        )
    }

    /// Whether a base counts now and none that counts has taken its place.
    fn counts(&self, base: &str) -> String {
        let (now, valid, other) = (&self.now, self.is_valid(base), self.is_valid("ko"));
        let valid = if off!("consent-ended") { "1".to_owned() } else { valid };
        if off!("consent-replaced") {
            return valid;
        }
        format!(
            "{valid} AND NOT EXISTS (SELECT 1 FROM consent_base ko WHERE ko.patient = {base}.patient AND ko.series = {base}.series \
             AND ko.standing < 2 AND {base}.since < ko.since AND ko.since <= {now} AND {other})"
        )
    }

    fn is_valid(&self, base: &str) -> String {
        let now = &self.now;
        format!("{base}.valid_from <= {now} AND {now} < {base}.valid_to")
    }

    /// Whether a rule matches, at least so well.
    fn matches(&self, rule: &str, actions: Actions, least: Match) -> String {
        let Self { alias, actors, wider, unresolved, purposes: (covering, doubtful), .. } = self;
        let (bits, valid) = (actions.bits(), self.is_valid(rule));
        let in_doubt = least == Match::Doubt && !off!("consent-doubt");
        let actor = |column: &str| {
            let party = Party { column: &format!("{rule}.{column}"), actors, wider, unresolved };
            let (member, doubt) = (party.has_member(), if in_doubt { party.doubt() } else { "0".to_owned() });
            format!("({rule}.{column} IS NULL OR {rule}.{column} IN ({actors}) OR {member} OR {doubt})")
        };
        let purposes = match (in_doubt, doubtful.is_empty()) {
            (true, false) => format!("{covering}, {doubtful}"),
            _ => covering.clone(),
        };
        let purposes = purposes.trim_start_matches(", ");
        let certain = if in_doubt { "" } else { " AND kv.certain = 1" };
        let conditions = [
            valid,
            format!("{rule}.actions & {bits} <> 0 AND {rule}.actions_2 & {bits} <> 0"),
            actor("actor"),
            actor("actor_2"),
            format!("({rule}.purpose IS NULL OR {rule}.purpose IN ({purposes}))"),
            format!("({rule}.type IS NULL OR {rule}.type = {alias}.type)"),
            format!("({rule}.labels_any = 0 OR {alias}.security & {rule}.labels_any <> 0)"),
            format!("({rule}.labels_any_2 = 0 OR {alias}.security & {rule}.labels_any_2 <> 0)"),
            format!("{alias}.security & {rule}.labels_none = 0"),
            format!(
                "({rule}.covered = 0 OR EXISTS (SELECT 1 FROM consent_covered kv WHERE kv.rule = {rule}.id \
                 AND kv.resource = {alias}.pk{certain}))"
            ),
        ];
        let off = [
            off!("consent-rule-period"),
            off!("consent-actions"),
            off!("consent-actor"),
            off!("consent-actor"),
            off!("consent-purpose"),
            off!("consent-type"),
            off!("consent-label"),
            off!("consent-label"),
            off!("consent-label"),
            off!("consent-content"),
        ];
        let on = conditions.iter().zip(off).filter(|(_, off)| !off).map(|(condition, _)| condition.as_str());
        on.collect::<Vec<_>>().join(" AND ")
    }
}

/// Whose denial is asked for.
#[derive(Clone, Copy)]
enum Denying<'a> {
    /// That of everybody whose record it is.
    Everybody,
    /// That of these, of a purpose that was not stated.
    Besides(&'a str),
    /// That of these patients of their own record, by a rule that names the client.
    Own(&'a str),
}

/// An actor that may stand for others: a care team, a group or a device, or a kind of which nobody knows whether the requester is one.
struct Party<'a> {
    column: &'a str,
    actors: &'a str,
    wider: &'a str,
    unresolved: &'a str,
}

impl Party<'_> {
    fn kind(of: &str) -> String {
        format!("substr({of}, 1, instr({of}, '/') - 1)")
    }

    fn is_one(&self) -> String {
        let parties: Vec<String> = PARTIES.iter().map(|party| format!("'{party}'")).collect();
        format!("{} IN ({})", Self::kind(self.column), parties.join(", "))
    }

    /// The requester is one of the members.
    fn has_member(&self) -> String {
        let (is_one, column, actors) = (self.is_one(), self.column, self.actors);
        format!(
            "{is_one} AND EXISTS (SELECT 1 FROM consent_party km WHERE km.party = {column} AND km.standing = 0 AND km.member IN ({actors}))"
        )
    }

    /// The requester may be meant: it is not known of all members that they are somebody else.
    fn doubt(&self) -> String {
        let (kind, is_one) = (Self::kind(self.column), self.is_one());
        let Self { column, actors, wider, unresolved } = self;
        let member = Self::kind("km.member");
        format!(
            "{column} IN ({wider}) OR {kind} IN ({unresolved}) AND NOT ({is_one} AND EXISTS (SELECT 1 FROM consent_party km WHERE km.party = {column} AND km.member = '') \
             AND NOT EXISTS (SELECT 1 FROM consent_party km WHERE km.party = {column} AND (km.member IN ({actors}) OR km.member IN ({wider}) OR {member} IN ({unresolved}))))"
        )
    }
}
