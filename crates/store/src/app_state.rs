//! What the registry keeps of apps: their state (SMART App Launch 2.2.0, "Persisting App State").
//!
//! A part of [`crate::Registry`], in a file of its own. Changes travel in [`crate::registry::Change::AppState`]; both take what a permit covers.

use portcullis_policy::{AppState, AppStateLookup, AuthorizedAppState, Unreleased};

use crate::fhir_store::BoxFuture;
use crate::registry::RegistryError;

/// The conflict of a second state in a cell.
pub const CELL_TAKEN: &str = "there is a state of this code and subject already";

/// The conflict of a change of a state that is not there under this id and version, in this cell.
pub const STATE_CHANGED: &str = "the state is not there in this version";

/// App state.
pub trait AppStateRegistry {
    /// What lies in the cells of the permit, with the id that is looked for.
    fn app_states(
        &self,
        lookup: AuthorizedAppState<AppStateLookup>,
    ) -> BoxFuture<'_, Result<Unreleased<Vec<AppState>>, RegistryError>>;
}
