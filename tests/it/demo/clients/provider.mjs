// npm oidc-provider as the provider that people of a Portcullis server sign in at. Its development forms take any name and password.
// Arguments: port, certificate file, key file, redirect URI. Prints one line when it listens.
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { generateKeyPairSync } from "node:crypto";
import Provider from "oidc-provider";

const [port, certificate, key, redirect] = process.argv.slice(2);
const jwk = { ...generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" }), alg: "RS256", use: "sig", kid: "one" };
const provider = new Provider(`https://localhost:${port}`, {
  clients: [{ client_id: "portcullis", client_secret: "a secret & more", redirect_uris: [redirect], response_types: ["code"], grant_types: ["authorization_code"] }],
  jwks: { keys: [jwk] },
  cookies: { keys: ["a key of cookies"] },
});
provider.on("server_error", (context, error) => console.error(error));
provider.on("grant.error", (context, error) => console.error(error));
createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, provider.callback())
  .listen(Number(port), "127.0.0.1", () => console.log("listening"));
