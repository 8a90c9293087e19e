import fc from "fast-check";
import { expect, test } from "vitest";
import { createSchedule, FIRST_FAULT_MS, MAX_AT_ONCE, nameOf, partsOf } from "../chaos/schedule.ts";

const SIZE = { publishers: 3, consumers: 3 };
const arbitrary = [
  fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  fc.integer({ min: 10_000, max: 600_000 }),
] as const;

test("one seed and one length make one schedule", () => {
  fc.assert(
    fc.property(...arbitrary, (seed, totalMs) => {
      expect(createSchedule(seed, totalMs, SIZE)).toEqual(createSchedule(seed, totalMs, SIZE));
    }),
  );
  expect(createSchedule(1, 300_000, SIZE)).not.toEqual(createSchedule(2, 300_000, SIZE));
});

test("faults come in order within their time, few at once, and never two on the same part", () => {
  fc.assert(
    fc.property(...arbitrary, (seed, totalMs) => {
      const faults = createSchedule(seed, totalMs, SIZE);
      expect(faults.map(({ startMs }) => startMs)).toEqual(
        faults.map(({ startMs }) => startMs).toSorted((a, b) => a - b),
      );
      for (const [index, fault] of faults.entries()) {
        expect(fault.startMs).toBeGreaterThanOrEqual(FIRST_FAULT_MS);
        expect(fault.startMs + fault.durationMs).toBeLessThanOrEqual(totalMs);
        const others = faults
          .slice(0, index)
          .filter(({ startMs, durationMs }) => startMs + durationMs > fault.startMs);
        expect(others.length).toBeLessThan(MAX_AT_ONCE);
        const taken = new Set(others.flatMap(({ action }) => partsOf(action)));
        expect(partsOf(fault.action).filter((part) => taken.has(part))).toEqual([]);
        expect(nameOf(fault.action)).not.toBe("kill sqs");
      }
    }),
  );
});

test("five minutes bring every kind of fault", () => {
  fc.assert(
    fc.property(arbitrary[0], (seed) => {
      const kinds = new Set(createSchedule(seed, 300_000, SIZE).map(({ action }) => action.kind));
      expect([...kinds].sort()).toEqual(
        ["clock", "full-disk", "full-memory", "half-open", "kill", "pause", "reset", "slow", "stop"].sort(),
      );
    }),
  );
});
