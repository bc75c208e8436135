// A list of things of several kinds, a card each: added, moved, copied, removed and edited. The items are plain objects
// that are changed in place, so that what no field knows of stays in them.
import { identity, isObject, make } from "./dom.js";
import { enhanceAll } from "./editors.js";
import { makeField } from "./fields.js";
import { fieldsOf, labelOf, shapesOf, widgetOf } from "./json_schema.js";
import { sentences, showAllProblems } from "./problems.js";

/** What is remembered of an item when its card is made again: whether it is open, and whether the focus was in it and left it. */
const memory = new WeakMap();
const remembered = (item) => memory.get(item) ?? memory.set(item, { open: false, wasLeft: true }).get(item);

export class Cards {
  /** `kinds` has the JSON Schema of each kind of item by its name. `common` names the fields that are folded away, `noun`
   * is the word for an item, `titleOf(item, place)` its title, and `contextOf(place)` the context of its fields. */
  constructor(items, { kinds, common = [], noun, titleOf, contextOf, changed, max = 50, begin = () => ({}) }) {
    this.kinds = Object.fromEntries(Object.entries(kinds).map(([name, schema]) => [name, kindOf(schema)]));
    Object.assign(this, { items, common, noun, titleOf, contextOf, changed, max, begin });
    this.list = make("ol", { class: "cards" });
    this.message = make("p", { class: "problem", hidden: true });
    this.spoken = make("p", { class: "visually-hidden", role: "status" });
    this.chooser = this.#chooser();
    this.element = make("div", { class: "card-list" }, this.list, this.message, this.chooser, this.spoken);
    this.show();
  }

  show() {
    this.cards = this.items.map((item, place) => new Card(this, item, place));
    this.list.replaceChildren(...this.cards.map(({ element }) => element));
    this.list.hidden = !this.items.length;
    this.add.hidden = this.items.length >= this.max;
    for (const card of this.cards) card.fill();
  }

  /** Show problems: sentences about the whole, or an object of problems by the places of the items. */
  showProblems(problems, { all = false } = {}) {
    const byPlace = isObject(problems) ? problems : {};
    const left = isObject(problems) ? [] : sentences(problems);
    this.cards.forEach((card, place) => card.showProblems(all || remembered(card.item).wasLeft ? byPlace[place] : undefined, all));
    this.message.hidden = !left.length;
    this.message.textContent = left.join(" ");
    return [];
  }

  move(place, by) {
    const to = place + by;
    if (to < 0 || to >= this.items.length) return;
    const [item] = this.items.splice(place, 1);
    this.items.splice(to, 0, item);
    this.#restructured(`Moved to ${to + 1} of ${this.items.length}.`);
    this.cards[to].focus(by < 0 ? "up" : "down");
  }

  copy(place) {
    const copy = structuredClone(this.items[place]);
    delete copy.id;
    this.items.splice(place + 1, 0, copy);
    remembered(copy).open = true;
    this.#restructured(`Copied as ${this.noun} ${place + 2}.`);
    this.cards[place + 1].focus("toggle");
  }

  remove(place) {
    const name = this.titleOf(this.items[place], place);
    this.items.splice(place, 1);
    this.#restructured(`Removed ${name}.`);
    (this.cards[Math.min(place, this.cards.length - 1)]?.toggle ?? this.add).focus();
  }

