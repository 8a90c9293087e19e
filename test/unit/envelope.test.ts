import { Compile } from "typebox/compile";
import { describe, expect, test } from "vitest";
import { Envelope, RawMessage, updateId, userKey } from "../../shared/domain/envelope.ts";
import { refuseEnvelope, refuseRawMessage } from "../../shared/domain/validate.ts";

const envelope = {
  ...{ v: 1, tenant: "shop", userId: "42", src: "s", seq: 1, stamp: 1, at: 0 },
  ops: [{ kind: "set", body: { plan: "pro" } }],
};
const MAX = Number.MAX_SAFE_INTEGER;
const chars = (count: number) => "x".repeat(count);
const many = (count: number, member: unknown = "x") => Array.from({ length: count }, () => member);
const named = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`f${i}`, 1]));
const schemas = { envelope: Compile(Envelope), raw: Compile(RawMessage) };

/** Checked in two steps, and here in one by the schema itself: the two must agree. */
function isTaken(value: object): boolean {
  const taken = refuseEnvelope(value) === undefined;
  expect([value, schemas.envelope.Check(value)]).toEqual([value, taken]);
  return taken;
}

describe("a field of the envelope takes", () => {
  test.each<[field: string, taken: unknown[], refused: unknown[]]>([
    ["v", [1], [0, "1", null]],
    ["tenant", ["a", "0", "A-b_9", chars(64)], ["", "_a", "-a", "a:b", "a b", "ä", chars(65), 1]],
    ["userId", ["a", "ä b:c", "\u0080", chars(256)], ["", "a\u0000", "a\u001f", "\u007fa", chars(257), 1]],
    ["id", ["a", "!~", chars(128)], ["", "a b", "ä", "a\u007f", chars(129), 1]],
    ["src", ["a", "!~", chars(64)], ["", "a b", "ä", "a\u007f", chars(65), 1]],
    ["seq", [1, MAX], [0, 1.5, MAX + 1, "1"]],
    ["stamp", [0, MAX], [-1, 1.5, MAX + 1, "1"]],
    ["at", [-8.64e15, 0, 8.64e15], [-8.64e15 - 2, 8.64e15 + 2, 1.5, "2026-01-01"]],
    ["priority", ["live", "bulk"], ["", "high"]],
    ["trace", ["", chars(128)], [chars(129), 1]],
    ["ops", [many(1, envelope.ops[0]), many(64, envelope.ops[0])], [[], many(65, envelope.ops[0]), {}]],
  ])("%s", (field, taken, refused) => {
    for (const value of taken)
      expect([value, isTaken({ ...envelope, [field]: value })]).toEqual([value, true]);
    for (const value of refused)
      expect([value, isTaken({ ...envelope, [field]: value })]).toEqual([value, false]);
  });

  test("and no field is taken that is none, and none may be missing but the caller's id, priority and trace", () => {
    for (const field of Object.keys(envelope)) {
      const { [field as keyof typeof envelope]: _, ...rest } = envelope;
      expect([field, isTaken(rest)]).toEqual([field, false]);
    }
    expect(isTaken({ ...envelope, more: 1 })).toBe(false);
  });
});

describe("an operation takes", () => {
  const event = { name: "e" };
  test.each<[kind: string, taken: unknown[], refused: unknown[]]>([
    ["set", [{ a: null }, named(256)], [{}, named(257), [], "a"]],
    ["unset", [["a"], many(256)], [[], many(257), [1], { a: 1 }]],
    [
      "add",
      [{ a: ["x", 1, true] }, { a: many(1_024) }],
      [{}, { a: [] }, { a: many(1_025) }, { a: [null] }, { a: [{}] }],
    ],
    ["add", [{ a: [chars(256)] }], [{ a: [chars(257)] }]],
    ["remove", [{ a: ["x", 1, true] }], [{}, { a: [] }, { a: "x" }]],
    ["increment", [{ a: 0 }, { a: 1e-12 }, { a: 1e15 }, { a: -1e-12 }, { a: -1e15 }], [{}, { a: "1" }]],
    ["increment", [], [{ a: 9e-13 }, { a: -9e-13 }, { a: 1.1e15 }, { a: -1.1e15 }]],
    ["event", [event, { name: chars(128) }], [{}, { name: "" }, { name: chars(129) }, { ...event, more: 1 }]],
    ...["properties", "context"].map((field): [string, unknown[], unknown[]] => [
      "event",
      [
        { ...event, [field]: named(256) },
        { ...event, [field]: { [chars(128)]: 1, "": null, "\n": [{}] } },
        { ...event, [field]: {} },
      ],
      [
        { ...event, [field]: named(257) },
        { ...event, [field]: { [chars(129)]: 1 } },
        { ...event, [field]: [] },
        { ...event, [field]: null },
      ],
    ]),
  ])("%s", (kind, taken, refused) => {
    for (const body of taken)
      expect([body, isTaken({ ...envelope, ops: [{ kind, body }] })]).toEqual([body, true]);
    for (const body of refused)
      expect([body, isTaken({ ...envelope, ops: [{ kind, body }] })]).toEqual([body, false]);
    expect(isTaken({ ...envelope, ops: [{ kind, body: taken[0], more: 1 }] })).toBe(false);
  });

  test.each<[name: string, taken: boolean]>([
    ["a", true],
    ["näme with $", true],
    ["__proto__", true],
    [chars(128), true],
    [chars(129), false],
    ["", false],
    ["$m", false],
    ["\u0000", false],
    ["a\u001f", false],
    ["\u007f", false],
    ["a\u007f", false],
  ])("the attribute name %j: %s", (name, taken) => {
    const ops = [
      { kind: "unset", body: [name] },
      { kind: "set", body: Object.fromEntries([[name, 1]]) },
      { kind: "add", body: Object.fromEntries([[name, ["x"]]]) },
      { kind: "remove", body: Object.fromEntries([[name, ["x"]]]) },
      { kind: "increment", body: Object.fromEntries([[name, 1]]) },
    ];
    for (const op of ops) expect([op, isTaken({ ...envelope, ops: [op] })]).toEqual([op, taken]);
  });
});

test("a minimal message needs its tenant and its user, and takes no field that is none", () => {
  const raw = { tenantId: "shop", userId: "42", event: { name: "e" } };
  const dateOf = (length: number) => `1 Jan 2026 (${chars(length - 13)})`;
  const full = { ...raw, id: "a", at: dateOf(40), ops: envelope.ops, trace: "t" };
  expect(refuseRawMessage(full)).toBeUndefined();
  expect(schemas.raw.Check(full)).toBe(true);
  const { tenantId: _, ...noTenant } = raw;
  const { userId: __, ...noUser } = raw;
  for (const wrong of [noTenant, noUser, { ...raw, more: 1 }, { ...raw, at: dateOf(41) }]) {
    expect(refuseRawMessage(wrong)).toMatchObject({ code: "invalid_update" });
    expect(schemas.raw.Check(wrong)).toBe(false);
  }
});

test("callers know an update by their own id, or by its source and number", () => {
  expect(updateId({ src: "s", seq: 7, id: "order-17" })).toBe("order-17");
  expect(updateId({ src: "s", seq: 7 })).toBe("s-7");
  expect(userKey("shop", "a:b")).toBe("shop:a:b");
});
