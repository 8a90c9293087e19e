import fc from "fast-check";
import { expect, test } from "vitest";
import { readBatch, readCall } from "../../services/gateway/segment/read-segment-call.ts";
import { callTypes } from "../../services/gateway/segment/segment-call.ts";
import { updateOf } from "../../services/gateway/segment/segment-updates.ts";
import { momentOf } from "../../shared/domain/iso-time.ts";
import { envelopeOf } from "../../shared/publish/update-input.ts";
import {
  arbitraryFields,
  arbitraryId,
  arbitraryJson,
  arbitraryTime,
  nearly,
} from "../support/arbitrary-json.ts";

const NOW_MS = 1_767_225_600_000;

const arbitraryCall = nearly(
  {
    type: fc.oneof(
      { arbitrary: fc.constantFrom(...callTypes), weight: 20 },
      fc.constantFrom("$track", "constructor"),
    ),
    userId: arbitraryId,
    anonymousId: arbitraryId,
    event: fc.constantFrom(
      "Order Completed",
      "Order Completed",
      "$page",
      "",
      "x".repeat(128),
      "x".repeat(129),
    ),
    groupId: arbitraryId,
    previousId: arbitraryId,
    name: fc.string({ maxLength: 3 }),
    category: fc.string({ maxLength: 3 }),
    properties: arbitraryFields,
    traits: arbitraryFields,
    context: arbitraryFields,
    messageId: fc.uuid(),
    timestamp: arbitraryTime,
    originalTimestamp: arbitraryTime,
    sentAt: arbitraryTime,
    integrations: fc.constantFrom({}, { All: true }),
    version: fc.constantFrom(2, "1.1"),
  },
  ["type", "userId", "event", "groupId", "previousId"],
);
const arbitraryType = fc.option(fc.constantFrom(...callTypes), { nil: undefined });
const arbitrarySentAt = fc.option(arbitraryTime, { nil: undefined }) as fc.Arbitrary<string | undefined>;

test("a call is refused by its path in the request, or the publisher takes its update", () => {
  fc.assert(
    fc.property(arbitraryCall, arbitraryType, arbitrarySentAt, (value, type, sentAt) => {
      const read = readCall(value, type, "batch[3]");
      if ("refusal" in read) {
        expect(read.refusal).toMatchObject({ code: "invalid_request" });
        expect(read.refusal.path).toMatch(/^batch\[3\]($|[.[])/);
        return;
      }
      const update = updateOf(read, {
        tenant: "shop",
        receivedAtMs: NOW_MS,
        sentAtMs: momentOf(sentAt),
      });
      expect(envelopeOf(update, NOW_MS)).toMatchObject(update);
    }),
    { numRuns: 500 },
  );
});

test("a batch is read whole, however wrong its calls are", () => {
  const batch = fc.array(arbitraryCall, { maxLength: 3 });
  const body = nearly({ batch, context: arbitraryFields, sentAt: arbitraryTime }, ["batch"]);
  fc.assert(
    fc.property(body, (value) => {
      const read = readBatch(value);
      if ("refusal" in read) return;
      for (const each of read.calls) {
        if ("refusal" in each) continue;
        const { sentAtMs } = read;
        const update = updateOf(each, { tenant: "shop", receivedAtMs: NOW_MS, sentAtMs });
        expect(() => envelopeOf(update, NOW_MS)).not.toThrow();
      }
    }),
    { numRuns: 200 },
  );
});

test("of the calls that are made here many are taken, and many refused", () => {
  const calls = fc.sample(arbitraryCall, { numRuns: 500, seed: 7 });
  const taken = calls.filter((value) => "call" in readCall(value, undefined, "")).length;
  expect(taken).toBeGreaterThan(100);
  expect(taken).toBeLessThan(400);
});

test("any JSON is read without an error of the reader's own", () => {
  fc.assert(
    fc.property(arbitraryJson, arbitraryType, (value, type) => {
      expect(() => readCall(value, type, "")).not.toThrow();
      expect(() => readBatch(value)).not.toThrow();
    }),
    { numRuns: 200 },
  );
});
