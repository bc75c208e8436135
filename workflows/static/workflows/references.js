// The ids by which steps are referred to: the rules of workflows/language/names.py, tried with the same vectors
// (tests/contract/step_ids.json).
const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]*$/;
const textOf = (step, name) => (typeof step?.[name] === "string" && step[name].length <= 200 ? step[name] : "");

/** The ids of the steps of one list: an id, else a name that will do as one, else a place. */
export function idsOf(steps) {
  const ids = steps.map((step) => textOf(step, "id"));
  const names = steps.map((step, place) => (ids[place] ? "" : textOf(step, "name")));
  const taken = new Set(ids);
  names.forEach((name, place) => {
    if (!IDENTIFIER.test(name) || name === "end" || taken.has(name)) return;
    if (names.filter((other) => other === name).length !== 1) return;
    ids[place] = name;
    taken.add(name);
  });
  return ids.map((id, place) => {
    let made = id || `step_${place + 1}`;
    while (!id && taken.has(made)) made += "_";
    taken.add(made);
    return made;
  });
}
