import fc from "fast-check";
import { expect, test } from "vitest";
import { priceTokens, takeTokens } from "../../shared/domain/token-bucket.ts";

const startUs = 1_767_225_600_000_000;

const arbitraryLimit = fc.record({
  perSecond: fc.oneof(fc.integer({ min: 1, max: 50_000 }), fc.double({ min: 0.01, max: 100, noNaN: true })),
  burst: fc.integer({ min: 1, max: 1_000 }),
});

/** Of the time that the bucket takes to fill, and of the burst. */
const arbitraryShare = fc.record({
  passes: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 0.2, noNaN: true }), fc.constant(2)),
  tokens: fc.double({ min: 0, max: 1, noNaN: true }),
});

test("gives no more than the limit in any span of time, and all that it allows but a microsecond's worth a take", () => {
  const shares = fc.array(arbitraryShare, { minLength: 5, maxLength: 60 });
  fc.assert(
    fc.property(arbitraryLimit, shares, (limit, steps) => {
      const { perSecond, burst } = limit;
      const perUs = perSecond / 1e6;
      const takes: { atUs: number; tokens: number }[] = [];
      let nowUs = startUs;
      let emptyUs: number | undefined;
      let level = burst;
      for (const step of steps) {
        const passedUs = Math.floor((step.passes * burst) / perUs);
        nowUs += passedUs;
        level = Math.min(burst, level + passedUs * perUs);
        const tokens = Math.max(1, Math.floor(step.tokens * burst));
        const taken = takeTokens(emptyUs, nowUs, priceTokens(tokens, limit)!);
        emptyUs = taken.emptyUs;
        if (taken.waitMs === 0) {
          takes.push({ atUs: nowUs, tokens });
          level -= tokens;
        } else expect(level - tokens).toBeLessThan((takes.length + 1) * perUs + 1e-6);
      }
      for (const [index, { atUs }] of takes.entries()) {
        let sum = 0;
        for (const take of takes.slice(index)) {
          sum += take.tokens;
          expect(sum).toBeLessThanOrEqual(burst + (take.atUs - atUs + 1) * perUs + 1e-6);
        }
      }
    }),
    { numRuns: 1_000 },
  );
});

test("what it refuses it gives after the wait, and not a millisecond before", () => {
  fc.assert(
    fc.property(
      arbitraryLimit,
      fc.integer({ min: 0, max: 10_000_000 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (limit, behindUs, share) => {
        const price = priceTokens(Math.max(1, Math.floor(share * limit.burst)), limit)!;
        const emptyUs = startUs - behindUs;
        const refused = takeTokens(emptyUs, startUs, price);
        if (refused.waitMs === 0) return;
        const nowAt = (waitMs: number) => startUs + waitMs * 1_000;
        expect(takeTokens(refused.emptyUs, nowAt(refused.waitMs), price).waitMs).toBe(0);
        expect(takeTokens(refused.emptyUs, nowAt(refused.waitMs - 1), price).waitMs).toBe(1);
        expect(refused.emptyUs).toBe(emptyUs);
      },
    ),
  );
});
