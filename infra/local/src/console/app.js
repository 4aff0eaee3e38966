// The console: it picks a conversation, and asks the machine twice a second what goes on.

import { Agent } from "./agent.js";
import { Breaker } from "./breaker.js";
import { Customer } from "./customer.js";
import { byId, make, say, shortId } from "./dom.js";
import { Machine } from "./machine.js";
import { loadBusinesses, sandbox, session, state } from "./session.js";

const POLL_MS = 500;
const NAMES = { chat: "Chat", whatsapp: "WhatsApp", email: "E-mail" };

const agent = new Agent(poll);
const customer = new Customer(poll);
const machine = new Machine();
const breaker = new Breaker(poll);

let timer = 0;
let last = 0;
let polling;

/// Asks what goes on, now, and again from time to time. Calls at the same time are one.
async function poll() {
  clearTimeout(timer);
  polling ??= look().finally(() => (polling = undefined));
  await polling;
  clearTimeout(timer);
  timer = setTimeout(poll, POLL_MS);
}

async function look() {
  if (document.hidden) return;
  const id = state.conversation?.conversation_id;
  try {
    const query = new URLSearchParams({ after: last, ...(id && { conversation_id: id }) });
    const seen = await sandbox("GET", `/machine?${query}`);
    if (id !== state.conversation?.conversation_id) return;
    last = seen.last;
    state.machine = seen;
    machine.show(seen);
    agent.show(seen);
    breaker.show(seen);
    await customer.show(seen);
    showBar(seen);
  } catch (error) {
    say(byId("pulse"), `no answer: ${error.message}`);
    byId("pulse").className = "chip bad";
  }
}

function showBar({ now, offset_ms: offset, activity }) {
  say(byId("clock"), `${now.slice(0, 10)} ${now.slice(11, 19)}`);
  byId("clock").classList.toggle("warn", Math.abs(offset) > 1_000);
  const works = activity.idle === false || Object.keys(activity.invocations).length > 0;
  say(byId("pulse"), works ? "working" : "idle");
  byId("pulse").className = works ? "chip busy" : "chip";
}

function showBusinesses() {
  const title = ({ origin, business_id: id }) =>
    ({ demo: "Demo business", other: "Another business" })[origin] ?? `Business ${shortId(id)}`;
  byId("business").replaceChildren(
    ...state.businesses.map((business) =>
      make(
        "option",
        { value: business.business_id, selected: business === state.business },
        title(business),
      ),
    ),
    ...(state.business ? [] : [make("option", { value: "" }, "none yet")]),
    make("option", { value: "new" }, "New business…"),
  );
  const { business } = state;
  byId("credential").replaceChildren(
    ...(business?.token ? [make("option", { value: "token" }, "agent")] : []),
    ...(business ? [make("option", { value: "key" }, "API key")] : []),
  );
  showConversations();
}

function showConversations() {
  const list = byId("conversations");
  const buttons = (state.business?.conversations ?? []).map((conversation) => {
    const { conversation_id: id, channel, customer: person } = conversation;
    return make(
      "button",
      {
        type: "button",
        class: `tab ${channel}`,
        title: id,
        "aria-current": id === state.conversation?.conversation_id ? "true" : undefined,
        onclick: () => pick(conversation),
      },
      make("b", {}, NAMES[channel]),
      make("span", {}, person || shortId(id)),
    );
  });
  const more = Object.keys(NAMES).map((channel) =>
    make("option", { value: channel }, `New: ${NAMES[channel]}`),
  );
  const add = make(
    "select",
    { class: "add", "aria-label": "New conversation", onchange: addConversation },
    make("option", { value: "" }, "+ New"),
    ...more,
  );
  list.replaceChildren(...buttons, ...(state.business ? [add] : []));
  const current = list.querySelector("[aria-current]");
  list.scrollTo({ left: current ? current.offsetLeft - list.offsetLeft - 16 : 0 });
}

async function addConversation(event) {
  const channel = event.target.value;
  if (!channel) return;
  const { business_id } = state.business;
  const made = await sandbox("POST", "/conversations", { business_id, channel });
  await loadBusinesses();
  pick(state.business.conversations.find((one) => one.conversation_id === made.conversation_id));
}

function pick(conversation) {
  state.conversation = conversation;
  if (conversation) history.replaceState(null, "", `#${conversation.conversation_id}`);
  last = 0;
  machine.clear();
  agent.open(conversation);
  customer.open(conversation);
  showConversations();
  poll();
}

/// Picks the conversation that the address names, or the first.
function pickNamed() {
  const id = location.hash.slice(1);
  for (const business of state.businesses) {
    const named = business.conversations.find((one) => one.conversation_id === id);
    if (!named) continue;
    state.business = business;
    return named;
  }
  return state.business?.conversations[0];
}

byId("business").addEventListener("change", async ({ target }) => {
  if (target.value === "new") {
    const made = await sandbox("POST", "/businesses", { limit: 20, shards: 2 });
    await loadBusinesses();
    target.value = made.business_id;
    state.business = state.businesses.find((one) => one.business_id === made.business_id);
  } else {
    state.business = state.businesses.find((one) => one.business_id === target.value);
  }
  showBusinesses();
  pick(state.business.conversations[0]);
});

const THEMES = ["system", "light", "dark"];
function showTheme(theme) {
  document.documentElement.dataset.theme = theme;
  const words = theme === "system" ? "as the system has it" : theme;
  byId("theme").setAttribute("aria-label", `Theme: ${words}`);
  byId("theme").title = `Theme: ${words}`;
}
byId("theme").addEventListener("click", () => {
  const now = document.documentElement.dataset.theme;
  const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
  localStorage.setItem("theme", next);
  showTheme(next);
});
showTheme(localStorage.getItem("theme") ?? "system");

byId("register").addEventListener("click", () => agent.register());
byId("routes").href = `${session.sandbox}/sandbox/`;
document.addEventListener("visibilitychange", poll);
addEventListener("hashchange", () => {
  const named = pickNamed();
  if (named && named !== state.conversation) {
    showBusinesses();
    pick(named);
  }
});

await loadBusinesses();
const first = pickNamed();
showBusinesses();
if (first) pick(first);
else poll();
document.documentElement.dataset.ready = "true";
