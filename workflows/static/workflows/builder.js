// The form of a workflow. The text areas of its definition stay in the page's form and follow what is built here; they
// are what is saved. The same definition can be edited as JSON and as YAML.
import { Cards } from "../governance/form/cards.js";
import { ask, identity, isObject, make } from "../governance/form/dom.js";
import { enhanceAll } from "../governance/form/editors.js";
import { Names, inputBody, outputBody } from "./names.js";
import { idsOf } from "./references.js";

const root = document.getElementById("builder");
const settings = JSON.parse(root.dataset.settings);
const form = root.closest("form");
const PARTS = { inputs: {}, steps: [], outputs: {} };
const areas = Object.fromEntries(Object.keys(PARTS).map((name) => [name, document.getElementById(`id_${name}`)]));
const rows = Object.keys(PARTS).map((name) => areas[name].closest(".form-row"));
const views = [...root.querySelectorAll("[name=builder-view]")];
const places = Object.fromEntries(["form", "json", "yaml"].map((name) => [name, root.querySelector(`[data-view="${name}"]`)]));
const message = document.getElementById("builder-message");

let state = {};
let inputs, cards, outputs;
let following = false; // whether a change of the text areas is our own
let passed = false; // the server's check found no problem with what is sent
let tried = root.hasAttribute("data-tried");
let view = "form";
let asked = 0;
let waiting = 0;
const broken = new Set();

function showMessage(sentence, colour = "") {
  message.textContent = sentence;
  message.className = `note${colour ? ` ${colour}` : ""}`;
  message.hidden = !sentence;
}

// --- the definition --------------------------------------------------------------------------------------------------

function load() {
  const loaded = {};
  for (const [name, empty] of Object.entries(PARTS)) {
    const text = areas[name].value.trim();
    loaded[name] = text ? JSON.parse(text) : structuredClone(empty);
    if (Array.isArray(empty) !== Array.isArray(loaded[name]) || typeof loaded[name] !== "object" || loaded[name] === null) {
      throw new Error(`${name}: expected ${Array.isArray(empty) ? "a list" : "an object"}`);
    }
  }
  if (!loaded.steps.every(isObject)) throw new Error("steps: expected objects");
  state = loaded;
}

function writeAreas() {
  following = true;
  for (const name of Object.keys(PARTS)) {
    areas[name].value = JSON.stringify(state[name], null, 2);
    areas[name].dispatchEvent(new Event("input", { bubbles: true }));
  }
  following = false;
}

function changed() {
  passed = false;
  writeAreas();
  settle();
}

/** Have the server look at it, once nothing happened for a moment. */
function settle() {
  clearTimeout(waiting);
  waiting = setTimeout(() => check().catch(() => {}), 500);
}

// --- the form --------------------------------------------------------------------------------------------------------

const listOf = (name) => {
  const id = `words-${name}`;
  if (!document.getElementById(id)) {
    root.append(make("datalist", { id }, ...(settings.words[name] ?? []).map((word) => make("option", { value: word }))));
  }
  return id;
};

function cardsOf(steps, above) {
  const contextOf = (place) => ({
    ...base,
    later: () => idsOf(steps).slice(place + 1),
    names: () => [
      "input",
      ...(above ? ["item", "index"] : []),
      ...Object.keys(state.inputs ?? {}),
      ...(above?.before() ?? []),
      ...idsOf(steps).slice(0, place).map((id) => `steps.${id}.output`),
    ],
    before: () => [...(above?.before() ?? []), ...idsOf(steps).slice(0, place).map((id) => `steps.${id}.output`)],
    cards: (inner, context) => cardsOf(inner, context),
    settled: settle,
  });
  return new Cards(steps, {
    kinds: settings.types,
    common: settings.common,
    noun: "step",
    titleOf: (step, place) => step.name || idsOf(steps)[place],
    contextOf,
    changed,
  });
}

const base = { broken, listOf, comparisons: settings.comparisons, tests: settings.tests };

function showForm() {
  broken.clear();
  const context = { ...base, changed };
  inputs = new Names(state.inputs, {
    noun: "input",
    set: (value) => ((state.inputs = value), changed()),
    begin: () => ({}),
    bodyOf: inputBody(settings.inputs, context),
    context,
  });
  outputs = new Names(state.outputs, {
    noun: "output",
    set: (value) => ((state.outputs = value), changed()),
    begin: () => "",
    bodyOf: outputBody(context),
    context,
  });
  cards = cardsOf(state.steps, null);
  for (const [name, part] of Object.entries({ inputs, steps: cards, outputs })) {
    document.getElementById(`builder-${name}`).replaceChildren(part.element);
  }
  enhanceAll(places.form);
}

// --- the checks of the server ----------------------------------------------------------------------------------------

async function check({ all = false } = {}) {
  const number = ++asked;
  const answer = await (await ask(settings.check, { body: { ...state, ...(settings.id ? { id: settings.id } : {}) } })).json();
  if (number !== asked) return answer.problems;
  const { problems } = answer;
  if (view === "form") {
    inputs.showProblems(problems.inputs);
    cards.showProblems(problems.steps, { all: all || tried });
    outputs.showProblems(problems.outputs);
    if (!Object.keys(problems).length && message.classList.contains("bad")) showMessage("");
  } else {
    showMessage(answer.message, "bad");
  }
  return problems;
}

