//! The table of search parameters.
//!
//! <https://hl7.org/fhir/R4/searchparameter-registry.html>, and those of US Core, CARIN Blue Button and PACIO Re-Assessment Timepoints that R4 does
//! not have. `_text`, `_content`, `_filter`, `_query`, `_list`, `_has` and `_type` are not values of a resource and are not in the table.

use std::sync::LazyLock;

use crate::types::ResourceType;

/// The type of a search parameter (<https://hl7.org/fhir/R4/valueset-search-param-type.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParameterType {
    /// `number`
    Number,
    /// `date`
    Date,
    /// `string`
    String,
    /// `token`
    Token,
    /// `reference`
    Reference,
    /// `composite`
    Composite,
    /// `quantity`
    Quantity,
    /// `uri`
    Uri,
    /// `special`
    Special,
}

impl ParameterType {
    fn parse(code: &str) -> Option<Self> {
        Some(match code {
            "number" => Self::Number,
            "date" => Self::Date,
            "string" => Self::String,
            "token" => Self::Token,
            "reference" => Self::Reference,
            "composite" => Self::Composite,
            "quantity" => Self::Quantity,
            "uri" => Self::Uri,
            "special" => Self::Special,
            _ => return None,
        })
    }
}

/// One search parameter of one resource type (a published parameter with several bases becomes several of these).
#[derive(Debug)]
pub struct SearchParameter {
    /// A number that is stable across builds: never reused, used as a storage key.
    pub key: u16,
    /// The type that it belongs to; `None` for the parameters of all types (`_id`, `_lastUpdated`, `_tag`, `_profile`, `_security`, `_source`).
    pub base: Option<ResourceType>,
    /// The name in a query.
    pub code: &'static str,
    /// How its values compare.
    pub parameter_type: ParameterType,
    /// The FHIRPath expression, only the part for this base.
    pub expression: &'static str,
    /// For references: the types it may point to; empty for any type.
    pub targets: Vec<ResourceType>,
    /// What a composite consists of; `None` for the other types.
    pub composition: Option<Composition>,
}

