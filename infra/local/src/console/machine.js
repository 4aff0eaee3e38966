// The machine: requests, the conversation's log, queues, outbox, quota, events, and calls to AWS.

import { byId, clockTime, fill, lapse, make, say, shortId } from "./dom.js";

const REQUESTS = 60;
const CALLS = 120;

export class Machine {
  constructor() {
    this.requests = [];
    this.calls = [];
    byId("here").addEventListener("change", () => this.showCalls());
  }

  clear() {
    this.requests = [];
    this.calls = [];
  }

  show(seen) {
    this.requests = [...this.requests, ...seen.requests].slice(-REQUESTS);
    this.calls = [...this.calls, ...seen.calls].slice(-1_000);
    this.showRequests();
    this.showCalls();
    this.showConversation(seen);
    this.showQueues(seen);
    this.showQuota(seen.quota);
    this.showEvents(seen.events);
  }

  showRequests() {
    fill(
      byId("requests"),
      this.requests.toReversed(),
      ({ number }) => number,
      ({ at, method, path, status, ms }) =>
        make(
          "tr",
          {},
          make("td", { class: "time" }, clockTime(at)),
          make(
            "td",
            { class: "wide" },
            make("b", {}, method),
            " ",
            make("span", { title: path }, shorter(path)),
          ),
          make("td", { class: tone(status) }, String(status)),
          make("td", { class: "number" }, String(ms)),
        ),
    );
  }

  showCalls() {
    const isHere = byId("here").checked;
    const calls = this.calls.filter(({ here }) => here || !isHere).slice(-CALLS);
    fill(
      byId("aws"),
      calls.toReversed(),
      ({ number }) => number,
      (call) =>
        make(
          "tr",
          {},
          make("td", { class: "time" }, clockTime(call.at)),
          make("td", {}, call.function),
          make(
            "td",
            {},
            ...(call.step ? [make("span", { class: `step ${call.step}` }, call.step)] : []),
          ),
          make("td", {}, call.operation.replace(/^.*:/, "")),
          make(
            "td",
            { class: "wide", title: call.about.join(", ") },
            call.about.map(subject).join(" · "),
          ),
          make("td", { class: call.fault ? "bad" : tone(call.status) }, answerOf(call)),
          make("td", { class: "number" }, String(call.ms)),
        ),
    );
  }

  showConversation({ conversation, now }) {
    if (!conversation?.messages) {
      say(byId("lease"), conversation?.error ?? "");
      return;
    }
    const {
      seq,
      settled_seq: settled,
      fence,
      lease_owner: owner,
      lease_until: until,
    } = conversation;
    const left = until && new Date(until) - new Date(now);
    const lease = owner && left > 0 ? `held for ${lapse(left)}` : "not held";
    say(byId("lease"), `seq ${seq} · settled ${settled} · ${lease} · fence ${fence}`);
    fill(
      byId("states"),
      conversation.messages.slice(0, REQUESTS),
      ({ seq, status, attempts }) => `${seq} ${status} ${attempts}`,
      ({ seq, status, attempts, shard, id, content, history }) =>
        make(
          "tr",
          {},
          make("td", { class: "number" }, String(seq)),
          make("td", {}, make("span", { class: `state ${status}` }, status.replace("_", " "))),
          make(
            "td",
            {
              class: "number",
              title: history
                .map(({ attempt, at, outcome }) => `${attempt}: ${at} ${outcome}`)
                .join("\n"),
            },
            String(attempts),
          ),
          make("td", { class: "number" }, String(shard)),
          make("td", { class: "wide", title: id }, content.slice(0, 60)),
        ),
    );
  }

