// The next times of a schedule, as one types its cron expression.
import { ask, make } from "../governance/form/dom.js";

const panel = document.getElementById("schedule");
const place = document.getElementById("schedule-next");
const fields = { cron: document.getElementById("id_cron"), timezone: document.getElementById("id_timezone") };
let waiting = 0;
let asked = 0;

async function look() {
  const number = ++asked;
  panel.hidden = fields.cron.value.trim() === "";
  if (panel.hidden) return;
  const query = new URLSearchParams(Object.entries(fields).map(([name, field]) => [name, field.value.trim()]));
  let made;
  try {
    const { ticks, problem } = await (await ask(`${panel.dataset.url}?${query}`)).json();
    if (problem) throw new Error(problem);
    made = make("ul", { class: "ticks" }, ...ticks.map((text) => make("li", { text })));
  } catch (error) {
    made = make("p", { class: "note warn", text: error.message });
  }
  if (number === asked) place.replaceChildren(made);
}

for (const field of Object.values(fields)) {
  field.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(look, 300);
  });
}
look();
