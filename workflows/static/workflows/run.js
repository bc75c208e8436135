// A run's page while the run goes on: each second the part that moves, if it has changed. What is open stays open.
const place = document.getElementById("run-live");
const EVERY = 1000;

const going = () => place.querySelector("[data-going]") !== null;
/** Somebody is about to decide: what they type must not be taken away. */
const busy = () => place.contains(document.activeElement) && document.activeElement.matches("textarea, select");

function put(text) {
  const open = new Set([...place.querySelectorAll("details[open]")].map((details) => details.dataset.key));
  const typed = new Map([...place.querySelectorAll("textarea")].map((area) => [area.id, area.value]));
  const focused = place.contains(document.activeElement) ? document.activeElement.id : "";
  const key = document.activeElement?.closest?.("details[data-key]")?.dataset.key;
  const page = new DOMParser().parseFromString(text, "text/html");
  place.replaceChildren(...page.body.childNodes);
  for (const details of place.querySelectorAll("details[data-key]")) details.open = open.has(details.dataset.key);
  for (const [id, value] of typed) {
    const area = document.getElementById(id);
    if (area) area.value = value;
  }
  if (focused) document.getElementById(focused)?.focus();
  else if (key) place.querySelector(`details[data-key="${CSS.escape(key)}"] summary`)?.focus();
}

async function look() {
  const seen = place.querySelector("[data-tag]").dataset.tag;
  const answer = await fetch(`${place.dataset.url}?seen=${encodeURIComponent(seen)}`);
  if (answer.status === 200 && !answer.redirected && !busy()) put(await answer.text());
}

async function follow() {
  while (going()) {
    await new Promise((done) => setTimeout(done, EVERY));
    if (!document.hidden) await look().catch(() => {});
  }
}

follow();
