import { describe, expect, test } from "vitest";
import { refuseEnvelope, refuseNonJson, refuseRawMessage } from "../../shared/domain/validate.ts";

const envelope = {
  ...{ v: 1, tenant: "shop", userId: "42", src: "s", seq: 1, stamp: 1, at: 0 },
  ops: [{ kind: "set", body: { plan: "pro" } }],
};
const asRead = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
const withOps = (...ops: unknown[]) => ({ ...envelope, ops });
const raw = { tenantId: "shop", userId: "42", event: { name: "e" } };

describe("an envelope is refused with the path of what is wrong and what it must be", () => {
  const kinds = "must be one of set, unset, add, remove, increment, event";
  const arrays =
    "does not fit: the body must be an object of attribute names and arrays of strings, numbers or booleans, none of them empty";
  const amounts =
    "does not fit: the body must be an object of attribute names and numbers, at least one, each 0 or from 1e-12 to 1e15 in size";
  test.each<[value: unknown, path: string, found: string, message: string]>([
    [[], "", "[]", "must be object"],
    [{ ...envelope, tenant: undefined }, "tenant", "undefined", "is required"],
    [{ ...envelope, extra: 1 }, "extra", "1", "is not allowed here"],
    [{ ...envelope, seq: 0 }, "seq", "0", "must be >= 1"],
    [{ ...envelope, ops: "all" }, "ops", '"all"', "must be array"],
    [{ ...envelope, userId: "\udc00" }, "userId", '"\\udc00"', "must be well-formed Unicode"],
    [withOps(null), "ops[0].kind", "undefined", kinds],
    [withOps(envelope.ops[0], { kind: 7 }), "ops[1].kind", "7", kinds],
    [withOps({ kind: ["set"], body: { a: 1 } }), "ops[0].kind", '["set"]', kinds],
    [withOps({ kind: "set" }), "ops[0].body", "undefined", "is required"],
    [withOps({ kind: "set", body: { a: 1 }, more: 2 }), "ops[0].more", "2", "is not allowed here"],
    [
      withOps({ kind: "set", body: {} }),
      "ops[0].body",
      "{}",
      "must be an object of attribute names and JSON values, with at least one",
    ],
    [
      withOps({ kind: "unset", body: ["a", ""] }),
      "ops[0].body[1]",
      '""',
      "does not fit: the body must be an array of attribute names, with at least one",
    ],
    [withOps({ kind: "add", body: { tags: "a" } }), "ops[0].body.tags", '"a"', arrays],
    [withOps({ kind: "remove", body: { tags: [null] } }), "ops[0].body.tags[0]", "null", arrays],
    [withOps({ kind: "increment", body: { "a/b~c": "7" } }), "ops[0].body.a/b~c", '"7"', amounts],
    [withOps({ kind: "increment", body: { q1: "7" } }), "ops[0].body.q1", '"7"', amounts],
    [withOps({ kind: "increment", body: { "1st": "7" } }), "ops[0].body.1st", '"7"', amounts],
    [
      withOps({ kind: "add", body: { tags: [..."abcdefghij", null] } }),
      "ops[0].body.tags[10]",
      "null",
      arrays,
    ],
    [
      withOps({ kind: "event", body: { name: 1 } }),
      "ops[0].body.name",
      "1",
      "does not fit: the body must be an object with a name, not empty, and, if wanted, properties and context",
    ],
    [
      withOps({ kind: "event", body: { name: "e", context: ["ip"] } }),
      "ops[0].body.context",
      '["ip"]',
      "does not fit: the body must be an object with a name, not empty, and, if wanted, properties and context",
    ],
  ])("%j", (value, path, found, message) => {
    expect(refuseEnvelope(asRead(value))).toEqual({ code: "invalid_update", path, value: found, message });
  });
});

describe("a minimal message is refused", () => {
  const kindsInWords = expect.stringContaining("must be one of");
  test.each<[value: unknown, path: string, found: string, message: string]>([
    [{ ...raw, tenantId: undefined }, "tenantId", "undefined", "is required"],
    [{ ...raw, event: undefined }, "ops", "undefined", "either ops or event must be present"],
    [{ ...raw, ops: [{ kind: "no" }] }, "ops[0].kind", '"no"', kindsInWords],
    [{ ...raw, ops: [...envelope.ops, { kind: "no" }] }, "ops[1].kind", '"no"', kindsInWords],
    [{ ...raw, at: "soon" }, "at", '"soon"', "must be ISO 8601 or milliseconds since the epoch"],
    [{ ...raw, userId: "\ud800" }, "userId", '"\\ud800"', "must be well-formed Unicode"],
  ])("%j", (value, path, found, message) => {
    expect(refuseRawMessage(asRead(value))).toEqual({ code: "invalid_update", path, value: found, message });
  });

  test.each([
    raw,
    { ...raw, at: 7 },
    { ...raw, at: "2026-01-01" },
    { ...raw, event: undefined, ops: envelope.ops },
    { ...raw, ops: envelope.ops },
  ])("but not %j", (value) => {
    expect(refuseRawMessage(asRead(value))).toBeUndefined();
  });
});

describe("a value that JSON can't carry", () => {
  const nested = (levels: number): unknown => (levels === 0 ? 0 : [nested(levels - 1)]);
  class Money {}

  test.each<[value: unknown, path: string, found: string]>([
    [undefined, "body", '"undefined"'],
    [Number.NaN, "body", '"NaN"'],
    [Number.POSITIVE_INFINITY, "body", '"Infinity"'],
    [1n, "body", '"1"'],
    [{ a: [0, { b: new Money() }] }, "body.a[1].b", '"[object Object]"'],
    [[new Map()], "body[0]", '"[object Map]"'],
  ])("%o is refused by its path", (value, path, found) => {
    const message = "must be a JSON value";
    expect(refuseNonJson(value, "body", 0)).toEqual({ code: "invalid_update", path, value: found, message });
  });

  test("what it carries is not refused", () => {
    const plain = Object.assign(Object.create(null), {
      none: null,
      text: "",
      yes: true,
      number: -0.5,
      list: [],
    });
    expect(refuseNonJson({ plain }, "body", 0)).toBeUndefined();
  });

  test("64 levels with those around it are not refused, more are", () => {
    expect(refuseNonJson(nested(60), "body", 4)).toBeUndefined();
    expect(refuseNonJson(nested(61), "body", 4)).toMatchObject({
      code: "invalid_update",
      path: `body${"[0]".repeat(60)}`,
      message: "nested deeper than 64 levels, or circular",
    });
  });
});
