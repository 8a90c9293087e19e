import { describe, expect, test } from "vitest";
import { createAdaptiveLimit } from "../../shared/runtime/adaptive-limit.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";

const unanswered = () => new KeylineError("queue_send_timeout", "no answer", { retryable: true });
const throttled = () => new KeylineError("queue_send_refused", "throttled", { retryable: true });

/** Settles so many calls at once, each as `answer` says. */
async function wave(
  limit: ReturnType<typeof createAdaptiveLimit>,
  count: number,
  answer: () => Promise<void>,
) {
  let atOnce = 0;
  let most = 0;
  const calls = Array.from({ length: count }, () =>
    limit(async () => {
      atOnce += 1;
      most = Math.max(most, atOnce);
      await new Promise(setImmediate);
      await answer().finally(() => {
        atOnce -= 1;
      });
    }),
  );
  await Promise.allSettled(calls);
  return most;
}

const succeed = () => Promise.resolve();

describe("an adaptive limit", () => {
  test("lets as many at once as it may, and no more", async () => {
    const limit = createAdaptiveLimit(40);
    expect(await wave(limit, 100, succeed)).toBe(40);
    expect(limit.allowed()).toBe(40);
  });

  test.each([
    ["were not answered", unanswered],
    ["were throttled", throttled],
  ])("is halved once for all that were under way and %s, down to ten", async (_, error) => {
    const limit = createAdaptiveLimit(80);
    const fail = () => Promise.reject(error());
    await wave(limit, 80, fail);
    expect(limit.allowed()).toBe(40);
    expect(await wave(limit, 40, fail)).toBe(40);
    expect(limit.allowed()).toBe(20);
    for (let round = 0; round < 5; round += 1) await wave(limit, 20, fail);
    expect(limit.allowed()).toBe(10);
  });

  test("grows by about one for each round of answers, up to its most", async () => {
    const limit = createAdaptiveLimit(24);
    await wave(limit, 24, () => Promise.reject(unanswered()));
    expect(limit.allowed()).toBe(12);
    await wave(limit, 13, succeed);
    expect(limit.allowed()).toBe(13);
    await wave(limit, 1_000, succeed);
    expect(limit.allowed()).toBe(24);
  });

  test("takes no other failure for a slow server", async () => {
    const limit = createAdaptiveLimit(24);
    await wave(limit, 24, () => Promise.reject(new Error("a bug")));
    await wave(limit, 24, () => Promise.reject(new KeylineError("queue_send_refused", "too long")));
    const away = () => new KeylineError("queue_not_connected", "away", { retryable: true });
    await wave(limit, 24, () => Promise.reject(away()));
    expect(limit.allowed()).toBe(24);
  });
});
