import { expect, test } from "vitest";
import { descriptionOf, knownNames, locate } from "../../shared/domain/schema-error.ts";

const value = { "a/b": [{ "m~n": 7, "~1": 8 }] };

test.each<[what: string, pointer: string, keys: string[], found: unknown]>([
  ["the value itself", "", [], value],
  ["a member of a list", "/a~1b/0", ["a/b", "0"], value["a/b"][0]],
  ["a name with a tilde", "/a~1b/0/m~0n", ["a/b", "0", "m~n"], 7],
  ["a name that looks escaped", "/a~1b/0/~01", ["a/b", "0", "~1"], 8],
])("%s is found by its pointer", (_, instancePath, keys, found) => {
  expect(locate({ instancePath }, value)).toEqual({ keys, missing: false, found });
});

test("what is required and missing is named, even where there is nothing that could hold it", () => {
  const params = { requiredProperties: ["route", "name"] };
  const missing = { missing: true, found: undefined };
  expect(locate({ instancePath: "/a~1b/0", params }, value)).toEqual({
    ...missing,
    keys: ["a/b", "0", "route"],
  });
  // A request without a body.
  expect(locate({ instancePath: "", params }, undefined)).toEqual({ ...missing, keys: ["route"] });
});

test("where the validator says nothing, it is about the whole value", () => {
  expect(locate(undefined, value)).toEqual({ keys: [], missing: false, found: value });
});

test.each([
  ["at the root", [], "known: mode, events"],
  ["inside of a field", ["events", "seen"], "known: properties"],
  ["inside of an item", ["events", "seen", "properties", "1"], "known: type"],
  ["where any name of a form is", ["events"], "names match ^[a-z]+$"],
  ["where none is", ["mode"], "known: none"],
  ["where a schema has nothing", ["else", "where"], "known: none"],
])("names that are known %s", (_, keys, known) => {
  const list = { type: "array", items: { properties: { type: {} } } };
  const events = { patternProperties: { "^[a-z]+$": { properties: { properties: list } } } };
  expect(knownNames({ properties: { mode: {}, events } }, keys)).toBe(known);
});

test("what a schema says of a part is found by the keys that lead there", () => {
  const schema = { description: "all", properties: { tenant: { description: "1 to 64 letters" } } };
  expect([descriptionOf(schema, ["tenant"]), descriptionOf(schema, [])]).toEqual(["1 to 64 letters", "all"]);
  expect([descriptionOf(schema, ["else", "where"]), descriptionOf(undefined, [])]).toEqual([
    undefined,
    undefined,
  ]);
});

test("without a schema none is known", () => {
  expect(knownNames(undefined, ["toString"])).toBe("known: none");
});
