// The fields for the variables of a text: they come and go as one types, and what was typed in them is kept.
import { VARIABLE } from "../governance/variable.js";

export function namesIn(...texts) {
  return [...new Set(texts.flatMap((text) => [...text.matchAll(VARIABLE)].map(([, name]) => name)))];
}

export class Variables {
  #place;
  #empty;
  #fields = new Map();

  constructor(place, empty) {
    this.#place = place;
    this.#empty = empty;
  }

  show(names) {
    for (const name of names) if (!this.#fields.has(name)) this.#fields.set(name, this.#make(name));
    const wanted = names.map((name) => this.#fields.get(name).element);
    for (const element of [...this.#place.children]) if (!wanted.includes(element)) element.remove();
    wanted.forEach((element, number) => {
      if (this.#place.children[number] !== element) this.#place.insertBefore(element, this.#place.children[number] ?? null);
    });
    this.#empty.hidden = names.length > 0;
  }

  /** The values of the fields that are shown; an empty field has none. Throws an Error for what is no JSON. */
  values() {
    const values = {};
    for (const [name, { element, text, json }] of this.#fields) {
      if (!element.isConnected || text.value === "") continue;
      if (!json.checked) {
        values[name] = text.value;
        continue;
      }
      try {
        values[name] = JSON.parse(text.value);
      } catch {
        text.focus();
        throw new Error(`The value of ${name} is no JSON.`);
      }
    }
    return values;
  }

  #make(name) {
    const element = document.createElement("div");
    element.className = "field variable";
    const label = document.createElement("label");
    label.textContent = name;
    label.htmlFor = `variable-${name}`;
    const text = document.createElement("textarea");
    text.id = label.htmlFor;
    text.rows = 1;
    const check = document.createElement("label");
    check.className = "check";
    const json = document.createElement("input");
    json.type = "checkbox";
    json.setAttribute("aria-label", `${name} is JSON`);
    check.append(json, " JSON");
    const fit = () => {
      text.rows = Math.min(10, text.value.split("\n").length);
    };
    text.addEventListener("input", fit);
    element.append(label, check, text);
    return { element, text, json };
  }
}