  #restructured(sentence) {
    this.show();
    this.spoken.textContent = sentence;
    this.changed();
  }

  #chooser() {
    const id = identity();
    const panel = make("div", { class: "chooser", id, hidden: true, role: "group", "aria-label": `Kinds of ${this.noun}s` });
    const open = (wanted) => {
      panel.hidden = !wanted;
      this.add.setAttribute("aria-expanded", String(wanted));
    };
    this.add = make("button", {
      type: "button",
      class: "button",
      "aria-expanded": "false",
      "aria-controls": id,
      text: `Add a ${this.noun}`,
      onclick: () => {
        open(panel.hidden);
        if (!panel.hidden) panel.querySelector("button").focus();
      },
    });
    for (const [name, { summary }] of Object.entries(this.kinds)) {
      const choose = () => {
        open(false);
        const item = { ...this.begin(name), type: name };
        this.items.push(item);
        Object.assign(remembered(item), { open: true, wasLeft: false });
        this.#restructured(`Added ${this.noun} ${this.items.length}.`);
        this.cards.at(-1).first();
      };
      panel.append(
        make("button", { type: "button", class: "choice", onclick: choose }, make("strong", { text: name }), make("span", { text: summary })),
      );
    }
    panel.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      open(false);
      this.add.focus();
    });
    return make("div", { class: "adder" }, this.add, panel);
  }
}

class Card {
  constructor(cards, item, place) {
    Object.assign(this, { cards, item, place });
    this.kind = cards.kinds[item.type];
    this.context = { ...cards.contextOf(place), changed: () => this.#changed() };
    const button = (word, words, act, disabled = false) =>
      make("button", { type: "button", class: "tool small", "data-act": word, text: words, title: words, disabled, "aria-label": `${words}: ${this.#name()}`, onclick: act });
    this.toggle = make("button", {
      type: "button",
      class: "card-toggle",
      "aria-expanded": "false",
      onclick: () => this.open(!this.isOpen),
    });
    const last = cards.items.length - 1;
    const tools = make(
      "div",
      { class: "card-tools" },
      button("up", "Up", () => cards.move(place, -1), place === 0),
      button("down", "Down", () => cards.move(place, 1), place === last),
      button("copy", "Copy", () => cards.copy(place)),
      button("remove", "Remove", () => cards.remove(place)),
    );
    this.head = make("div", { class: "card-head" }, this.toggle, tools);
    this.body = make("div", { class: "card-body", id: identity(), hidden: true });
    this.toggle.setAttribute("aria-controls", this.body.id);
    this.element = make("li", { class: "card" }, this.head, this.body);
    this.element.addEventListener("keydown", (event) => {
      const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (!by || !event.altKey || event.target.closest(".card") !== this.element || event.target.closest(".editor")) return;
      event.preventDefault();
      cards.move(place, by);
    });
    this.element.addEventListener("focusout", (event) => {
      if (event.relatedTarget && !this.element.contains(event.relatedTarget) && this.element.isConnected) {
        remembered(item).wasLeft = true;
        this.context.settled?.();
      }
    });
    this.#title();
  }

  get isOpen() {
    return !this.body.hidden;
  }

  #name() {
    return this.cards.titleOf(this.item, this.place);
  }