/// What a composite consists of (<https://hl7.org/fhir/R4/search.html#combining>), in one of three forms. Names are those of parameters of the same base.
#[derive(Debug, PartialEq, Eq)]
pub enum Composition {
    /// The components are values of which a resource has one: the composite holds where both parameters do.
    Resource([&'static str; 2]),
    /// The components belong together within one of the elements to which the composite's expression leads.
    Element(Vec<Component>),
    /// One of these composites holds.
    Either(Vec<&'static str>),
}

/// A component of a composite over elements.
#[derive(Debug, PartialEq, Eq)]
pub struct Component {
    /// The parameter that says how its values compare.
    pub parameter: &'static str,
    /// From the element to the values; from the resource where it begins with the resource's type.
    pub expression: &'static str,
}

impl Composition {
    /// Reads ` $ `-separated parts: `code`, `or code`, or `code=expression`.
    fn parse(parts: &[&'static str]) -> Option<Self> {
        if let Some(either) =
            parts.iter().map(|part| part.strip_prefix("or ")).collect::<Option<Vec<_>>>().filter(|or| !or.is_empty())
        {
            return Some(Self::Either(either));
        }
        if let [first, second] = parts
            && !parts.iter().any(|part| part.contains('='))
        {
            return Some(Self::Resource([first, second]));
        }
        let components = parts.iter().map(|part| part.split_once('='));
        let components = components.map(|part| part.map(|(parameter, expression)| Component { parameter, expression }));
        components.collect::<Option<Vec<_>>>().filter(|components| components.len() > 1).map(Self::Element)
    }
}

impl PartialEq for SearchParameter {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for SearchParameter {}

static SOURCE: &str = include_str!("../../data/search-parameters.tsv");

/// All parameters, by key.
static PARAMETERS: LazyLock<Vec<SearchParameter>> = LazyLock::new(|| {
    let mut parameters: Vec<SearchParameter> = SOURCE.lines().filter_map(parse_line).collect();
    parameters.sort_unstable_by_key(|parameter| parameter.key);
    parameters
});

/// The parameters of each type, by the type's code; each list in the order of the names.
static BY_TYPE: LazyLock<Vec<Vec<&'static SearchParameter>>> = LazyLock::new(|| {
    let mut lists: Vec<Vec<&'static SearchParameter>> = ResourceType::all().map(|_| Vec::new()).collect();
    for parameter in PARAMETERS.iter() {
        match parameter.base {
            Some(base) => lists.get_mut(usize::from(base.code())).into_iter().for_each(|list| list.push(parameter)),
            None => lists.iter_mut().for_each(|list| list.push(parameter)),
        }
    }
    for list in &mut lists {
        list.sort_unstable_by_key(|parameter| parameter.code);
    }
    lists
});

static OF_ALL_TYPES: LazyLock<Vec<&'static SearchParameter>> =
    LazyLock::new(|| PARAMETERS.iter().filter(|parameter| parameter.base.is_none()).collect());

fn parse_line(line: &'static str) -> Option<SearchParameter> {
    let mut fields = line.split('\t');
    let key = fields.next()?.parse().ok()?;
    let base = match fields.next()? {
        "*" => None,
        name => Some(ResourceType::parse(name)?),
    };
    let code = fields.next()?;
    let parameter_type = ParameterType::parse(fields.next()?)?;
    let targets = fields.next()?.split(',').filter_map(ResourceType::parse).collect();
    let parts: Vec<&'static str> = fields.next()?.split(" $ ").collect();
    let (expression, parts) = parts.split_first()?;
    let composition = Composition::parse(parts);
    Some(SearchParameter { key, base, code, parameter_type, expression, targets, composition })
}

/// The parameter of this type with this name, also those of all types (`_id`, `_lastUpdated`, `_tag`, `_profile`, `_security`, `_source`).
pub fn search_parameter(resource_type: ResourceType, code: &str) -> Option<&'static SearchParameter> {
    let list = search_parameters(resource_type);
    let position = list.binary_search_by_key(&code, |parameter| parameter.code).ok()?;
    list.get(position).copied()
}

/// Every parameter of this type, in the order of their names; those of all types too.
pub fn search_parameters(resource_type: ResourceType) -> &'static [&'static SearchParameter] {
    BY_TYPE.get(usize::from(resource_type.code())).map_or(&[], Vec::as_slice)
}

/// The parameters that every type has.
pub fn search_parameters_of_all_types() -> &'static [&'static SearchParameter] {
    &OF_ALL_TYPES
}

