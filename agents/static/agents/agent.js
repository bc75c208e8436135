// The form of an agent. The text areas of what is JSON stay in the page's form and follow the fields made here.
import { Cards } from "../governance/form/cards.js";
import { ask, isObject, make } from "../governance/form/dom.js";
import { enhanceAll } from "../governance/form/editors.js";
import { makeField } from "../governance/form/fields.js";
import { fieldsOf } from "../governance/form/json_schema.js";
import { sentences } from "../governance/form/problems.js";

const root = document.getElementById("agent-fitting");
const settings = JSON.parse(root.dataset.settings);
const said = document.getElementById("agent-said");
const control = (name) => document.getElementById(`id_${name}`);
const form = root.closest("form");
const row = (name) => control(name).closest(".form-row");
const broken = new Set();
const state = {};
const parts = {};
let following = false;
let passed = false;

const listOf = (name) => {
  const id = `words-${name}`;
  if (!document.getElementById(id)) {
    root.append(make("datalist", { id }, ...(settings.words[name] ?? []).map((word) => make("option", { value: word }))));
  }
  return id;
};

function keep(name) {
  passed = false;
  following = true;
  control(name).value = JSON.stringify(state[name], null, 2);
  control(name).dispatchEvent(new Event("input", { bubbles: true }));
  following = false;
}

/** Put `build(value)`, which makes an element, in the place of a text area of JSON; again when a script fills it anew. */
function replace(name, empty, build) {
  const area = control(name);
  const place = make("div", { class: "fitted" });
  const begin = () => {
    try {
      const value = area.value.trim() ? JSON.parse(area.value) : structuredClone(empty);
      if (Array.isArray(value) !== Array.isArray(empty) || typeof value !== "object" || value === null) throw new Error();
      state[name] = value;
    } catch {
      place.hidden = true; // what can't be read is mended where it stands
      row(name).hidden = false;
      return;
    }
    place.hidden = false;
    row(name).hidden = true;
    place.replaceChildren(build());
    enhanceAll(place);
  };
  row(name).after(place);
  for (const list of row(name).querySelectorAll(".errorlist")) place.before(list);
  area.addEventListener("input", () => following || begin());
  begin();
  return place;
}

// --- the prompt: inline, or of the registry --------------------------------------------------------------------------

const kept = { prompt: control("prompt").value, prompt_key: control("prompt_key").value };
const radios = ["prompt", "prompt_key"].map((name) =>
  make("input", { type: "radio", name: "agent-source", value: name, checked: name === "prompt_key" ? kept.prompt_key !== "" : kept.prompt_key === "" }),
);
const chosen = () => radios.find((radio) => radio.checked).value;
const words = { prompt: "Written here", prompt_key: "From the registry" };
row("prompt").before(
  make(
    "fieldset",
    { class: "source" },
    make("legend", { class: "visually-hidden", text: "Where the prompt is from" }),
    ...radios.map((radio) => make("label", { class: "check" }, radio, ` ${words[radio.value]}`)),
  ),
);
const showSource = () => {
  for (const radio of radios) row(radio.value).hidden = radio.value !== chosen();
};
for (const radio of radios) radio.addEventListener("change", showSource);
showSource();

// --- words that are offered ------------------------------------------------------------------------------------------

function offer(name, id, wordsNow) {
  const list = make("datalist", { id });
  control(name).setAttribute("list", id);
  control(name).autocomplete = "off";
  root.append(list);
  return () => list.replaceChildren(...wordsNow().map((word) => make("option", { value: word })));
}
const offerPrompts = offer("prompt_key", "agent-prompts", () => settings.prompts[control("environment").value] ?? []);
const offerModels = offer("model", "agent-models", () => settings.models[control("provider").value] ?? []);
control("environment").addEventListener("change", offerPrompts);
control("provider").addEventListener("change", () => {
  offerModels();
  control("model").placeholder = settings.models[control("provider").value]?.[0] ?? "";
});
offerPrompts();
control("provider").dispatchEvent(new Event("change"));

