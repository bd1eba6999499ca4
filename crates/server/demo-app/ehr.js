// SMART App Launch 2.2.0, EHR launch: what the EHR says when it opens the app, and how the EHR looks.

import { Problem, get, json, state } from './tools.js';

/** The launch in the address, if an EHR opened this app. An app talks only to servers that it knows: any page can open it with any `iss`. */
export function launchOf(answer) {
  if (!answer.has('launch') && !answer.has('iss')) return null;
  if (answer.has('code') || answer.has('error')) return null;
  if (answer.get('iss') !== state.configuration.fhir_base) {
    throw new Problem('This app was opened for a health record server that it does not know.', 'Nothing was opened. If you work there, tell the operator of this app.');
  }
  if (!answer.get('launch')) {
    throw new Problem('This app was opened without a launch.', 'Open it from the chart again.');
  }
  return answer.get('launch');
}

/** The scopes of an EHR launch: the EHR says whose record it is, so nobody is asked. */
export function scopeOf(launch) {
  return launch ? state.configuration.scope.replace('launch/patient', 'launch') : state.configuration.scope;
}

const COLOUR = /^#[0-9a-f]{6}$/i;
const LENGTH = /^[0-9]{1,3}px$/;
const MEANINGS = [
  ['color_background', '--ground', COLOUR], ['color_text', '--ink', COLOUR], ['color_highlight', '--accent', COLOUR],
  ['color_error', '--bad', COLOUR], ['dim_border_radius', '--radius', LENGTH],
];

/** Takes over the colours of the EHR (`smart_style_url`), as far as they are colours. In the dark this app keeps its own. */
export async function wearStyle(address) {
  if (!address?.startsWith(`${state.configuration.issuer}/`)) return;
  const response = await get(address, { headers: { Accept: 'application/json' } });
  const found = response.ok ? await json(response) : null;
  const rules = MEANINGS.filter(([name, , form]) => form.test(found?.[name] ?? '')).map(([name, property]) => `${property}: ${found[name]};`);
  if (rules.length === 0) return;
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`@media (prefers-color-scheme: light) { :root { ${rules.join(' ')} } }`);
  document.adoptedStyleSheets = [sheet];
  document.documentElement.dataset.looks = 'ehr';
}
