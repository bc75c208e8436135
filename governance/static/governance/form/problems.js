// Problems that the server found: nests of objects and lists with sentences in them.
import { isObject } from "./dom.js";

/** All sentences in a nest of problems, each with its place in it. */
export function sentences(problems, place = "") {
  if (typeof problems === "string") return [place ? `${place}: ${problems}` : problems];
  if (Array.isArray(problems)) return problems.flatMap((inner) => sentences(inner, place));
  if (!isObject(problems)) return [];
  return Object.entries(problems).flatMap(([name, inner]) =>
    sentences(inner, name === "non_field_errors" ? place : place ? `${place}.${name}` : name),
  );
}

/** Show each of these fields its problems; returns those that belong to none of them. `fields` is a Map by names. */
export function showAllProblems(fields, problems = {}) {
  const left = { ...problems };
  for (const [name, element] of fields) {
    element.showProblems(left[name] ?? []);
    delete left[name];
  }
  return left;
}
