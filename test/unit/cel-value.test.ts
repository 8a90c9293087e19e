import { expect, test } from "vitest";
import { celValue } from "../../shared/domain/definitions/cel-value.ts";

test("numbers are what they are once they were written as JSON", () => {
  const said = JSON.parse('{"score":-0,"big":1e400,"list":[-0,{"deep":1e999}],"plain":-0.5}');
  const asMap = (value: object) => new Map(Object.entries(value));
  expect(celValue(said)).toEqual(
    asMap({ score: 0, big: null, list: [0, asMap({ deep: null })], plain: -0.5 }),
  );
  expect(Object.is(celValue(-0), 0)).toBe(true);
  expect(celValue(Number.POSITIVE_INFINITY)).toBeNull();
});

test("what needs no other form is passed as it is", () => {
  const value = { list: [1, "a", { deep: true }], nothing: null };
  expect(celValue(value)).toBe(value);
});
