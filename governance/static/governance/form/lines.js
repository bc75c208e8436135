// Widgets for values of one line, and for one text.
import { make, read, written } from "./dom.js";
import { area } from "./editors.js";
import { isLong, isNumber, suggestionsOf } from "./json_schema.js";

const isText = (value) => typeof value === "string";

function line({ schema, value, set, id, context }, more = {}) {
  const control = make("input", {
    type: "text",
    id,
    value: value ?? "",
    autocomplete: "off",
    spellcheck: "false",
    placeholder: schema.default ?? null,
    list: suggestionsOf(schema) ? context.listOf(suggestionsOf(schema)) : null,
    oninput: () => set(control.value === "" ? undefined : control.value),
    ...more,
  });
  return { element: control, control };
}

function json({ label, value, set, id, context }) {
  const trouble = {};
  const problem = make("p", { class: "problem", hidden: true, role: "status" });
  const oninput = () => {
    const text = control.value;
    context.broken.delete(trouble);
    problem.hidden = true;
    if (text.trim() === "") return set(undefined);
    try {
      set(JSON.parse(text));
    } catch (error) {
      problem.hidden = false;
      problem.textContent = `This is no JSON: ${error.message}`;
      context.broken.add(trouble);
      trouble.control = control;
      context.changed();
    }
  };
  const text = value === undefined ? "" : JSON.stringify(value, null, 2);
  const control = area(id, text, { rows: 4, language: "json", oninput, label });
  return { element: make("div", {}, control, problem), control, wide: true };
}

export const lines = {
  text(parts) {
    if (!isLong(parts.schema)) return line(parts);
    const { value, set, id } = parts;
    const control = make("textarea", { id, rows: 2, oninput: () => set(control.value === "" ? undefined : control.value) });
    control.value = value ?? "";
    return { element: control, control, wide: true };
  },
  path: (parts) => line(parts, { class: "mono" }),
  template({ label, value, set, id, context }) {
    const oninput = () => set(control.value === "" ? undefined : control.value);
    const control = area(id, value ?? "", { rows: 4, language: "template", oninput, label });
    const chips = make("p", { class: "chips", "aria-label": "Names to put in", role: "group" });
    const put = (name) => {
      const text = `{{${name}}}`;
      const { view } = control;
      if (view) {
        view.dispatch(view.state.replaceSelection(text));
        view.focus();
      } else {
        control.setRangeText(text);
        oninput();
      }
    };
    const show = () => {
      const names = context.names?.() ?? [];
      chips.replaceChildren(
        ...names.map((name) => make("button", { type: "button", class: "chip", text: name, title: `Put {{${name}}} in`, onclick: () => put(name) })),
      );
      chips.hidden = !names.length;
    };
    show();
    const element = make("div", { onfocusin: (event) => chips.contains(event.target) || show() }, control, chips);
    return { element, control, wide: true };
  },
  json,
  value({ value, set, id }) {
    const control = make("input", {
      type: "text",
      id,
      autocomplete: "off",
      value: value === undefined ? "" : written(value),
      title: 'A number, true, false, null or other JSON; anything else is text. "3" in quotes is the text 3.',
      oninput: () => set(control.value === "" ? undefined : read(control.value)),
    });
    return { element: control, control };
  },
  number({ schema, value, set, id }) {
    const control = make("input", {
      type: "number",
      id,
      value: value ?? "",
      min: schema.minimum,
      max: schema.maximum,
      step: schema.type === "integer" ? 1 : "any",
      placeholder: schema.default,
      oninput: () => set(control.value === "" ? undefined : control.valueAsNumber),
    });
    return { element: control, control };
  },
  flag({ value, set, id }) {
    const control = make("input", { type: "checkbox", id, checked: value === true, onchange: () => set(control.checked || undefined) });
    return { element: control, control };
  },
  choice({ schema, required, value, set, id }) {
    const choices = schema.enum;
    const offered = value === undefined || choices.includes(value) ? choices : [value, ...choices];
    const none = schema.default === undefined ? "---------" : `${schema.default} (if not said)`;
    const control = make(
      "select",
      { id, onchange: () => set(control.value === "" ? undefined : control.value) },
      ...(required && value !== undefined ? [] : [make("option", { value: "", text: none })]),
      ...offered.map((choice) => make("option", { value: choice, text: choice })),
    );
    control.value = value ?? "";
    return { element: control, control };
  },
  words({ schema, value = [], set, id }) {
    const put = (words) => set(words.length ? words : undefined);
    const { items } = schema;
    const numbers = isNumber(items);
    if (!items.enum) {
      const control = make("input", {
        type: "text",
        id,
        value: value.join(", "),
        placeholder: numbers ? "404, 409" : null,
        oninput: () => {
          const words = control.value.split(",").map((word) => word.trim()).filter(Boolean);
          put(numbers ? words.map((word) => (Number.isNaN(Number(word)) ? word : Number(word))) : words);
        },
      });
      return { element: control, control };
    }
    const boxes = items.enum.map((choice) => make("input", { type: "checkbox", value: choice, checked: value.includes(choice), onchange: collect }));
    function collect() {
      put(boxes.filter((box) => box.checked).map((box) => box.value));
    }
    const labels = boxes.map((box) => make("label", { class: "check" }, box, ` ${box.value.replaceAll("_", " ")}`));
    return { element: make("div", { class: "checks" }, ...labels), fieldset: true, wide: true };
  },
  target({ required, value, set, id, context }) {
    const control = make("select", { id, onfocus: fill, onchange: () => set(control.value === "" ? undefined : control.value) });
    function fill() {
      const chosen = control.value || value || "";
      const later = context.later();
      const offered = ["", ...later, "end", ...(chosen && chosen !== "end" && !later.includes(chosen) ? [chosen] : [])];
      const words = { "": required ? "---------" : "The next step", end: "The end of the run" };
      control.replaceChildren(...offered.map((target) => make("option", { value: target, text: words[target] ?? target })));
      control.value = chosen;
    }
    fill();
    return { element: control, control };
  },
  on_error(parts) {
    const { value, set, id, context } = parts;
    const word = isText(value) ? value : value ? "goto" : "";
    const where = lines.target({
      ...parts,
      id: `${id}-goto`,
      required: true,
      value: value?.goto,
      set: (goto) => set({ goto: goto ?? "" }),
      context,
    });
    where.control.setAttribute("aria-label", "Go on at");
    where.control.hidden = word !== "goto";
    const control = make(
      "select",
      {
        id,
        onchange: () => {
          where.control.hidden = control.value !== "goto";
          if (control.value === "goto") set({ goto: where.control.value });
          else set(control.value || undefined);
        },
      },
      make("option", { value: "", text: "The run fails (if not said)" }),
      make("option", { value: "fail", text: "The run fails" }),
      make("option", { value: "continue", text: "The run goes on" }),
      make("option", { value: "goto", text: "The run goes on at …" }),
    );
    control.value = word;
    return { element: make("div", { class: "pair" }, control, where.control), control };
  },
};
