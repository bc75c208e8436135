// Makes promptops/static/promptops/vendor/: one module for each library, its style sheet, and everybody's licences.
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { build } from "esbuild";

// style-mod, by which CodeMirror brings its styles, makes a <style> element in a document, which `default-src 'self'`
// refuses; a constructed style sheet, as it makes in a shadow root, does the same and is allowed.
const constructedStyleSheets = {
  name: "constructed-style-sheets",
  setup({ onLoad }) {
    onLoad({ filter: /style-mod\/src\/style-mod\.js$/ }, async ({ path }) => {
      const text = await readFile(path, "utf8");
      const condition = "!root.head && root.adoptedStyleSheets";
      if (!text.includes(condition)) throw new Error("style-mod has changed: look again at how it decides");
      return { contents: text.replace(condition, "root.adoptedStyleSheets") };
    });
  },
};

const folder = new URL("../promptops/static/promptops/vendor/", import.meta.url);
const here = new URL("./", import.meta.url);
await mkdir(folder, { recursive: true });

const { metafile } = await build({
  absWorkingDir: here.pathname,
  entryPoints: ["codemirror.js", "uplot.js"],
  outdir: folder.pathname,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none",
  metafile: true,
  plugins: [constructedStyleSheets],
});
await copyFile(new URL("node_modules/uplot/dist/uPlot.min.css", here), new URL("uplot.css", folder));

const names = new Set();
for (const input of Object.keys(metafile.inputs)) {
  const name = input.match(/^node_modules\/((?:@[^/]+\/)?[^/]+)\//)?.[1];
  if (name) names.add(name);
}
const texts = ["What is in this folder was made of these packages, under these licences."];
for (const name of [...names].sort()) {
  const root = new URL(`node_modules/${name}/`, here);
  const { version } = JSON.parse(await readFile(new URL("package.json", root), "utf8"));
  texts.push(`${name} ${version}\n\n${(await readFile(new URL("LICENSE", root), "utf8")).trim()}`);
}
await writeFile(new URL("LICENSES.txt", folder), texts.join(`\n\n${"-".repeat(80)}\n\n`) + "\n");
