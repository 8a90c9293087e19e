import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Frame } from "./cpu-profile.ts";

/** Of the whole time; a frame that is shorter would be narrower than a pixel. */
const MIN_SHARE = 0.0005;

/**
 * A flame graph as one page that needs no network: the width of a frame is its share of the time, above it is who called
 * it. Drawn by d3-flame-graph, which is kept up (5.0 is of 2026), zooms and searches, and fits into the page. speedscope
 * can do more, but is a page and files that it loads by itself; 0x wants to start the process itself; flamebearer no
 * longer draws graphs.
 *
 * @param root values are microseconds.
 */
export function flameGraphPage(title: string, root: Frame): string {
  const libraries = [
    browserBuild("d3", "d3.min.js"),
    browserBuild("d3-flame-graph", "d3-flamegraph.umd.min.js"),
  ];
  // As JSON could end the script that it is in.
  const data = `const root = ${JSON.stringify(visible(root, root.value * MIN_SHARE)).replaceAll("<", "\\u003c")};`;
  const scripts = [...libraries, data, draw].map((text) => `<script>${text}</script>`).join("\n");
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>${title}</title>
<style>body { margin: 1em; font-family: sans-serif }</style>
<h1>${title}</h1>
<p><label>Search <input id="search" type="search"></label> A click zooms in. <span id="details"></span></p>
<div id="chart"></div>
${scripts}
</html>
`;
}

function visible({ name, value, children }: Frame, min: number): Frame {
  const shown = children.filter((child) => child.value >= min);
  return { name, value, children: shown.map((child) => visible(child, min)) };
}

/** In the folder that the package's main file is in. */
function browserBuild(name: string, file: string): string {
  return readFileSync(join(dirname(fileURLToPath(import.meta.resolve(name))), file), "utf8");
}

const draw = `
const ms = (micros) => (micros / 1000).toFixed(1) + " ms";
const label = ({ data, value }) => data.name + ", " + ms(value) + ", " + ((100 * value) / root.value).toFixed(2) + "%";
const chart = flamegraph.default()
  .width(document.body.clientWidth)
  .inverted(true)
  .sort(true)
  .transitionDuration(0)
  .setLabelHandler(label);
chart.setDetailsElement(document.getElementById("details"));
d3.select("#chart").datum(root).call(chart);
document.getElementById("search").addEventListener("input", ({ target }) =>
  target.value === "" ? chart.clear() : chart.search(target.value));
`;
