//! `portcullis relabel`: gives every stored version the labels that the rules of today say.

use portcullis_server::admin::protocol::{Request, Response};
use portcullis_store::relabelling::{RelabelPart, Relabelled};

use super::channel::{Channel, unexpected};
use super::place::{Place, runtime};
use crate::args::Relabel;
use crate::failure::Outcome;
use crate::terminal::{self, Progress, counted, print_json};

/// `relabel`
pub fn run(arguments: &Relabel) -> Outcome {
    let place = Place::of(&arguments.target)?;
    let done = runtime()?.block_on(async {
        let mut channel = Channel::open(&place, "relabel").await?;
        let done = parts(&mut channel, arguments).await;
        channel.close().await?;
        done
    })?;
    if arguments.json {
        return print_json(&done);
    }
    let columns = ["Label", "Versions that get it", "Versions that lose it"];
    let mut codes: Vec<&String> = done.gained.keys().chain(done.lost.keys()).collect();
    codes.sort();
    codes.dedup();
    let count =
        |counts: &std::collections::BTreeMap<String, u64>, code| terminal::grouped(counts.get(code).copied().unwrap_or(0));
    let rows: Vec<Vec<String>> =
        codes.into_iter().map(|code| vec![code.clone(), count(&done.gained, code), count(&done.lost, code)]).collect();
    let would = if arguments.dry_run { "would change" } else { "changed" };
    let mut text = if rows.is_empty() { String::new() } else { format!("{}\n", terminal::table(&columns, &rows)) };
    let (versions, resources) = (counted(done.versions, "version", "versions"), counted(done.resources, "resource", "resources"));
    text.push_str(&format!("{versions} of {resources} looked at; {} {would}.\n", terminal::grouped(done.changed)));
    if done.unreadable > 0 {
        text.push_str(&format!("{} cannot be read and keep their labels.\n", counted(done.unreadable, "version", "versions")));
    }
    terminal::print(&text)
}

/// Part by part, until the run is done.
async fn parts(channel: &mut Channel, arguments: &Relabel) -> Outcome<Relabelled> {
    let progress = if arguments.json { Progress::hidden() } else { Progress::things(None) };
    let mut done = Relabelled::default();
    let mut place = None;
    loop {
        let request = Request::Relabel(RelabelPart { dry_run: arguments.dry_run, place: place.take() });
        let Response::Relabelled(part) = channel.call(request).await? else { return Err(unexpected()) };
        done.add(part);
        progress.set(done.resources);
        match &done.place {
            None => break,
            Some(next) => place = Some(next.clone()),
        }
    }
    progress.clear();
    Ok(done)
}