  #title() {
    const title = this.#name();
    const line = this.kind ? summaryOf(this.item, this.kind, this.cards.common) : "";
    this.count = make("span", { class: "badge bad", hidden: true });
    this.toggle.replaceChildren(
      make("span", { class: "card-place", text: `${this.place + 1}` }),
      make("strong", { text: title }),
      make("span", { class: `badge${this.kind ? "" : " bad"}`, text: String(this.item.type ?? "no type") }),
      make("span", { class: "card-gist", text: line }),
      this.count,
    );
  }

  #changed() {
    this.#title();
    this.#shape();
    this.showCount(this.faults ?? 0);
    this.cards.changed();
  }

  /** Open the card again if it was open before it was made again. */
  fill() {
    if (remembered(this.item).open) this.open(true);
  }

  open(wanted) {
    remembered(this.item).open = wanted;
    if (wanted && !this.fields) this.#make();
    this.body.hidden = !wanted;
    this.toggle.setAttribute("aria-expanded", String(wanted));
    if (wanted) enhanceAll(this.body);
  }

  #make() {
    this.fields = new Map();
    const known = this.kind?.fields ?? [];
    const put = (list) =>
      list.map((one) => {
        const field = makeField(one, this.item, this.context);
        this.fields.set(one.name, field);
        return field;
      });
    const { common } = this.cards;
    const own = put(known.filter(({ name }) => !common.includes(name) || name === "name"));
    const folded = known.filter(({ name }) => common.includes(name) && name !== "name");
    this.general = make("p", { class: "problem", hidden: true });
    this.body.append(this.general, make("div", { class: "fields" }, ...own));
    if (folded.length) {
      const more = make("details", { class: "more" }, make("summary", { text: "Input, condition, retries, errors" }));
      more.open = folded.some(({ name }) => name in this.item && name !== "id");
      more.addEventListener("toggle", () => more.open && enhanceAll(more));
      more.append(make("div", { class: "fields" }, ...put(folded)));
      this.folded = more;
      this.body.append(more);
    }
    const names = new Set(["type", ...known.map(({ name }) => name)]);
    const others = Object.keys(this.item).filter((name) => !names.has(name));
    for (const name of others) {
      const schema = { description: "This form does not know this field.", "x-form": { title: name } };
      const field = makeField({ name, schema }, this.item, this.context);
      this.fields.set(name, field);
      this.body.append(field);
    }
    this.#shape();
  }

  /** Hide the fields that do not go with what is chosen in others, but none that has a value. */
  #shape() {
    const shapes = this.kind?.shapes ?? [];
    if (!this.fields || !shapes.length) return;
    const fits = shapes.filter((shape) => Object.entries(shape.only).every(([name, words]) => words.includes(this.item[name])));
    const depends = shapes.some(({ only }) => Object.keys(only).length > 0);
    for (const [name, field] of this.fields) {
      const without = depends && (fits.length ? fits[0].without.includes(name) : shapes.every((shape) => shape.without.includes(name)) );
      const some = shapes.some((shape) => shape.without.includes(name));
      field.hidden = depends && !(name in this.item) && (fits.length ? without : some);
      if (fits.length) field.querySelector("label, .caption")?.classList.toggle("required", fits[0].required.includes(name) || this.kind.fields.some((one) => one.name === name && one.required));
    }
  }

  showProblems(problems, all = false) {
    const count = sentences(problems ?? {}).length;
    this.faults = count;
    this.showCount(count);
    if (count && all && !this.isOpen) this.open(true);
    if (!this.fields) return;
    const left = showAllProblems(this.fields, isObject(problems) ? problems : {});
    const shown = sentences(isObject(problems) ? left : (problems ?? []));
    this.general.hidden = !shown.length;
    this.general.textContent = shown.join(" ");
    if (count && this.folded && this.cards.common.some((name) => name !== "name" && problems?.[name])) this.folded.open = true;
  }

  showCount(count) {
    this.count.hidden = !count;
    this.count.textContent = count === 1 ? "1 problem" : `${count} problems`;
    this.element.classList.toggle("faulty", count > 0);
  }

  focus(word) {
    const button = this.head.querySelector(`[data-act="${word}"]`);
    (button && !button.disabled ? button : this.toggle).focus();
  }

  first() {
    (this.body.querySelector(".fields > .field:not([hidden], .of-flag) :is(input, select, .cm-content)") ?? this.toggle).focus();
  }
}

function kindOf(schema) {
  const fields = fieldsOf(schema).filter(({ name }) => name !== "type"); // it is chosen once and for all
  return { summary: schema.description, fields, shapes: shapesOf(schema) };
}

/** The values of an item in one line. */
function summaryOf(item, kind, common) {
  const words = kind.fields
    .filter(({ name, schema }) => !common.includes(name) && name in item && widgetOf(schema) !== "secret")
    .map(({ name, schema }) => {
      const value = item[name];
      const label = labelOf(name, schema);
      if (typeof value === "string") return value;
      if (Array.isArray(value)) return `${value.length} ${label.toLowerCase()}`;
      return typeof value === "object" ? "" : `${label} ${value}`;
    })
    .filter(Boolean);
  return words.join(" · ").replace(/\s+/g, " ").slice(0, 120);
}
