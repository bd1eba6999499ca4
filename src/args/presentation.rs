//! How the help looks: within 80 columns, options in groups, no value named twice. What the options are stands with them.

use clap::{Arg, Command, CommandFactory};

use super::Arguments;

/// The width of a line of help, in characters.
const WIDTH: usize = 80;
/// How far the second line of a usage stands from the left: below the command, behind `Usage: `.
const INDENT: usize = 11;

/// The options about which server a command asks: in a group of their own, since nearly every command has them.
const SERVER: &[&str] = &["config", "data_dir"];
/// What may be registered about a client, by what it is for.
const GROUPS: &[(&str, &[&str])] = &[
    (
        "What it may do",
        &[
            "grant_type",
            "origin",
            "launch_url",
            "application_type",
            "smart",
            "resource_server",
            "administrator",
            "explains_decisions",
            "launcher",
            "purpose",
            "app_state",
            "clearance",
        ],
    ),
    ("What people are told", &["verified", "logo_uri", "client_uri", "policy_uri", "tos_uri", "contact"]),
    (
        "How it must ask",
        &[
            "require_pushed_authorization_requests",
            "require_signed_request_object",
            "dpop_bound_access_tokens",
            "tls_client_certificate_bound_access_tokens",
            "self_signed_tls_client_auth",
            "tls_client_auth_subject_dn",
            "tls_client_auth_san_dns",
            "tls_client_auth_san_uri",
            "tls_client_auth_san_ip",
            "tls_client_auth_san_email",
            "introspection_signed_response_alg",
            "acr",
            "default_acr_value",
        ],
    ),
];

/// The command line, ready to be shown and read.
pub fn command() -> Command {
    let mut command = Arguments::command();
    command.build();
    presented(command)
}

fn presented(command: Command) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let command = names.into_iter().fold(command, |command, name| command.mut_subcommand(name, presented));
    let is_about_clients = command.get_arguments().any(|argument| argument.get_id() == "launch_url");
    let mut command = command.mut_args(|argument| described(argument, is_about_clients));
    let usage = command.render_usage().to_string();
    if usage.lines().all(|line| line.chars().count() <= WIDTH) {
        return command;
    }
    command.override_usage(folded(usage.trim_start_matches("Usage: ")))
}

fn described(argument: Arg, is_about_clients: bool) -> Arg {
    let id = argument.get_id().to_string();
    // The values stand in the words or in the value's name.
    let argument = argument.hide_possible_values(true);
    let group = GROUPS.iter().find(|(_, ids)| is_about_clients && ids.contains(&id.as_str()));
    match group {
        Some((heading, _)) => argument.help_heading(*heading),
        None if is_about_clients && SERVER.contains(&id.as_str()) => argument.help_heading("Which server"),
        None => argument,
    }
}

/// A usage in lines that fit. What stands in brackets stays together.
fn folded(usage: &str) -> String {
    let mut lines: Vec<String> = vec![String::new()];
    for piece in pieces(usage) {
        let indent = if lines.len() == 1 { "Usage: ".len() } else { INDENT };
        match lines.last_mut() {
            Some(line) if line.is_empty() => *line = piece,
            Some(line) if indent + line.chars().count() + 1 + piece.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(&piece);
            }
            _ => lines.push(piece),
        }
    }
    lines.join(&format!("\n{}", " ".repeat(INDENT)))
}

/// The words of a usage: a space within brackets separates nothing, and an option keeps its value.
fn pieces(usage: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let mut depth = 0_usize;
    for word in usage.split_whitespace() {
        let belongs = depth > 0
            || (word.starts_with('<') && pieces.last().is_some_and(|piece| piece.starts_with("--") && !piece.contains(' ')));
        match pieces.last_mut().filter(|_| belongs) {
            Some(piece) => {
                piece.push(' ');
                piece.push_str(word);
            }
            None => pieces.push(word.to_owned()),
        }
        for character in word.chars() {
            match character {
                '<' | '[' => depth += 1,
                '>' | ']' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(command: Command, found: &mut Vec<Command>) {
        found.extend(std::iter::once(command.clone()));
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            all(inner.clone(), found);
        }
    }

    #[test]
    fn every_help_fits_the_screen_and_has_an_example() {
        let mut commands = Vec::new();
        all(command(), &mut commands);
        assert!(commands.len() > 30, "{}", commands.len());
        for mut command in commands {
            let name = command.get_bin_name().unwrap_or("portcullis").to_owned();
            let help = command.render_long_help().to_string();
            let long: Vec<&str> = help.lines().filter(|line| line.chars().count() > WIDTH).collect();
            assert!(long.is_empty(), "{name}: {long:?}");
            assert!(help.contains("Example") && help.contains(&format!("\n  {name}")), "{name}:\n{help}");
        }
    }

    #[test]
    fn a_usage_is_folded_between_its_parts() {
        let usage =
            "portcullis users invite [OPTIONS] --display-name <NAME> --role <ROLE> <--config <FILE>|--data-dir <DIR>> <USERNAME>";
        let folded = folded(usage);
        let lines: Vec<&str> = folded.lines().map(str::trim_start).collect();
        let expected = [
            "portcullis users invite [OPTIONS] --display-name <NAME> --role <ROLE>",
            "<--config <FILE>|--data-dir <DIR>> <USERNAME>",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn json_goes_with_whatever_says_what_is_listed() {
        let mut commands = Vec::new();
        all(command(), &mut commands);
        for command in commands {
            for group in command.get_groups() {
                let (name, multiple) = (group.get_id().clone(), group.clone().is_multiple());
                assert!(multiple || group.get_args().all(|one| one != "json"), "{} {name}", command.get_name());
            }
        }
    }

    #[test]
    fn every_member_of_a_client_stands_in_a_group() {
        let clients = command().find_subcommand("clients").unwrap().clone();
        for name in ["add", "update"] {
            let update = clients.find_subcommand(name).unwrap();
            let known: Vec<&str> = GROUPS.iter().flat_map(|(_, ids)| ids.iter().copied()).collect();
            for id in known {
                assert!(update.get_arguments().any(|argument| argument.get_id() == id), "there is no {id}");
            }
        }
    }
}
