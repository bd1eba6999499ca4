//! Element-level redaction: what of a resource is not shown to somebody who may see the resource.
//!
//! Three things ask for it: a list of elements that the operator wrote ([`ElementRules`]), labels on single elements ([`inline`], HL7 FHIR DS4P
//! <https://hl7.org/fhir/uv/security-label-ds4p/inline_security_labels.html>), and de-identification (`deidentify`), where a purpose of use or a label of
//! obligation wants it. [`Redactions`] says what one grant does not show; [`show()`] is the only way from a stored body to one that may leave.
//!
//! A redacted element decides nothing. The list and the purpose are known before anything is looked up, so a search over an element that they hide is refused
//! ([`Redactions::hides_parameter`]), whatever is stored. Labels inside a resource are not: what they may hide from somebody is found by nobody
//! ([`indexable`]). Elements that say whose record it is, or by whose time records stand in order, cannot be redacted ([`is_fixed`]).

mod carried;
mod deidentify;
mod element_path;
pub mod inline;
mod masked;
mod rules;
mod show;
#[cfg(test)]
mod tests;
mod touched;

use std::sync::{Arc, LazyLock};

use crate::definitions::SearchParameter;
use crate::labels::{Classifier, Clearance, Labels};
use crate::search::{Filter, SearchQuery};
use crate::types::ResourceType;

pub use carried::dropped;
pub use element_path::{ElementPath, ElementPathError};
pub use inline::indexable;
pub use rules::{ElementRule, ElementRules, ElementRulesError};
pub use show::{Showing, Shown, show};
pub use touched::is_fixed;

static NO_RULES: LazyLock<Arc<ElementRules>> = LazyLock::new(Arc::default);

/// What one grant does not show of the resources that it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redactions {
    rules: Arc<ElementRules>,
    clearance: Clearance,
    /// How labels say that this server assigned them, whoever they are shown to.
    classifier: Option<Classifier>,
}

impl Redactions {
    /// Everything is shown.
    pub fn none() -> Self {
        Self { rules: Arc::clone(&NO_RULES), clearance: Clearance::FULL, classifier: None }
    }

    /// Elements are shown up to a clearance: those of the list, and those that carry labels of their own.
    pub fn of(rules: &Arc<ElementRules>, clearance: Clearance) -> Self {
        if clearance.is_full() { Self::none() } else { Self { rules: Arc::clone(rules), clearance, classifier: None } }
    }

    /// The same where labels say who assigned them.
    #[must_use]
    pub fn classified_by(self, classifier: Option<&Classifier>) -> Self {
        Self { classifier: classifier.cloned(), ..self }
    }

    /// Whether everything is shown, whatever the resource says.
    pub fn is_none(&self) -> bool {
        self.clearance.is_full()
    }

    /// Whether what identifies somebody is left out.
    pub fn is_deidentified(&self) -> bool {
        self.clearance.is_deidentified()
    }

    /// Whether something of a type is never shown. Then each resource of the type is marked as redacted, whether there was something or not.
    pub fn concerns(&self, resource_type: ResourceType) -> bool {
        self.is_deidentified() || self.paths(resource_type).next().is_some()
    }

    /// Whether nothing of any type is hidden but what resources say themselves.
    pub fn is_static_free(&self) -> bool {
        !self.is_deidentified() && !self.rules.entries().iter().any(|rule| !self.clearance.covers(rule.labels))
    }

    /// Whether an element with these labels is hidden.
    pub fn hides(&self, labels: Labels) -> bool {
        !self.clearance.covers(labels)
    }

    /// The elements of a type that are not shown.
    fn paths(&self, resource_type: ResourceType) -> impl Iterator<Item = &ElementPath> {
        let of_type = self.rules.entries().iter().filter(move |rule| rule.path.resource_type() == resource_type);
        of_type.filter(|rule| !self.clearance.covers(rule.labels)).map(|rule| &rule.path)
    }

    /// Whether a reference of this type is hidden: then its resources make no other one visible.
    pub fn hides_references(&self, resource_type: ResourceType) -> bool {
        self.paths(resource_type).any(ElementPath::may_hold_references)
    }

    /// Whether a search parameter of a type looks at an element that is not shown.
    pub fn hides_parameter(&self, resource_type: ResourceType, parameter: &SearchParameter) -> bool {
        (self.is_deidentified() && touched::identifies(resource_type, parameter))
            || self.paths(resource_type).any(|path| touched::touches(path, parameter))
    }

    /// The first parameter of a search that looks at an element that is not shown, with the type that it is one of. `others` says of another type, to which chains
    /// and includes lead, what is not shown of it; the search's own type is asked for in the same way.
    pub fn hidden_in<'q>(
        query: &'q SearchQuery,
        hides: &dyn Fn(ResourceType, &SearchParameter) -> bool,
        hides_texts: &dyn Fn(ResourceType) -> bool,
    ) -> Option<(ResourceType, &'q SearchParameter)> {
        let own = query.resource_type;
        let sorted = query.sort.iter().map(|key| key.parameter).find(|parameter| hides(own, parameter));
        let includes = query.includes.iter().chain(&query.reverse_includes);
        let included = || includes.clone().find(|include| hides(include.source, include.parameter));
        let filtered = || query.filters.iter().find_map(|filter| touched::hidden_filter(own, filter, hides, hides_texts));
        sorted
            .map(|parameter| (own, parameter))
            .or_else(filtered)
            .or_else(|| included().map(|include| (include.source, include.parameter)))
    }

    /// The same for single criteria, those of a scope.
    pub fn hidden_in_criteria<'q>(
        resource_type: ResourceType,
        filters: &'q [Filter],
        hides: &dyn Fn(ResourceType, &SearchParameter) -> bool,
        hides_texts: &dyn Fn(ResourceType) -> bool,
    ) -> Option<(ResourceType, &'q SearchParameter)> {
        filters.iter().find_map(|filter| touched::hidden_filter(resource_type, filter, hides, hides_texts))
    }
}

impl Default for Redactions {
    fn default() -> Self {
        Self::none()
    }
}
