// Asking for another patient's record: what the server says, beside what it says of an id that nobody has.

import { fhir } from './fhir.js';
import { PermissionEnded, Problem, byId, make, state } from './tools.js';
import { stop, table } from './view.js';

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

export async function tryOther() {
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
    const own = id === state.session.patient;
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
