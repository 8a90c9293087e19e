import { expect, test } from "vitest";
import { decode } from "../../shared/domain/decode.ts";
import type { Operation } from "../../shared/domain/envelope.ts";
import { envelopeOf, type UpdateInput } from "../../shared/publish/update-input.ts";

const valid: UpdateInput = { tenant: "shop", userId: "42", ops: [{ kind: "set", body: { plan: "pro" } }] };
const circular: Record<string, unknown> = {};
circular.self = circular;
const setting = (value: unknown): Operation[] => [{ kind: "set", body: { value } }];

test("a valid update is taken, with the time of the call where it gives none", () => {
  expect(envelopeOf(valid, 7)).toMatchObject({ ...valid, v: 1, at: 7 });
  expect(envelopeOf({ ...valid, at: new Date(5), id: "a" }, 7)).toMatchObject({ at: 5, id: "a" });
});

test.each<[string, object, string]>([
  ["a misspelt option", { ID: "order-17" }, "ID"],
  ["a time as text", { at: "2026-01-01T00:00:00Z" }, "at"],
  ["a date that is none", { at: new Date(Number.NaN) }, "at"],
  ["a circular value", { ops: setting(circular) }, "ops[0].body.value"],
  ["undefined", { ops: setting(undefined) }, "ops[0].body.value"],
  ["a Date as a value", { ops: setting(new Date(0)) }, "ops[0].body.value"],
  ["a tenant of the wrong form", { tenant: "a:b" }, "tenant"],
])("%s is refused by its path", (_, wrong, path) => {
  const refused = expect(() => envelopeOf({ ...valid, ...wrong } as UpdateInput, 7));
  refused.toThrow(expect.objectContaining({ code: "invalid_update" }));
  refused.toThrow(path);
});

test.each([
  [null, "null"],
  [undefined, "undefined"],
  ["shop:42", '"shop:42"'],
  [42, "42"],
  [[valid], JSON.stringify([valid])],
  [() => valid, "() => valid"],
])("%o instead of an update is refused, quoted", (input, value) => {
  const refused = expect(() => envelopeOf(input as unknown as UpdateInput, 7));
  refused.toThrow(expect.objectContaining({ name: "KeylineError", code: "invalid_update", path: "", value }));
  refused.toThrow(`update: must be an object with tenant, userId and ops, not ${value}`);
});

test.each([
  [64, true],
  [65, false],
])("an update of %i levels is taken by publisher and consumer alike: %s", (levels, taken) => {
  // The first four are the update, its operations, one of them, and its body.
  const deep: unknown = JSON.parse("[".repeat(levels - 4) + "]".repeat(levels - 4));
  const published = () => envelopeOf({ ...valid, ops: setting(deep) }, 7);
  const wrong = expect.objectContaining({ code: "invalid_update" });
  taken ? expect(published).not.toThrow() : expect(published).toThrow(wrong);
  const payload = JSON.stringify({ ...envelopeOf(valid, 7), ops: setting(deep) });
  const provenance = { key: "shop:42", sizeBytes: payload.length, publishTimeMs: 7 };
  const decoded = decode(payload, provenance, { maxUpdateBytes: 10_000, maxClockSkewMs: 0 }, 7);
  expect("update" in decoded).toBe(taken);
});
