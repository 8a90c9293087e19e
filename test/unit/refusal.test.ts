import { expect, test } from "vitest";
import { quote } from "../../shared/domain/refusal.ts";

test("a value is quoted as JSON of at most 200 characters", () => {
  expect(quote({ a: [1, "b", null] })).toBe('{"a":[1,"b",null]}');
  expect(quote(undefined)).toBe("undefined");
  expect(quote("x".repeat(198))).toBe(`"${"x".repeat(198)}"`);
  expect(quote("x".repeat(199))).toBe(`"${"x".repeat(199)}…`);
});

test("a value that JSON can't write is named by its type", () => {
  const circular: Record<string, unknown> = {};
  circular.self = circular;
  expect([quote(circular), quote(1n)]).toEqual(["(object)", "(bigint)"]);
});