function complain(sentence, control) {
  showMessage(sentence, "bad");
  const target = control ?? root.querySelector(".problem:not([hidden])")?.closest(".field, .name-row, .card");
  const field = target?.matches?.("input, select, textarea, button") ? target : target?.querySelector("input:not([hidden]), select, .cm-content, button");
  const seen = field && field.offsetParent !== null ? field : message;
  if (seen === message) message.tabIndex = -1;
  seen.focus();
}

async function pass(submitter) {
  if (view === "yaml") await readYaml();
  if (broken.size) {
    complain("Something can't be read yet: mend what is marked, then save.", [...broken][0].control?.view?.contentDOM ?? [...broken][0].control);
    return;
  }
  tried = true;
  let problems = {};
  try {
    problems = await check({ all: true });
  } catch (error) {
    if (error.refusal?.error) return complain(error.message);
    // The check can't be reached: saving will show the problems.
  }
  const count = Object.keys(problems).length;
  if (count) return complain("Nothing was saved yet: mend what is marked below.");
  passed = true;
  form.requestSubmit(submitter);
}

// --- JSON and YAML ---------------------------------------------------------------------------------------------------

const jsonText = document.getElementById("builder-json");
const yamlText = document.getElementById("builder-yaml");
const trouble = { json: {}, yaml: {} };

function put(text, source, definition) {
  for (const name of Object.keys(definition)) if (!(name in PARTS)) throw new Error(`${name}: expected inputs, steps and outputs only`);
  const next = Object.fromEntries(Object.entries(PARTS).map(([name, empty]) => [name, definition[name] ?? structuredClone(empty)]));
  if (!Array.isArray(next.steps) || !next.steps.every(isObject)) throw new Error("steps: expected a list of objects");
  if (!isObject(next.inputs) || !isObject(next.outputs)) throw new Error("inputs and outputs: expected objects");
  state = next;
  broken.delete(trouble[source]);
  changed();
}

function fail(source, error, control) {
  trouble[source].control = control;
  broken.add(trouble[source]);
  showMessage(error.message, "bad");
}

function readJson() {
  try {
    const definition = JSON.parse(jsonText.value);
    if (!isObject(definition)) throw new Error("expected an object with inputs, steps and outputs");
    showMessage("");
    put(jsonText, "json", definition);
  } catch (error) {
    fail("json", error, jsonText);
  }
}

let yamlRead = null; // the text that the state is of
async function readYaml() {
  const text = yamlText.value;
  if (text === yamlRead) return;
  try {
    const answer = await (await ask(settings.convert, { body: { yaml: text } })).json();
    if (text !== yamlText.value) return;
    if (answer.problem) throw new Error(answer.problem);
    if (!isObject(answer.definition)) throw new Error("expected an object with inputs, steps and outputs");
    showMessage("");
    put(yamlText, "yaml", answer.definition);
    yamlRead = text;
  } catch (error) {
    fail("yaml", error, yamlText);
  }
}

let typing = 0;
jsonText.addEventListener("input", () => !following && view === "json" && readJson());
yamlText.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(readYaml, 500);
});

async function turnTo(wanted) {
  if (view === "yaml") await readYaml();
  if (broken.size && view !== wanted) {
    views.find((radio) => radio.value === view).checked = true;
    complain("This can't be read yet: mend it first.", [...broken][0].control);
    return;
  }
  if (wanted === "yaml") {
    try {
      yamlText.value = (await (await ask(settings.convert, { body: { definition: state } })).json()).yaml;
      yamlRead = yamlText.value;
    } catch (error) {
      views.find((radio) => radio.value === view).checked = true;
      return showMessage(error.message, "bad");
    }
  }
  view = wanted;
  showMessage("");
  for (const [name, place] of Object.entries(places)) place.hidden = name !== wanted;
  if (wanted === "json") {
    following = true;
    jsonText.value = JSON.stringify(state, null, 2);
    jsonText.dispatchEvent(new Event("input", { bubbles: true }));
    following = false;
    enhanceAll(places.json);
  }
  if (wanted === "form") {
    showForm();
    if (tried) await check().catch(() => {});
  }
}

for (const radio of views) radio.addEventListener("change", () => turnTo(radio.value));

// --- begin -----------------------------------------------------------------------------------------------------------

form.addEventListener("submit", (event) => {
  if (passed || root.hidden) return;
  event.preventDefault();
  pass(event.submitter);
});

function begin() {
  try {
    load();
  } catch (error) {
    // What came back can't be read: the plain text areas are where it is mended.
    root.hidden = true;
    for (const row of rows) row.hidden = false;
    return;
  }
  root.hidden = false;
  for (const row of rows) row.hidden = true;
  showForm();
  if (tried) check({ all: true }).catch(() => {});
}

// Another script put something in, or somebody mended the text by hand.
for (const area of Object.values(areas)) {
  area.addEventListener("input", () => {
    if (following) return;
    passed = false;
    begin();
  });
}
jsonText.id ||= identity();
begin();
root.dataset.ready = "true";
