// Draws the charts of the statistics page from the address that it names. Their tables are on the page without it.
import { draw } from "../promptops/chart.js";

const place = document.querySelector("[data-charts]");
const count = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const money = new Intl.NumberFormat("en", { style: "currency", currency: "USD", maximumSignificantDigits: 3 });
const WRITE = {
  ms: (value) => (value < 1000 ? `${Math.round(value)} ms` : `${count.format(value / 1000)} s`),
  usd: (value) => money.format(value),
};

function drawAll({ starts, groups, charts }) {
  for (const { name, unit, values } of charts) {
    const element = place.querySelector(`[data-figure="${name}"]`);
    const kind = groups.length === 1 && unit !== "ms" ? "bars" : "line";
    const series = groups.map((label, number) => ({ label: label || "all", values: values[number], kind, color: number + 1 }));
    element.replaceChildren();
    draw(element, { times: starts, series, write: WRITE[unit] ?? ((value) => count.format(value)) });
  }
  place.dataset.drawn = "true";
}

async function load() {
  const answer = await fetch(place.dataset.charts, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(`the figures could not be fetched (${answer.status})`);
  return answer.json();
}

if (place) {
  const figures = await load();
  const again = () => drawAll(figures);
  again();
  new MutationObserver(again).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  let waiting = 0;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(again, 150);
  });
}
