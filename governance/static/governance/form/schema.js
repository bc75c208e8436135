// A JSON Schema: the properties of an object as rows, or the whole as JSON. What rows can't show stays as it is in it.
import { isObject, make } from "./dom.js";
import { enhanceAll } from "./editors.js";

const TYPES = ["string", "number", "integer", "boolean", "array", "object"];

/** Whether rows can show it. */
function isPlain(schema) {
  if (schema === undefined) return true;
  const { type = "object", properties = {}, required = [] } = schema;
  return (
    type === "object" &&
    Array.isArray(required) &&
    isObject(properties) &&
    Object.values(properties).every((one) => isObject(one) && (one.type === undefined || TYPES.includes(one.type)))
  );
}

export function schema({ label, value, set, context, makeField }) {
  const place = make("div", {});
  const holder = { schema: value };
  const put = () => set(holder.schema && Object.keys(holder.schema).length ? holder.schema : undefined);
  const inner = { ...context, changed: put };
  let asJson = !isPlain(value);

  const rows = () => {
    const { properties = {}, required = [] } = holder.schema ?? {};
    const entries = Object.entries(properties).map(([name, one]) => ({ name, one: { ...one }, needed: required.includes(name) }));
    const list = make("div", { class: "pairs" });
    const update = () => {
      const known = entries.filter(({ name }) => name);
      const { required: _, ...rest } = holder.schema ?? {};
      const needed = known.filter((entry) => entry.needed).map(({ name }) => name);
      holder.schema = known.length
        ? { type: "object", ...rest, properties: Object.fromEntries(known.map(({ name, one }) => [name, one])), ...(needed.length ? { required: needed } : {}) }
        : undefined;
      put();
    };
    const show = () => {
      list.replaceChildren(...entries.map((entry, number) => row(entry, number)));
      list.hidden = !entries.length;
    };
    const row = (entry, number) => {
      const of = entry.name || `property ${number + 1}`;
      const name = make("input", { type: "text", class: "mono", value: entry.name, placeholder: "Name", "aria-label": `Name of property ${number + 1}`, autocomplete: "off" });
      name.addEventListener("input", () => {
        entry.name = name.value;
        update();
      });
      const type = make("select", { "aria-label": `Type of ${of}` }, ...["", ...TYPES].map((word) => make("option", { value: word, text: word || "any" })));
      type.value = entry.one.type ?? "";
      type.addEventListener("change", () => {
        if (type.value) entry.one.type = type.value;
        else delete entry.one.type;
        update();
      });
      const about = make("input", { type: "text", value: entry.one.description ?? "", placeholder: "Description", "aria-label": `Description of ${of}` });
      about.addEventListener("input", () => {
        if (about.value) entry.one.description = about.value;
        else delete entry.one.description;
        update();
      });
      const needed = make("input", { type: "checkbox", checked: entry.needed });
      needed.addEventListener("change", () => {
        entry.needed = needed.checked;
        update();
      });
      const gone = make("button", { type: "button", class: "tool small", text: "Remove", "aria-label": `Remove ${of}` });
      gone.addEventListener("click", () => {
        entries.splice(number, 1);
        update();
        show();
        add.focus();
      });
      return make("div", { class: "pair" }, name, type, about, make("label", { class: "check" }, needed, " required"), gone);
    };
    const add = make("button", { type: "button", class: "tool small", text: "Add a property" });
    add.addEventListener("click", () => {
      entries.push({ name: "", one: { type: "string" }, needed: true });
      show();
      list.lastElementChild.querySelector("input").focus();
    });
    show();
    return [list, make("div", { class: "tools" }, add, toggle("As JSON"))];
  };
  const text = () => {
    const field = makeField({ name: "schema", schema: { "x-form": { title: `${label}, as JSON`, widget: "json" } } }, holder, inner);
    return [field, make("div", { class: "tools" }, toggle("As rows"))];
  };
  const toggle = (words) => {
    const button = make("button", { type: "button", class: "tool small", text: words });
    button.addEventListener("click", () => {
      if (asJson && !isPlain(holder.schema)) {
        button.after(make("span", { class: "quiet", role: "status", text: "Rows can't show this one: it is more than an object of plain properties." }));
        button.disabled = true;
        return;
      }
      asJson = !asJson;
      show();
      enhanceAll(place);
      place.querySelector("input, textarea, button")?.focus();
    });
    return button;
  };
  const show = () => place.replaceChildren(...(asJson ? text() : rows()));
  show();
  return { element: place, fieldset: true, wide: true };
}
