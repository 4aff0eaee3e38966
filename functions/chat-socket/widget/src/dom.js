// Elements.

/// Makes an element; what is no property of it becomes an attribute.
export const make = (tag, properties = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
};

/// True if the customer looks at this page.
export const isInFront = () => document.visibilityState === "visible" && document.hasFocus();

/// True for the address of a page or a file; scripts and data have addresses as well.
export const isWeb = (url) => /^https?:\/\//i.test(url);

/// Reads what this tab remembers; nothing if it may not.
export const recall = (key) => {
  try {
    return JSON.parse(sessionStorage.getItem(key));
  } catch {
    return null;
  }
};

/// Remembers a value for this tab alone: another tab has seen other messages.
export const remember = (key, value) => {
  try {
    sessionStorage.setItem(key, JSON.stringify(value));
  } catch {
    try {
      sessionStorage.removeItem(key); // no room, or not allowed: a reload begins at the beginning
    } catch {}
  }
};
