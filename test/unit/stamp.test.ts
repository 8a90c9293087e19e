import { expect, test } from "vitest";
import { compareOrder, createStampClock, stampAt, stampTimeMs } from "../../shared/domain/stamp.ts";

const NOW_MS = 1_767_225_600_000;

test("every stamp of a millisecond tells that millisecond, and comes before the next one", () => {
  const first = stampAt(NOW_MS);
  const last = stampAt(NOW_MS + 1) - 1;
  expect(last - first).toBe(2_047);
  expect([first, last, last + 1].map(stampTimeMs)).toEqual([NOW_MS, NOW_MS, NOW_MS + 1]);
  expect(stampAt(NOW_MS + 0.9)).toBe(first);
});

test("a clock gives the present moment, and runs on by itself while the wall clock stands or steps back", () => {
  const wall = [NOW_MS, NOW_MS, NOW_MS - 60_000, NOW_MS + 5];
  const clock = createStampClock(() => wall.shift()!);
  const first = stampAt(NOW_MS);
  expect([clock.next(), clock.next(), clock.next(), clock.next()]).toEqual([
    first,
    first + 1,
    first + 2,
    stampAt(NOW_MS + 5),
  ]);
});

test("a clock tells how far it is ahead of a wall clock that was set back", () => {
  const wall = { nowMs: NOW_MS };
  const clock = createStampClock(() => wall.nowMs);
  clock.next();
  expect(clock.aheadMs()).toBe(0);
  wall.nowMs -= 60_000;
  expect(clock.aheadMs()).toBe(60_000);
  wall.nowMs += 61_000;
  expect(clock.aheadMs()).toBe(0);
});

test("writes are ordered by stamp, then source, then number", () => {
  const rising = [
    { stamp: 1, src: "b", seq: 9 },
    { stamp: 2, src: "a", seq: 2 },
    { stamp: 2, src: "a", seq: 10 },
    { stamp: 2, src: "b", seq: 1 },
  ];
  expect(rising.toReversed().sort(compareOrder)).toEqual(rising);
  for (const [i, a] of rising.entries())
    for (const [j, b] of rising.entries()) expect(Math.sign(compareOrder(a, b))).toBe(Math.sign(i - j));
});
