// Draws what a page has in `data-chart`: {"times": [seconds], "series": [{"label", "values", "kind": "bars"|"line", "color": 1}]}.
// The figures come with the page, so that it is whole without a second request; colours are the style sheet's variables.
import uPlot from "./vendor/uplot.js";

const probe = document.createElement("span");
probe.hidden = true;
document.body.append(probe);

/** The colour that a variable stands for at this moment, light or dark. */
function color(name) {
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

function translucent(rgb, share) {
  return rgb.replace("rgb(", "rgba(").replace(")", `, ${share})`);
}

/** Whether a line would not show all of them: a value without neighbours is no line. */
function lonely(values) {
  const missing = (value) => value === null || value === undefined;
  return values.some((value, place) => !missing(value) && missing(values[place - 1]) && missing(values[place + 1]));
}

/** `write` makes a value a text, for the axis and the legend. */
export function draw(element, { times, series, unit = "", write = (value) => value.toLocaleString() + unit }, height = 160) {
  const bars = uPlot.paths.bars({ size: [0.7, 24], radius: 0.15 });
  const axis = { stroke: color("--body-quiet-color"), font: "11px system-ui", ticks: { show: false } };
  const grid = { stroke: color("--hairline-color"), width: 1 };
  const step = times.length > 1 ? times[1] - times[0] : 3600;
  const options = {
    width: element.clientWidth,
    height,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"), // as all times here
    cursor: { drag: { x: false, y: false } },
    legend: { live: true },
    scales: {
      // Half a step more on either side, or the first and the last bar would be cut.
      ...(series.some(({ kind }) => kind === "bars") && { x: { range: (_plot, from, to) => [from - step / 2, to + step / 2] } }),
      y: { range: (_plot, _low, high) => [0, high > 0 ? high * 1.1 : 1] },
    },
    axes: [
      { ...axis, grid: { show: false } },
      { ...axis, grid, size: 56, values: (_plot, values) => values.map(write) },
    ],
    series: [
      {},
      ...series.map(({ label, values, kind = "line", color: number }, place) => {
        const stroke = color(`--chart-${number ?? place + 1}`);
        const shape = kind === "bars" ? { paths: bars, fill: stroke, width: 0 } : { fill: translucent(stroke, 0.08), width: 1.5 };
        const value = (_plot, value) => (value === null ? "\u2013" : write(value));
        return { label, stroke, value, points: { show: kind === "line" && lonely(values), size: 5 }, ...shape };
      }),
    ],
  };
  return new uPlot(options, [times, ...series.map(({ values }) => values)], element);
}

function drawAll() {
  for (const element of document.querySelectorAll("[data-chart]")) {
    element.replaceChildren();
    draw(element, JSON.parse(element.dataset.chart), Number(element.dataset.height ?? 160));
  }
}

drawAll();
new MutationObserver(drawAll).observe(document.documentElement, { attributeFilter: ["data-theme"] });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
let waiting = 0;
addEventListener("resize", () => {
  clearTimeout(waiting);
  waiting = setTimeout(drawAll, 150);
});
