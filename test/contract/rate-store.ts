/**
 * What every rate store does, on a clock that the test moves. A token takes ten seconds to come back: Redis drops a
 * full bucket by its own clock, which must not get there before the test's does.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { RateStore } from "../../shared/ports/rate-store.ts";

export type RateStoreSubject = {
  store: RateStore;
  /** The same store as another process has it. */
  other: RateStore;
  close(): Promise<void>;
};

export type TestClock = { nowMs: number };

const tokenMs = 10_000;
const limit = { perSecond: 0.1, burst: 10 };

export function describeRateStore(name: string, open: (clock: TestClock) => Promise<RateStoreSubject>): void {
  describe(`rate store: ${name}`, () => {
    const clock: TestClock = { nowMs: 0 };
    let subject: RateStoreSubject;
    let store: RateStore;

    beforeEach(async () => {
      clock.nowMs = 1_767_225_600_000;
      subject = await open(clock);
      store = subject.store;
    });

    afterEach(() => subject.close());

    it("gives as many as the burst at once, all together or one by one", async () => {
      expect(await store.take("together", 10, limit)).toBe(0);
      expect(await store.take("together", 1, limit)).toBe(tokenMs);
      for (let taken = 0; taken < 10; taken++) expect(await store.take("single", 1, limit)).toBe(0);
      expect(await store.take("single", 1, limit)).toBe(tokenMs);
    });

    it("fills at the rate, up to the burst", async () => {
      await store.take("a", 10, limit);
      clock.nowMs += 3 * tokenMs - 1;
      expect(await store.take("a", 3, limit)).toBe(1);
      clock.nowMs += 1;
      expect(await store.take("a", 3, limit)).toBe(0);
      expect(await store.take("a", 1, limit)).toBe(tokenMs);
      clock.nowMs += 1_000 * tokenMs;
      expect(await store.take("a", 10, limit)).toBe(0);
      expect(await store.take("a", 1, limit)).toBe(tokenMs);
    });

    it("takes nothing when it refuses, and says when as many are there", async () => {
      await store.take("a", 8, limit);
      for (let asked = 0; asked < 5; asked++) expect(await store.take("a", 5, limit)).toBe(3 * tokenMs);
      expect(await store.take("a", 2, limit)).toBe(0);
      const waitMs = await store.take("a", 7, limit);
      clock.nowMs += waitMs - 1;
      expect(await store.take("a", 7, limit)).toBe(1);
      clock.nowMs += 1;
      expect(await store.take("a", 7, limit)).toBe(0);
    });

    it("rounds a wait up to a whole millisecond", async () => {
      const thirds = { perSecond: 3 / 70, burst: 1 };
      await store.take("a", 1, thirds);
      expect(await store.take("a", 1, thirds)).toBe(23_334);
      clock.nowMs += 23_333.3;
      expect(await store.take("a", 1, thirds)).toBe(1);
    });

    it("takes parts of a token", async () => {
      expect(await store.take("a", 9.5, limit)).toBe(0);
      expect(await store.take("a", 1, limit)).toBe(tokenMs / 2);
      expect(await store.take("a", 0.5, limit)).toBe(0);
    });

    it("says at once that what no wait makes possible never is, and takes nothing", async () => {
      const never = Number.POSITIVE_INFINITY;
      expect(await store.take("a", 11, limit)).toBe(never);
      expect(await store.take("a", 1, { perSecond: 0, burst: 10 })).toBe(never);
      expect(await store.take("a", 1, { perSecond: 1, burst: 0 })).toBe(never);
      expect(await store.take("a", 10, limit)).toBe(0);
    });

    it("keeps buckets apart, whatever their names", async () => {
      const names = ["", "a", "a:b", "a%3ab", "{a}", "a}", "a b\n", "é", "e\u0301", "🦔", "\ud800", "\ud801"];
      for (const bucket of names) expect(await store.take(bucket, 10, limit)).toBe(0);
      for (const bucket of names) expect(await store.take(bucket, 10, limit)).toBe(10 * tokenMs);
    });

    it("shares a bucket between those who take at once, and gives the burst to them together", async () => {
      const takes = Array.from({ length: 40 }, (_, index) =>
        (index % 2 === 0 ? store : subject.other).take("a", 1, limit),
      );
      const waits = await Promise.all(takes);
      expect(waits.filter((waitMs) => waitMs === 0)).toHaveLength(10);
      clock.nowMs += tokenMs;
      expect(await subject.other.take("a", 1, limit)).toBe(0);
      expect(await store.take("a", 1, limit)).toBe(tokenMs);
    });

    it("fills at a new rate from the next call on", async () => {
      await store.take("a", 10, limit);
      expect(await store.take("a", 1, { perSecond: 10, burst: 10 })).toBe(100);
      clock.nowMs += 100;
      expect(await store.take("a", 1, { perSecond: 10, burst: 10 })).toBe(0);
      expect(await store.take("a", 1, { perSecond: 0.01, burst: 10 })).toBe(100_000);
    });

    it("holds as many as a new burst from the next call on, and an empty bucket stays empty", async () => {
      await store.take("a", 5, limit);
      expect(await store.take("a", 3, { ...limit, burst: 2 })).toBe(Number.POSITIVE_INFINITY);
      expect(await store.take("a", 2, { ...limit, burst: 2 })).toBe(0);
      expect(await store.take("a", 1, { ...limit, burst: 2 })).toBe(tokenMs);
      expect(await store.take("a", 100, { ...limit, burst: 100 })).toBe(100 * tokenMs);
    });

    it("has what is given back, and never more than the burst", async () => {
      await store.take("a", 10, limit);
      await store.giveBack("a", 4, limit);
      expect(await subject.other.take("a", 5, limit)).toBe(tokenMs);
      expect(await store.take("a", 4, limit)).toBe(0);
      clock.nowMs += 8 * tokenMs;
      await subject.other.giveBack("a", 4, limit);
      expect(await store.take("a", 10, limit)).toBe(0);
      expect(await store.take("a", 1, limit)).toBe(tokenMs);
    });

    it("gives nothing back to a bucket that is full, nor what could not be taken", async () => {
      await store.giveBack("a", 5, limit);
      expect(await store.take("a", 10, limit)).toBe(0);
      await store.giveBack("a", 11, limit);
      expect(await store.take("a", 1, limit)).toBe(tokenMs);
    });

    it("asks for no longer wait after its clock was set back", async () => {
      await store.take("a", 10, limit);
      clock.nowMs -= 3_600_000;
      expect(await store.take("a", 1, limit)).toBe(tokenMs);
      clock.nowMs += tokenMs;
      expect(await store.take("a", 1, limit)).toBe(0);
    });
  });
}
