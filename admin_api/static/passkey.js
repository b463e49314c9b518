// Passkeys: a form that can be answered with one carries `data-passkey`. Without this script, codes go on working.
"use strict";

const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

async function create(asked) {
  const made = await navigator.credentials.create({
    publicKey: {
      challenge: bytes(asked.challenge),
      rp: { id: asked.rp, name: "Schoolgate" },
      user: { id: bytes(asked.user), name: asked.name, displayName: asked.name },
      pubKeyCredParams: [{ type: "public-key", alg: -7 }, { type: "public-key", alg: -8 }],
      excludeCredentials: asked.known.map((id) => ({ type: "public-key", id: bytes(id) })),
      authenticatorSelection: { residentKey: "required", userVerification: "required" },
      attestation: "none",
    },
  });
  return { attestationObject: text(made.response.attestationObject), clientDataJSON: text(made.response.clientDataJSON) };
}

async function get(asked) {
  const found = await navigator.credentials.get({
    publicKey: {
      challenge: bytes(asked.challenge),
      rpId: asked.rp,
      allowCredentials: asked.known.map((id) => ({ type: "public-key", id: bytes(id) })),
      userVerification: "required",
    },
  });
  const said = found.response;
  return {
    id: text(found.rawId),
    authenticatorData: text(said.authenticatorData),
    clientDataJSON: text(said.clientDataJSON),
    signature: text(said.signature),
  };
}

// Several things to sign at once: one answer for each that is ticked.
async function getMany(asked, form) {
  const answers = {};
  for (const box of form.querySelectorAll("input[name=change]:checked")) answers[box.value] = await get(asked.many[box.value]);
  return answers;
}

for (const button of document.querySelectorAll("button[data-passkey]")) {
  if (!window.PublicKeyCredential) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const asked = JSON.parse(button.dataset.passkey);
    const form = button.closest("form");
    const note = form.querySelector(".passkey-note");
    try {
      form.elements.answer.value = JSON.stringify(await (asked.many ? getMany(asked, form) : asked.create ? create(asked) : get(asked)));
      for (const field of form.querySelectorAll("[data-code]")) field.required = Boolean(asked.create);
      if (form.reportValidity()) form.submit();
    } catch (error) {
      note.textContent = "The passkey did not answer. Try again, or use your code.";
    }
  });
}
