//! Switches that turn single rules of the access control off, so that the proof of non-interference can be seen to fail ([ADR 0023](../../docs/adr/0023-mutants.md)).
//!
//! `off!("name")` stands at a rule. In every build but one it is the constant `false`, and neither the name nor a trace of the switch is in the binary: no
//! configuration, feature or variable of a shipped program switches a rule off. Only where the compiler is told `--cfg portcullis_mutant` (`cargo xtask
//! mutants` does, in a target directory of its own) does it ask the environment variable [`VARIABLE`]; such a program says so and refuses to run any command.
//! `tests/tidy.rs` holds in which files switches may stand, and that each is in the list.

/// The list of switches: name, how it is run, and what it turns off, one a line.
pub const LIST: &str = include_str!("../mutants.txt");

/// The environment variable with the names of the switches that are off, with `+` between them.
pub const VARIABLE: &str = "PORTCULLIS_MUTANT";

/// Whether this build has switches: it must not serve anybody.
pub const COMPILED_IN: bool = cfg!(portcullis_mutant);

/// Whether the rule with this name is switched off.
#[cfg(not(portcullis_mutant))]
#[macro_export]
macro_rules! off {
    ($name:literal) => {
        $crate::never()
    };
}

/// What a switch is where none is compiled in: `false`, and no literal that a linter would have simplified away.
#[cfg(not(portcullis_mutant))]
#[inline(always)]
pub const fn never() -> bool {
    false
}

/// Whether the rule with this name is switched off.
#[cfg(portcullis_mutant)]
#[macro_export]
macro_rules! off {
    ($name:literal) => {
        $crate::is_off($name)
    };
}

/// Whether the environment names this switch. A name that is not in the list ends the program: a typing error would look like a rule that nothing depends on.
#[cfg(portcullis_mutant)]
#[expect(clippy::panic, reason = "only in builds that are made to be broken")]
pub fn is_off(name: &str) -> bool {
    static OFF: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();
    let off = OFF.get_or_init(|| {
        let text = std::env::var(VARIABLE).unwrap_or_default();
        let names: Vec<String> = text.split('+').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let is_listed = |name: &String| LIST.lines().any(|line| line.split_ascii_whitespace().next() == Some(name));
        if let Some(unknown) = names.iter().find(|name| !is_listed(name)) {
            panic!("{VARIABLE}: there is no mutant {unknown}");
        }
        names
    });
    off.iter().any(|other| other == name)
}

#[cfg(test)]
mod tests {
    #[test]
    fn without_the_cfg_a_switch_is_the_constant_false() {
        const OFF: bool = crate::off!("release");
        const { assert!(!OFF && !crate::COMPILED_IN) };
    }
}
