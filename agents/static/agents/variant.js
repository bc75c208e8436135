// One of the runs side by side: what it is made with, and what came of it.
import { figuresOf } from "./figures.js";

export class Variant {
  constructor(template, settings, { remove, save, changed }) {
    this.settings = settings;
    this.element = template.content.firstElementChild.cloneNode(true);
    this.ran = null;
    const provider = this.#field("provider");
    for (const { name, label, configured } of settings.providers) {
      provider.add(new Option(configured ? label : `${label} (no key)`, name));
    }
    provider.addEventListener("change", () => this.#suggest());
    this.#field("version").addEventListener("change", changed);
    this.#part(".variant-remove").addEventListener("click", () => remove(this));
    this.#part(".variant-save").addEventListener("click", () => save(this));
    this.#suggest();
  }

  #part(selector) {
    return this.element.querySelector(selector);
  }

  #field(name) {
    return this.element.querySelector(`[name="${name}"]`);
  }

  #suggest() {
    const chosen = this.settings.providers.find(({ name }) => name === this.#field("provider").value);
    this.#field("model").placeholder = chosen?.default_model ?? "";
  }

  call(name, alone) {
    this.name = name;
    this.#part("h2").textContent = `Variant ${name}`;
    this.#part(".variant-remove").hidden = alone;
    this.#part(".variant-remove").setAttribute("aria-label", `Remove variant ${name}`);
    this.#part(".variant-output").setAttribute("aria-label", `Output of variant ${name}`);
    this.#part(".variant-save").setAttribute("aria-label", `Save variant ${name} as draft`);
  }

  /** Offer the texts of a stored prompt, or none but the one above. */
  offer(prompt) {
    const field = this.#field("version");
    const before = field.value;
    field.replaceChildren(new Option("The text above", ""));
    if (prompt) {
      field.add(new Option("Draft", "draft"));
      if (prompt.live) field.add(new Option(`Live (${prompt.live})`, "live"));
      for (const label of prompt.labels) field.add(new Option(label, label));
    }
    if ([...field.options].some((option) => option.value === before)) field.value = before;
    field.disabled = field.options.length === 1;
  }

  /** Begin with what a stored text has of its own. */
  fill({ model, config }) {
    const { temperature = "", max_tokens = "", ...rest } = config;
    this.#field("model").value = model;
    this.#field("temperature").value = temperature;
    this.#field("max_tokens").value = max_tokens;
    this.#field("config").value = Object.keys(rest).length ? JSON.stringify(rest, null, 2) : "";
  }

  copy(other) {
    for (const name of ["version", "provider", "model", "temperature", "max_tokens", "config"]) {
      this.#field(name).value = other.#field(name).value;
    }
    this.#suggest();
  }

  get version() {
    return this.#field("version").value;
  }

  /** What to ask for. Throws an Error with a sentence for what can't be read. */
  wishes() {
    const config = {};
    const typed = this.#field("config").value.trim();
    if (typed) {
      try {
        Object.assign(config, JSON.parse(typed));
      } catch {
        this.#part(".variant-more").open = true;
        this.#field("config").focus();
        throw new Error(`Variant ${this.name}: the other parameters are no JSON object.`);
      }
    }
    for (const name of ["temperature", "max_tokens"]) {
      if (this.#field(name).value !== "") config[name] = Number(this.#field(name).value);
    }
    const model = this.#field("model").value.trim();
    return {
      ...(this.version ? { version: this.version } : {}),
      provider: this.#field("provider").value,
      ...(model ? { model } : {}),
      config,
    };
  }

  // --- a run -----------------------------------------------------------------------------------------------------

  begin() {
    for (const selector of [".variant-error", ".variant-missing", ".variant-figures", ".variant-rendered", ".variant-run"]) {
      this.#part(selector).hidden = true;
    }
    const output = this.#part(".variant-output");
    output.textContent = "";
    output.hidden = false;
    output.setAttribute("aria-busy", "true");
    this.element.classList.add("running");
  }

  add(text) {
    const output = this.#part(".variant-output");
    const atEnd = output.scrollHeight - output.scrollTop - output.clientHeight < 30;
    output.append(text);
    if (atEnd) output.scrollTop = output.scrollHeight;
  }

  end({ error, result, rendered, missing = [], run_id: run }) {
    this.over();
    const told = this.#part(".variant-error");
    told.hidden = !error;
    told.textContent = error ?? "";
    const output = this.#part(".variant-output");
    if (result) output.textContent = result.output; // what came by pieces, whole
    output.hidden = output.textContent === "";
    this.#part(".variant-missing").hidden = !missing.length;
    this.#part(".variant-missing").textContent = `No value for ${missing.join(", ")}: it was sent as it is written.`;
    if (result) {
      for (const [name, text] of Object.entries(figuresOf(result))) this.#part(`[data-figure="${name}"]`).textContent = text;
      this.#part(".variant-figures").hidden = false;
    }
    if (rendered !== undefined) {
      this.#part(".variant-rendered").hidden = false;
      this.#part(".variant-rendered pre").textContent = rendered;
    }
    if (run) {
      this.#part(".variant-run").hidden = false;
      this.#part(".variant-run").href = `${this.settings.runs}${run}/change/`;
    }
  }

  /** It goes on no more, whatever came of it. */
  over() {
    this.element.classList.remove("running");
    this.#part(".variant-output").removeAttribute("aria-busy");
  }

  maySave(may) {
    this.#part(".variant-save").hidden = !may;
  }
}
