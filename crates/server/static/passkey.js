// Passkeys: asks the browser for one and sends its answer with the form. Pages work without; then these forms stay hidden.
"use strict";

const decode = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
const encode = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

async function signIn(form) {
  const { challenge, relyingParty } = form.dataset;
  const publicKey = { challenge: decode(challenge), rpId: relyingParty, userVerification: "required" };
  const { rawId, response } = await navigator.credentials.get({ publicKey });
  return {
    credential: encode(rawId),
    client_data: encode(response.clientDataJSON),
    authenticator_data: encode(response.authenticatorData),
    signature: encode(response.signature),
    user_handle: encode(response.userHandle ?? new ArrayBuffer(0)),
  };
}

async function register(form) {
  const { challenge, relyingParty, userHandle, username, personName, known } = form.dataset;
  const publicKey = {
    challenge: decode(challenge),
    rp: { id: relyingParty, name: "Portcullis" },
    user: { id: decode(userHandle), name: username, displayName: personName },
    // ES256, EdDSA, RS256: the order is that of preference.
    pubKeyCredParams: [-7, -8, -257].map((alg) => ({ type: "public-key", alg })),
    authenticatorSelection: { residentKey: "required", requireResidentKey: true, userVerification: "required" },
    excludeCredentials: known.split(" ").filter(Boolean).map((id) => ({ type: "public-key", id: decode(id) })),
    attestation: "none",
  };
  const { response } = await navigator.credentials.create({ publicKey });
  return { client_data: encode(response.clientDataJSON), attestation: encode(response.attestationObject) };
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (!window.PublicKeyCredential) continue;
  form.hidden = false;
  for (const without of document.querySelectorAll("[data-without-passkeys]")) without.hidden = true;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const problem = form.querySelector("[data-problem]");
    problem.hidden = true;
    try {
      const answer = await (form.dataset.passkey === "create" ? register(form) : signIn(form));
      for (const [name, value] of Object.entries(answer)) form.elements.namedItem(name).value = value;
      form.submit();
    } catch {
      problem.hidden = false;
      // The word is the same in every language of the pages.
      if (!document.title.startsWith("Error: ")) document.title = `Error: ${document.title}`;
    }
  });
}
