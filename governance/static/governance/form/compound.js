// Widgets that hold others: groups, lists, names with values, conditions, schemas.
import { isObject, make, read, written } from "./dom.js";
import { enhanceAll } from "./editors.js";
import { fieldsOf } from "./json_schema.js";
import { showAllProblems } from "./problems.js";

const remover = (what, act) =>
  make("button", { type: "button", class: "tool small", "aria-label": `Remove ${what}`, title: `Remove ${what}`, text: "Remove", onclick: act });

/** Rows of a name and something else, as a form of an object. `makeValue(entry, put)` makes the something else. */
function named({ value, set, context }, { adds, empty, makeValue, taken }) {
  const entries = Object.entries(value ?? {}).map(([name, one]) => ({ name, one }));
  const rows = make("div", { class: "pairs" });
  const source = {};
  const put = () => {
    const names = entries.map(({ name }) => name).filter(Boolean);
    const twice = names.find((name, place) => names.indexOf(name) !== place);
    trouble.hidden = !twice;
    trouble.textContent = twice ? `${twice} is there twice: expected each name once.` : "";
    context.broken[twice ? "add" : "delete"](source);
    const object = Object.fromEntries(entries.filter(({ name }) => name).map(({ name, one }) => [name, one]));
    set(Object.keys(object).length ? object : undefined);
  };
  const trouble = make("p", { class: "problem", role: "status", hidden: true });
  const show = () => {
    rows.replaceChildren(
      ...entries.map((entry, place) => {
        const name = make("input", {
          type: "text",
          class: "mono",
          value: entry.name,
          "aria-label": `Name ${place + 1}`,
          placeholder: "Name",
          autocomplete: "off",
          list: taken ? context.listOf?.(taken) : null,
          oninput: () => {
            entry.name = name.value;
            put();
          },
        });
        const gone = () => {
          entries.splice(place, 1);
          put();
          show();
          add.focus();
        };
        return make("div", { class: "pair" }, name, makeValue(entry, put, place), remover(entry.name || `row ${place + 1}`, gone));
      }),
    );
    rows.hidden = !entries.length;
  };
  const add = make("button", {
    type: "button",
    class: "tool small",
    text: adds,
    onclick: () => {
      entries.push({ name: "", one: empty });
      show();
      rows.lastElementChild.querySelector("input").focus();
    },
  });
  show();
  source.control = add;
  return { element: make("div", {}, rows, trouble, add), fieldset: true, wide: true };
}

function textValue(entry, put, place, { shown = (one) => one, taken = (text) => text, ...more } = {}) {
  const input = make("input", {
    type: "text",
    value: shown(entry.one),
    "aria-label": `Value ${place + 1}`,
    placeholder: "Value",
    autocomplete: "off",
    ...more,
    oninput: () => {
      entry.one = taken(input.value);
      put();
    },
  });
  return input;
}

/** A secret: typed, or stored already and known by its hint. `put(value)` takes what it is now. */
function secret({ value, put, label, ...more }) {
  const place = make("span", { class: "secret" });
  const showInput = (text) => {
    const input = make("input", {
      type: "password",
      value: text,
      placeholder: "Value",
      autocomplete: "new-password",
      ...more,
      oninput: () => put(input.value),
    });
    place.replaceChildren(input);
    return input;
  };
  const replace = () => {
    put("");
    showInput("").focus();
  };
  if (isObject(value)) {
    const button = make("button", { type: "button", class: "tool small", text: "Replace", onclick: replace, "aria-label": `Replace the value of ${label}` });
    place.replaceChildren(make("span", { class: "quiet", text: `stored, ${value.hint ?? "hidden"}` }), button);
  } else showInput(value ?? "");
  return place;
}

function secretValue(entry, put, place) {
  const take = (value) => ((entry.one = value), put());
  return secret({ value: entry.one, put: take, label: entry.name, "aria-label": `Value ${place + 1}` });
}

const OPERATORS = {
  eq: "is",
  ne: "is not",
  lt: "is less than",
  lte: "is at most",
  gt: "is more than",
  gte: "is at least",
  in: "is one of",
  contains: "contains",
  starts_with: "starts with",
  ends_with: "ends with",
  exists: "is there",
  empty: "is empty or not there",
};
const JOINS = { and: "All of these hold", or: "One of these holds", not: "This does not hold" };

