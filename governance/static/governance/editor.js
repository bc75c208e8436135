// Makes an editor of each text area that asks for one by `data-editor`: "template" (variables in it stand out) or "json".
// The text area stays in the form and follows the editor, with `input` events; without scripts it is what one types in.
import {
  Decoration,
  EditorState,
  EditorView,
  HighlightStyle,
  MatchDecorator,
  ViewPlugin,
  drawSelection,
  highlightActiveLine,
  highlightSelectionMatches,
  history,
  historyKeymap,
  json,
  keymap,
  lineNumbers,
  minimalSetup,
  searchKeymap,
  syntaxHighlighting,
  tags,
} from "../promptops/vendor/codemirror.js";
import { VARIABLE } from "./variable.js";

const theme = EditorView.theme({
  "&": {
    border: "1px solid var(--field-border-color)",
    borderRadius: "var(--radius)",
    backgroundColor: "var(--surface)",
    color: "var(--body-fg)",
    fontSize: "0.8125rem",
  },
  "&.cm-focused": { outline: "2px solid var(--focus)", outlineOffset: "0" },
  ".cm-scroller": { fontFamily: "var(--font-family-monospace)", lineHeight: "1.55", maxHeight: "60vh" },
  ".cm-content": { caretColor: "var(--body-loud-color)", padding: "0.5rem 0" },
  ".cm-cursor": { borderLeftColor: "var(--body-loud-color)" },
  ".cm-gutters": { backgroundColor: "transparent", border: "0", color: "var(--body-quiet-color)" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "transparent" },
  "&.cm-focused .cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--selected-bg) 45%, transparent)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "var(--selected-bg)",
  },
  ".cm-variable": {
    borderRadius: "3px",
    backgroundColor: "var(--variable-bg)",
    color: "var(--variable-fg)",
    fontWeight: "600",
  },
  ".cm-panels": { backgroundColor: "var(--well)", color: "var(--body-fg)" },
  ".cm-panel.cm-search input, .cm-panel.cm-search button": { fontSize: "0.75rem" },
});

const colors = HighlightStyle.define([
  { tag: tags.propertyName, color: "var(--link-fg)" },
  { tag: tags.string, color: "var(--good-fg)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--variable-fg)" },
]);

const variable = new MatchDecorator({
  regexp: VARIABLE,
  decoration: Decoration.mark({ class: "cm-variable" }),
});

const variables = ViewPlugin.fromClass(
  class {
    constructor(view) {
      this.decorations = variable.createDeco(view);
    }
    update(update) {
      this.decorations = variable.updateDeco(update, this.decorations);
    }
  },
  { decorations: (plugin) => plugin.decorations },
);

const LANGUAGES = {
  template: () => [variables],
  json: () => [json(), syntaxHighlighting(colors)],
};

/** Put an editor in the text area's place; returns its view. */
export function enhance(textarea) {
  const label = textarea.labels?.[0];
  const attributes = { "aria-label": label?.textContent.replace(/:\s*$/, "").trim() ?? textarea.name };
  for (const name of ["aria-describedby", "aria-invalid"]) {
    if (textarea.hasAttribute(name)) attributes[name] = textarea.getAttribute(name);
  }
  let mine = false; // whether a change of the text area is the editor's own
  const follow = EditorView.updateListener.of((update) => {
    if (!update.docChanged || mine) return;
    mine = true;
    textarea.value = update.state.doc.toString();
    textarea.dispatchEvent(new Event("input", { bubbles: true }));
    mine = false;
  });
  const view = new EditorView({
    doc: textarea.value,
    extensions: [
      minimalSetup,
      history(),
      drawSelection(),
      lineNumbers(),
      highlightActiveLine(),
      highlightSelectionMatches(),
      keymap.of([...historyKeymap, ...searchKeymap]),
      EditorView.lineWrapping,
      EditorState.readOnly.of(textarea.readOnly),
      EditorView.contentAttributes.of(attributes),
      (LANGUAGES[textarea.dataset.editor] ?? LANGUAGES.template)(),
      theme,
      follow,
    ],
  });
  view.dom.classList.add("editor");
  view.scrollDOM.style.minHeight = `${Math.min(textarea.rows, 20) * 1.25}rem`;
  textarea.after(view.dom);
  textarea.hidden = true;
  label?.addEventListener("click", () => view.focus());
  // Another script put something into the text area: take it over.
  textarea.addEventListener("input", () => {
    if (mine || textarea.value === view.state.doc.toString()) return;
    mine = true;
    view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: textarea.value } });
    mine = false;
  });
  return view;
}

for (const textarea of document.querySelectorAll("textarea[data-editor]")) enhance(textarea);

// The buttons that put what somebody else saved into the form (conflict.html).
for (const button of document.querySelectorAll("button[data-take]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const field = document.getElementById(button.dataset.take);
    field.value = button.dataset.value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    button.textContent = "Taken over";
  });
}
