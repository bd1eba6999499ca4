//! One request on its way, with what its audit record will need.

use http::HeaderMap;
use portcullis_audit::record::{Agent, Event, OperationEntry, Outcome, Record, RecordId};
use portcullis_oauth::language::Language;
use portcullis_oauth::principal::Principal;

use crate::listener::Peer;
use crate::middleware::cors::Asker;
use crate::ui::{self, Reader};

/// A request's identity: made once, at the edge.
#[derive(Debug)]
pub struct Exchange {
    /// 32 hexadecimal digits; also the id of the audit record.
    pub id: String,
    /// When it was received, milliseconds since the epoch.
    pub received: i64,
    /// Who sent it.
    pub peer: Peer,
    /// The method.
    pub method: http::Method,
    /// The path and query as received.
    pub target: http::Uri,
    /// The headers.
    pub headers: HeaderMap,
    /// The language of the answer, where a person reads it.
    pub language: Language,
    /// For an entry of a batch or transaction: the id of the request that it stands in.
    pub within: Option<String>,
    /// Which client asks, for whoever decides which pages may read the answer.
    pub asker: Asker,
}

impl Exchange {
    /// A header's text; `None` where it is absent or not text.
    pub fn header(&self, name: &http::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Who reads the page that answers it.
    pub fn reader(&self) -> Reader {
        ui::reader(self)
    }

    /// The same request for a second record, which needs an id of its own.
    pub fn again(&self, id: String) -> Self {
        let (method, target, headers) = (self.method.clone(), self.target.clone(), HeaderMap::new());
        let (peer, within) = (self.peer.clone(), self.within.clone());
        let (language, asker) = (self.language, self.asker.clone());
        Self { id, received: self.received, peer, method, target, headers, language, within, asker }
    }

    /// An entry of this request as a request of its own, with a record of its own.
    pub fn entry(&self, id: String, method: http::Method, target: http::Uri, headers: HeaderMap) -> Self {
        Self { method, target, headers, within: Some(self.id.clone()), ..self.again(id) }
    }

    /// The agent as far as it is known without authentication.
    pub fn agent(&self) -> Agent {
        Agent { address: Some(self.peer.address.ip().to_string()), ..Agent::default() }
    }

    /// The agent of an authenticated request.
    pub fn agent_of(&self, principal: &Principal) -> Agent {
        let user = principal.user();
        Agent {
            client: Some(principal.client().as_str().to_owned()),
            user: user.map(|user| user.id.as_str().to_owned()),
            fhir_user: user.and_then(|user| user.fhir_user.as_ref()).map(ToString::to_string),
            token: principal.token_id().map(|token| token.as_str().to_owned()),
            purpose: Some(principal.purpose_of_use().code().to_owned()),
            ..self.agent()
        }
    }

    /// A record of this request, to be completed.
    pub fn record(&self, event: Event, agent: Agent, outcome: Outcome, status: http::StatusCode) -> Record {
        Record {
            id: RecordId(self.id.clone()),
            recorded: self.received,
            event,
            agent,
            outcome,
            status: status.as_u16(),
            decision: None,
            rules: Vec::new(),
            operations: Vec::new(),
            request: self.within.clone().map(RecordId),
            detail: None,
        }
    }

    /// What was asked, where it never became an interaction: method and path, bounded.
    pub fn raw_operation(&self) -> OperationEntry {
        OperationEntry {
            interaction: "unparsed".to_owned(),
            query: Some(bounded(&format!("{} {}", self.method, self.target.path()))),
            ..OperationEntry::default()
        }
    }
}

/// Cuts a text to what a record keeps.
pub fn bounded(text: &str) -> String {
    if text.len() <= OperationEntry::MAXIMUM_QUERY {
        return text.to_owned();
    }
    let mut end = OperationEntry::MAXIMUM_QUERY - '…'.len_utf8();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", text.get(..end).unwrap_or_default())
}