// --- parameters, schema, tools ---------------------------------------------------------------------------------------

const context = (changed) => ({ broken, listOf, changed });

replace("config", {}, () => {
  const own = Object.keys(settings.parameters.properties);
  const numbers = {};
  const rest = { other: {} };
  for (const [name, value] of Object.entries(state.config)) {
    if (own.includes(name)) numbers[name] = value;
    else rest.other[name] = value;
  }
  if (!Object.keys(rest.other).length) delete rest.other;
  const changed = () => {
    state.config = { ...numbers, ...(isObject(rest.other) ? rest.other : {}) };
    keep("config");
  };
  const description = `A JSON object: ${settings.otherParameters.join(", ")}.`;
  const other = makeField({ name: "other", schema: { description, "x-form": { title: "Other parameters" } } }, rest, context(changed));
  const fields = fieldsOf(settings.parameters).map((one) => makeField(one, numbers, context(changed)));
  const more = make("details", { class: "more" }, make("summary", { text: "Other parameters" }), other);
  more.open = "other" in rest;
  more.addEventListener("toggle", () => enhanceAll(more));
  parts.config = other;
  return make("div", {}, make("div", { class: "fields" }, ...fields), more);
});

const schemaPlace = replace("output_schema", {}, () => {
  const holder = Object.keys(state.output_schema).length ? { schema: state.output_schema } : {};
  const changed = () => {
    state.output_schema = holder.schema ?? {};
    keep("output_schema");
  };
  const description = "The JSON Schema that the answer has to be valid by. Without one any JSON will do.";
  parts.output_schema = makeField({ name: "schema", schema: { description, "x-form": { title: "Schema of the answer", widget: "schema" } } }, holder, context(changed));
  return parts.output_schema;
});
const showSchema = () => {
  const wanted = control("output").value === "json" || Object.keys(state.output_schema ?? {}).length > 0;
  schemaPlace.hidden = !wanted || !row("output_schema").hidden;
};
control("output").addEventListener("change", showSchema);
showSchema();

replace("tools", [], () => {
  parts.tools = new Cards(state.tools, {
    kinds: settings.tools,
    noun: "tool",
    max: settings.mostTools,
    titleOf: (tool, place) => tool.name || tool.key || `tool ${place + 1}`,
    contextOf: () => ({ broken, listOf, settled: () => check().catch(() => {}) }),
    changed: () => keep("tools"),
  });
  return parts.tools.element;
});

// --- the checks of the server ----------------------------------------------------------------------------------------

let asked = 0;
async function check(all = false) {
  const number = ++asked;
  const { problems } = await (await ask(settings.check, { body: state })).json();
  if (number !== asked) return problems; // what is shown is of a later state
  for (const [name, part] of Object.entries(parts)) part.showProblems(problems[name] ?? (name === "tools" ? {} : []), { all });
  return problems;
}

function complain(sentence, field) {
  said.textContent = sentence;
  said.hidden = false;
  const target = field ?? form.querySelector(".field.faulty :is(input:not([type=checkbox]), select, .cm-content)");
  (target && target.offsetParent !== null ? target : said).focus();
}

async function pass(submitter) {
  if (broken.size) {
    const [first] = broken;
    return complain("Something can't be read yet: mend what is marked, then save.", first.control?.view?.contentDOM ?? first.control);
  }
  let problems = {};
  try {
    problems = await check(true);
  } catch (error) {
    if (error.refusal?.error) return complain(error.message);
  }
  if (sentences(problems).length) return complain("Nothing was saved yet: mend what is marked below.");
  // One of the two is the prompt; what was typed in the other is not meant.
  const other = radios.find((radio) => !radio.checked).value;
  control(other).value = "";
  control(other).dispatchEvent(new Event("input", { bubbles: true }));
  passed = true;
  form.requestSubmit(submitter);
}

form.addEventListener("submit", (event) => {
  if (passed) return;
  event.preventDefault();
  pass(event.submitter);
});
if (root.hasAttribute("data-tried")) check(true).catch(() => {});
root.dataset.ready = "true";
