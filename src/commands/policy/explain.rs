//! `portcullis policy explain`: why somebody could or could not see a record, rule by rule.

use portcullis_server::admin::protocol::{Request, Response};
use portcullis_server::admin::{Comes, ExplainRequest, Explained, ExplainedStep};

use super::cases::seconds;
use crate::args::PolicyExplain;
use crate::commands::channel::unexpected;
use crate::commands::clients::ask;
use crate::failure::{Failure, Outcome};
use crate::terminal;

/// Runs the command.
pub fn run(arguments: PolicyExplain) -> Outcome {
    let PolicyExplain { interaction, record, user, client, scopes, patient, purpose, from, at, plain, json, target } = arguments;
    let address = from.map(|text| text.parse().map_err(|_| Failure::usage(format!("--from: '{text}' is no address"))));
    let moment = |text: String| {
        let parsed = text.parse().ok().as_ref().and_then(seconds);
        parsed.ok_or_else(|| Failure::usage(format!("--at: '{text}' is no time")).advise("Write it as 2026-11-23T10:00:00Z."))
    };
    let at = at.map(moment).transpose()?;
    let request =
        ExplainRequest { interaction, record, user, client, scopes, patient, purpose, address: address.transpose()?, at };
    let Response::Explained(explained) = ask(&target, "policy explain", Request::Explain(Box::new(request)))? else {
        return Err(unexpected());
    };
    if json {
        terminal::print_json(&explained)
    } else if let Some(language) = plain {
        let told = if language == "es" { &explained.plain_spanish } else { &explained.plain };
        terminal::print(&terminal::wrapped(told, 0))
    } else {
        terminal::print(&shown(&explained))
    }
}

fn shown(explained: &Explained) -> String {
    let mut text = match explained.comes {
        Comes::Permit => "PERMIT\n".to_owned(),
        Comes::Deny => "DENY\n".to_owned(),
        Comes::Hidden => "HIDDEN: it answers as what is absent\n".to_owned(),
        Comes::Absent => "ABSENT: there is no such record, or not any more\n".to_owned(),
    };
    let row = |step: &ExplainedStep| {
        let mark = step.says.map_or("-", |says| if says { "yes" } else { "NO" });
        vec![mark.to_owned(), step.rule.clone(), step.because.clone()]
    };
    text.push_str(&terminal::table(&["", "RULE", "WHY"], &explained.steps.iter().map(row).collect::<Vec<_>>()));
    for (number, way) in explained.ways.iter().enumerate() {
        text.push_str(&format!("\nWay {} in which such a record becomes visible (every part must say yes):\n", number + 1));
        text.push_str(&terminal::table(&["", "PART", "WHY"], &way.iter().map(row).collect::<Vec<_>>()));
    }
    text
}
