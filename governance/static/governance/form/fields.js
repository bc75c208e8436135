// The fields of a form, each made from its JSON Schema by the widget for it.
import { compound } from "./compound.js";
import { identity, isObject, make } from "./dom.js";
import { labelOf, widgetOf } from "./json_schema.js";
import { lines } from "./lines.js";
import { sentences } from "./problems.js";
import { schema as schemaWidget } from "./schema.js";

const WIDGETS = { ...lines, ...compound, schema: schemaWidget };

const isText = (value) => typeof value === "string";
const isSecret = (value) => isText(value) || isText(value?.kept);
const isScalar = (value) => ["string", "number", "boolean"].includes(typeof value);

/** Which values each widget can show. */
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
  secret: isSecret,
  secrets: (value) => isObject(value) && Object.values(value).every(isSecret),
  group: isObject,
  list: (value) => Array.isArray(value) && value.every(isObject),
  steps: (value) => Array.isArray(value) && value.every(isObject),
  condition: isObject,
  on_error: (value) => isText(value) || isText(value?.goto),
  schema: isObject,
  json: () => true,
  value: () => true,
};

/** An element that shows holder[name] and writes it there; a field that was emptied is removed from the holder.
 *
 * A value that the widget for `field.schema` can't show is shown as JSON, so that nothing is lost. The element has a
 * method showProblems(problems). `context` has changed(), broken (a Set of what can't be read yet), listOf(name), which
 * returns the id of a list of suggestions, and what some widgets need besides. */
export function makeField(field, holder, context) {
  const { name, schema, required = false } = field;
  const label = labelOf(name, schema);
  const help = schema.description;
  const value = holder[name];
  const wanted = widgetOf(schema);
  const kind = value === undefined || FITS[wanted]?.(value) ? wanted : "json";
  const id = identity();
  const problem = make("p", { class: "problem", id: `${id}-problem`, hidden: true });
  const hint = help ? make("p", { class: "hint", id: `${id}-hint`, text: help }) : null;
  const set = (next) => {
    if (next === undefined) delete holder[name];
    else holder[name] = next;
    context.changed();
  };
  const widget = WIDGETS[kind]({ schema, label, required, value, set, id, context, makeField });
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
    const shown = sentences(left);
    problem.hidden = !shown.length;
    problem.textContent = shown.map((sentence) => sentence.replace("This field is required.", "It is required.")).join(" ");
    element.classList.toggle("faulty", sentences(problems).length > 0);
    if (widget.control) widget.control.toggleAttribute("aria-invalid", shown.length > 0);
    if (shown.length) widget.control?.setAttribute("aria-invalid", "true");
  };
  widget.attached?.();
  return element;
}