/// The parameter with this storage key.
pub fn search_parameter_by_key(key: u16) -> Option<&'static SearchParameter> {
    let position = PARAMETERS.binary_search_by_key(&key, |parameter| parameter.key).ok()?;
    PARAMETERS.get(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> ResourceType {
        ResourceType::parse(name).unwrap()
    }

    #[test]
    fn every_line_is_read_and_every_key_is_unique() {
        let lines = SOURCE.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(PARAMETERS.len(), lines);
        assert!(lines > 1700);
        assert!(PARAMETERS.windows(2).all(|pair| pair[0].key < pair[1].key));
        for parameter in PARAMETERS.iter() {
            assert_eq!(search_parameter_by_key(parameter.key), Some(parameter));
        }
        let next: u16 = SOURCE.lines().next().unwrap().strip_prefix("#next\t").unwrap().parse().unwrap();
        assert!(PARAMETERS.iter().all(|parameter| parameter.key < next));
        assert_eq!(search_parameter_by_key(next), None);
    }

    #[test]
    fn storage_keys_never_change() {
        for (key, base, code) in [
            (1, "Patient", "_id"),
            (2, "Patient", "_lastUpdated"),
            (359, "Condition", "asserted-date"),
            (1234, "Patient", "race"),
        ] {
            assert_eq!(search_parameter(named(base), code).map(|parameter| parameter.key), Some(key), "{code}");
        }
    }

    #[test]
    fn names_are_unique_within_a_type() {
        for resource_type in ResourceType::all() {
            let list = search_parameters(resource_type);
            assert!(list.len() >= 6, "{resource_type}");
            assert!(list.windows(2).all(|pair| pair[0].code < pair[1].code), "{resource_type}");
            for parameter in list {
                assert_eq!(search_parameter(resource_type, parameter.code), Some(*parameter));
            }
        }
        assert_eq!(search_parameters_of_all_types().len(), 6);
    }

    #[test]
    fn a_parameter_of_several_types_has_only_the_branches_of_its_own() {
        let code = search_parameter(named("AllergyIntolerance"), "code").unwrap();
        assert_eq!(code.expression, "AllergyIntolerance.code | AllergyIntolerance.reaction.substance");
        let medication = search_parameter(named("MedicationRequest"), "code").unwrap();
        assert_eq!(medication.expression, "(MedicationRequest.medication as CodeableConcept)");
        for parameter in PARAMETERS.iter() {
            let Some(base) = parameter.base else { continue };
            for branch in parameter.expression.split(" | ") {
                let own = branch.trim_start_matches('(');
                assert!(own == base.name() || own.starts_with(&format!("{base}.")), "{base} {branch}");
            }
        }
    }

    #[test]
    fn targets_are_the_resolved_type_or_the_published_ones() {
        assert_eq!(search_parameter(named("Observation"), "patient").unwrap().targets, [ResourceType::PATIENT]);
        assert!(search_parameter(named("Observation"), "subject").unwrap().targets.contains(&ResourceType::PATIENT));
        assert!(search_parameter(named("Provenance"), "target").unwrap().targets.is_empty());
    }

    #[test]
    fn every_composite_has_a_composition_of_parameters_of_its_base() {
        let mut forms = [0; 3];
        for parameter in PARAMETERS.iter() {
            let Some(composition) = &parameter.composition else {
                assert_ne!(parameter.parameter_type, ParameterType::Composite, "{:?} {}", parameter.base, parameter.code);
                continue;
            };
            assert_eq!(parameter.parameter_type, ParameterType::Composite, "{}", parameter.code);
            let of_base = |code: &str| search_parameter(parameter.base.unwrap(), code).unwrap();
            match composition {
                Composition::Resource(codes) => {
                    forms[0] += 1;
                    assert!(codes.iter().all(|code| of_base(code).composition.is_none()), "{}", parameter.code);
                }
                Composition::Element(components) => {
                    forms[1] += 1;
                    assert!((2..=3).contains(&components.len()), "{}", parameter.code);
                    assert!(components.iter().all(|component| of_base(component.parameter).composition.is_none()));
                }
                Composition::Either(codes) => {
                    forms[2] += 1;
                    let plain = |code: &&str| {
                        matches!(of_base(code).composition, Some(Composition::Resource(_) | Composition::Element(_)))
                    };
                    assert!(codes.iter().all(plain), "{}", parameter.code);
                }
            }
        }
        assert_eq!(forms, [3, 67, 2]);
    }

    #[test]
    fn the_crossed_components_of_relationship_stand_in_their_places() {
        let relationship = search_parameter(named("DocumentReference"), "relationship").unwrap();
        let Some(Composition::Element(components)) = &relationship.composition else { panic!("{relationship:?}") };
        let pairs: Vec<_> = components.iter().map(|component| (component.parameter, component.expression)).collect();
        assert_eq!(pairs, [("relatesto", "target"), ("relation", "code")]);
    }

    #[test]
    fn names_that_are_not_values_of_a_resource_are_absent() {
        for code in ["_text", "_content", "_query", "_filter", "_has", "_list", "_type", "", "ID", "subject "] {
            assert_eq!(search_parameter(ResourceType::OBSERVATION, code), None, "{code}");
        }
    }

    #[test]
    fn the_guides_add_their_own_parameters() {
        for (base, code) in [
            ("Patient", "race"),
            ("Patient", "ethnicity"),
            ("CareTeam", "role"),
            ("Goal", "description"),
            ("Condition", "asserted-date"),
            ("Encounter", "discharge-disposition"),
            ("Encounter", "based-on"),
            ("ExplanationOfBenefit", "service-date"),
            ("ExplanationOfBenefit", "type"),
        ] {
            assert!(search_parameter(named(base), code).is_some(), "{base} {code}");
        }
        // PACIO's is wider than R4's of the same name.
        let based_on = search_parameter(named("Encounter"), "based-on").unwrap();
        assert!(based_on.expression.contains("StructureDefinition/clinicalImpression"));
    }
}
