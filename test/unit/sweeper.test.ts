import { afterEach, expect, test } from "vitest";
import { startSweeper } from "../../services/audience-update/sweeper.ts";
import { createMemoryDueStore } from "../../shared/adapters/memory/memory-due-store.ts";
import type { DueEntry } from "../../shared/ports/due-store.ts";
import type { UpdateInput } from "../../shared/publish/update-input.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";
import { until } from "../support/until.ts";

const NOW_MS = Date.UTC(2026, 10, 21);
const HOLD_MS = 2_000;
const closing: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

const entry = (userId: string, dueMs = NOW_MS): DueEntry => ({ tenant: "shop", userId, dueMs });
const entries = (count: number) => Array.from({ length: count }, (_, index) => entry(String(index)));

/** A sweeper over a due store in memory, which fails while `storeAway`; time stands still but for `nowMs`. */
async function start(options: {
  entries: DueEntry[];
  publish(input: UpdateInput): Promise<void>;
  limit?: number;
  intervalMs?: number;
  ready?: Promise<void>;
}) {
  const store = createMemoryDueStore({ maxEntries: 10_000 });
  await store.add(options.entries);
  const world = { nowMs: NOW_MS, storeAway: false, claims: [] as number[], removals: [] as number[] };
  const seen = { published: 0, lateness: [] as number[], errors: [] as unknown[] };
  const answer = <T>(work: () => Promise<T>) =>
    world.storeAway ? Promise.reject(new KeylineError("store_unavailable", "away")) : work();
  const sweeper = startSweeper({
    dueStore: {
      claim(nowMs, limit, holdMs) {
        world.claims.push(limit);
        return answer(() => store.claim(nowMs, limit, holdMs));
      },
      async done(done) {
        world.removals.push(done.length);
        await new Promise((resume) => setTimeout(resume, 1));
        return answer(() => store.done(done));
      },
    },
    publisher: {
      async publish(input) {
        await options.publish(input);
        return { id: "s-1", path: "pulsar", src: "s", seq: 1, stamp: 1 };
      },
    },
    ready: options.ready ?? Promise.resolve(),
    now: () => world.nowMs,
    intervalMs: options.intervalMs ?? 1,
    limit: options.limit ?? 100,
    holdMs: HOLD_MS,
    restMs: () => 1,
    onClaimed: (latenessMs) => void seen.lateness.push(latenessMs),
    onPublished() {
      seen.published += 1;
    },
    onError: (error) => void seen.errors.push(error),
  });
  closing.push(sweeper.close);
  const left = async () => (await store.waiting()).entries;
  const looksTwice = async () => {
    const before = world.claims.length;
    await until("it has looked twice", () => world.claims.length >= before + 2);
  };
  return { sweeper, store, world, seen, left, looksTwice };
}

test("publishes a tick that carries its due moment, and no tick before its moment", async () => {
  const published: UpdateInput[] = [];
  const { world, seen, left, looksTwice } = await start({
    entries: [entry("1", NOW_MS - 7_000), entry("2", NOW_MS + 1)],
    publish: async (input) => void published.push(input),
  });
  await until("one is left", async () => (await left()) === 1);
  await looksTwice();
  const tick = (userId: string, due: number) => ({
    ...{ tenant: "shop", userId, at: due },
    ops: [{ kind: "tick", body: { due } }],
  });
  expect(published).toEqual([tick("1", NOW_MS - 7_000)]);
  world.nowMs += 1;
  await until("none is left", async () => (await left()) === 0);
  expect(published.slice(1)).toEqual([tick("2", NOW_MS + 1)]);
  expect([seen.published, seen.lateness]).toEqual([2, [7_000, 0]]);
});

test("an entry is done only once its tick is durable", async () => {
  const answer = Promise.withResolvers<void>();
  let publishes = 0;
  const { world, left, looksTwice } = await start({
    entries: [entry("1")],
    publish() {
      publishes += 1;
      return answer.promise;
    },
  });
  await until("it is being published", () => publishes === 1);
  await looksTwice();
  expect([world.removals, await left()]).toEqual([[], 1]);
  answer.resolve();
  await until("it is done", async () => (await left()) === 0);
  expect([world.removals, publishes]).toEqual([[1], 1]);
});

