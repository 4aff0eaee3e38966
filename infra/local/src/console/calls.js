// The agent's calls to the public API, each as the `curl` that makes it and with its exact answer.

import { copyButton, make } from "./dom.js";
import { credential, session } from "./session.js";

const SHOWN = 8;

export class CallList {
  constructor(place) {
    this.place = place;
  }

  /// Makes a call, shows it, and returns its answer with `json`; undefined if none came.
  async call(method, url, headers, body, file) {
    const isOurs = url.startsWith(session.api);
    const all = isOurs ? { Authorization: `Bearer ${credential()}`, ...headers } : headers;
    const command = curl(method, url, all, body, file);
    const begun = performance.now();
    try {
      const answer = await fetch(url, { method, headers: all, body });
      const text = await answer.text();
      const ms = Math.round(performance.now() - begun);
      this.show({
        method,
        url,
        command,
        ms,
        ok: answer.ok,
        status: answer.status,
        whole: wholeAnswer(answer, text),
        text,
      });
      const isJson = answer.headers.get("content-type")?.includes("json");
      return { ok: answer.ok, json: isJson ? JSON.parse(text) : undefined };
    } catch (error) {
      this.show({
        method,
        url,
        command,
        ok: false,
        status: "no answer",
        whole: String(error),
        text: "",
      });
      return undefined;
    }
  }

  show({ method, url, command, ms, ok, status, whole, text }) {
    const path = new URL(url).pathname.replace(
      /[0-9a-f]{8}(-[0-9a-f]{4}){4}[0-9a-f]{8}/g,
      (id) => `${id.slice(0, 8)}…`,
    );
    const details = make(
      "details",
      { class: "call", open: true },
      make(
        "summary",
        {},
        make("b", { class: ok ? "good" : "bad" }, String(status)),
        make("code", {}, `${method} ${path.length > 60 ? `${path.slice(0, 60)}…` : path}`),
        make("span", {}, ms === undefined ? "" : `${ms} ms`),
      ),
      part("curl", command, () => command),
      part("answer", whole, () => text || whole),
    );
    this.place.querySelector(".hint")?.remove();
    for (const older of this.place.children) older.open = false;
    this.place.prepend(details);
    while (this.place.children.length > SHOWN) this.place.lastChild.remove();
  }
}

function part(name, text, copied) {
  return make(
    "div",
    { class: "code" },
    make("pre", { tabIndex: 0, "aria-label": name, role: "region", class: name }, text),
    copyButton(`Copy the ${name}`, copied),
  );
}

/// The answer as `curl -i` prints it.
function wholeAnswer(answer, text) {
  const headers = [...answer.headers].map(([name, value]) => `${name}: ${value}`);
  return [`HTTP/1.1 ${answer.status} ${answer.statusText}`, ...headers, "", text].join("\n");
}

/// The command that makes the call, for a shell.
function curl(method, url, headers, body, file) {
  const lines = [`curl -i ${quoted(url)}`];
  const isForm = body instanceof FormData;
  if (method !== "POST" || body === undefined) lines[0] += ` -X ${method}`;
  for (const [name, value] of Object.entries(headers))
    lines.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (isForm)
    lines.push(
      `-F ${quoted(`file=@${file.name};type=${file.type || "application/octet-stream"}`)}`,
    );
  else if (file) lines.push(`--data-binary ${quoted(`@${file.name}`)}`);
  else if (body !== undefined) lines.push(`-d ${quoted(body)}`);
  return lines.join(" \\\n  ");
}

/// One word of a shell: nothing in single quotes means anything but itself.
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
