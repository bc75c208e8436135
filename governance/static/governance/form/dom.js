// Elements, made without a template language: text is always text.
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "text") element.textContent = value;
    else if (name === "value") element.value = value;
    else if (name === "checked") element.checked = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

let made = 0;

/** An id that no other element of the page has. */
export const identity = () => `made-${(made += 1)}`;

export const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** The answer of the server; throws an Error with its sentence when it refuses, and with its body as `refusal`. */
export async function ask(url, { body, ...options } = {}) {
  const token = document.querySelector("[name=csrfmiddlewaretoken]")?.value;
  const sent =
    body === undefined
      ? {}
      : { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json", "X-CSRFToken": token } };
  const answer = await fetch(url, { ...sent, ...options });
  if (answer.redirected) throw new Error("You are not logged in any more. Log in in another tab, then go on here.");
  if (answer.ok) return answer;
  const refusal = await answer.json().catch(() => ({}));
  throw Object.assign(new Error(refusal.error ?? `The server answered ${answer.status}.`), { refusal });
}

/** A value in one line of text: text as it is, all else as JSON; what would be read as JSON stands in quotes. */
export function written(value) {
  if (typeof value !== "string") return JSON.stringify(value);
  return read(value) === value ? value : JSON.stringify(value);
}

/** What such a line stands for. */
export function read(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
