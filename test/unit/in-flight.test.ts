import { expect, test } from "vitest";
import { createInFlight } from "../../services/audience-update/in-flight.ts";

test("who waits for room gets it when something is removed, or when the bound was raised", async () => {
  const limits = { maxMessages: 2, maxBytes: 100 };
  const inFlight = createInFlight(() => limits);
  expect(await inFlight.room()).toBe(2);
  inFlight.add(10);
  inFlight.add(10);
  let room = inFlight.room();
  inFlight.remove(10);
  expect(await room).toBe(1);
  inFlight.add(10);
  room = inFlight.room();
  limits.maxMessages = 5;
  inFlight.recheck();
  expect(await room).toBe(3);
});

test("a bound that was lowered below what is held gives no room until enough is removed", async () => {
  const limits = { maxMessages: 3, maxBytes: 100 };
  const inFlight = createInFlight(() => limits);
  for (let count = 0; count < 3; count += 1) inFlight.add(10);
  limits.maxMessages = 1;
  let given: number | undefined;
  const waiting = inFlight.room().then((room) => {
    given = room;
  });
  inFlight.remove(10);
  inFlight.remove(10);
  await Promise.resolve();
  expect(given).toBeUndefined();
  inFlight.remove(10);
  await waiting;
  expect(given).toBe(1);
});

test("a bound that grows by itself lets who waits go on, though nothing is removed", async () => {
  const limits = { maxMessages: 1, maxBytes: 100 };
  const inFlight = createInFlight(() => limits, { recheckEveryMs: 1 });
  inFlight.add(10);
  const room = inFlight.room();
  limits.maxMessages = 3;
  expect(await room).toBe(2);
});

test("room is never none, nor less, where the bound falls as it is looked at", async () => {
  let maxMessages = 4;
  const inFlight = createInFlight(() => ({ maxMessages: maxMessages--, maxBytes: 100 }));
  for (let count = 0; count < 3; count += 1) inFlight.add(10);
  expect(await inFlight.room()).toBe(1);
});
