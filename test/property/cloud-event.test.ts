import fc from "fast-check";
import { expect, test } from "vitest";
import { readCloudEvent, readCloudEvents, updateOfCloudEvent } from "../../services/gateway/cloud-event.ts";
import { envelopeOf } from "../../shared/publish/update-input.ts";
import {
  arbitraryFields,
  arbitraryId,
  arbitraryJson,
  arbitraryTime,
  nearly,
} from "../support/arbitrary-json.ts";

const NOW_MS = 1_767_225_600_000;

const arbitraryEvent = nearly(
  {
    specversion: fc.oneof({ arbitrary: fc.constant("1.0"), weight: 20 }, fc.constantFrom("1.0.2", "")),
    type: fc.oneof(
      { arbitrary: fc.constant("com.example.someevent"), weight: 20 },
      fc.constantFrom("$page", "", "x".repeat(129), "😀".repeat(128)),
    ),
    source: arbitraryId,
    id: arbitraryId,
    subject: arbitraryId,
    time: arbitraryTime,
    datacontenttype: fc.constantFrom("application/json", "text/plain"),
    data: fc.oneof(arbitraryFields, arbitraryFields, arbitraryJson),
    extension: fc.constantFrom("value", 5, true, -1),
  },
  ["specversion", "type", "source", "id", "subject"],
);

test("an event is refused by its path in the request, or the publisher takes its update", () => {
  fc.assert(
    fc.property(arbitraryEvent, (value) => {
      const read = readCloudEvent(value, "[3]");
      if ("refusal" in read) {
        expect(read.refusal).toMatchObject({ code: "invalid_request" });
        expect(read.refusal.path).toMatch(/^\[3\]($|[.[])/);
        return;
      }
      const update = updateOfCloudEvent(read.event, { tenant: "shop", receivedAtMs: NOW_MS });
      expect(envelopeOf(update, NOW_MS)).toMatchObject(update);
    }),
    { numRuns: 500 },
  );
});

test("two events have one id if and only if they have one source and one id", () => {
  const part = fc.oneof(
    fc.string({ unit: fc.constantFrom("a", "|", " ", "é"), minLength: 1, maxLength: 4 }),
    fc.constantFrom("a".repeat(63), "a".repeat(64)),
  );
  const idOf = ([source, id]: [string, string]) => {
    const event = { specversion: "1.0" as const, type: "e", subject: "42", source, id };
    return updateOfCloudEvent(event, { tenant: "shop", receivedAtMs: NOW_MS }).id;
  };
  fc.assert(
    fc.property(fc.tuple(part, part), fc.tuple(part, part), (one, other) => {
      expect(idOf(one) === idOf(other)).toBe(one[0] === other[0] && one[1] === other[1]);
    }),
    { numRuns: 500 },
  );
});

test("of the events that are made here many are taken, and many refused", () => {
  const events = fc.sample(arbitraryEvent, { numRuns: 500, seed: 7 });
  const taken = events.filter((value) => "event" in readCloudEvent(value, "")).length;
  expect(taken).toBeGreaterThan(100);
  expect(taken).toBeLessThan(400);
});

test("any JSON is read without an error of the reader's own", () => {
  fc.assert(
    fc.property(arbitraryJson, (value) => {
      expect(() => readCloudEvent(value, "")).not.toThrow();
      expect(() => readCloudEvents(value)).not.toThrow();
    }),
    { numRuns: 200 },
  );
});
