//! `[smart]`: what of SMART App Launch is switched off, and what of the optional on.

use portcullis_oauth::capabilities::{Capabilities, Capability};
use serde::Deserialize;

/// `[smart]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Smart {
    /// Capabilities, as metadata names them, that are neither published nor usable.
    disabled: Vec<String>,
    /// Optional capabilities that are on: `smart-app-state`.
    enabled: Vec<String>,
}

impl Smart {
    /// What is on; where a name is unknown, all that there are.
    pub fn capabilities(&self) -> Result<Capabilities, String> {
        let named = |names: &[String]| {
            names.iter().map(|name| Capability::parse(name).ok_or_else(|| unknown(name))).collect::<Result<Vec<_>, _>>()
        };
        let (disabled, enabled) = (named(&self.disabled)?, named(&self.enabled)?);
        if let Some(capability) = enabled.iter().find(|capability| disabled.contains(capability)) {
            return Err(format!("{:?} is both enabled and disabled", capability.as_str()));
        }
        Ok(Capabilities::without(disabled).and(enabled))
    }
}

fn unknown(name: &str) -> String {
    let known = Capability::ALL.map(Capability::as_str).join(", ");
    format!("{name:?} is no capability; there are {known}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Capabilities, String> {
        toml::from_str::<Smart>(text).map_err(|error| error.to_string())?.capabilities()
    }

    #[test]
    fn everything_is_on_but_what_the_file_names() {
        assert_eq!(read("").unwrap(), Capabilities::default());
        let read = read("disabled = ['launch-ehr', 'permission-v1', 'launch-ehr']").unwrap();
        assert_eq!(read, Capabilities::without([Capability::LaunchEhr, Capability::PermissionV1]));
    }

    #[test]
    fn what_is_optional_is_off_until_it_is_enabled() {
        let on = |text: &str| self::read(text).unwrap().has(Capability::SmartAppState);
        assert!(!on("") && !on("disabled = ['smart-app-state']") && on("enabled = ['smart-app-state']"));
    }

    #[test]
    fn an_unknown_name_is_refused_with_those_that_there_are() {
        for (key, wrong) in [("disabled", "launch_ehr"), ("disabled", ""), ("enabled", "smart_app_state")] {
            let error = read(&format!("{key} = ['{wrong}']")).unwrap_err();
            assert!(error.starts_with(&format!("{wrong:?} is no capability")), "{error}");
            for capability in Capability::ALL {
                assert!(error.contains(capability.as_str()), "{error}");
            }
        }
        for wrong in ["disabled = 'launch-ehr'", "enable = []", "disabled = ['launch-ehr']\nenabled = ['launch-ehr']"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
