import { expect, test } from "vitest";
import { createBackgroundWindow } from "../../shared/runtime/background-window.ts";

function start({ min = 4, max = 1_000, targetDelayMs = 10, maxBaseMs = Number.POSITIVE_INFINITY } = {}) {
  let nowMs = 0;
  const window = createBackgroundWindow({
    min,
    max: () => max,
    targetDelayMs: () => targetDelayMs,
    maxBaseMs,
    now: () => nowMs,
  });
  /** So many tenths of a second, in each of which somebody sees that delay. */
  function pass(steps: number, delayMs?: number): number {
    for (let step = 0; step < steps; step += 1) {
      if (delayMs !== undefined) window.observe(delayMs);
      nowMs += 100;
      window.allowed();
    }
    return window.allowed();
  }
  return { pass };
}

test("it starts with the least, doubles while nobody is in the way, and never passes its bound", () => {
  const { pass } = start();
  expect(pass(0)).toBe(4);
  expect(pass(1)).toBe(8);
  expect(pass(3)).toBe(64);
  expect(pass(100)).toBe(1_000);
});

test("while the others are late it shrinks to the least, which it keeps", () => {
  const { pass } = start();
  pass(1, 5);
  pass(20);
  expect(pass(1, 100)).toBe(500);
  expect(pass(1, 100)).toBe(250);
  expect(pass(100, 100)).toBe(4);
});

test("only what a delay is above the least one counts: a clock that is ahead does not", () => {
  const [right, ahead] = [start(), start()];
  expect(ahead.pass(20, 3_600_005)).toBe(right.pass(20, 5));
  expect(ahead.pass(1, 3_600_105)).toBe(right.pass(1, 105));
});

test("at the target it stays as it is, below it grows by what is left", () => {
  const { pass } = start();
  pass(1, 5);
  pass(3);
  const before = pass(1, 5 + 10);
  expect(pass(10, 5 + 10)).toBe(before);
  const grown = pass(10, 5 + 5);
  expect(grown).toBeGreaterThan(before);
  expect(grown).toBeLessThan(2 * before);
});

test("a least delay is forgotten after ten minutes: what lasts is the new rest", () => {
  const { pass } = start();
  pass(10, 5);
  expect(pass(600, 50)).toBe(4);
  expect(pass(10 * 600, 50)).toBeGreaterThan(4);
});

test("who comes while the others lag already gives way all the same, however long they do", () => {
  const { pass } = start({ maxBaseMs: 10_000 });
  expect(pass(7_000, 300_000)).toBe(4);
  expect(start().pass(20, 300_000)).toBeGreaterThan(4);
});
