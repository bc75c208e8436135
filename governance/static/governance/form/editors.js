// Text areas that become editors.
import { make } from "./dom.js";
import { enhance } from "../editor.js";

/** A text area in whose place an editor comes, once it is on the page. */
export function area(id, text, { rows, language, oninput, label }) {
  const control = make("textarea", { id, rows, spellcheck: "false", class: "code", "data-editor": language, "data-label": label });
  control.value = text;
  control.addEventListener("input", oninput);
  return control;
}

/** The editors of those text areas below `element` that have none yet; to be called when they are on the page. */
export function enhanceAll(element) {
  for (const control of element.querySelectorAll("textarea[data-editor]")) {
    if (control.hidden || !control.isConnected) continue;
    control.view = enhance(control);
  }
}
