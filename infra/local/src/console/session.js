// Where everything is, and what is looked at: one business, one conversation, one credential.

import { byId } from "./dom.js";

/// The API is where this page is, by whatever name it was opened.
export const session = { api: location.origin, ...JSON.parse(byId("session").textContent) };

export const state = {
  businesses: [],
  business: undefined,
  conversation: undefined, // { conversation_id, channel, customer }
  machine: undefined,
};

/// Calls the sandbox's control API; the error has the problem document's sentence.
export async function sandbox(method, path, body) {
  const answer = await fetch(`${session.sandbox}/sandbox${path}`, {
    method,
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  const json =
    text && answer.headers.get("content-type")?.includes("json") ? JSON.parse(text) : text;
  if (!answer.ok) throw new Error(json?.detail ?? `${answer.status} ${answer.statusText}`);
  return json;
}

/// The credential that the agent calls with: a fresh one, since the clock may have been moved.
export function credential() {
  const { business } = state;
  return byId("credential").value === "token" ? business.token : business.api_key;
}

/// Reads all businesses anew; keeps what is picked.
export async function loadBusinesses() {
  state.businesses = await sandbox("GET", "/businesses");
  const picked = state.business?.business_id;
  state.business =
    state.businesses.find(({ business_id }) => business_id === picked) ?? state.businesses[0];
}
