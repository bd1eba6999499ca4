// A small SMART app (SMART App Launch 2.2.0, standalone launch, public client, PKCE S256).
// The order of this file: state, small tools, launch, return, tokens, FHIR, what is shown, start.
// What it keeps lives in sessionStorage: this tab, until it is closed or disconnected.

const LAUNCH_KEY = 'launch';
const SESSION_KEY = 'session';
const REQUEST_SECONDS = 20;
const PAGE_SIZE = 50;

let configuration;
let discovery;
let session;

// ---- Small tools ----------------------------------------------------------------------------------------------------------

/** A failure that the person can read: what happened, and what to do. */
class Problem extends Error {
  constructor(what, todo) {
    super(what);
    this.todo = todo;
  }
}

/** The permission is over: nothing of the record stays on the screen. */
class PermissionEnded extends Problem {
  constructor() {
    super('Your permission has ended, or was taken back.', 'This app has forgotten your record. Connect again if you want to see it here.');
  }
}

const byId = id => document.getElementById(id);

/** A new element with text or children. Text never becomes HTML. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter(child => child !== undefined && child !== null));
  return element;
}

function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

/** 256 random bits: SMART asks for at least 122 in `state`. */
const secret = () => base64url(crypto.getRandomValues(new Uint8Array(32)));

async function sha256(text) {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)));
}

function stored(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key));
  } catch {
    return null;
  }
}

const keep = (key, value) => sessionStorage.setItem(key, JSON.stringify(value));

async function get(url, options = {}) {
  try {
    return await fetch(url, {
      credentials: 'omit', cache: 'no-store', referrerPolicy: 'no-referrer',
      signal: AbortSignal.timeout(REQUEST_SECONDS * 1000), ...options,
    });
  } catch {
    throw new Problem('The health record server does not answer.',
      'Check that it runs and that this browser trusts its certificate. Then try again.');
  }
}

async function json(response) {
  try {
    return await response.json();
  } catch {
    return null;
  }
}

const issuerOf = () => discovery.issuer ?? configuration.issuer;

async function discover() {
  const response = await get(`${configuration.fhir_base}/.well-known/smart-configuration`, { headers: { Accept: 'application/json' } });
  const found = response.ok ? await json(response) : null;
  if (!found?.authorization_endpoint || !found?.token_endpoint) {
    throw new Problem('The health record server does not say how to sign in.', 'Tell the operator of the server that its SMART configuration is missing.');
  }
  if (!found.code_challenge_methods_supported?.includes('S256')) {
    throw new Problem('The health record server does not offer a safe sign-in (PKCE S256).', 'This app does not go on without it.');
  }
  if (found.issuer && found.issuer !== configuration.issuer) {
    throw new Problem('Another server answered than the one this app knows.', 'Do not sign in. Tell the operator of this app.');
  }
  discovery = found;
}

// ---- Launch ---------------------------------------------------------------------------------------------------------------

async function launch() {
  byId('connect').disabled = true;
  say('Opening the sign-in page…');
  const started = { state: secret(), nonce: secret(), verifier: secret() };
  keep(LAUNCH_KEY, started);
  const target = new URL(discovery.authorization_endpoint);
  const parameters = {
    response_type: 'code',
    client_id: configuration.client_id,
    redirect_uri: configuration.redirect_uri,
    scope: configuration.scope,
    state: started.state,
    nonce: started.nonce,
    aud: configuration.fhir_base,
    code_challenge: base64url(await sha256(started.verifier)),
    code_challenge_method: 'S256',
  };
  for (const [name, value] of Object.entries(parameters)) target.searchParams.set(name, value);
  location.assign(target);
}

// ---- Return ---------------------------------------------------------------------------------------------------------------

const REFUSALS = {
  access_denied: ['You chose not to share your record.', 'Nothing was shared. You can connect at any time.'],
  invalid_scope: ['The server has none of what this app asked for.', 'Tell the operator of the server which app you used.'],
  temporarily_unavailable: ['The health record server is busy.', 'Wait a minute, then connect again.'],
  server_error: ['Something failed at the health record server.', 'Wait a minute, then connect again.'],
};