/** One part of a condition, which may hold others. `put(part)` takes what it is now; undefined takes it away. */
function part(condition, put, context, depth) {
  const join = Object.keys(JOINS).find((name) => name in condition);
  const kind = make(
    "select",
    {
      "aria-label": "What is asked",
      onchange: () => {
        const inner = join ? [condition[join]].flat()[0] : condition;
        if (kind.value === "compare") put(join ? inner : condition, true);
        else if (kind.value === "not") put({ not: inner }, true);
        else put({ [kind.value]: join && join !== "not" ? condition[join] : [inner] }, true);
      },
    },
    make("option", { value: "compare", text: "A value" }),
    ...Object.entries(JOINS).map(([name, text]) => make("option", { value: name, text })),
  );
  kind.value = join ?? "compare";
  const remove = remover("this part of the condition", () => put(undefined, true));
  if (!join) {
    const path = make("input", {
      type: "text",
      class: "mono",
      value: condition.path ?? "",
      "aria-label": "Path",
      placeholder: "input.score",
      oninput: () => put({ ...condition, path: path.value }),
    });
    const op = make(
      "select",
      {
        "aria-label": "How it is compared",
        onchange: () => {
          const { value: _, ...bare } = condition;
          put(context.tests.includes(op.value) ? { ...bare, op: op.value } : { value: "", ...condition, op: op.value }, true);
        },
      },
      ...[...context.comparisons, ...context.tests].map((word) => make("option", { value: word, text: OPERATORS[word] ?? word })),
    );
    op.value = condition.op;
    const wanted = make("input", {
      type: "text",
      value: condition.value === undefined ? "" : written(condition.value),
      "aria-label": "Value",
      placeholder: "Value",
      title: 'A number, true, false, null or other JSON; anything else is text. "3" in quotes is the text 3.',
      hidden: context.tests.includes(condition.op),
      oninput: () => put({ ...condition, value: read(wanted.value) }),
    });
    const follow = (next) => (condition = next);
    return { element: make("div", { class: "condition" }, kind, path, op, wanted, remove), follow };
  }
  const inner = [condition[join]].flat();
  const list = make("div", { class: "condition-parts" });
  const parts = inner.map((one, place) => {
    const made = part(
      one,
      (next, anew) => {
        if (next === undefined) inner.splice(place, 1);
        else inner[place] = next;
        made.follow?.(next);
        if (!inner.length) return put(undefined, true);
        condition = { [join]: join === "not" ? inner[0] : [...inner] };
        put(condition, anew);
      },
      context,
      depth + 1,
    );
    return made.element;
  });
  list.append(...parts);
  const more = () => put({ [join]: [...inner, { path: "", op: "eq", value: "" }] }, true);
  if (join !== "not") list.append(make("button", { type: "button", class: "tool small", text: "Add a part", onclick: more }));
  return { element: make("div", { class: "condition joined" }, make("div", { class: "pair" }, kind, remove), list) };
}

export const compound = {
  pairs: (parts) => named(parts, { adds: "Add a header", empty: "", makeValue: textValue }),
  values: (parts) =>
    named(parts, {
      adds: "Add a value",
      empty: "",
      makeValue: (entry, put, place) => textValue(entry, put, place, { shown: written, taken: read }),
    }),
  secret({ label, value, set, id }) {
    const put = (text) => set(text === "" ? undefined : text);
    return { element: secret({ value, put, label, id, "aria-label": label }), fieldset: true };
  },
  secrets: (parts) => named(parts, { adds: "Add a secret header", empty: "", makeValue: secretValue }),

  group({ schema, value, set, context, makeField }) {
    const object = { ...value };
    const inner = { ...context, changed: () => set(Object.keys(object).length ? { ...object } : undefined) };
    const fields = new Map(fieldsOf(schema).map((one) => [one.name, makeField(one, object, inner)]));
    return {
      element: make("div", { class: "fields" }, ...fields.values()),
      fieldset: true,
      wide: true,
      showProblems: (problems) => (isObject(problems) ? showAllProblems(fields, problems) : (showAllProblems(fields), problems)),
    };
  },

  list({ schema, label, value, set, context, makeField }) {
    const items = (value ?? []).map((one) => ({ ...one }));
    const rows = make("div", { class: "group-list" });
    let shown = [];
    const put = () => set(items.length ? items : undefined);
    const show = () => {
      shown = items.map((item) => new Map(fieldsOf(schema.items).map((one) => [one.name, makeField(one, item, { ...context, changed: put })])));
      rows.replaceChildren(
        ...shown.map((fields, place) =>
          make(
            "div",
            { class: "group-item fields" },
            ...fields.values(),
            remover(`${label.toLowerCase()} ${place + 1}`, () => {
              items.splice(place, 1);
              put();
              show();
              add.focus();
            }),
          ),
        ),
      );
      enhanceAll(rows);
    };
    const add = make("button", {
      type: "button",
      class: "tool small",
      text: "Add", "aria-label": `Add to ${label.toLowerCase()}`,
      onclick: () => {
        items.push({});
        put();
        show();
        rows.lastElementChild.querySelector("input, select, button").focus();
      },
    });
    show();
    const showProblems = (problems) => {
      // A list of problems of each item, or an object of them by their places.
      const byItem = shown.map((_, place) => (isObject(problems?.[place]) ? problems[place] : {}));
      const left = shown.map((fields, place) => showAllProblems(fields, byItem[place]));
      return [left, Array.isArray(problems) ? problems.filter((one) => typeof one === "string") : []].flat();
    };
    return { element: make("div", {}, rows, add), fieldset: true, wide: true, showProblems };
  },

  condition({ value, set, context }) {
    const place = make("div", {});
    const show = (condition) => {
      if (condition === undefined) {
        const begin = () => put({ path: "", op: "eq", value: "" }, true);
        place.replaceChildren(make("button", { type: "button", class: "tool small", text: "Add a condition", onclick: begin }));
      } else {
        let made;
        made = part(
          condition,
          (next, anew) => {
            made.follow?.(next);
            put(next, anew);
          },
          context,
          1,
        );
        place.replaceChildren(made.element);
      }
    };
    const put = (condition, anew) => {
      set(condition);
      if (!anew) return;
      show(condition);
      place.querySelector("select, button")?.focus();
    };
    show(value);
    return { element: place, fieldset: true, wide: true };
  },

  steps({ value, set, context }) {
    const steps = value ?? [];
    if (value === undefined) set(steps);
    const cards = context.cards(steps, context);
    return { element: cards.element, fieldset: true, wide: true, showProblems: (problems) => cards.showProblems(problems) };
  },
};
