// A backend service as its developer writes it with npm openid-client: discovery, private_key_jwt, client_credentials, one FHIR request.
// Arguments: the issuer, the client id, the file with the private JWK Set, the FHIR base.
import { readFileSync } from "node:fs";
import { importJWK } from "jose";
import * as client from "openid-client";

const [issuer, clientId, keyFile, fhirBase] = process.argv.slice(2);
const [jwk] = JSON.parse(readFileSync(keyFile)).keys;
const key = { key: await importJWK(jwk, jwk.alg), kid: jwk.kid };
const configuration = await client.discovery(new URL(issuer), clientId, undefined, client.PrivateKeyJwt(key));
const scope = "system/Patient.rs";
const tokens = await client.clientCredentialsGrant(configuration, { scope });
const url = new URL(`${fhirBase}/Patient?_summary=count`);
const answer = await client.fetchProtectedResource(configuration, tokens.access_token, url, "GET");
const refused = await client.clientCredentialsGrant(configuration, { scope: "patient/*.rs" }).catch((error) => error);
console.log(JSON.stringify({ expires_in: tokens.expires_in, scope: tokens.scope, total: (await answer.json()).total, refused: refused.error }));