/** Checks what came back in the address, and turns the code into a token. */
async function comeBack(answer) {
  const started = stored(LAUNCH_KEY);
  sessionStorage.removeItem(LAUNCH_KEY);
  if (!started || answer.get('state') !== started.state) {
    throw new Problem('This answer does not belong to a sign-in that you started in this tab.', 'Nothing was opened. Connect again.');
  }
  // RFC 9207: the answer must come from the server that was asked.
  if (answer.get('iss') !== issuerOf()) {
    throw new Problem('This answer came from another server than the one that was asked.', 'Nothing was opened. Connect again.');
  }
  if (answer.has('error')) {
    const [what, todo] = REFUSALS[answer.get('error')] ??
      [`The health record server refused: ${answer.get('error_description') ?? answer.get('error')}.`, 'Connect again. If it fails again, tell the operator of this app.'];
    throw new Problem(what, todo);
  }
  const tokens = await askForTokens({
    grant_type: 'authorization_code',
    code: answer.get('code') ?? '',
    redirect_uri: configuration.redirect_uri,
    client_id: configuration.client_id,
    code_verifier: started.verifier,
  });
  checkIdentity(tokens.id_token, started.nonce);
  if (!tokens.patient) {
    throw new Problem('The server did not say whose record this is.', 'Connect again and choose a patient.');
  }
  remember(tokens, {});
}

/** OpenID Connect Core, section 3.1.3.7. The token came straight from the token endpoint over TLS, which stands for its signature. */
function checkIdentity(idToken, nonce) {
  if (!idToken) return;
  let claims = null;
  try {
    const payload = idToken.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    claims = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(payload), character => character.charCodeAt(0))));
  } catch {
    // What cannot be read is refused below.
  }
  const audience = [].concat(claims?.aud ?? []);
  const fits = claims && claims.iss === issuerOf() && audience.includes(configuration.client_id) &&
    claims.nonce === nonce && typeof claims.exp === 'number' && claims.exp * 1000 > Date.now() - 60_000;
  if (!fits) throw new Problem('The server’s word about who you are does not fit this sign-in.', 'Nothing was opened. Connect again.');
}

// ---- Tokens ---------------------------------------------------------------------------------------------------------------

async function askForTokens(form) {
  const response = await get(discovery.token_endpoint, {
    method: 'POST', body: new URLSearchParams(form), headers: { Accept: 'application/json' },
  });
  const body = await json(response);
  if (response.ok && body?.access_token && body.token_type?.toLowerCase() === 'bearer') return body;
  if (body?.error === 'invalid_grant') {
    if (form.grant_type === 'refresh_token') throw new PermissionEnded();
    throw new Problem('This sign-in was used already, or took too long.', 'Connect again.');
  }
  throw new Problem(`The server gave no token${body?.error_description ? `: ${body.error_description}` : ''}.`, 'Connect again. If it fails again, tell the operator of this app.');
}

function remember(tokens, before) {
  session = {
    access_token: tokens.access_token,
    refresh_token: tokens.refresh_token ?? before.refresh_token,
    expires_at: Date.now() + (tokens.expires_in ?? 300) * 1000,
    scope: tokens.scope ?? before.scope ?? '',
    patient: tokens.patient ?? before.patient,
  };
  keep(SESSION_KEY, session);
}

// One refresh at a time: the server rotates refresh tokens and takes a second use for theft.
let refreshing = null;

function refresh() {
  refreshing ??= (async () => {
    try {
      remember(await askForTokens({ grant_type: 'refresh_token', refresh_token: session.refresh_token, client_id: configuration.client_id }), session);
    } finally {
      refreshing = null;
    }
  })();
  return refreshing;
}

/** Takes the permission back at the server, and forgets everything here. */
async function disconnect() {
  byId('disconnect').disabled = true;
  const token = session?.refresh_token ?? session?.access_token;
  let told = false;
  if (token && discovery.revocation_endpoint) {
    try {
      told = (await get(discovery.revocation_endpoint, {
        method: 'POST', body: new URLSearchParams({ token, client_id: configuration.client_id }),
      })).ok;
    } catch {
      // Said below.
    }
  }
  forget();
  showLaunch();
  say(told ? 'Disconnected. This app has forgotten your record, and its permission is taken back.'
    : 'This app has forgotten your record. The server could not be told: sign in there and press “Stop access” to be sure.');
  byId('connect').focus();
}

