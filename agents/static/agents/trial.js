// An agent tried on its own page: what it says as it says it, and the tools that it calls.
import { ask, make } from "../governance/form/dom.js";
import { eventsOf } from "./events.js";
import { figuresOf, time } from "./figures.js";
import { Variables } from "./variables.js";

const part = (name) => document.getElementById(`trial-${name}`);
const root = document.getElementById("trial");
const settings = JSON.parse(root.dataset.settings);
const variables = new Variables(part("variables"), part("none"));
let running = null;
let session = "";
let output = null; // where what it says goes
const calls = new Map();

function turn(number) {
  output = null;
  calls.clear();
  if (number > 1) part("turns").append(make("li", { class: "trial-turn", text: `Turn ${number}` }));
}

function say(text) {
  if (!output) {
    output = make("pre", { tabindex: 0, role: "region", "aria-label": "What it says" });
    part("turns").append(make("li", {}, output));
  }
  output.append(text);
  output.scrollTop = output.scrollHeight;
}

function called({ id, name, arguments: given }) {
  const result = make("pre", { tabindex: 0, role: "region", "aria-label": `What ${name} gave`, hidden: true });
  const state = make("span", { class: "badge info", text: "at work" });
  const element = make(
    "li",
    { class: "trial-call" },
    make("p", {}, make("strong", { text: name }), " ", state, " ", make("code", { text: given })),
    result,
  );
  calls.set(id, { state, result, element });
  part("turns").append(element);
  output = null;
}

function returned({ id, output: text, error, latency_ms: latency, run_id: run }) {
  const call = calls.get(id);
  if (!call) return;
  call.state.className = `badge ${error ? "bad" : "good"}`;
  call.state.textContent = error ? "failed" : time(latency);
  call.result.hidden = false;
  call.result.textContent = text;
  if (run) call.element.firstElementChild.append(" ", make("a", { href: `${settings.runs}${run}/change/`, text: "its run" }));
}

function over(answer) {
  const { error, result, missing = [], run_id: run, session_id: id, turns } = answer;
  part("error").hidden = !error;
  part("error").textContent = error ?? "";
  if (result) {
    const whole = "parsed" in result ? JSON.stringify(result.parsed, null, 2) : result.output;
    if (!output) say("");
    output.textContent = whole;
    const figures = { ...figuresOf(result), turns: String(turns?.length ?? 1) };
    for (const [name, text] of Object.entries(figures)) root.querySelector(`[data-figure="${name}"]`).textContent = text;
    part("status").textContent = "Done.";
  }
  part("figures").hidden = !result;
  part("missing").hidden = !missing.length;
  part("missing").textContent = `No value for ${missing.join(", ")}: it was sent as it is written.`;
  if (id) session = id;
  part("anew").hidden = !session;
  part("link").hidden = !run;
  if (run) part("link").href = `${settings.runs}${run}/change/`;
}

function show(busy) {
  part("run").disabled = busy;
  part("stop").hidden = !busy;
  root.classList.toggle("running", busy);
}

async function run() {
  if (running) return;
  running = new AbortController();
  let ended = false;
  try {
    const remembers = part("session").checked;
    const body = {
      variables: variables.values(),
      stream: true,
      ...(remembers ? (session ? { session_id: session } : { session: true }) : {}),
    };
    for (const name of ["error", "missing", "figures", "link"]) part(name).hidden = true;
    part("turns").replaceChildren();
    turn(1);
    show(true);
    const answer = await ask(settings.url, { body, signal: running.signal });
    for await (const [event, data] of eventsOf(answer)) {
      if (event === "delta") say(data.text);
      else if (event === "turn") turn(data.turn);
      else if (event === "tool_call") called(data);
      else if (event === "tool_result") returned(data);
      else {
        ended = true;
        over(data);
      }
    }
    if (!ended) throw new Error("The connection broke before the end.");
  } catch (error) {
    part("error").hidden = false;
    part("error").textContent = error.name === "AbortError" ? "Stopped." : error.message;
    if (error.refusal?.run_id) over(error.refusal);
  } finally {
    running = null;
    show(false);
  }
}

part("form").addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
part("stop").addEventListener("click", () => running?.abort());
part("anew").addEventListener("click", () => {
  session = "";
  part("anew").hidden = true;
  part("turns").replaceChildren();
});
document.getElementById("agent_form")?.addEventListener("input", (event) => {
  if (event.isTrusted) part("unsaved").hidden = false;
});
variables.show(settings.names ?? []);
root.hidden = false;
root.dataset.ready = "true";
