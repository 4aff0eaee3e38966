// The chat of a page that embeds the script by its data attributes, and the way for those that start it themselves.

import { Chat, warn } from "./chat.js";
import { ANSWER_TIMEOUT_MS } from "./connection.js";

const ATTRIBUTES = ["socket", "api", "token", "tokenUrl", "target", "launcher", "theme"];

const open = (options) => new Chat(options);

/// A token from one's own site, as text or as `{"token": "…"}`.
const from = (url) => async () => {
  const answer = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}`);
  const text = (await answer.text()).trim();
  return text.startsWith("{") ? JSON.parse(text).token : text;
};

const start = ({ socket, api, token, tokenUrl, target, launcher, theme }) => {
  const place = target && find(target);
  if (target && !place) warn(`data-target: ${target} is not on the page, so the chat is at its end`);
  const options = { socket, api, token: tokenUrl ? from(tokenUrl) : token, target: place, theme };
  try {
    window.PingbackChat.chat = open({ ...options, launcher: launcher !== undefined });
  } catch (error) {
    warn(`the script starts nothing: ${error.message}`);
  }
};

/// Returns the element of a selector; none if it is no selector.
const find = (selector) => {
  try {
    return document.querySelector(selector);
  } catch {
    return null;
  }
};

/// Returns the data attributes of the script's own element, which a module does not know.
const ownData = () => {
  if (document.currentScript) return document.currentScript.dataset;
  return document.querySelector("script[type=module]:is([data-socket], [data-token-url], [data-token])")?.dataset;
};

window.PingbackChat = { open };
const data = { ...ownData() };
const names = Object.keys(data);
const unknown = names.filter((name) => !ATTRIBUTES.includes(name));
if (unknown.length) warn(`unknown data attributes: ${unknown.join(", ")}`);
if (names.length) {
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", () => start(data));
  else start(data);
}

export { open };