test("a tick that is not published comes again when the hold is over, and not sooner", async () => {
  let isAway = true;
  let publishes = 0;
  const { world, seen, left, looksTwice } = await start({
    entries: [entry("1")],
    async publish() {
      publishes += 1;
      if (isAway) throw new KeylineError("publish_failed", "away", { retryable: true });
    },
  });
  await until("it failed", () => seen.errors.length === 1);
  isAway = false;
  world.nowMs += HOLD_MS - 1;
  await looksTwice();
  expect([publishes, seen.published, await left()]).toEqual([1, 0, 1]);
  world.nowMs += 1;
  await until("it is done", async () => (await left()) === 0);
  expect([publishes, seen.published]).toEqual([2, 1]);
});

test("one that is still under way when its hold is over is not published twice", async () => {
  const answer = Promise.withResolvers<void>();
  let publishes = 0;
  const { world, seen, left } = await start({
    entries: [entry("1")],
    publish() {
      publishes += 1;
      return answer.promise;
    },
  });
  await until("it is being published", () => publishes === 1);
  world.nowMs += HOLD_MS;
  await until("it was claimed again", () => seen.lateness.length === 2);
  answer.resolve();
  await until("it is done", async () => (await left()) === 0);
  expect(publishes).toBe(1);
});

test("what is no update at all is reported and taken out", async () => {
  const { seen, left } = await start({
    entries: [entry("1")],
    publish: () => Promise.reject(new KeylineError("invalid_update", "no user")),
  });
  await until("it is done", async () => (await left()) === 0);
  expect([seen.published, seen.errors.length]).toEqual([0, 1]);
});

test("goes on at once while claims are full, with no more under way than the limit", async () => {
  let underWay = 0;
  let most = 0;
  const { seen, world, left } = await start({
    entries: entries(1_000),
    intervalMs: 3_600_000,
    limit: 20,
    async publish() {
      underWay += 1;
      most = Math.max(most, underWay);
      await new Promise(setImmediate);
      underWay -= 1;
    },
  });
  await until("none is left", async () => (await left()) === 0);
  expect(seen.published).toBe(1_000);
  expect(most).toBe(20);
  expect(world.removals.length, "calls to take entries out").toBeLessThan(500);
});

test("rests while the store is away, and what could not be taken out comes again", async () => {
  const gate = Promise.withResolvers<void>();
  let publishes = 0;
  const { seen, world, left } = await start({
    entries: [entry("1")],
    publish() {
      publishes += 1;
      return gate.promise;
    },
  });
  await until("it is being published", () => publishes === 1);
  world.storeAway = true;
  gate.resolve();
  await until("the store failed often", () => seen.errors.length > 5);
  expect([world.removals, await left()]).toEqual([[1], 1]);
  world.storeAway = false;
  world.nowMs += HOLD_MS;
  await until("it is done", async () => (await left()) === 0);
  expect(publishes).toBe(2);
});

test("claims nothing before it may", async () => {
  const ready = Promise.withResolvers<void>();
  const { world, left } = await start({ entries: [entry("1")], ready: ready.promise, async publish() {} });
  await new Promise(setImmediate);
  expect(world.claims).toEqual([]);
  ready.resolve();
  await until("it is done", async () => (await left()) === 0);
});

test("close waits for the ticks under way, takes them out, and claims nothing more", async () => {
  const answers: (() => void)[] = [];
  const { sweeper, world, left } = await start({
    entries: entries(10),
    limit: 4,
    publish: () => new Promise((resolve) => answers.push(resolve)),
  });
  await until("four are under way", () => answers.length === 4);
  let closed = false;
  const closing = sweeper.close().then(() => {
    closed = true;
  });
  answers.shift()!();
  await until("one is done", async () => (await left()) === 9);
  expect(closed).toBe(false);
  for (const answer of answers) answer();
  await closing;
  expect([await left(), world.claims]).toEqual([6, [4]]);
});
