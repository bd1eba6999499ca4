//! Compact tables of the R4 definitions: search parameters, elements, compartments.
//!
//! The tables in `data/` are facts derived from the published definitions by `xtask/definitions.py`; nothing here is written by hand per type.
//! Each table is parsed once, on first use.

mod compartments;
mod elements;
mod search_parameters;

pub use compartments::{CompartmentType, compartment_parameters};
pub use elements::{
    Datatype, Element, ElementType, Kind, Primitive, Structure, StructureId, all_elements, element_of_member, mandatory_elements,
    structure, structure_named, structure_of, summary_elements,
};
pub use search_parameters::{
    Component, Composition, ParameterType, SearchParameter, search_parameter, search_parameter_by_key, search_parameters,
    search_parameters_of_all_types,
};
