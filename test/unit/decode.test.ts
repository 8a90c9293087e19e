import { describe, expect, test } from "vitest";
import { decode } from "../../shared/domain/decode.ts";
import type { Priority } from "../../shared/domain/envelope.ts";
import { stampAt } from "../../shared/domain/stamp.ts";
import { refuseEnvelope } from "../../shared/domain/validate.ts";

const NOW_MS = 1_767_225_600_000;
const limits = { maxUpdateBytes: 10_000, maxClockSkewMs: 60_000 };
const place = { partition: 3, ledgerId: 4_100, entryId: 7, batchIndex: 2 };
const provenance = { key: "shop:42", sizeBytes: 100, publishTimeMs: NOW_MS - 5, position: place };
const read = (payload: unknown, from: Parameters<typeof decode>[1] = provenance) =>
  decode(typeof payload === "string" ? payload : JSON.stringify(payload), from, limits, NOW_MS);
const envelope = {
  v: 1,
  tenant: "shop",
  userId: "42",
  src: "s",
  seq: 1,
  stamp: stampAt(NOW_MS),
  at: NOW_MS,
  ops: [{ kind: "set", body: { plan: "pro" } }],
};

test("an envelope is taken as it is", () => {
  expect(read(envelope)).toEqual({ update: envelope });
});

describe("a limit is still taken, and one more is refused with the limit in words", () => {
  test("of the size in bytes, as the broker delivered it", () => {
    const ofSize = (sizeBytes: number) => read(envelope, { ...provenance, sizeBytes });
    expect(ofSize(10_000)).toEqual({ update: envelope });
    expect(ofSize(10_001)).toEqual({
      refusal: { code: "too_large", path: "", value: "10001", message: "longer than 10000 bytes" },
    });
  });

  test("of how far ahead a stamp may be", () => {
    const latest = { ...envelope, stamp: stampAt(NOW_MS + 60_000) };
    expect(read(latest)).toEqual({ update: latest });
    expect(read({ ...latest, stamp: stampAt(NOW_MS + 60_001) })).toMatchObject({
      refusal: { code: "stamp_in_future", message: "more than 60000 ms ahead of the clock here" },
    });
  });

  const nested = (levels: number, json: string): string =>
    levels === 0
      ? json
      : levels % 2
        ? `[0,${nested(levels - 1, json)}]`
        : `{"a":${nested(levels - 1, json)}}`;

  test.each(["null", '"text"', "true", "0.5"])("of nesting, whose last level holds %s", (leaf) => {
    const ofLevels = (levels: number) => {
      const withoutOps = JSON.stringify({ ...envelope, ops: undefined });
      const body = `{"flat":[[],{}],"deep":${nested(levels - 4, leaf)}}`;
      return `${withoutOps.slice(0, -1)},"ops":[{"kind":"set","body":${body}}]}`;
    };
    expect(read(ofLevels(64))).toEqual({ update: JSON.parse(ofLevels(64)) });
    const refusal = { code: "invalid_update", path: "", message: "nested deeper than 64 levels" };
    expect(read(ofLevels(65))).toMatchObject({ refusal });
  });

  test("of nesting, however little else there is, and however wide a value is", () => {
    const unknown = (levels: number) => read(`{"v":${nested(levels - 1, "0")}}`);
    expect(unknown(64)).toMatchObject({ refusal: { code: "unknown_version" } });
    expect(unknown(65)).toMatchObject({ refusal: { code: "invalid_update" } });
    const wide = { a: Array.from({ length: 100 }, () => ({ b: ["text", null, 1] })) };
    const update = { ...envelope, ops: [{ kind: "set", body: wide }] };
    expect(read(update)).toEqual({ update });
  });
});

