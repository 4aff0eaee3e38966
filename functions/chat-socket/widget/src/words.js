// All that the widget says; a page may say it in its own words.

export const DEFAULT_WORDS = {
  title: "Chat",
  connecting: "Connecting…",
  unreachable: "The chat cannot be reached. Trying again…",
  lost: "The connection was lost. Trying again…",
  offline: "You are offline. The chat goes on when you are back.",
  ended: "This chat has ended. Reload the page to go on.",
  elsewhere: "This chat goes on in other tabs. Come back to this one to go on here.",
  empty: "No messages yet. What is written to you appears here.",
  earlier: "Earlier messages",
  fresh: "{n} new",
  unread: "{n} unread",
  open: "Open the chat",
  close: "Close the chat",
  agent: "Support",
  file: "File",
  write: "Write a message",
  send: "Send",
  sending: "Sending…",
  refused: "Not sent.",
  again: "Try again",
  edit: "Edit",
  cannotSend: "This can be sent when the chat is connected.",
  tooLong: "{n} characters too many",
};

/// Puts a number into words.
export const count = (words, number) => words.replace("{n}", number);
