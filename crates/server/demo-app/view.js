// What is shown: the first page, the record with its parts, and what went wrong.

import { fhir, resourceOf, shared } from './fhir.js';
import { takeBack } from './oauth.js';
import { Choice, LAUNCH_KEY, PermissionEnded, Problem, SESSION_KEY, byId, make, state } from './tools.js';
import { NOTHING, PARTS, day, words } from './words.js';

/** Rows at first, and with each "Show more": a phone shows a row as a card. */
const PAGE_SIZE = matchMedia('(max-width: 40rem)').matches ? 5 : 15;

export function say(text) {
  byId('status').textContent = text;
  byId('status').hidden = !text;
}

export function showProblem(problem) {
  const known = problem instanceof Problem;
  if (!known) console.error(problem);
  say('');
  // What the person chose is no failure.
  byId('problem').classList.toggle('calm', problem instanceof Choice);
  byId('problem').replaceChildren(
    make('p', {}, make('strong', {}, known ? problem.message : 'Something failed in this app.')),
    make('p', {}, known ? problem.todo : 'Reload the page and try again.'),
  );
  byId('problem').hidden = false;
}

/** Back to the first page, with what went wrong. */
export function stop(problem) {
  if (problem instanceof PermissionEnded) forget();
  showLaunch();
  showProblem(problem);
}

export function showLaunch() {
  byId('record').hidden = true;
  byId('disconnect').hidden = true;
  say('');
  byId('launch').hidden = false;
  byId('connect').disabled = !state.discovery;
}

/** A table that becomes a list of cards on a phone. The roles stay said, since the style sheet changes what is a table. */
export function table(columns, rows, title) {
  const head = make('tr', { role: 'row' }, ...columns.map(([name]) => make('th', { scope: 'col', role: 'columnheader' }, name)));
  return make('table', { role: 'table', 'aria-label': title },
    make('thead', { role: 'rowgroup' }, head),
    make('tbody', { role: 'rowgroup' }, ...rows.map(row => tableRow(columns, row))));
}

function tableRow(columns, row) {
  return make('tr', { role: 'row' }, ...columns.map(([name, show]) => {
    let value = NOTHING;
    try {
      value = String(show(row));
    } catch {
      // A resource of an unexpected shape shows a dash instead of hiding the others.
    }
    return make('td', { role: 'cell', 'data-label': name }, value);
  }));
}

function settle(part, state, count) {
  byId(part.id).dataset.state = state;
  if (count !== undefined) byId(part.id).dataset.count = String(count);
  const words = { loaded: String(count), refused: 'not shared', failed: 'not available' }[state];
  const link = make('a', { href: `#${part.id}-title` }, make('strong', {}, words), make('span', {}, part.title));
  const item = make('li', { 'data-part': part.id }, link);
  const present = byId('counts').querySelector(`[data-part="${part.id}"]`);
  if (present) present.replaceWith(item);
  else byId('counts').append(item);
}

async function showPart(part) {
  const body = byId(part.id).querySelector('.body');
  if (!shared(part.type, 's')) {
    body.replaceChildren(make('p', { class: 'refused' }, `${part.refused} To change that, disconnect, connect again and tick it.`));
    settle(part, 'refused');
    return;
  }
  body.replaceChildren(make('p', {}, 'Loading…'));
  try {
    const first = `${part.type}?patient=${encodeURIComponent(state.session.patient)}&_count=${PAGE_SIZE}&_total=accurate`;
    const bundle = await resourceOf(await fhir(first));
    showBundle(part, body, bundle);
  } catch (problem) {
    showPartProblem(part, body, problem);
  }
}

function showPartProblem(part, body, problem) {
  if (problem instanceof PermissionEnded) throw problem;
  const known = problem instanceof Problem;
  if (!known) console.error(problem);
  body.replaceChildren(make('p', { class: 'refused' }, known ? `${problem.message} ${problem.todo}` : 'This part could not be shown. Reload the page and try again.'));
  settle(part, 'failed');
}

