// Scenes for pictures: a conversation of one moment, which looks the same on every day. pictures.rs shows them.
"use strict";

const HOME = "https://files.invalid";
const AGENTS = {
  jo: { name: "Jo Becker", picture: face("#8a4fff", "J") },
  default: { name: "Sandbox Shop" },
};

/// A drawn face, as a file of this page: pictures come by HTTP alone, so the checks' own file plays it.
function face(colour, letter) {
  return `${HOME}/face?${encodeURIComponent(JSON.stringify([colour, letter]))}`;
}

/// Draws what the scenes' addresses would bring, which no server does.
function draw(url) {
  const canvas = Object.assign(document.createElement("canvas"), { width: 640, height: 480 });
  const pen = canvas.getContext("2d");
  const [colour, letter] = url.includes("/face?") ? JSON.parse(decodeURIComponent(url.split("?")[1])) : ["#c9d6e8", ""];
  pen.fillStyle = colour;
  pen.fillRect(0, 0, 640, 480);
  pen.fillStyle = letter ? "#fff" : "#6f87a8";
  pen.textAlign = "center";
  pen.font = "bold 300px sans-serif";
  if (letter) pen.fillText(letter, 320, 350);
  else for (const [x, y, size] of [[320, 250, 150], [200, 330, 90], [450, 330, 100]]) pen.fillRect(x - size / 2, y - size / 2, size, size);
  return canvas.toDataURL();
}

const at = (time) => ({ created_at: `2026-03-${time}:00Z`, sender_type: "agent", sender_id: "jo" });
const CONVERSATION = [
  arrival(1, { ...at("02T09:05"), content: "Hello Anna, your order left our warehouse this morning." }),
  arrival(2, { ...at("02T09:06"), content: "You can follow it at https://shop.example/track/4711." }),
  arrival(3, {
    ...at("03T10:12"),
    content: "The parcel is with your neighbour. This is where it stands:",
    attachments: [{ url: `${HOME}/parcel.jpg`, filename: "parcel.jpg", content_type: "image/jpeg", size: 183_000 }],
  }),
  arrival(4, {
    ...at("03T10:15"),
    content: "And the invoice, as you asked:",
    attachments: [
      { url: `${HOME}/1.pdf`, filename: "invoice-4711.pdf", content_type: "application/pdf", size: 48_213 },
      { url: `${HOME}/2.heic`, filename: "IMG_0042.HEIC", content_type: "image/heic", size: 2_310_000 },
    ],
  }),
];
const ARABIC = [
  arrival(1, { ...at("02T09:05"), content: "مرحبا آنا، غادر طلبك مستودعنا هذا الصباح." }),
  arrival(2, { ...at("02T09:06"), content: "يمكنك تتبعه هنا: https://shop.example/track/4711" }),
  arrival(3, { ...at("03T10:12"), content: "Your order number is 4711 (قميص أزرق)." }),
];

/// Shows a conversation, with everything in it read but the last `unread` messages.
async function scene({ messages = CONVERSATION, unread = 0, width = "22rem", height = "34rem", dir = "ltr", ...options } = {}) {
  clear();
  document.querySelector("#outcome").hidden = true;
  document.documentElement.dir = dir;
  Object.assign(place.style, { width, height });
  open({ agents: AGENTS, ...options });
  await settle();
  await sockets[0].accept();
  const known = messages.map((event, index) => (index < messages.length - unread ? { ...event, status: "read" } : event));
  await sockets[0].say(HELLO, ...known, caughtUp(messages.length));
  for (const image of shadow().querySelectorAll("img")) {
    await load(image, draw(image.src));
  }
  await painted();
}

const SCENES = {
  open: () => scene(),
  dark: () => scene(),
  rtl: () => scene({ messages: ARABIC, dir: "rtl", words: { title: "محادثة", agent: "الدعم" } }),
  closed: () => scene({ target: undefined, launcher: true, unread: 2 }),
  panel: async () => {
    await scene({ target: undefined, launcher: true });
    chats[0].open();
    log().blur();
    log().scrollTop = log().scrollHeight;
    await painted();
  },
  phone: async () => {
    await scene({ target: undefined, launcher: true });
    chats[0].open();
    log().blur();
    log().scrollTop = log().scrollHeight;
    await painted();
  },
  empty: () => scene({ messages: [] }),
  unread: async () => {
    await scene({ height: "18rem", unread: 3 });
    log().scrollTop = 0;
    await painted();
  },
  offline: async () => {
    await scene();
    online = false;
    dispatchEvent(new Event("offline"));
    await settle();
  },
};

/// Looks for barriers with axe-core, which needs the browser's own clock.
async function barriers() {
  const { set } = clock;
  window.setTimeout = realTimers.setTimeout;
  window.clearTimeout = realTimers.clearTimeout;
  try {
    const { violations } = await axe.run(document.querySelector(".pingback-chat"));
    return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`)}`);
  } finally {
    window.setTimeout = set;
    window.clearTimeout = (id) => clock.timers.delete(id);
  }
}
