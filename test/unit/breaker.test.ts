import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Breaker, createBreaker } from "../../shared/routing/breaker.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";

const options = {
  windowMs: 2_000,
  errorPercent: 50,
  minCalls: 3,
  minOpenMs: 5_000,
  goodSamplesToClose: 3,
  now: () => Date.now(),
};
const good = async () => {};
const bad = async () => Promise.reject(new Error("timed out"));

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Runs one sample every 500 ms. */
async function samples(breaker: Breaker, count: number, call: () => Promise<void>): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    await breaker.sample(call);
    await vi.advanceTimersByTimeAsync(500);
  }
}

describe("opening", () => {
  test("needs the share of failures and the number of calls", async () => {
    const breaker = createBreaker(options);
    await samples(breaker, 2, bad);
    expect(breaker.verdict().route).toBe("pulsar");
    await samples(breaker, 1, bad);
    expect(breaker.verdict()).toEqual({ route: "sqs", reason: expect.stringContaining("timed out") });
    breaker.close();
  });

  test("is not caused by single failures among successes", async () => {
    const breaker = createBreaker(options);
    for (let i = 0; i < 50; i += 1) await breaker.sample(i % 3 === 0 ? bad : good);
    expect(breaker.state().state).toBe("closed");
    breaker.close();
  });

  test("is not caused by what this process itself refused", async () => {
    const breaker = createBreaker(options);
    const refused = async () => Promise.reject(new KeylineError("queue_send_refused", "too much under way"));
    for (let i = 0; i < 10; i += 1)
      await expect(breaker.guard(refused)).rejects.toThrow("too much under way");
    expect(breaker.state().state).toBe("closed");
    breaker.close();
  });

  test("lets calls fail at once, without trying", async () => {
    const breaker = createBreaker(options);
    await samples(breaker, 3, bad);
    const call = vi.fn(good);
    await expect(breaker.guard(call)).rejects.toMatchObject({ code: "breaker_open", retryable: true });
    expect(call).not.toHaveBeenCalled();
    expect(breaker.state().refused).toBe(1);
    breaker.close();
  });
});

describe("closing", () => {
  test("needs good samples in a row and the dwell", async () => {
    const breaker = createBreaker(options);
    await samples(breaker, 3, bad);
    await samples(breaker, 2, good);
    await samples(breaker, 1, bad);
    await samples(breaker, 2, good);
    expect(breaker.state()).toMatchObject({ state: "open", goodSamplesInRow: 2 });
    await samples(breaker, 4, good);
    expect(breaker.state().state).toBe("open");
    await samples(breaker, 3, good);
    expect(breaker.state()).toMatchObject({ state: "closed", openings: 1 });
    breaker.close();
  });

  test("does not come by itself, however long it stays open", async () => {
    const breaker = createBreaker(options);
    await samples(breaker, 3, bad);
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(breaker.state().state).toBe("open");
    breaker.close();
  });
});

test("at any steady error rate it opens at most twice in any 60 s", async () => {
  for (const badInTen of [2, 4, 6, 8, 9]) {
    const breaker = createBreaker({ ...options, minOpenMs: 0, goodSamplesToClose: 1 });
    const openings: number[] = [];
    breaker.onChange(({ state }) => state === "open" && openings.push(Date.now()));
    for (let i = 0; i < 1_200; i += 1) {
      await breaker.sample((i * 7) % 10 < badInTen ? bad : good);
      await vi.advanceTimersByTimeAsync(250);
    }
    for (const at of openings)
      expect(openings.filter((other) => other >= at && other < at + 60_000).length).toBeLessThanOrEqual(2);
    if (badInTen >= 6) expect(openings.length).toBeGreaterThan(1);
    breaker.close();
  }
});
