// A small SMART app. It begins here: tools.js (state, requests), oauth.js (permission), ehr.js (opened from a chart), fhir.js (data), words.js (values in words),
// view.js (what is shown), other.js (a stranger's record).

import { launchOf, wearStyle } from './ehr.js';
import { comeBack, discover, launch, refresh } from './oauth.js';
import { tryOther } from './other.js';
import { Problem, SESSION_KEY, byId, get, json, state, stored } from './tools.js';
import { disconnect, say, showGrant, showLaunch, showProblem, showRecord, stop } from './view.js';

async function connect() {
  byId('connect').disabled = true;
  say('Opening the sign-in page…');
  await launch();
}

async function start() {
  const answer = new URLSearchParams(location.search);
  // The code leaves the address bar and the history at once.
  if (location.search) history.replaceState(null, '', location.pathname);
  byId('connect').addEventListener('click', () => { byId('problem').hidden = true; connect().catch(stop); });
  byId('disconnect').addEventListener('click', () => disconnect().catch(showProblem));
  byId('try-other').addEventListener('click', () => tryOther().catch(showProblem));
  byId('other-id').addEventListener('keydown', event => { if (event.key === 'Enter') tryOther().catch(showProblem); });
  byId('refresh').addEventListener('click', () => refresh().then(showGrant).catch(stop));

  state.configuration = await json(await get('/config.json'));
  if (!state.configuration?.fhir_base) throw new Problem('This app has no settings.', 'Tell the operator of this app that /config.json is missing.');
  byId('server-name').textContent = new URL(state.configuration.issuer).host;
  const launched = launchOf(answer);
  await discover();
  if (launched) {
    say('Opening the chart…');
    await launch(launched);
    return;
  }
  if (answer.has('code') || answer.has('error')) {
    say('Checking your permission…');
    await comeBack(answer);
  }
  state.session = stored(SESSION_KEY) ?? undefined;
  if (state.session) await wearStyle(state.session.smart_style_url).catch(() => {});
  if (state.session) await showRecord();
  else showLaunch();
}

start().catch(stop);