function showBundle(part, body, bundle) {
  const resources = page => (page.entry ?? []).map(entry => entry.resource).filter(resource => resource?.resourceType === part.type);
  const rows = resources(bundle);
  const count = bundle.total ?? rows.length;
  if (rows.length === 0) {
    body.replaceChildren(make('p', {}, part.none));
    settle(part, 'loaded', 0);
    return;
  }
  const grid = table(part.columns, rows, part.title);
  const note = make('p', { class: 'quiet', role: 'status' });
  const more = make('button', { type: 'button', class: 'plain' }, 'Show more', make('span', { class: 'hidden' }, ` of: ${part.title}`));
  let next;
  const settlePage = page => {
    next = page.link?.find(link => link.relation === 'next')?.url;
    more.hidden = !next;
    note.textContent = `${rows.length} of ${Math.max(count, rows.length)} shown.`;
    settle(part, 'loaded', Math.max(count, rows.length));
  };
  more.addEventListener('click', async () => {
    more.disabled = true;
    try {
      const page = await resourceOf(await fhir(next));
      const added = resources(page);
      rows.push(...added);
      grid.querySelector('tbody').append(...added.map(row => tableRow(part.columns, row)));
      settlePage(page);
    } catch (problem) {
      if (problem instanceof PermissionEnded) stop(problem);
      note.textContent = problem instanceof Problem ? `${problem.message} ${problem.todo}` : 'The next part could not be shown.';
    }
    more.disabled = false;
  });
  body.replaceChildren(grid, note, more);
  settlePage(bundle);
}

async function showPatient() {
  const card = byId('patient');
  // The EHR that embeds this app says already whose record it is.
  card.hidden = state.session.need_patient_banner === false;
  if (!shared('Patient', 'r')) {
    card.replaceChildren(make('p', { class: 'refused' }, 'You did not share your name and contact details.'));
    card.dataset.state = 'refused';
    return;
  }
  try {
    const patient = await resourceOf(await fhir(`Patient/${encodeURIComponent(state.session.patient)}`));
    const name = patient.name?.find(entry => entry.use === 'official') ?? patient.name?.[0];
    const address = patient.address?.[0];
    const facts = [
      ['Name', name?.text ?? [...(name?.given ?? []), name?.family].filter(Boolean).join(' ')],
      ['Birth date', day(patient.birthDate)],
      ['Gender', words(patient.gender)],
      ['Address', [...(address?.line ?? []), address?.city, address?.state, address?.postalCode].filter(Boolean).join(', ')],
      ['Contact', (patient.telecom ?? []).map(entry => entry.value).filter(Boolean).slice(0, 2).join(', ')],
    ];
    if (facts[0][1] && !card.hidden) byId('record-title').textContent = `The record of ${facts[0][1]}`;
    card.replaceChildren(make('dl', {}, ...facts.map(([term, value]) => fact(term, value || NOTHING))));
    card.dataset.state = 'loaded';
  } catch (problem) {
    if (problem instanceof PermissionEnded) throw problem;
    card.replaceChildren(make('p', { class: 'refused' }, problem instanceof Problem ? `${problem.message} ${problem.todo}` : 'Your details could not be shown.'));
    card.dataset.state = 'failed';
  }
}

const fact = (term, value) => make('div', {}, make('dt', {}, term), make('dd', {}, value));

export function showGrant() {
  byId('grant').replaceChildren(
    fact('Patient', state.session.patient),
    fact('Visit', state.session.encounter ?? NOTHING),
    fact('Scopes', state.session.scope),
    fact('Token until', new Date(state.session.expires_at).toLocaleTimeString(navigator.language)),
    fact('Can be renewed', state.session.refresh_token ? 'Yes, until you take it back' : 'No'),
  );
  byId('refresh').hidden = !state.session.refresh_token;
}

export async function showRecord() {
  byId('problem').hidden = true;
  byId('launch').hidden = true;
  byId('record').hidden = false;
  byId('disconnect').hidden = false;
  byId('disconnect').disabled = false;
  say('Loading your record…');
  byId('record-title').focus();
  await showPatient();
  // One after another: the counts keep their order, and an expired token is renewed once.
  for (const part of PARTS) await showPart(part);
  showGrant();
  say('');
  byId('record').dataset.state = 'loaded';
}

/** Takes the permission back at the server, and forgets everything here. */
export async function disconnect() {
  byId('disconnect').disabled = true;
  const told = await takeBack();
  forget();
  showLaunch();
  say(told ? 'Disconnected. This app has forgotten your record, and its permission is taken back.'
    : 'This app has forgotten your record. The server could not be told: sign in there and press “Stop access” to be sure.');
  byId('connect').focus();
}

function forget() {
  state.session = undefined;
  sessionStorage.removeItem(SESSION_KEY);
  sessionStorage.removeItem(LAUNCH_KEY);
  for (const part of document.querySelectorAll('.part')) {
    delete part.dataset.state;
    delete part.dataset.count;
    (part.querySelector('.body') ?? part).replaceChildren();
  }
  for (const id of ['counts', 'other-answer', 'grant']) byId(id).replaceChildren();
  byId('record-title').textContent = 'Your record';
}
