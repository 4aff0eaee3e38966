// Switches that make the outside world and AWS fail, each by one call to the control API.

import { byId, make, say } from "./dom.js";
import { loadBusinesses, sandbox, state } from "./session.js";

const PROVIDERS = { chat: "Chat", whatsapp: "WhatsApp", email: "E-mail", endpoints: "Endpoints" };

/// Faults of a provider, and of the businesses' endpoints.
const PROVIDER_FAULTS = [
  ["down", "is down (503)", { status: 503 }],
  ["busy", "throttles (429)", { status: 429, retry_after: 3 }],
  ["slow", "takes 3 seconds", { delay_ms: 3_000 }],
  ["mute", "loses its answers", { after_effect: true }],
  ["no", "refuses for good (400)", { status: 400 }],
  ["kill", "kills the next worker in mid-call", { kill: true, after_effect: true, times: 1 }],
];

/// Faults of the local AWS; each can be on beside the others.
const AWS_FAULTS = [
  ["SQS takes no doorbell", { operation: "SendMessage", error: "ServiceUnavailable" }],
  [
    "Every third transaction conflicts",
    { operation: "TransactWriteItems", error: "TransactionConflict", probability: 0.33 },
  ],
  [
    "DynamoDB throttles a quarter",
    { operation: "*", error: "ThrottlingException", probability: 0.25 },
  ],
  [
    "Answers of writes get lost",
    { operation: "UpdateItem", error: "disconnect", probability: 0.3, after_effect: true },
  ],
  [
    "Workers die at their next write",
    { operation: "UpdateItem", about: "lease_owner = :me", error: "kill", times: 1 },
  ],
];

export class Breaker {
  /// `onchange` is called when something was switched.
  constructor(onchange) {
    this.onchange = onchange;
    this.providers = Object.keys(PROVIDERS).map((channel) => this.provider(channel));
    this.aws = AWS_FAULTS.map(([name, rule]) =>
      this.toggle(name, (isOn) => this.setAws(rule, isOn)),
    );
    this.held = this.toggle("Hold the queues", (held) => sandbox("PUT", "/queues/held", { held }));
    this.mischief = this.toggle("Repeat and shuffle records", (isOn) =>
      isOn
        ? sandbox("PUT", "/queues/mischief", { copies: 3, shuffle: true, delay_ms: 500 })
        : sandbox("DELETE", "/queues/mischief"),
    );
    this.away = this.toggle("Sandbox visitors are away", (isOn) =>
      sandbox(isOn ? "DELETE" : "POST", "/chat/widgets"),
    );

    byId("switches").append(
      group("Outside", ...this.providers.map(({ element }) => element), this.away),
      group("AWS", ...this.aws),
      group(
        "Queues",
        this.held,
        this.mischief,
        this.button("Sweep now", async () => {
          await sandbox("POST", "/sweep");
          return "The sweeper rang for everything that is due.";
        }),
      ),
      group(
        "Clock",
        this.button("To the end of the month", () => this.move(endOfMonth)),
        this.button("One hour on", () => this.move((now) => now + 3_600_000)),
        this.button("Back to now", async () => {
          await sandbox("DELETE", "/clock");
          await loadBusinesses();
          return "The clock shows the real time.";
        }),
      ),
      group(
        "Limit",
        this.button("Only two more this month", () => this.limit((used) => used + 2)),
        this.button("1000 a month", () => this.limit(() => 1_000)),
      ),
    );
    byId("heal").addEventListener("click", () => this.run(() => this.heal()));
  }

  provider(channel) {
    const select = make(
      "select",
      { onchange: () => this.run(() => this.setProvider(channel, select.value)) },
      make("option", { value: "" }, "works"),
      ...PROVIDER_FAULTS.map(([value, name]) => make("option", { value }, name)),
      make("option", { value: "other", disabled: true, hidden: true }, "fails in another way"),
    );
    const element = make("label", { class: "field" }, make("span", {}, PROVIDERS[channel]), select);
    return { channel, select, element };
  }

  toggle(name, set) {
    const button = make(
      "button",
      { type: "button", class: "switch", "aria-pressed": "false" },
      name,
    );
    button.addEventListener("click", () =>
      this.run(() => set(button.getAttribute("aria-pressed") !== "true")),
    );
    return button;
  }

  button(name, act) {
    return make("button", { type: "button", onclick: () => this.run(act) }, name);
  }

  /// Does something, says how it went, and looks again.
  async run(act) {
    try {
      const said = await act();
      say(byId("said"), typeof said === "string" ? said : "");
    } catch (error) {
      say(byId("said"), error.message);
    }
    await this.onchange();
  }

  async setProvider(channel, value) {
    const fault = PROVIDER_FAULTS.find(([name]) => name === value)?.[2];
    await (fault
      ? sandbox("PUT", `/${channel}/faults`, fault)
      : sandbox("DELETE", `/${channel}/faults`));
  }

  /// AWS's faults end all together, so those that stay are set again.
  async setAws(rule, isOn) {
    if (isOn) return void (await sandbox("PUT", "/aws/faults", rule));
    const others = state.machine.faults.aws.filter((other) => !isLike(rule, other));
    await sandbox("DELETE", "/aws/faults");
    for (const other of others.reverse()) await sandbox("PUT", "/aws/faults", other);
  }

  async move(to) {
    const now = new Date(state.machine.now).getTime();
    await sandbox("POST", "/clock", { now: new Date(to(now)).toISOString() });
    await loadBusinesses(); // tokens by the new time
    return "The clock is moved; connections were closed, and come back.";
  }

  async limit(of) {
    const used = state.machine.quota?.used ?? 0;
    const limit = of(used);
    await sandbox("PUT", `/businesses/${state.business.business_id}/limit`, { limit });
    return `The business may send ${limit} messages this month.`;
  }

  async heal() {
    await sandbox("DELETE", "/aws/faults");
    for (const channel of [...Object.keys(PROVIDERS), "whatsapp-media"])
      await sandbox("DELETE", `/${channel}/faults`);
    await sandbox("PUT", "/queues/held", { held: false });
    await sandbox("DELETE", "/queues/mischief");
    await sandbox("POST", "/chat/widgets");
    await sandbox("POST", "/sweep");
    return "Everything works again, and the sweeper rang for what is due.";
  }

  show({ faults, polling, widgets }) {
    for (const { channel, select } of this.providers) {
      const fault = faults[channel];
      const known = fault && PROVIDER_FAULTS.find(([, , rule]) => isLike(rule, fault));
      const value = !fault ? "" : (known?.[0] ?? "other");
      if (select.value !== value && document.activeElement !== select) select.value = value;
      select.classList.toggle("on", Boolean(fault));
    }
    AWS_FAULTS.forEach(([, rule], index) =>
      press(
        this.aws[index],
        faults.aws.some((other) => isLike(rule, other)),
      ),
    );
    press(this.held, polling.held);
    press(this.mischief, Boolean(polling.mischief));
    press(this.away, widgets.away);
  }
}

function press(button, isOn) {
  button.setAttribute("aria-pressed", String(isOn));
}

/// True if a fault in force has all of a rule's members, but for counts, which go down.
function isLike(rule, fault) {
  return Object.entries(rule).every(([name, value]) => name === "times" || fault[name] === value);
}

function group(name, ...children) {
  return make("fieldset", {}, make("legend", {}, name), ...children);
}

/// Twenty seconds before the month ends, UTC.
function endOfMonth(now) {
  const date = new Date(now);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1) - 20_000;
}
