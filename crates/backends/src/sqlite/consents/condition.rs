//! The question of a request as SQL: whether the consents of a record's patients let it have the record.
//!
//! The same as `portcullis_policy::rules::consent::decide`, over the rows of `consent_base` and `consent_rule`: *a consent denies where a denying rule matches and no
//! permitting rule further inside does; else it permits where a permitting rule matches*. What the requester is, the purpose and the time are bound; so one text
//! serves everybody who is as many things. A doubt matches denying rules alone.

use portcullis_fhir::reference::Reference;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_policy::constraint::Asking;
use portcullis_policy::rules::consent::{Actions, Match, Question, actions_of};

use super::super::parameters::{Parameters, all};

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

fn one_of(patients: &[LogicalId], parameters: &mut Parameters) -> String {
    let ids = parameters.bind_list(patients.iter().map(|id| id.as_str().to_owned()));
    format!("IN (SELECT pk FROM locator WHERE type = {} AND id IN ({ids}))", ResourceType::PATIENT.code())
}

/// The values of a question, bound once.
struct Asked<'a> {
    question: &'a Question,
    alias: &'a str,
    now: String,
    actors: String,
    client: String,
    /// The types of actors of which the requester may be one, as text of SQL.
    unresolved: String,
    /// The purposes that are asked for, and those of which that is in doubt.
    purposes: (String, String),
    parameters: &'a mut Parameters,
}

impl<'a> Asked<'a> {
    fn new(question: &'a Question, alias: &'a str, parameters: &'a mut Parameters) -> Self {
        let (covering, doubtful) = question.purpose().covering();
        let types: Vec<String> = question.unresolved().iter().map(|unknown| format!("'{unknown}'")).collect();
        let covering = parameters.bind_list(covering.into_iter().map(String::from));
        let doubtful = parameters.bind_list(doubtful.into_iter().map(String::from));
        Self {
            question,
            alias,
            now: parameters.bind(question.now()),
            actors: parameters.bind_list(question.actors().map(key)),
            client: parameters.bind_list(question.client().iter().map(key)),
            unresolved: types.join(", "),
            purposes: (covering, doubtful),
            parameters,
        }
    }

    /// Nobody's consent denies it, and where the implicit policy does not let it in, everybody's permits it.
    fn everybody(&mut self, actions: Actions) -> String {
        let denied = format!("NOT {}", self.denied(actions, None));
        if self.question.is_implicitly_permitted() {
            return denied;
        }
        let (alias, permits) = (self.alias, self.permits(actions));
        format!(
            "({denied} AND NOT EXISTS (SELECT 1 FROM compartment kc WHERE kc.pk = {alias}.pk AND NOT EXISTS \
             (SELECT 1 FROM consent_base kb WHERE kb.patient = kc.patient AND {permits})))"
        )
    }

    /// No own consent that names the client denies it.
    fn own(&mut self, actions: Actions, patients: &str) -> String {
        format!("NOT {}", self.denied(actions, Some(patients)))
    }

    /// A consent of a patient of the record denies it; `own`: of one of these patients, by a rule that names the client.
    fn denied(&mut self, actions: Actions, own: Option<&str>) -> String {
        let (whose, by_unreadable, naming) = match own {
            None => (String::new(), "kb.compilable = 0 OR ", String::new()),
            Some(patients) => {
                let client = &self.client;
                let naming = format!(" AND (kd.actor IN ({client}) OR kd.actor_2 IN ({client}))");
                (format!(" AND kc.patient {patients}"), "", naming)
            }
        };
        let (alias, counts, rule) = (self.alias, self.counts("kb"), self.denying_rule("kb", actions));
        format!(
            "EXISTS (SELECT 1 FROM compartment kc CROSS JOIN consent_base kb ON kb.patient = kc.patient \
             WHERE kc.pk = {alias}.pk{whose} AND {counts} AND ({by_unreadable}EXISTS ({rule}{naming})))"
        )
    }

    /// A query for a rule of a base that denies and of which no exception permits.
    fn denying_rule(&self, base: &str, actions: Actions) -> String {
        let (denies, permits) = (self.matches("kd", actions, Match::Doubt), self.matches("kp", actions, Match::Yes));
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
        format!(
            "{counts} AND kb.compilable = 1 AND kb.standing < 2 AND {of_base} AND (kb.standing = 0 OR EXISTS \
             (SELECT 1 FROM consent_base ku WHERE ku.consent = kb.consent AND ku.patient = kb.patient AND ku.standing = 2 \
             AND ku.compilable = 1 AND {valid} AND {of_current} AND NOT EXISTS ({denying})))"
        )
    }

    /// Whether a base counts now and none that counts has taken its place.
    fn counts(&self, base: &str) -> String {
        let (now, valid, other) = (&self.now, self.is_valid(base), self.is_valid("ko"));
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
        let Self { alias, actors, unresolved, purposes: (covering, doubtful), .. } = self;
        let (bits, valid) = (actions.bits(), self.is_valid(rule));
        let in_doubt = least == Match::Doubt;
        let actor = |column: &str| {
            let kind = format!("substr({rule}.{column}, 1, instr({rule}.{column}, '/') - 1)");
            let doubt = if in_doubt { format!(" OR {kind} IN ({unresolved})") } else { String::new() };
            format!("({rule}.{column} IS NULL OR {rule}.{column} IN ({actors}){doubt})")
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
        conditions.join(" AND ")
    }
}
