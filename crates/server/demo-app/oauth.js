// SMART App Launch 2.2.0, public client, PKCE S256: discovery, the way to the server and back, tokens.

import { scopeOf } from './ehr.js';
import { Choice, LAUNCH_KEY, PermissionEnded, Problem, SESSION_KEY, base64url, get, json, keep, secret, sha256, state, stored } from './tools.js';

const issuerOf = () => state.discovery.issuer ?? state.configuration.issuer;

export async function discover() {
  const response = await get(`${state.configuration.fhir_base}/.well-known/smart-configuration`, { headers: { Accept: 'application/json' } });
  const found = response.ok ? await json(response) : null;
  if (!found?.authorization_endpoint || !found?.token_endpoint) {
    throw new Problem('The health record server does not say how to sign in.', 'Tell the operator of the server that its SMART configuration is missing.');
  }
  if (!found.code_challenge_methods_supported?.includes('S256')) {
    throw new Problem('The health record server does not offer a safe sign-in (PKCE S256).', 'This app does not go on without it.');
  }
  if (found.issuer && found.issuer !== state.configuration.issuer) {
    throw new Problem('Another server answered than the one this app knows.', 'Do not sign in. Tell the operator of this app.');
  }
  state.discovery = found;
}

// ---- Launch

/** The way to the server; `launch` is the handle with which an EHR opened this app. */
export async function launch(launch) {
  const started = { state: secret(), nonce: secret(), verifier: secret() };
  keep(LAUNCH_KEY, started);
  const target = new URL(state.discovery.authorization_endpoint);
  const parameters = {
    response_type: 'code',
    client_id: state.configuration.client_id,
    redirect_uri: state.configuration.redirect_uri,
    scope: scopeOf(launch),
    state: started.state,
    nonce: started.nonce,
    aud: state.configuration.fhir_base,
    code_challenge: base64url(await sha256(started.verifier)),
    code_challenge_method: 'S256',
    ...(launch ? { launch } : {}),
  };
  for (const [name, value] of Object.entries(parameters)) target.searchParams.set(name, value);
  location.assign(target);
}

// ---- Return

const REFUSALS = {
  access_denied: ['You chose not to share your record.', 'Nothing was shared. You can connect at any time.'],
  invalid_scope: ['The server has none of what this app asked for.', 'Tell the operator of the server which app you used.'],
  temporarily_unavailable: ['The health record server is busy.', 'Wait a minute, then connect again.'],
  server_error: ['Something failed at the health record server.', 'Wait a minute, then connect again.'],
};

/** Checks what came back in the address, and turns the code into a token. */
export async function comeBack(answer) {
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
    throw answer.get('error') === 'access_denied' ? new Choice(what, todo) : new Problem(what, todo);
  }
  const tokens = await askForTokens({
    grant_type: 'authorization_code',
    code: answer.get('code') ?? '',
    redirect_uri: state.configuration.redirect_uri,
    client_id: state.configuration.client_id,
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
  const fits = claims && claims.iss === issuerOf() && audience.includes(state.configuration.client_id) &&
    claims.nonce === nonce && typeof claims.exp === 'number' && claims.exp * 1000 > Date.now() - 60_000;
  if (!fits) throw new Problem('The server’s word about who you are does not fit this sign-in.', 'Nothing was opened. Connect again.');
}

// ---- Tokens

async function askForTokens(form) {
  const response = await get(state.discovery.token_endpoint, {
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
  state.session = {
    access_token: tokens.access_token,
    refresh_token: tokens.refresh_token ?? before.refresh_token,
    expires_at: Date.now() + (tokens.expires_in ?? 300) * 1000,
    scope: tokens.scope ?? before.scope ?? '',
    patient: tokens.patient ?? before.patient,
    encounter: tokens.encounter ?? before.encounter,
    need_patient_banner: tokens.need_patient_banner ?? before.need_patient_banner,
    smart_style_url: tokens.smart_style_url ?? before.smart_style_url,
  };
  keep(SESSION_KEY, state.session);
}

// One refresh at a time: the server rotates refresh tokens and takes a second use for theft.
let refreshing = null;

export function refresh() {
  refreshing ??= (async () => {
    try {
      remember(await askForTokens({ grant_type: 'refresh_token', refresh_token: state.session.refresh_token, client_id: state.configuration.client_id }), state.session);
    } finally {
      refreshing = null;
    }
  })();
  return refreshing;
}

/** Takes the permission back at the server, and says whether the server was told. */
export async function takeBack() {
  const token = state.session?.refresh_token ?? state.session?.access_token;
  if (!token || !state.discovery.revocation_endpoint) return false;
  try {
    return (await get(state.discovery.revocation_endpoint, {
      method: 'POST', body: new URLSearchParams({ token, client_id: state.configuration.client_id }),
    })).ok;
  } catch {
    return false;
  }
}
