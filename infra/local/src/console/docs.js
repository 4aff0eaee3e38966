// The contract in its viewer, in the console's theme and with the demo's token filled in.

import { byId, say } from "./dom.js";
import { loadBusinesses, state } from "./session.js";

const LIGHT = {
  "bg-color": "#ffffff",
  "text-color": "#1b1f2a",
  "primary-color": "#4338ca",
  "secondary-color": "#4338ca",
  "nav-bg-color": "#f4f5f8",
  "nav-text-color": "#1b1f2a",
  "nav-hover-bg-color": "#eeefff",
  "nav-hover-text-color": "#4338ca",
  "--blue": "#1d4ed8",
  "--red": "#b3261e",
};
const DARK = {
  "bg-color": "#181b23",
  "text-color": "#e6e9f0",
  "primary-color": "#a5b0ff",
  "secondary-color": "#a5b0ff",
  "nav-bg-color": "#101218",
  "nav-text-color": "#e6e9f0",
  "nav-hover-bg-color": "#23263f",
  "nav-hover-text-color": "#a5b0ff",
  "--blue": "#8fb6ff",
  "--red": "#ff9d94",
};

const theme = localStorage.getItem("theme") ?? "system";
const isDark =
  theme === "dark" || (theme === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
document.documentElement.dataset.theme = theme;

const viewer = document.createElement("openapi-explorer");
const look = {
  "spec-url": "/openapi.yaml",
  "hide-server-selection": "true",
  collapse: "true",
  ...(isDark ? DARK : LIGHT),
};
for (const [name, value] of Object.entries(look)) {
  if (name.startsWith("--")) viewer.style.setProperty(name, value);
  else viewer.setAttribute(name, value);
}
const read = new Promise((resolve) =>
  viewer.addEventListener("spec-loaded", resolve, { once: true }),
);
byId("viewer").append(viewer);

/// Fills the token in once the viewer has read the contract.
await Promise.all([read, loadBusinesses()]);
const { business } = state;
if (business) {
  viewer.setAuthenticationConfiguration("bearer", { token: business.token ?? business.api_key });
  say(
    byId("filled"),
    business.token ? "the demo agent's token is filled in" : "a business's API key is filled in",
  );
} else {
  say(byId("filled"), "there is no business, so no token");
}
document.documentElement.dataset.ready = "true";
