// How a form reads the JSON Schema of an object, with the annotations that governance/api/json_schema.py describes.

const annotations = (schema) => schema["x-form"] ?? {};

/** The fields that an object has: {name, schema, required}, but for those that are deprecated. */
export function fieldsOf(schema) {
  return Object.entries(schema.properties)
    .filter(([, one]) => !one.deprecated)
    .map(([name, one]) => ({ name, schema: one, required: schema.required?.includes(name) ?? false }));
}

/** The shapes that the object can have: `only` has the words that a field is limited to, `required` fields must be there, `without` ones must not. */
export function shapesOf(schema) {
  return (schema.anyOf ?? []).map(({ properties, required = [] }) => {
    const entries = Object.entries(properties);
    return {
      only: Object.fromEntries(entries.filter(([, one]) => one.enum).map(([name, one]) => [name, one.enum])),
      required,
      without: entries.filter(([, one]) => one.not).map(([name]) => name),
    };
  });
}

/** What a field is called for people. */
export function labelOf(name, schema) {
  const words = name.replaceAll("_", " ");
  return annotations(schema).title ?? words.charAt(0).toUpperCase() + words.slice(1);
}

/** The name of the list of words that the page suggests for a field, if there is one. */
export const suggestionsOf = (schema) => annotations(schema).suggest;

/** The name of the widget that shows values of this schema. */
export function widgetOf(schema) {
  const { widget } = annotations(schema);
  if (widget) return widget;
  if (schema.enum) return "choice";
  if (schema.type === "boolean") return "flag";
  if (isNumber(schema)) return "number";
  if (schema.type === "string") return "text";
  if (schema.type === "array") return schema.items.properties ? "list" : "words";
  return schema.type === "object" && schema.properties ? "group" : "json";
}

export const isNumber = ({ type }) => type === "integer" || type === "number";

/** Whether texts of this schema are long enough for a text area. */
export const isLong = (schema) => schema.maxLength >= 2000;
