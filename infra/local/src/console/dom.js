// Elements, times and texts. Nothing here parses HTML: every text becomes a text node.

/// Makes an element. A property `class` or with a dash becomes an attribute, `on…` a listener.
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class" || name === "for" || name === "role" || name.includes("-")) {
      element.setAttribute(name, value);
    } else element[name] = value;
  }
  element.append(...children.filter((child) => child !== undefined && child !== null));
  return element;
}

export const byId = (id) => document.getElementById(id);

/// Sets a text only where it changes, so that nothing is painted or announced anew.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/// Puts rows into a list, keyed: what is the same stays the same element.
export function fill(list, entries, keyOf, render) {
  list.known ??= new Map();
  const known = new Map();
  let place = list.firstChild;
  for (const entry of entries) {
    const key = keyOf(entry);
    const element = list.known.get(key) ?? render(entry);
    known.set(key, element);
    if (element === place) place = place.nextSibling;
    else list.insertBefore(element, place);
  }
  for (const [key, element] of list.known) if (!known.has(key)) element.remove();
  list.known = known;
}

/// `3cddba3a…2335`, with the whole id as its title.
export function shortId(id) {
  return `${id.slice(0, 8)}…${id.slice(-4)}`;
}

/// The time of the day, UTC, to the millisecond.
export function clockTime(at) {
  return new Date(at).toISOString().slice(11, 23);
}

/// How long after something, as a person reads it.
export function lapse(ms) {
  if (ms < 0) return "0 ms";
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  return ms < 3_600_000 ? `${Math.round(ms / 60_000)} min` : `${Math.round(ms / 3_600_000)} h`;
}

export function size(bytes) {
  if (bytes < 1_024) return `${bytes} B`;
  return bytes < 1 << 20
    ? `${Math.round(bytes / 1_024)} KB`
    : `${(bytes / (1 << 20)).toFixed(1)} MB`;
}

/// A button that copies what `text` returns.
export function copyButton(label, text) {
  const button = make(
    "button",
    { type: "button", class: "quiet copy", "aria-label": label },
    "Copy",
  );
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text());
      say(button, "Copied");
    } catch {
      say(button, "Select and copy");
    }
    setTimeout(() => say(button, "Copy"), 1_500);
  });
  return button;
}
