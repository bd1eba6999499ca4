// An app with npm openid-client, as its developer writes it, twice: plainly, and with a pushed request and DPoP. Prints where the browser goes, reads where it came
// back, prints what it got. Arguments: the issuer, the client id, the redirect URI, the FHIR base.
import { createInterface } from "node:readline";
import * as client from "openid-client";

const [issuer, clientId, redirectUri, fhirBase] = process.argv.slice(2);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (value) => console.log(JSON.stringify(value));
const why = (error) => error.error ?? error.cause?.[0]?.parameters?.error ?? error.code ?? error.message;
const configuration = await client.discovery(new URL(issuer), clientId, undefined, client.None());
const scope = "launch/patient openid fhirUser offline_access patient/*.rs";

/** Signs in; `code(changed)` gives the tokens for the answer, or for one in which something else stands. */
async function signIn(DPoP) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier();
  const [expectedState, expectedNonce] = [client.randomState(), client.randomNonce()];
  const request = {
    redirect_uri: redirectUri, scope, aud: fhirBase, state: expectedState, nonce: expectedNonce,
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: "S256",
  };
  const address = DPoP
    ? await client.buildAuthorizationUrlWithPAR(configuration, request, { DPoP })
    : client.buildAuthorizationUrl(configuration, request);
  console.log(address.href);
  const back = (await lines.next()).value;
  const checks = { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true };
  return (changed = {}, others = {}) => {
    const answer = new URL(back);
    for (const [name, value] of Object.entries(changed)) answer.searchParams.set(name, value);
    return client.authorizationCodeGrant(configuration, answer, { ...checks, ...others }, undefined, { DPoP });
  };
}

async function family(tokens, patient, DPoP) {
  const url = new URL(`${fhirBase}/Patient/${patient}`);
  const answer = await client.fetchProtectedResource(configuration, tokens.access_token, url, "GET", undefined, undefined, { DPoP });
  return (await answer.json()).name[0].family;
}

const code = await signIn();
const mixedUp = await code({ iss: "https://elsewhere.example" }).catch(why);
const forged = await code({ state: "other" }).catch(why);
const tokens = await code();
const claims = tokens.claims();
const info = await client.fetchUserInfo(configuration, tokens.access_token, claims.sub);
const stranger = await client.fetchUserInfo(configuration, tokens.access_token, "somebody-else").catch(why);
const read = await family(tokens, tokens.patient);
const renewed = await client.refreshTokenGrant(configuration, tokens.refresh_token);
const again = await code().catch(why);
const ended = await client.refreshTokenGrant(configuration, renewed.refresh_token).catch(why);
say({ mixedUp, forged, who: claims.fhirUser, info: info.fhirUser, stranger, read, scope: renewed.scope, again, ended });

const DPoP = client.getDPoPHandle(configuration, await client.randomDPoPKeyPair("ES256"));
const bound = await (await signIn(DPoP))();
const held = await family(bound, bound.patient, DPoP);
const fresh = await client.refreshTokenGrant(configuration, bound.refresh_token, undefined, { DPoP });
const stolen = await family(fresh, bound.patient).catch(why);
await client.tokenRevocation(configuration, fresh.refresh_token);
const revoked = await family(fresh, bound.patient, DPoP).catch(why);
say({ type: bound.token_type, held, stolen, revoked });

// An id_token for another request is refused by whoever asked.
const other = await signIn();
say({ replayed: await other({}, { expectedNonce: "another" }).catch(why) });
process.exit(0);
