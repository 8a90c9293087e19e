import fc from "fast-check";
import { expect, test } from "vitest";
import { createKnownShortages } from "../../services/gateway/known-shortages.ts";
import { createMemoryRateStore } from "../../shared/adapters/memory/memory-rate-store.ts";
import type { RateStore } from "../../shared/ports/rate-store.ts";

const STARTED_AT_MS = 1_767_225_600_000;
const ASK_AGAIN_AFTER_MS = 1_000;

/** A store on a clock of its own, which counts how often it is asked. */
function startStore() {
  let nowMs = STARTED_AT_MS;
  const store = createMemoryRateStore({ maxBuckets: 10, now: () => nowMs });
  let asked = 0;
  const counting: Pick<RateStore, "take" | "giveBack"> = {
    giveBack: store.giveBack,
    take(...args) {
      asked += 1;
      return store.take(...args);
    },
  };
  return {
    store,
    known: createKnownShortages(counting, { maxBuckets: 10, now: () => nowMs - STARTED_AT_MS }),
    asked: () => asked,
    pass(ms: number) {
      nowMs += ms;
    },
  };
}

const arbitraryTake = fc.record({
  passesMs: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 60, noNaN: true }), fc.integer({ max: 3_000 })),
  tokens: fc.integer({ min: 1, max: 1_000 }),
  through: fc.constantFrom("this gateway", "another"),
});

test("what is refused from memory, the store would not have allowed, while all gateways go by one limit", async () => {
  const takes = fc.array(arbitraryTake, { minLength: 5, maxLength: 80 });
  await fc.assert(
    fc.asyncProperty(takes, fc.constantFrom(7, 500, 50_000), async (steps, perSecond) => {
      const limit = { perSecond, burst: 1_000 };
      const { store, known, asked, pass } = startStore();
      for (const { passesMs, tokens, through } of steps) {
        pass(Math.abs(passesMs));
        if (through === "another") {
          await store.take("shop", tokens, limit);
          continue;
        }
        const askedBefore = asked();
        const toldMs = await known.take("shop", tokens, limit);
        if (asked() > askedBefore) continue;
        expect(toldMs).toBeGreaterThan(0);
        // Nothing was taken for it, so that asking now tells what it would have been.
        const wouldBeMs = await store.take("shop", tokens, limit);
        expect(wouldBeMs).toBeGreaterThanOrEqual(toldMs);
      }
    }),
  );
});

test("a store is not asked again for what it can't have yet, and is for less", async () => {
  const { known, asked, pass } = startStore();
  const limit = { perSecond: 100, burst: 1_000 };
  expect(await known.take("shop", 1_000, limit)).toBe(0);
  expect(await known.take("shop", 50, limit)).toBe(500);
  pass(100);
  expect(await known.take("shop", 50, limit)).toBe(398);
  expect(await known.take("shop", 20, limit)).toBe(98);
  expect(known.waitMs("shop", 10, limit)).toBe(0);
  expect(asked()).toBe(2);
  expect(await known.take("shop", 10, limit)).toBe(0);
  expect(asked()).toBe(3);
});

test("a store that has lost its buckets is asked within a second, and one whose limit has changed at once", async () => {
  const { store, known, pass } = startStore();
  const limit = { perSecond: 1, burst: 1_000 };
  await store.take("shop", 1_000, limit);
  expect(await known.take("shop", 500, limit)).toBe(500_000);
  expect(await known.take("shop", 500, { perSecond: 1, burst: 2_000 })).toBe(500_000);
  pass(ASK_AGAIN_AFTER_MS - 1);
  expect(known.waitMs("shop", 500, { perSecond: 1, burst: 2_000 })).toBeGreaterThan(0);
  pass(1);
  expect(known.waitMs("shop", 500, { perSecond: 1, burst: 2_000 })).toBe(0);
});

test("what is known of one bucket is not of another", async () => {
  const { known } = startStore();
  const limit = { perSecond: 1, burst: 1_000 };
  await known.take("shop", 1_000, limit);
  expect(await known.take("shop", 1_000, limit)).toBe(1_000_000);
  expect(await known.take("other", 1_000, limit)).toBe(0);
});

test("a bucket to which tokens were given back is asked again", async () => {
  const { known } = startStore();
  const limit = { perSecond: 1, burst: 1_000 };
  await known.take("shop", 600, limit);
  expect(await known.take("shop", 500, limit)).toBe(100_000);
  await known.giveBack("shop", 600, limit);
  expect(await known.take("shop", 500, limit)).toBe(0);
});
