// One message as the customer sees it. Text is only ever shown as text.

import { isWeb, make } from "./dom.js";

/// The pictures that browsers show. Of a HEIC or TIFF a broken one would be seen, so it is a file with a name.
const PICTURE = /^image\/(png|jpe?g|gif|webp|avif|bmp|svg\+xml)$/i;

const ADDRESS = /\bhttps?:\/\/[^\s<>"]+/gi;
const BLANK = { target: "_blank", rel: "noopener noreferrer" };

/// Makes the element of a message. `sender` has the name and the picture of who wrote it, as far as they are known.
export const article = (message, sender, words) => {
  const at = new Date(message.created_at);
  const { name = words.agent, picture } = sender ?? {};
  const whole = at.toLocaleString([], { dateStyle: "full", timeStyle: "short" });
  const isMine = message.sender_type === "customer";
  const element = make("article", { className: isMine ? "mine" : "", "aria-label": isMine ? whole : `${name}, ${whole}` });

  if (sender?.name && !isMine) {
    const head = make("header", {}, make("bdi", { textContent: name }));
    if (isWeb(picture)) head.prepend(make("img", { className: "face", src: picture, alt: "" }));
    element.append(head);
  }
  element.append(make("p", { dir: "auto" }, ...linked(message.content)));

  const files = (message.attachments ?? []).map((file) => attachment(file, words)).filter(Boolean);
  if (files.length) element.append(make("ul", {}, ...files.map((file) => make("li", {}, file))));
  const time = at.toLocaleTimeString([], { timeStyle: "short" });
  element.append(make("time", { dir: "auto", dateTime: message.created_at, title: whole, textContent: time }));
  return element;
};

/// Returns a text in pieces, with the addresses in it as links.
const linked = (text) => {
  const pieces = [];
  let end = 0;
  for (const { 0: found, index } of text.matchAll(ADDRESS)) {
    const url = withoutSentence(found);
    if (!URL.canParse(url)) continue;
    pieces.push(text.slice(end, index), make("a", { href: url, ...BLANK, textContent: url }));
    end = index + url.length;
  }
  return [...pieces, text.slice(end)];
};

/// Returns an address without the end of the sentence that it stands in. A bracket belongs to it if it opened there.
const withoutSentence = (found) => {
  const count = (bracket) => found.split(bracket).length;
  const unopened = { ")": count(")") - count("("), "]": count("]") - count("[") };
  let end = found.length;
  for (; /[.,;:!?'*_)\]…。，]/.test(found[end - 1]); end--) {
    const bracket = found[end - 1];
    if (bracket in unopened && unopened[bracket]-- <= 0) break;
  }
  return found.slice(0, end);
};

/// Makes a file's element: a picture that keeps its place, or a name with size and type.
const attachment = (file, words) => {
  const { url, filename, content_type: type } = file;
  if (!isWeb(url)) return null;
  if (!PICTURE.test(type)) return named(file, words);

  const image = make("img", { src: url, alt: filename, loading: "lazy" });
  const link = make("a", { className: "picture", href: url, ...BLANK }, image);
  image.onerror = () => link.replaceWith(named(file, words));
  return link;
};

const named = ({ url, filename, content_type: type, size }, words) => {
  const name = make("bdi", { textContent: filename || words.file });
  const kind = /\.(\w{1,5})$/.exec(filename)?.[1] ?? type?.split("/")[1];
  const about = [kind?.toUpperCase(), sizeOf(size)].filter(Boolean).join(" · ");
  return make("a", { className: "file", href: url, ...BLANK }, name, make("small", { textContent: about }));
};

const sizeOf = (bytes) => {
  if (!(bytes >= 0)) return "";
  const [unit, divisor] = [["byte", 1], ["kilobyte", 1e3], ["megabyte", 1e6]].findLast(([, least]) => bytes >= least) ?? ["byte", 1];
  return (bytes / divisor).toLocaleString([], { style: "unit", unit, maximumFractionDigits: 1 });
};