function forget() {
  session = undefined;
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

// ---- FHIR -----------------------------------------------------------------------------------------------------------------

/** Whether the person shared this type: SMART v1 (`.read`, `.*`) and v2 (`.rs`) forms. */
function shared(type, letter) {
  return session.scope.split(' ').some(scope => {
    const match = /^patient\/([A-Za-z]+|\*)\.(read|write|\*|[cruds]+)(\?.*)?$/.exec(scope);
    if (!match || (match[1] !== type && match[1] !== '*')) return false;
    return match[2] === 'read' || match[2] === '*' || (match[2] !== 'write' && match[2].includes(letter));
  });
}

/** One FHIR request with the token: refreshed when it is about to end, and once more when the server says it has ended. */
async function fhir(address) {
  const url = new URL(address, `${configuration.fhir_base}/`);
  if (!url.href.startsWith(`${configuration.fhir_base}/`)) {
    throw new Problem('The server named a page on another server.', 'This app does not send your permission there.');
  }
  if (session.refresh_token && session.expires_at - Date.now() < 10_000) await refresh();
  const ask = () => get(url, { headers: { Accept: 'application/fhir+json', Authorization: `Bearer ${session.access_token}` } });
  let response = await ask();
  if (response.status === 401 && session.refresh_token) {
    await refresh();
    response = await ask();
  }
  return response;
}

/** The resource of an answer, or a problem in words. */
async function resourceOf(response) {
  const body = await json(response);
  if (response.ok && body) return body;
  if (response.status === 401) throw new PermissionEnded();
  if (response.status === 403) throw new Problem('The server does not let this app see this part.', 'If you want to share it, disconnect, connect again and tick it.');
  if (response.status === 404) throw new Problem('The server has no such record for you.', 'If you think this is wrong, ask the operator of the server.');
  const detail = body?.issue?.[0]?.diagnostics ?? body?.issue?.[0]?.details?.text;
  throw new Problem(`The server could not answer${detail ? `: ${detail}` : ''}.`, 'Try again in a minute.');
}

// ---- Words for FHIR values ------------------------------------------------------------------------------------------------

const NOTHING = '–';

function concept(value) {
  const one = Array.isArray(value) ? value[0] : value;
  return one?.text ?? one?.coding?.find(coding => coding.display)?.display ?? one?.coding?.[0]?.code ?? NOTHING;
}

/** A FHIR date as people write it. A date without a time has no time zone, so it must not be moved by one. */
function day(value) {
  const match = /^(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?/.exec(value ?? '');
  if (!match) return NOTHING;
  const [, year, month, date] = match;
  const shape = { year: 'numeric', ...(month && { month: 'long' }), ...(date && { day: 'numeric' }), timeZone: 'UTC' };
  return new Intl.DateTimeFormat(navigator.language, shape).format(Date.UTC(Number(year), Number(month ?? 1) - 1, Number(date ?? 1)));
}

const period = value => value?.start || value?.end ? `${day(value.start)} to ${value.end ? day(value.end) : 'now'}` : NOTHING;

function money(amount) {
  if (typeof amount?.value !== 'number') return NOTHING;
  try {
    return new Intl.NumberFormat(navigator.language, { style: 'currency', currency: amount.currency ?? 'USD' }).format(amount.value);
  } catch {
    return `${amount.value} ${amount.currency ?? ''}`.trim();
  }
}

/** An amount of a claim's totals, by the code of its category. */
function total(claim, ...codes) {
  return money(claim.total?.find(entry => entry.category?.coding?.some(coding => codes.includes(coding.code)))?.amount);
}

const quantity = value => [value.comparator, value.value, value.unit ?? value.code].filter(part => part !== undefined && part !== '').join(' ');

function measured(item) {
  if (item.valueQuantity) return quantity(item.valueQuantity);
  if (item.valueCodeableConcept) return concept(item.valueCodeableConcept);
  if (item.valueString !== undefined) return item.valueString;
  if (item.valueBoolean !== undefined) return item.valueBoolean ? 'Yes' : 'No';
  if (item.valueInteger !== undefined) return String(item.valueInteger);
  if (item.valueDateTime) return day(item.valueDateTime);
  if (item.valuePeriod) return period(item.valuePeriod);
  if (item.component?.length) return item.component.map(part => `${concept(part.code)}: ${measured(part)}`).join('; ');
  return item.dataAbsentReason ? concept(item.dataAbsentReason) : NOTHING;
}

const named = reference => reference?.display ?? reference?.reference ?? NOTHING;
const words = code => (code ? code.charAt(0).toUpperCase() + code.slice(1).replaceAll('-', ' ') : NOTHING);

/** The parts of the record that are lists: what to ask for, and what a row shows. */
const PARTS = [
  {
    id: 'claims', type: 'ExplanationOfBenefit', title: 'Claims', refused: 'You did not share your claims.', none: 'There are no claims in this record.',
    columns: [
      ['Date', claim => day(claim.billablePeriod?.start ?? claim.created)],
      ['Kind', claim => concept(claim.type)],
      ['Provider', claim => named(claim.provider)],
      ['Asked for', claim => total(claim, 'submitted')],
      ['Paid', claim => total(claim, 'benefit', 'paidtoprovider', 'paid')],
    ],
  },
  {
    id: 'coverage', type: 'Coverage', title: 'Insurance plans', refused: 'You did not share your insurance plans.', none: 'There are no insurance plans in this record.',
    columns: [
      ['Plan', plan => plan.class?.find(entry => entry.name)?.name ?? concept(plan.type)],
      ['Insurer', plan => named(plan.payor?.[0])],
      ['Member number', plan => plan.subscriberId ?? plan.identifier?.[0]?.value ?? NOTHING],
      ['Time', plan => period(plan.period)],
      ['State', plan => words(plan.status)],
    ],
  },
  {
    id: 'observations', type: 'Observation', title: 'Tests and measurements', refused: 'You did not share your tests and measurements.', none: 'There are no tests or measurements in this record.',
    columns: [
      ['Date', item => day(item.effectiveDateTime ?? item.effectivePeriod?.start ?? item.issued)],
      ['What', item => concept(item.code)],
      ['Result', measured],
    ],
  },
  {
    id: 'encounters', type: 'Encounter', title: 'Visits', refused: 'You did not share your visits.', none: 'There are no visits in this record.',
    columns: [
      ['Date', visit => day(visit.period?.start)],
      ['Kind', visit => concept(visit.type ?? (visit.class && { coding: [visit.class] }))],
      ['Where', visit => named(visit.serviceProvider ?? visit.location?.[0]?.location)],
      ['State', visit => words(visit.status)],
    ],
  },
];

// ---- What is shown --------------------------------------------------------------------------------------------------------

function say(text) {
  byId('status').textContent = text;
  byId('status').hidden = !text;
}

function showProblem(problem) {
  const known = problem instanceof Problem;
  if (!known) console.error(problem);
  say('');
  byId('problem').replaceChildren(
    make('p', {}, make('strong', {}, known ? problem.message : 'Something failed in this app.')),
    make('p', {}, known ? problem.todo : 'Reload the page and try again.'),
  );
  byId('problem').hidden = false;
}

/** Back to the first page, with what went wrong. */
function stop(problem) {
  if (problem instanceof PermissionEnded) forget();
  showLaunch();
  showProblem(problem);
}

function showLaunch() {
  byId('record').hidden = true;
  byId('disconnect').hidden = true;
  say('');
  byId('launch').hidden = false;
  byId('connect').disabled = !discovery;
}

/** A table that becomes a list of cards on a phone. The roles stay said, since the style sheet changes what is a table. */
function table(columns, rows, title) {
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
    const first = `${part.type}?patient=${encodeURIComponent(session.patient)}&_count=${PAGE_SIZE}&_total=accurate`;
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
  if (!shared('Patient', 'r')) {
    card.replaceChildren(make('p', { class: 'refused' }, 'You did not share your name and contact details.'));
    card.dataset.state = 'refused';
    return;
  }
  try {
    const patient = await resourceOf(await fhir(`Patient/${encodeURIComponent(session.patient)}`));
    const name = patient.name?.find(entry => entry.use === 'official') ?? patient.name?.[0];
    const address = patient.address?.[0];
    const facts = [
      ['Name', name?.text ?? [...(name?.given ?? []), name?.family].filter(Boolean).join(' ')],
      ['Birth date', day(patient.birthDate)],
      ['Gender', words(patient.gender)],
      ['Address', [...(address?.line ?? []), address?.city, address?.state, address?.postalCode].filter(Boolean).join(', ')],
      ['Contact', (patient.telecom ?? []).map(entry => entry.value).filter(Boolean).slice(0, 2).join(', ')],
    ];
    if (facts[0][1]) byId('record-title').textContent = `The record of ${facts[0][1]}`;
    card.replaceChildren(make('dl', {}, ...facts.map(([term, value]) => fact(term, value || NOTHING))));
    card.dataset.state = 'loaded';
  } catch (problem) {
    if (problem instanceof PermissionEnded) throw problem;
    card.replaceChildren(make('p', { class: 'refused' }, problem instanceof Problem ? `${problem.message} ${problem.todo}` : 'Your details could not be shown.'));
    card.dataset.state = 'failed';
  }
}

const fact = (term, value) => make('div', {}, make('dt', {}, term), make('dd', {}, value));

function showGrant() {
  byId('grant').replaceChildren(
    fact('Patient', session.patient),
    fact('Scopes', session.scope),
    fact('Token until', new Date(session.expires_at).toLocaleTimeString(navigator.language)),
    fact('Can be renewed', session.refresh_token ? 'Yes, until you take it back' : 'No'),
  );
  byId('refresh').hidden = !session.refresh_token;
}

async function showRecord() {
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

// ---- Another patient's record ---------------------------------------------------------------------------------------------

/** What an answer tells, without the values that belong to this one request. */
async function answerTo(address, id) {
  const response = await fhir(address);
  if (response.status === 401) throw new PermissionEnded();
  const text = (await response.text()).replaceAll(id, '{id}');
  const body = (() => { try { return JSON.parse(text); } catch { return null; } })();
  const seen = body?.resourceType === 'Bundle' ? `${(body.entry ?? []).filter(entry => entry.search?.mode !== 'outcome').length} entries`
    : body?.issue?.[0]?.diagnostics ?? body?.issue?.[0]?.code ?? body?.resourceType ?? 'no body';
  return { status: response.status, seen, text };
}

async function tryOther() {
  const id = byId('other-id').value.trim();
  const answer = byId('other-answer');
  if (!/^[A-Za-z0-9.-]{1,64}$/.test(id)) {
    answer.replaceChildren(make('p', { class: 'refused' }, 'An id has 1 to 64 letters, digits, dots and hyphens. Type one and try again.'));
    return;
  }
  byId('try-other').disabled = true;
  answer.replaceChildren(make('p', {}, 'Asking…'));
  try {
    // The invented id has the same length, so that sizes can be compared too.
    const invented = [...crypto.getRandomValues(new Uint8Array(id.length))].map(byte => 'abcdefghijklmnopqrstuvwxyz234567'[byte % 32]).join('');
    const asked = [];
    for (const [who, one] of [['that patient', id], ['an invented id', invented]]) {
      asked.push([who, `Patient/${one}`, await answerTo(`Patient/${one}`, one)]);
    }
    for (const [who, one] of [['that patient', id], ['an invented id', invented]]) {
      asked.push([who, `Observation?patient=${one}`, await answerTo(`Observation?patient=${one}`, one)]);
    }
    const own = id === session.patient;
    const [[, , real], [, , fake]] = asked;
    const verdict = own ? 'This is your own record, so the server answers.'
      : real.status === 404 && fake.status === 404 ? 'The server answers 404, as if this patient did not exist. So an app cannot find out who is a patient here.'
        : real.status >= 400 ? `The server refuses with ${real.status}.`
          : 'The server answered with a record that is not yours. This must not happen: tell the operator.';
    const same = own ? undefined : make('p', {}, real.status === fake.status && real.text.length === fake.text.length
      ? 'Both answers have the same status and the same length.' : 'The two answers differ. They should not.');
    const columns = [['Asked for', row => row[1]], ['That is', row => row[0]], ['Status', row => row[2].status], ['Answer', row => row[2].seen]];
    answer.dataset.status = String(real.status);
    answer.replaceChildren(make('p', {}, make('strong', {}, verdict)), ...(same ? [same] : []), table(columns, asked, 'What the server answered'));
  } catch (problem) {
    if (problem instanceof PermissionEnded) stop(problem);
    answer.replaceChildren(make('p', { class: 'refused' }, problem instanceof Problem ? `${problem.message} ${problem.todo}` : 'The question could not be asked.'));
  }
  byId('try-other').disabled = false;
}

// ---- Start ----------------------------------------------------------------------------------------------------------------

async function start() {
  const answer = new URLSearchParams(location.search);
  // The code leaves the address bar and the history at once.
  if (location.search) history.replaceState(null, '', location.pathname);
  byId('connect').addEventListener('click', () => { byId('problem').hidden = true; launch().catch(stop); });
  byId('disconnect').addEventListener('click', () => disconnect().catch(showProblem));
  byId('try-other').addEventListener('click', () => tryOther().catch(showProblem));
  byId('other-id').addEventListener('keydown', event => { if (event.key === 'Enter') tryOther().catch(showProblem); });
  byId('refresh').addEventListener('click', () => refresh().then(showGrant).catch(stop));

  configuration = await json(await get('/config.json'));
  if (!configuration?.fhir_base) throw new Problem('This app has no settings.', 'Tell the operator of this app that /config.json is missing.');
  byId('server-name').textContent = new URL(configuration.issuer).host;
  await discover();
  if (answer.has('code') || answer.has('error')) {
    say('Checking your permission…');
    await comeBack(answer);
  }
  session = stored(SESSION_KEY) ?? undefined;
  if (session) await showRecord();
  else showLaunch();
}

start().catch(stop);