describe("a minimal message of another program", () => {
  test("gets identity, stamp and time from the broker", () => {
    const event = { name: "order_completed", properties: { amount: 3 } };
    expect(read({ tenantId: "shop", userId: "42", event })).toEqual({
      update: {
        v: 1,
        tenant: "shop",
        userId: "42",
        src: "ledger:3.1",
        seq: (4 * 2 ** 29 + 7) * 2 ** 12 + 3,
        stamp: stampAt(NOW_MS - 5),
        at: NOW_MS - 5,
        ops: [{ kind: "event", body: event }],
      },
    });
  });

  test("keeps its own id, time and operations, with the event last", () => {
    const ops = [{ kind: "increment", body: { points: 1 } }];
    const decoded = read({
      tenantId: "shop",
      userId: "42",
      id: "m1",
      at: "2026-01-01T00:00:00Z",
      ops,
      event: { name: "e" },
    });
    expect(decoded).toMatchObject({
      update: { id: "m1", at: NOW_MS, ops: [...ops, { kind: "event", body: { name: "e" } }] },
    });
  });

  test("becomes an envelope like any other, and lacks what it did not bring", () => {
    const minimal = { tenantId: "shop", userId: "42", ops: [{ kind: "unset", body: ["plan"] }] };
    const traced = { ...minimal, trace: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" };
    const fields = ["v", "tenant", "userId", "src", "seq", "stamp", "at", "ops"];
    for (const [message, brought] of [
      [minimal, {}],
      [traced, { trace: traced.trace }],
    ] as const) {
      const decoded = read(message);
      const update = "update" in decoded ? decoded.update : undefined;
      expect(refuseEnvelope(update)).toBeUndefined();
      expect(update).toMatchObject({ ops: minimal.ops, ...brought });
      expect(new Set(Object.keys(update!))).toEqual(new Set([...fields, ...Object.keys(brought)]));
    }
  });

  test("later places in a partition have greater numbers, and the same place the same", () => {
    const at = (ledgerId: number, entryId: number, batchIndex: number) => {
      const position = { partition: 0, ledgerId, entryId, batchIndex };
      const decoded = read({ tenantId: "t", userId: "u", event: { name: "e" } }, { ...provenance, position });
      return "update" in decoded ? decoded.update : undefined;
    };
    const places = [
      at(5, 0, 0),
      at(5, 0, 1),
      at(5, 1, 0),
      at(5, 2 ** 29 - 1, 4_095),
      at(6, 0, 0),
      at(4_095, 0, 0),
    ];
    const numbers = places.map((update) => update!.seq);
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    expect(new Set(numbers).size).toBe(numbers.length);
    expect(numbers.every(Number.isSafeInteger)).toBe(true);
    expect(at(4_096, 0, 0)!.src).not.toBe(at(4_095, 0, 0)!.src);
    expect(at(5, 1, 0)).toEqual(at(5, 1, 0));
  });

  test("has a source for each form of its key, and one whose gaps are never taken for seen for any other", () => {
    const srcOf = (key: string) => {
      const decoded = read({ tenantId: "shop", userId: "42", event: { name: "e" } }, { ...provenance, key });
      return "update" in decoded ? decoded.update.src : undefined;
    };
    expect(["shop:42", "42", "order-7", ""].map(srcOf)).toEqual([
      "ledger:3.1",
      "ledger:userId:3.1",
      "unordered-ledger:3.1",
      "unordered-ledger:3.1",
    ]);
  });

  test("is another on the topic of bulk updates, whose partitions have an order of their own", () => {
    const message = JSON.stringify({ tenantId: "shop", userId: "42", event: { name: "e" } });
    const srcOf = (priority: Priority) => {
      const decoded = decode(message, provenance, limits, NOW_MS, priority);
      return "update" in decoded && decoded.update.src;
    };
    expect([srcOf("live"), srcOf("bulk")]).toEqual(["ledger:3.1", "ledger:bulk:3.1"]);
  });

  test("has as much room in its number as a ledger and a batch may take", () => {
    const position = { ...place, entryId: 2 ** 29 - 1, batchIndex: 2 ** 12 - 1 };
    const decoded = read(
      { tenantId: "shop", userId: "42", event: { name: "e" } },
      { ...provenance, position },
    );
    expect(decoded).toMatchObject({ update: { seq: 5 * 2 ** 41 } });
  });

  test.each<[string, object | undefined]>([
    ["there is no ledger", undefined],
    ["a ledger has too many entries", { ...place, entryId: 2 ** 29 }],
    ["a batch has too many messages", { ...place, batchIndex: 2 ** 12 }],
  ])("is refused where %s to identify it", (_, position) => {
    const from = { ...provenance, position } as typeof provenance;
    const decoded = read({ tenantId: "t", userId: "u", event: { name: "e" } }, from);
    expect(decoded).toMatchObject({
      refusal: { code: "invalid_update", path: "src", message: expect.stringContaining("Pulsar topic") },
    });
  });
});

describe("a refusal names code, path and value", () => {
  const cases: [name: string, payload: unknown, code: string, path: string, value: string][] = [
    ["no JSON", "{", "not_json", "", '"{"'],
    ["null", null, "invalid_update", "", "null"],
    ["a number", 7, "invalid_update", "", "7"],
    ["a later version", { ...envelope, v: 2 }, "unknown_version", "v", "2"],
    ["no tenant", { ...envelope, tenant: undefined }, "invalid_update", "tenant", "undefined"],
    ["a tenant with a colon", { ...envelope, tenant: "a:b" }, "invalid_update", "tenant", '"a:b"'],
    ["an unknown field", { ...envelope, extra: 1 }, "invalid_update", "extra", "1"],
    [
      "a kind that is none",
      { ...envelope, ops: [{ kind: "boom", body: {} }] },
      "invalid_update",
      "ops[0].kind",
      '"boom"',
    ],
    [
      "an inherited kind",
      { ...envelope, ops: [{ kind: "toString" }] },
      "invalid_update",
      "ops[0].kind",
      '"toString"',
    ],
    [
      "an amount that is a text",
      { ...envelope, ops: [envelope.ops[0], { kind: "increment", body: { points: "7" } }] },
      "invalid_update",
      "ops[1].body.points",
      '"7"',
    ],
    [
      "a machinery field",
      { ...envelope, ops: [{ kind: "set", body: { $m: 1 } }] },
      "invalid_update",
      "ops[0].body.$m",
      "1",
    ],
    ["no operations", { ...envelope, ops: [] }, "invalid_update", "ops", "[]"],
    ["half a surrogate pair", { ...envelope, userId: "\ud800" }, "invalid_update", "userId", '"\\ud800"'],
    [
      "a stamp far ahead",
      { ...envelope, stamp: stampAt(NOW_MS + 60_001) },
      "stamp_in_future",
      "stamp",
      String(stampAt(NOW_MS + 60_001)),
    ],
    [
      "a raw message with nothing in it",
      { tenantId: "t", userId: "u" },
      "invalid_update",
      "ops",
      "undefined",
    ],
    [
      "a raw message with a bad time",
      { tenantId: "t", userId: "u", at: "soon", event: { name: "e" } },
      "invalid_update",
      "at",
      '"soon"',
    ],
  ];
  test.each(cases)("%s", (_, payload, code, path, value) => {
    expect(read(payload)).toMatchObject({ refusal: { code, path, value } });
  });

  test.each([5_000, 100_000])("nested %i levels deep", (levels) => {
    const deep = "[".repeat(levels) + "]".repeat(levels);
    const wide = { ...limits, maxUpdateBytes: 1_000_000 };
    for (const payload of [
      `{"v":${deep}}`,
      `{"tenantId":"t","userId":"u","ops":[{"kind":"set","body":{"a":${deep}}}]}`,
    ])
      expect(decode(payload, provenance, wide, NOW_MS)).toMatchObject({
        refusal: { code: "invalid_update" },
      });
  });

  test.each(["ledger:0.0", "ledger:userId:0.0", "unordered-ledger:0.0"])(
    "source %s, kept for the ledger",
    (src) => {
      expect(read({ ...envelope, src })).toMatchObject({
        refusal: { code: "invalid_update", path: "src", message: "is kept for places in the ledger" },
      });
    },
  );

  test("a later version, and which one is known", () => {
    expect(read({ ...envelope, v: 2 })).toMatchObject({
      refusal: { message: "this build knows version 1" },
    });
  });

  const many = JSON.stringify(Array.from({ length: 100_000 }, () => ["", 0]));
  test.each([
    ['[["shop:42",999]]\n{}', "its first line tells of 999 UTF-16 code units, behind it are 2"],
    ['[["é",2]]\né', "its first line tells of 2 UTF-16 code units, behind it are 1"],
    ['[["shop:42",2]]', "its first line has no end"],
    ['[["shop:42",2]\n{}', "its first line is not JSON"],
    ['[["shop:42",2],[42,2]]\n{}{}', "number 1 in its first line is not [key, length]"],
    [`${many}\n`, "100000 messages in 0 code units are more than a pack may have"],
    ['[["shop:42",2]]\n{}', "it stands in another pack, or its bytes are no UTF-8"],
  ])("a message that begins as a pack and is none, and why: %#", (payload, why) => {
    for (const sizeBytes of [100, 1_000_000])
      expect(read(payload, { ...provenance, sizeBytes })).toMatchObject({
        refusal: { code: "not_json", path: "", message: `begins as a pack and is none: ${why}` },
      });
  });

  test("a long value is shortened", () => {
    const decoded = read({ ...envelope, userId: "x".repeat(1_000) });
    expect("refusal" in decoded && decoded.refusal.value.length).toBeLessThan(250);
  });
});
