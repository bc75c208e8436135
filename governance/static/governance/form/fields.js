// Fields as the server describes them (governance/admin/form_schema.py), a widget for each kind.
//
// makeField(description, holder, context) shows holder[description.name] and writes it there; a field that was emptied is
// taken out. A value that its widget could not show is shown as JSON, so that nothing is lost. The element has a method
// showProblems(problems). `context` has changed(), broken (fields whose text can't be read), words, and what some kinds need.
import { compound } from "./compound.js";
import { identity, isObject, make } from "./dom.js";
import { lines } from "./lines.js";
import { sentences } from "./problems.js";
import { schema } from "./schema.js";

const isText = (value) => typeof value === "string";
const WIDGETS = { ...lines, ...compound, schema };
const isScalar = (value) => ["string", "number", "boolean"].includes(typeof value);

const FITS = {
  text: isText,
  path: isText,
  template: isText,
  choice: isText,
  target: isText,
  number: (value) => typeof value === "number",
  flag: (value) => typeof value === "boolean",
  words: (value) => Array.isArray(value) && value.every(isScalar),
  pairs: (value) => isObject(value) && Object.values(value).every(isText),
  values: isObject,
  secrets: (value) => isObject(value) && Object.values(value).every((one) => isText(one) || isText(one?.kept)),
  group: isObject,
  list: (value) => Array.isArray(value) && value.every(isObject),
  steps: (value) => Array.isArray(value) && value.every(isObject),
  condition: isObject,
  on_error: (value) => isText(value) || isText(value?.goto),
  schema: isObject,
  json: () => true,
  value: () => true,
};

export function makeField(description, holder, context) {
  const { name, label, help, required } = description;
  const value = holder[name];
  const kind = value === undefined || FITS[description.kind]?.(value) ? description.kind : "json";
  const id = identity();
  const problem = make("p", { class: "problem", id: `${id}-problem`, hidden: true });
  const hint = help ? make("p", { class: "hint", id: `${id}-hint`, text: help }) : null;
  const set = (next) => {
    if (next === undefined) delete holder[name];
    else holder[name] = next;
    context.changed();
  };
  const widget = WIDGETS[kind]({ description, value, set, id, context, makeField });
  const whole = widget.fieldset ?? false;
  const caption = whole
    ? make("p", { class: "caption", id: `${id}-caption`, text: label })
    : make("label", { for: id, text: label });
  if (required) caption.classList.add("required");
  const described = [hint?.id, problem.id].filter(Boolean).join(" ");
  widget.control?.setAttribute("aria-describedby", described);
  const parts = kind === "flag" ? [widget.element, caption, hint] : [caption, widget.element, hint];
  const element = make(
    "div",
    { class: `field of-${kind}${widget.wide ? " wide" : ""}`, "data-field": name, role: whole ? "group" : null },
    ...parts,
    problem,
  );
  if (whole) element.setAttribute("aria-labelledby", `${id}-caption`);
  element.showProblems = (problems) => {
    const left = widget.showProblems ? widget.showProblems(problems) : problems;
    const said = sentences(left);
    problem.hidden = !said.length;
    problem.textContent = said.map((sentence) => sentence.replace("This field is required.", "It is required.")).join(" ");
    element.classList.toggle("faulty", sentences(problems).length > 0);
    if (widget.control) widget.control.toggleAttribute("aria-invalid", said.length > 0);
    if (said.length) widget.control?.setAttribute("aria-invalid", "true");
  };
  widget.attached?.();
  return element;
}
