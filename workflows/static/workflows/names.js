// Inputs and outputs of a workflow: rows of a name and what stands behind it.
import { isObject, make } from "../governance/form/dom.js";
import { makeField } from "../governance/form/fields.js";
import { fieldsOf } from "../governance/form/json_schema.js";
import { sentences, showAllProblems } from "../governance/form/problems.js";

export class Names {
  /** `value` is an object; `set` takes what it is now. `bodyOf(entry, put)` makes {element, showProblems} of what is behind. */
  constructor(value, { noun, set, begin, bodyOf, context }) {
    Object.assign(this, { noun, set, begin, bodyOf, context });
    this.entries = Object.entries(value).map(([name, one]) => ({ name, one }));
    this.list = make("ul", { class: "names" });
    this.message = make("p", { class: "problem", role: "status", hidden: true });
    this.add = make("button", { type: "button", class: "button", text: `Add an ${noun}`, onclick: () => this.#added() });
    this.element = make("div", {}, this.list, this.message, this.add);
    this.show();
  }

  show() {
    this.rows = this.entries.map((entry, place) => this.#row(entry, place));
    this.list.replaceChildren(...this.rows.map(({ element }) => element));
    this.list.hidden = !this.entries.length;
  }

  showProblems(problems) {
    const byName = isObject(problems) ? { ...problems } : {};
    for (const { entry, body, name } of this.rows) {
      const own = byName[entry.name];
      delete byName[entry.name];
      const shown = sentences(body.showProblems(own));
      name.toggleAttribute("aria-invalid", Boolean(own));
      if (own) name.setAttribute("aria-invalid", "true");
      body.problem.hidden = !shown.length;
      body.problem.textContent = shown.join(" ");
    }
    this.#showMessage(sentences(isObject(problems) ? byName : (problems ?? [])).join(" "));
  }

  #showMessage(sentence) {
    this.message.textContent = sentence;
    this.message.hidden = !sentence;
  }

  #put() {
    const names = this.entries.map(({ name }) => name);
    const twice = names.find((name, place) => name && names.indexOf(name) !== place);
    const bad = twice ? `${twice} is there twice: expected each name once.` : names.includes("") ? `An ${this.noun} has no name.` : "";
    this.#showMessage(bad);
    this.context.broken[bad ? "add" : "delete"](this);
    this.set(Object.fromEntries(this.entries.filter(({ name }) => name).map(({ name, one }) => [name, one])));
  }

  get control() {
    return this.list.querySelector("input") ?? this.add;
  }

  #added() {
    this.entries.push({ name: "", one: this.begin() });
    this.show();
    this.list.lastElementChild.querySelector("input").focus();
  }

  #row(entry, place) {
    const word = `${this.noun} ${place + 1}`;
    const name = make("input", {
      type: "text",
      class: "mono",
      value: entry.name,
      placeholder: "name",
      "aria-label": `Name of ${word}`,
      autocomplete: "off",
      spellcheck: "false",
      oninput: () => {
        entry.name = name.value.trim();
        this.#put();
      },
    });
    const body = this.bodyOf(entry, () => this.#put());
    body.problem = make("p", { class: "problem", hidden: true });
    const gone = () => {
      this.entries.splice(place, 1);
      this.#put();
      this.show();
      this.add.focus();
    };
    const remove = make("button", { type: "button", class: "tool small", text: "Remove", "aria-label": `Remove ${word}`, onclick: gone });
    const element = make("li", { class: "name-row" }, make("div", { class: "field" }, make("span", { class: "caption", text: "Name" }), name), body.element, remove, body.problem);
    return { element, entry, name, body };
  }
}

/** What stands behind an input: its fields, by the JSON Schema of an input. */
export function inputBody(schema, context) {
  return (entry, put) => {
    if (!isObject(entry.one)) entry.one = {};
    const inner = { ...context, changed: put };
    const fields = new Map(fieldsOf(schema).map((one) => [one.name, makeField(one, entry.one, inner)]));
    return {
      element: make("div", { class: "fields of-input" }, ...fields.values()),
      showProblems: (problems) => (isObject(problems) ? showAllProblems(fields, problems) : (showAllProblems(fields), problems ?? [])),
    };
  };
}

/** What stands behind an output: a template, or a path. */
export function outputBody(context) {
  return (entry, put) => {
    const isPath = isObject(entry.one);
    const kind = make(
      "select",
      { "aria-label": "How it is made", onchange: () => take() },
      make("option", { value: "template", text: "Template" }),
      make("option", { value: "path", text: "Path" }),
    );
    kind.value = isPath ? "path" : "template";
    const text = make("input", {
      type: "text",
      class: "mono",
      value: isPath ? (entry.one.path ?? "") : entry.one,
      "aria-label": "Template or path",
      autocomplete: "off",
      oninput: () => take(),
    });
    const take = () => {
      text.placeholder = kind.value === "path" ? "steps.answer.output" : "{{steps.answer.output}}";
      entry.one = kind.value === "path" ? { ...(isObject(entry.one) ? entry.one : {}), path: text.value } : text.value;
      put();
    };
    text.placeholder = isPath ? "steps.answer.output" : "{{steps.answer.output}}";
    return { element: make("div", { class: "pair" }, kind, text), showProblems: (problems) => problems ?? [] };
  };
}
