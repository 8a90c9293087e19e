/** What every due store does. Moments are the tests' own: no store has a clock. */
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { DueEntry, DueStore } from "../../shared/ports/due-store.ts";

export type DueStoreSubject = {
  store: DueStore;
  /** The same store as another process has it. */
  other: DueStore;
  close(): Promise<void>;
};

export function dueAt(dueMs: number, userId: string, tenant = "shop"): DueEntry {
  return { tenant, userId, dueMs };
}

const names = (entries: readonly DueEntry[]) =>
  entries.map(({ tenant, userId, dueMs }) => `${dueMs} ${tenant}:${userId}`).sort();
const holdMs = 1_000;

export function describeDueStore(name: string, open: () => Promise<DueStoreSubject>): void {
  describe(`due store: ${name}`, () => {
    let subject: DueStoreSubject;
    let store: DueStore;

    beforeEach(async () => {
      subject = await open();
      store = subject.store;
    });

    afterEach(async () => {
      await subject.close();
    });

    it("has nothing at first, and takes calls without entries", async () => {
      await store.add([]);
      await store.done([]);
      expect(await store.claim(1_000, 10, holdMs)).toEqual([]);
      expect(await store.waiting()).toEqual({ entries: 0, earliestMs: undefined });
    });

    it("gives an entry from its moment on, and not before", async () => {
      await store.add([dueAt(1_000, "a"), dueAt(1_001, "b")]);
      expect(await store.claim(999, 10, holdMs)).toEqual([]);
      expect(await store.claim(1_000, 10, holdMs)).toEqual([dueAt(1_000, "a")]);
      expect(await store.claim(1_001, 10, holdMs)).toEqual([dueAt(1_001, "b")]);
    });

    it("gives back any user and moment as they were, also after a hold", async () => {
      const entries = [
        dueAt(1_767_225_600_000, "42"),
        dueAt(1, "a:b"),
        dueAt(2, "a:b", "a"),
        dueAt(2, "1767225600000 shop:42"),
        dueAt(3, "🦔 {x} %7d"),
        dueAt(3, "é"),
        dueAt(3, "e\u0301"),
        dueAt(3, "日本".repeat(128)),
        dueAt(3, "🦔".repeat(256)),
        dueAt(0, "x".repeat(256), "t".repeat(64)),
        dueAt(9_007_199_254_740_000, "last"),
      ];
      await store.add(entries);
      const nowMs = 9_007_199_254_740_000;
      expect(names(await store.claim(nowMs, 100, -holdMs))).toEqual(names(entries));
      expect(names(await store.claim(nowMs, 100, -holdMs))).toEqual(names(entries));
      await store.done(entries);
      expect(await store.waiting()).toEqual({ entries: 0, earliestMs: undefined });
    });

    it("hides what one has claimed from all, until the hold is over", async () => {
      await store.add([dueAt(1_000, "a")]);
      expect(await store.claim(5_000, 10, holdMs)).toHaveLength(1);
      for (const claimer of [store, subject.other])
        expect(await claimer.claim(5_000 + holdMs - 1, 10, holdMs)).toEqual([]);
      expect(await subject.other.claim(5_000 + holdMs, 10, holdMs)).toEqual([dueAt(1_000, "a")]);
    });

    it("never gives again what is done", async () => {
      const entries = Array.from({ length: 40 }, (_, index) => dueAt(index, `user-${index}`));
      await store.add(entries);
      const claimed = await store.claim(100, 100, holdMs);
      await store.done(claimed.slice(0, 30));
      expect(names(await store.claim(100 + holdMs, 100, holdMs))).toEqual(names(claimed.slice(30)));
    });

    it("keeps one of an entry that is added twice, and its hold", async () => {
      await store.add([dueAt(1_000, "a"), dueAt(1_000, "a")]);
      expect(await store.claim(1_000, 10, holdMs)).toEqual([dueAt(1_000, "a")]);
      await store.add([dueAt(1_000, "a")]);
      expect(await store.claim(1_000, 10, holdMs)).toEqual([]);
      expect((await store.waiting()).entries).toBe(1);
    });

    it("keeps several moments of a user apart", async () => {
      await store.add([dueAt(1_000, "a"), dueAt(2_000, "a")]);
      await store.done([dueAt(1_000, "a"), dueAt(1_500, "a")]);
      expect(await store.claim(2_000, 10, holdMs)).toEqual([dueAt(2_000, "a")]);
    });

    it("takes again what was done", async () => {
      await store.add([dueAt(1_000, "a")]);
      await store.done([dueAt(1_000, "a")]);
      await store.add([dueAt(1_000, "a")]);
      expect(await store.claim(1_000, 10, holdMs)).toEqual([dueAt(1_000, "a")]);
    });

    it("gives as many as are asked for while there are more, whoever they are", async () => {
      const entries = Array.from({ length: 100 }, (_, index) => dueAt(index, `user-${index}`));
      // Of one user, so that a store in parts has them in one.
      const oneUser = Array.from({ length: 100 }, (_, index) => dueAt(index, "one"));
      await store.add([...entries, ...oneUser]);
      for (const limit of [1, 7, 17, 50, 100]) {
        expect(await store.claim(100, limit, holdMs)).toHaveLength(limit);
      }
      expect(await store.claim(100, 100, holdMs)).toHaveLength(25);
      expect(await store.claim(100, 100, holdMs)).toEqual([]);
    });

    it("gives a user's entries oldest first, and each answer in order", async () => {
      await store.add(Array.from({ length: 50 }, (_, index) => dueAt((index * 37) % 50, "one")));
      for (let start = 0; start < 50; start += 10) {
        const claimed = await store.claim(100, 10, holdMs);
        expect(claimed.map(({ dueMs }) => dueMs)).toEqual(
          Array.from({ length: 10 }, (_, index) => start + index),
        );
      }
      await store.add(Array.from({ length: 50 }, (_, index) => dueAt((index * 37) % 50, `user-${index}`)));
      const moments = (await store.claim(100, 100, holdMs)).map(({ dueMs }) => dueMs);
      expect(moments).toEqual(Array.from({ length: 50 }, (_, index) => index));
    });

    it("shares what is due between those who claim at once, each entry to one of them", async () => {
      const entries = Array.from({ length: 500 }, (_, index) => dueAt(index, `user-${index}`));
      await store.add(entries);
      const claims = Array.from({ length: 30 }, (_, index) =>
        (index % 2 === 0 ? store : subject.other).claim(1_000, 25, holdMs),
      );
      expect(names((await Promise.all(claims)).flat())).toEqual(names(entries));
    });

    it("says how many there are, and from when on one can be claimed", async () => {
      await store.add([dueAt(3_000, "b"), dueAt(1_000, "a"), dueAt(5_000, "c")]);
      expect(await store.waiting()).toEqual({ entries: 3, earliestMs: 1_000 });
      await store.claim(1_500, 10, holdMs);
      expect(await store.waiting()).toEqual({ entries: 3, earliestMs: 2_500 });
      await store.done([dueAt(1_000, "a")]);
      expect(await store.waiting()).toEqual({ entries: 2, earliestMs: 3_000 });
    });

    it("takes thousands of entries at once", async () => {
      const entries = Array.from({ length: 5_000 }, (_, index) =>
        dueAt(index, index % 2 ? "one" : `${index}`),
      );
      await store.add(entries);
      expect(names(await store.claim(5_000, 10_000, holdMs))).toEqual(names(entries));
      await store.done(entries);
      expect((await store.waiting()).entries).toBe(0);
    });

    it("loses nothing that was added and is not done, however two sweepers take turns", async () => {
      let cameAgain = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(arbitraryStep, { minLength: 20, maxLength: 60 }), async (steps) => {
          await emptyStore();
          cameAgain += await sweep(steps);
        }),
        { numRuns: 100 },
      );
      // Otherwise holds hardly ever ended, and this shows little.
      expect(cameAgain).toBeGreaterThan(100);
    });

    async function emptyStore(): Promise<void> {
      await store.done(await store.claim(Number.MAX_SAFE_INTEGER, 1_000, 0));
      expect((await store.waiting()).entries).toBe(0);
    }

    /** @returns how many entries came again after a hold. */
    async function sweep(steps: readonly Step[]): Promise<number> {
      const sweepers = [store, subject.other] as const;
      const inHand: [DueEntry[], DueEntry[]] = [[], []];
      /** By name; when the hold ends, or undefined where there never was one. */
      const there = new Map<string, number | undefined>();
      let nowMs = 0;
      let cameAgain = 0;
      const claim = async (sweeper: 0 | 1, limit: number) => {
        const claimed = await sweepers[sweeper].claim(nowMs, limit, holdMs);
        for (const entry of claimed) {
          const [key = ""] = names([entry]);
          expect(there.has(key) && entry.dueMs <= nowMs && (there.get(key) ?? 0) <= nowMs).toBe(true);
          if (there.get(key) !== undefined) cameAgain++;
          there.set(key, nowMs + holdMs);
        }
        inHand[sweeper].push(...claimed);
        return claimed;
      };
      for (const step of steps) {
        if (step.do === "wait") nowMs += step.ms;
        else if (step.do === "claim") await claim(step.sweeper, step.limit);
        else if (step.do === "done") {
          const finished = inHand[step.sweeper].splice(0, step.count);
          await sweepers[step.sweeper].done(finished);
          for (const key of names(finished)) there.delete(key);
        } else {
          const entries = step.dues.map(({ user, inMs }) => dueAt(nowMs + inMs, user));
          await sweepers[step.sweeper].add(entries);
          for (const key of names(entries)) if (!there.has(key)) there.set(key, undefined);
        }
      }
      const cameWithin = cameAgain;
      nowMs += 10_000;
      expect(names(await claim(0, 1_000))).toEqual([...there.keys()].sort());
      return cameWithin;
    }
  });
}

type Step =
  | { do: "add"; sweeper: 0 | 1; dues: { user: string; inMs: number }[] }
  | { do: "claim"; sweeper: 0 | 1; limit: number }
  | { do: "done"; sweeper: 0 | 1; count: number }
  | { do: "wait"; ms: number };

const sweeper = fc.constantFrom<0 | 1>(0, 1);
const due = fc.record({
  user: fc.constantFrom("a", "b", "c:d", "🦔"),
  inMs: fc.integer({ min: -3, max: 3 }),
});

const arbitraryStep: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant("add" as const),
    sweeper,
    dues: fc.array(due, { minLength: 1, maxLength: 5 }),
  }),
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("claim" as const),
      sweeper,
      limit: fc.integer({ min: 1, max: 5 }),
    }),
  },
  fc.record({ do: fc.constant("done" as const), sweeper, count: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ do: fc.constant("wait" as const), ms: fc.constantFrom(1, 2, holdMs - 1, holdMs) }),
);
