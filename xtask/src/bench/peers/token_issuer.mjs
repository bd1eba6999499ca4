// The peer of G3b: npm oidc-provider as a SMART Backend Services token endpoint, with its own in-memory store and replay check.
// Arguments: port, certificate file, key file, the client's public JWK Set. Prints one line when it listens.
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { generateKeyPairSync } from "node:crypto";
import Provider from "oidc-provider";

const [port, certificate, key, clientKeys] = process.argv.slice(2);
const issuer = `https://localhost:${port}`;
const jwk = (type, options, alg) => ({
  ...generateKeyPairSync(type, options).privateKey.export({ format: "jwk" }), alg, use: "sig", kid: alg,
});
const api = "https://api.example";
const provider = new Provider(issuer, {
  clients: [{
    client_id: "demo-backend",
    grant_types: ["client_credentials"],
    redirect_uris: [],
    response_types: [],
    token_endpoint_auth_method: "private_key_jwt",
    token_endpoint_auth_signing_alg: "ES384",
    jwks: JSON.parse(readFileSync(clientKeys)),
  }],
  jwks: { keys: [jwk("ec", { namedCurve: "P-256" }, "ES256"), jwk("rsa", { modulusLength: 2048 }, "RS256")] },
  enabledJWA: { clientAuthSigningAlgValues: ["ES384"] },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => api,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: "system/*.rs", audience: api, accessTokenTTL: 300, accessTokenFormat: "jwt", jwt: { sign: { alg: "ES256" } },
      }),
    },
  },
});
provider.on("server_error", (context, error) => console.error(error));
createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, provider.callback())
  .listen(Number(port), "127.0.0.1", () => console.log("listening"));
