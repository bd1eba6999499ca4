// A SMART app on npm `fhirclient`: /standalone.html and /launch.html begin, /index.html is come back to and says what it got.
const query = new URLSearchParams(location.search);
const common = { clientId: 'fhirclient', redirectUri: '/index.html', pkceMode: 'required' };

async function run() {
  if (location.pathname === '/standalone.html') {
    const scope = 'launch/patient launch/encounter openid fhirUser offline_access patient/*.rs';
    return FHIR.oauth2.authorize({ ...common, iss: query.get('base'), scope });
  }
  if (location.pathname === '/launch.html') {
    return FHIR.oauth2.authorize({ ...common, scope: 'launch openid fhirUser patient/*.rs' });
  }
  const client = await FHIR.oauth2.ready();
  const patient = await client.patient.read();
  const observations = await client.request(`Observation?patient=${client.patient.id}`);
  const encounter = client.encounter.id ? (await client.encounter.read()).id : null;
  const first = client.state.tokenResponse.access_token;
  if (client.state.tokenResponse.refresh_token) await client.refresh();
  const { need_patient_banner, smart_style_url, scope, patient: again } = client.state.tokenResponse;
  const style = await (await fetch(smart_style_url)).json();
  return {
    patient: client.patient.id, family: patient.name[0].family, encounter, observations: observations.entry.length, scope,
    user: client.user.fhirUser, need_patient_banner, styled: Boolean(style.color_background),
    renewed: client.state.tokenResponse.access_token !== first && again === client.patient.id,
  };
}

run().then(
  result => { if (result) document.getElementById('said').textContent = JSON.stringify(result); },
  error => { document.getElementById('said').textContent = JSON.stringify({ error: String(error) }); },
).finally(() => { document.getElementById('said').dataset.done = 'yes'; });
