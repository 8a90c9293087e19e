import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { createPace } from "../../shared/runtime/pace.ts";

const { signal } = new AbortController();
const TIMER_MS = 2;

test("turns come evenly, and a long pause is not followed by a flood", async () => {
  const turn = createPace(() => 1_000);
  await sleep(400);
  const startedMs = performance.now();
  // A hundred of them are made up for at once.
  await Promise.all(Array.from({ length: 301 }, () => turn(signal)));
  expect(performance.now() - startedMs).toBeGreaterThan(200 - TIMER_MS);
});

test("whoever waits for a turn can be interrupted", async () => {
  const stopping = new AbortController();
  const turn = createPace(() => 0.001);
  await turn(stopping.signal);
  const waiting = turn(stopping.signal);
  stopping.abort();
  await expect(waiting).rejects.toThrow(expect.objectContaining({ name: "AbortError" }));
  await expect(turn(stopping.signal)).rejects.toThrow(expect.objectContaining({ name: "AbortError" }));
});