  showQueues({ queues, polling, outbox, activity, now }) {
    const held = polling.held ? "held" : "";
    const mischief = polling.mischief ? "repeats and shuffles" : "";
    say(byId("polling"), [held, mischief].filter(Boolean).join(", ") || "polled");
    const names = Object.keys(queues).sort((a, b) => order(a) - order(b) || a.localeCompare(b));
    fill(
      byId("queues"),
      names,
      (name) => `${name} ${Object.values(queues[name])}`,
      (name) => {
        const { visible, in_flight: inFlight, delayed } = queues[name];
        const isDead = name.includes("DeadLetters");
        const number = (count) =>
          make(
            "td",
            { class: `number ${count === 0 ? "zero" : isDead ? "bad" : "busy"}` },
            String(count),
          );
        return make(
          "tr",
          {},
          make("td", {}, title(name)),
          number(visible),
          number(inFlight),
          number(delayed),
        );
      },
    );

    const next = activity.next_schedule_in;
    say(byId("sweep"), next === null ? "" : `next sweep in ${next} s`);
    const entries = outbox.length ? outbox.slice(0, 12) : [{ id: "", bucket: "", due: "" }];
    fill(
      byId("outbox"),
      entries,
      ({ id, due }) => `${id} ${due}`,
      ({ id, bucket, due }) =>
        id
          ? make(
              "li",
              {},
              make("code", { title: id }, `${bucket} ${shortId(id)}`),
              make(
                "span",
                {},
                new Date(due) > new Date(now) ? `due ${clockTime(due).slice(0, 8)}` : "due",
              ),
            )
          : make("li", { class: "hint" }, "Empty: everything is settled."),
    );

    const works = Object.entries(activity.invocations).map(([name, count]) => `${name} ×${count}`);
    say(byId("at-work"), works.length ? `at work: ${works.join(", ")}` : "");
  }

  showQuota(quota) {
    if (!quota?.shards) {
      say(byId("month"), quota?.error ?? "");
      byId("quota").replaceChildren();
      return;
    }
    const { month, limit, used, shards } = quota;
    say(byId("month"), `${month} · ${used} of ${limit} used`);
    const rows = shards.length ? shards : [{ shard: "", used: 0, cap: limit }];
    fill(
      byId("quota"),
      rows,
      ({ shard, used, cap }) => `${shard} ${used} ${cap}`,
      ({ shard, used, cap }) =>
        make(
          "div",
          { class: "shard" },
          make("span", {}, shard === "" ? "not open yet" : `shard ${shard}`),
          make("meter", {
            min: 0,
            max: Math.max(cap, 1),
            value: used,
            "aria-label": `Shard ${shard}: ${used} of ${cap}`,
          }),
          make("span", { class: "number" }, `${used} / ${cap}`),
        ),
    );
  }

  /// Shows the business's events: how each delivery goes, and how often the sandbox got it.
  showEvents(events) {
    byId("register").hidden = events?.endpoints !== 0;
    if (!events?.rows) {
      say(byId("endpoints"), events?.error ?? "");
      byId("events").replaceChildren();
      return;
    }
    const { endpoints, rows } = events;
    const many = endpoints === 1 ? "one endpoint" : `${endpoints} endpoints`;
    say(byId("endpoints"), endpoints === 0 ? "listed, and sent nowhere yet" : `sent to ${many}`);
    fill(
      byId("events"),
      rows,
      ({ sequence, endpoint, status, attempts, ms, got }) =>
        [sequence, endpoint, status, attempts, ms, got].join(" "),
      (row) =>
        make(
          "tr",
          {},
          make("td", { class: "time" }, clockTime(row.at)),
          make("td", {}, row.type),
          make("td", { class: "wide", title: row.subject }, shorter(row.subject.replace(".", " "))),
          make(
            "td",
            { title: row.endpoint },
            ...(row.status ? [make("span", { class: `state ${row.status}` }, row.status)] : []),
          ),
          make("td", { class: "number" }, row.attempts ? String(row.attempts) : ""),
          make("td", { class: row.answer ? tone(row.answer) : "bad" }, answerTo(row)),
          make("td", { class: "number" }, row.ms === null ? "" : String(row.ms)),
          make("td", { class: `number ${row.got ? "" : "zero"}`, title: row.body }, String(row.got)),
        ),
    );
  }
}

const shorter = (path) =>
  path
    .replace(/^\/api\/v1/, "")
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){4}[0-9a-f]{8}/g, (id) => `${id.slice(0, 6)}…`);
const subject = (name) =>
  shorter(name)
    .replace(/^M#0*/, "message ")
    .replace(/^pingback-/, "")
    .toLowerCase();
const order = (name) => (name.includes("DeadLetters") ? 1 : 0);
const title = (name) =>
  name
    .replace(/Queue$/, "")
    .replace(/(?<=[a-z])[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
    .replace(/whatsapp/i, "WhatsApp")
    .replace("Email", "E-mail")
    .replace("email", "e-mail");
const tone = (status) => (!status || status >= 500 ? "bad" : status >= 400 ? "warn" : "good");
const answerOf = ({ status, fault }) =>
  fault ? `${fault}${status ? ` (${status})` : ""}` : status ? String(status) : "none";
const answerTo = ({ answer, fault }) => (answer ? String(answer) : (fault ?? ""));
