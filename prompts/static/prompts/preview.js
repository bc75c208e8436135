// The preview of a draft: its variables as fields for example values, and the text as the server renders it with them.
// The server renders, so that there is one truth; values stay in this tab.
const panel = document.getElementById("preview");
const content = document.getElementById("id_content");

if (panel && content) {
  const fields = document.getElementById("preview-variables");
  const text = document.getElementById("preview-text");
  const missing = document.getElementById("preview-missing");
  const csrf = document.querySelector("[name=csrfmiddlewaretoken]").value;
  const place = `promptops.examples.${panel.dataset.key}`;
  const values = JSON.parse(sessionStorage.getItem(place) ?? "{}");
  let waiting = 0;
  let asked = 0;

  const given = () => Object.fromEntries(Object.entries(values).filter(([, value]) => value !== ""));

  /** One field for each variable; those that are there already stay, so that nobody loses the focus. */
  const show = (names) => {
    const there = new Map([...fields.querySelectorAll("label")].map((label) => [label.dataset.name, label]));
    for (const [name, label] of there) if (!names.includes(name)) label.remove();
    for (const name of names) {
      if (there.has(name)) continue;
      const label = document.createElement("label");
      const input = document.createElement("input");
      label.dataset.name = name;
      const said = document.createElement("span");
      said.textContent = name;
      input.type = "text";
      input.autocomplete = "off";
      input.value = values[name] ?? "";
      input.addEventListener("input", () => {
        values[name] = input.value;
        sessionStorage.setItem(place, JSON.stringify(values));
        soon();
      });
      // Enter in a field of the preview saves nothing.
      input.addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault());
      label.append(said, input);
      fields.append(label);
    }
    fields.hidden = names.length === 0;
  };

  const tell = (sentence, grave = false) => {
    missing.hidden = sentence === "";
    missing.classList.toggle("bad", grave);
    missing.textContent = sentence;
  };

  const render = async () => {
    const number = ++asked;
    let answer;
    try {
      const response = await fetch(panel.dataset.url, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-CSRFToken": csrf },
        body: JSON.stringify({ content: content.value, variables: given() }),
      });
      answer = await response.json();
    } catch {
      answer = { error: "the server can't be reached" };
    }
    if (number !== asked) return; // somebody typed on meanwhile
    if (answer.error) {
      tell(`No preview: ${answer.error}.`, true);
      return;
    }
    show(answer.variables);
    text.textContent = answer.text;
    const names = answer.missing.join(", ");
    tell(names && `No value for ${names}: what is missing stays in the text as it is written.`);
  };

  const soon = () => {
    clearTimeout(waiting);
    waiting = setTimeout(render, 200);
  };

  panel.hidden = false;
  content.addEventListener("input", soon);
  render();
}
