// A button with `data-copy` puts the text of the element that it names into the clipboard, and says so.
"use strict";

async function copy(text, element) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // No clipboard without https: select it, so that one key does the rest.
    getSelection().selectAllChildren(element);
    return document.execCommand("copy");
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const element = document.getElementById(button.dataset.copy);
  const done = await copy(element.textContent, element);
  button.textContent = done ? "Copied" : "Selected: copy it with your keyboard";
  button.setAttribute("aria-live", "polite");
});
