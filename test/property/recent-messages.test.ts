import fc from "fast-check";
import { expect, test } from "vitest";
import { createRecentMessages } from "../../shared/publish/recent-messages.ts";

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("push" as const), length: fc.nat(12) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("shift" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("forget" as const), ageMs: fc.nat(6) }) },
);

test("the ring is the newest messages within its bounds, in order", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 6 }),
      fc.nat(40),
      fc.array(step, { maxLength: 60 }),
      (maxMessages, maxBytes, steps) => {
        const ring = createRecentMessages({ maxMessages, maxBytes });
        let model: { key: string; length: number; atMs: number }[] = [];
        const bytes = () => model.reduce((sum, { length }) => sum + length, 0);
        for (const [nowMs, taken] of steps.entries()) {
          if (taken.kind === "push") {
            const key = String(nowMs);
            ring.push({ key, payload: "x".repeat(taken.length), deduplicationId: key }, nowMs);
            model.push({ key, length: taken.length, atMs: nowMs });
            while (model.length > maxMessages || bytes() > maxBytes) model.shift();
          } else if (taken.kind === "shift") {
            const expected = model.shift();
            const actual = ring.shift();
            expect([actual?.message.key, actual?.addedAtMs]).toEqual([expected?.key, expected?.atMs]);
          } else {
            ring.forgetBefore(nowMs - taken.ageMs);
            model = model.filter(({ atMs }) => atMs >= nowMs - taken.ageMs);
          }
          expect(ring.size()).toBe(model.length);
        }
        for (const { key } of model) expect(ring.shift()?.message.key).toBe(key);
        expect(ring.shift()).toBeUndefined();
      },
    ),
    { numRuns: 2_000 },
  );
});
