import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createBackgroundLimit } from "../../shared/publish/background-limit.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const ANSWER_MS = 25;

/** How many are under way at once at the end of so many seconds in which there is always more to send. */
async function busy(limit: ReturnType<typeof createBackgroundLimit>, seconds: number): Promise<number> {
  let underWay = 0;
  let most = 0;
  let ended = false;
  const send = async () => {
    underWay += 1;
    most = Math.max(most, underWay);
    await new Promise((resolve) => setTimeout(resolve, ANSWER_MS));
    underWay -= 1;
  };
  const senders = Array.from({ length: 64 }, async () => {
    while (!ended) await limit(send);
  });
  await vi.advanceTimersByTimeAsync(seconds * 1_000);
  most = 0;
  await vi.advanceTimersByTimeAsync(100);
  ended = true;
  await vi.advanceTimersByTimeAsync(10_000);
  await Promise.all(senders);
  return most;
}

test("what fails without being sent says nothing of how long an answer takes", async () => {
  const limit = createBackgroundLimit(64, 10);
  expect(await busy(limit, 2)).toBe(64);
  const late = () => Promise.reject(new Error("its turn has not come in time"));
  await Promise.allSettled(Array.from({ length: 100 }, () => limit(late)));
  expect(await busy(limit, 2)).toBe(64);
});

test("an answer that fails late makes room for others", async () => {
  const limit = createBackgroundLimit(64, 10);
  await busy(limit, 2);
  const unanswered = () =>
    new Promise<void>((_, reject) => setTimeout(reject, 1_000, new Error("no answer")));
  const sent = Array.from({ length: 1_000 }, () => limit(unanswered).catch(() => {}));
  await vi.advanceTimersByTimeAsync(600_000);
  await Promise.all(sent);
  let underWay = 0;
  for (let count = 0; count < 64; count += 1)
    void limit(async () => {
      underWay += 1;
      await new Promise((resolve) => setTimeout(resolve, ANSWER_MS));
    });
  await vi.advanceTimersByTimeAsync(1);
  expect(underWay).toBe(2);
  await vi.advanceTimersByTimeAsync(10_000);
});
