// FHIR requests with the token, and what a failed one means in words.

import { refresh } from './oauth.js';
import { PermissionEnded, Problem, get, json, state } from './tools.js';

/** Whether the person shared this type: SMART v1 (`.read`, `.*`) and v2 (`.rs`) forms. */
export function shared(type, letter) {
  return state.session.scope.split(' ').some(scope => {
    const match = /^patient\/([A-Za-z]+|\*)\.(read|write|\*|[cruds]+)(\?.*)?$/.exec(scope);
    if (!match || (match[1] !== type && match[1] !== '*')) return false;
    return match[2] === 'read' || match[2] === '*' || (match[2] !== 'write' && match[2].includes(letter));
  });
}

/** One FHIR request with the token: refreshed when it is about to end, and once more when the server says it has ended. */
export async function fhir(address) {
  const url = new URL(address, `${state.configuration.fhir_base}/`);
  if (!url.href.startsWith(`${state.configuration.fhir_base}/`)) {
    throw new Problem('The server named a page on another server.', 'This app does not send your permission there.');
  }
  if (state.session.refresh_token && state.session.expires_at - Date.now() < 10_000) await refresh();
  const ask = () => get(url, { headers: { Accept: 'application/fhir+json', Authorization: `Bearer ${state.session.access_token}` } });
  let response = await ask();
  if (response.status === 401 && state.session.refresh_token) {
    await refresh();
    response = await ask();
  }
  return response;
}

/** The resource of an answer, or a problem in words. */
export async function resourceOf(response) {
  const body = await json(response);
  if (response.ok && body) return body;
  if (response.status === 401) throw new PermissionEnded();
  if (response.status === 403) throw new Problem('The server does not let this app see this part.', 'If you want to share it, disconnect, connect again and tick it.');
  if (response.status === 404) throw new Problem('The server has no such record for you.', 'If you think this is wrong, ask the operator of the server.');
  const detail = body?.issue?.[0]?.diagnostics ?? body?.issue?.[0]?.details?.text;
  throw new Problem(`The server could not answer${detail ? `: ${detail}` : ''}.`, 'Try again in a minute.');
}
