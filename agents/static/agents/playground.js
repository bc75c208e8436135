// The playground: a text and its variables, run side by side with several models, settings or versions.
import { combobox } from "./combobox.js";
import { eventsOf } from "./events.js";
import { Variables, namesIn } from "./variables.js";
import { Variant } from "./variant.js";

const form = document.getElementById("playground");
const settings = JSON.parse(form.dataset.settings);
const part = (name) => document.getElementById(`playground-${name}`);
const token = form.querySelector("[name=csrfmiddlewaretoken]").value;
const variables = new Variables(part("variables"), part("no-variables"));
const variants = [];
const texts = new Map(); // of the chosen prompt, by the words that a variant has for them
let prompt = null;
let running = null;

function say(sentence, colour = "") {
  part("said").textContent = sentence;
  part("said").className = colour && sentence ? `note ${colour}` : "";
}

/** An answer of the server; throws an Error with its sentence when it says no. */
async function ask(url, options = {}) {
  const answer = await fetch(url, options);
  if (answer.redirected) {
    throw new Error("You are not logged in any more. Log in in another tab, then go on here.");
  }
  if (answer.ok) return answer;
  const body = await answer.json().catch(() => ({}));
  throw new Error(body.error ?? `The server answered ${answer.status}.`);
}

function post(url, body, signal) {
  const headers = { "Content-Type": "application/json", "X-CSRFToken": token };
  return ask(url, { method: "POST", headers, body: JSON.stringify(body), signal });
}

// --- the text --------------------------------------------------------------------------------------------------------

async function textOf(word) {
  if (!word) return part("content").value;
  if (word === "draft") return prompt.draft.content;
  const label = word === "live" ? prompt.live : word;
  if (!texts.has(label)) {
    const answer = await ask(`${settings.prompts}${prompt.id}/version/?label=${encodeURIComponent(label)}`);
    texts.set(label, await answer.json());
  }
  return texts.get(label).content;
}

function write(text) {
  part("content").value = text;
  part("content").dispatchEvent(new Event("input", { bubbles: true })); // the editor over it follows
}

async function showVariables() {
  const used = await Promise.all([...new Set(variants.map(({ version }) => version))].map(textOf));
  variables.show(namesIn(...used));
}

const changed = () => showVariables().catch((error) => say(error.message, "bad"));

async function open(id, label = "") {
  prompt = await (await ask(`${settings.prompts}${id}/`)).json();
  texts.clear();
  if (label && label !== "draft") await textOf(label);
  const text = label && label !== "draft" ? texts.get(label === "live" ? prompt.live : label) : prompt.draft;
  write(text.content);
  part("search").value = prompt.key;
  part("place").textContent = `${prompt.key} in ${prompt.workspace} / ${prompt.environment}, ${prompt.status}`;
  for (const variant of variants) {
    variant.offer(prompt);
    variant.fill(text);
  }
  showPlace();
  changed();
}

function leave() {
  prompt = null;
  texts.clear();
  part("search").value = part("place").textContent = "";
  for (const variant of variants) variant.offer(null);
  showPlace();
  changed();
}

function showPlace() {
  part("leave").hidden = !prompt;
  part("workspace-field").hidden = Boolean(prompt);
  for (const variant of variants) variant.maySave(Boolean(prompt) && settings.maySave);
}

async function save(variant) {
  try {
    const { model = "", config } = variant.wishes();
    const word = variant.version;
    const label = word === "live" ? prompt.live : word;
    const text = !word || word === "draft" ? { content: await textOf(word) } : { label };
    const answer = await post(`${settings.prompts}${prompt.id}/save/`, { ...text, model, config, if_match: prompt.etag });
    const saved = await answer.json();
    prompt = await (await ask(`${settings.prompts}${prompt.id}/`)).json();
    prompt.etag = saved.etag;
    say(`Saved as the draft of ${prompt.key}.`);
    showPlace();
  } catch (error) {
    say(`${error.message} Nothing was saved.`, "bad");
  }
}

// --- the variants ----------------------------------------------------------------------------------------------------

function name() {
  variants.forEach((variant, number) => variant.call(String.fromCharCode(65 + number), variants.length === 1));
  part("add").disabled = variants.length >= settings.most;
}

function add() {
  const variant = new Variant(document.getElementById("playground-variant"), settings, { remove, save, changed });
  variant.offer(prompt);
  if (variants.length) variant.copy(variants.at(-1));
  variants.push(variant);
  part("variants").append(variant.element);
  name();
  showPlace();
  changed();
}

function remove(variant) {
  variants.splice(variants.indexOf(variant), 1);
  variant.element.remove();
  name();
  changed();
  part("add").focus();
}

// --- running ---------------------------------------------------------------------------------------------------------

async function run() {
  if (running) return;
  const asked = [...variants];
  const open = new Set(asked);
  running = new AbortController();
  try {
    const body = {
      ...(prompt ? { id: prompt.id } : { workspace_id: part("workspace").value }),
      content: part("content").value,
      variables: variables.values(),
      strict: part("strict").checked,
      variants: asked.map((variant) => variant.wishes()),
    };
    say("");
    asked.forEach((variant) => variant.begin());
    show(true);
    const answer = await post(settings.run, body, running.signal);
    for await (const [event, data] of eventsOf(answer)) {
      const variant = asked[data.variant];
      if (event === "delta") variant.add(data.text);
      else if (event === "variant") {
        open.delete(variant);
        variant.end(data);
      }
    }
    if (open.size) throw new Error("The connection broke before the end.");
  } catch (error) {
    say(error.name === "AbortError" ? "Stopped." : error.message, error.name === "AbortError" ? "" : "bad");
  } finally {
    open.forEach((variant) => variant.over());
    running = null;
    show(false);
  }
}

function show(busy) {
  part("run").disabled = busy;
  part("stop").hidden = !busy;
}

// --- begin -----------------------------------------------------------------------------------------------------------

combobox(part("search"), part("found"), {
  async find(typed) {
    try {
      const answer = await ask(`${settings.prompts}?q=${encodeURIComponent(typed)}`);
      return (await answer.json()).data.map((each) => ({
        id: each.id,
        title: each.key,
        facts: [each.name, `${each.workspace} / ${each.environment}`, each.status].filter(Boolean).join(" · "),
      }));
    } catch (error) {
      say(error.message, "bad");
      return [];
    }
  },
  choose: ({ id }) => open(id).catch((error) => say(error.message, "bad")),
});
part("content").addEventListener("input", changed);
part("leave").addEventListener("click", leave);
part("add").addEventListener("click", add);
part("stop").addEventListener("click", () => running?.abort());
form.addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
form.addEventListener(
  "keydown",
  (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    event.stopPropagation(); // an editor would make a line of it
    run();
  },
  true,
);
add();
if (settings.prompt) open(settings.prompt, settings.version).catch((error) => say(error.message, "bad"));
form.dataset.ready = "true";
