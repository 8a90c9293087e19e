import { expect, test } from "vitest";
import { createMeanBytes, permitsDue } from "../../shared/adapters/pulsar-websocket/permits.ts";

test("a session is asked for its share of short messages, again when half of it was taken", () => {
  expect(permitsDue(500, 0, 400)).toBe(500);
  expect(permitsDue(500, 251, 400)).toBe(0);
  expect(permitsDue(500, 250, 400)).toBe(250);
});

test("of long messages for as many as have the bytes of the share, and for one at least", () => {
  expect(permitsDue(500, 0, 25_600)).toBe(10);
  expect(permitsDue(500, 6, 25_600)).toBe(0);
  expect(permitsDue(500, 5, 25_600)).toBe(5);
  expect(permitsDue(500, 0, 5_000_000)).toBe(1);
  expect(permitsDue(1, 0, 400)).toBe(1);
  expect(permitsDue(1, 1, 400)).toBe(0);
});

test("when messages get longer it is asked for none until fewer are left", () => {
  expect(permitsDue(500, 400, 25_600)).toBe(0);
});

test("before the first message few are asked for, and after some short ones the whole share", () => {
  const mean = createMeanBytes();
  expect(permitsDue(500, 0, mean.value())).toBeLessThan(50);
  for (let message = 0; message < 100; message += 1) mean.observe(400);
  expect(permitsDue(500, 0, mean.value())).toBe(500);
});
