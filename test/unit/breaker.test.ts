import fc from "fast-check";
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

describe("a trip", () => {
  test("opens it once, for its reason", async () => {
    const breaker = createBreaker(options);
    await samples(breaker, 5, good);
    breaker.trip("the canary died");
    breaker.trip("and died again");
    expect(breaker.state()).toMatchObject({ state: "open", reason: "the canary died", openings: 1 });
    await samples(breaker, 12, good);
    expect(breaker.state().state).toBe("closed");
    await samples(breaker, 8, bad);
    expect(breaker.state()).toMatchObject({ openings: 2, reason: expect.stringContaining("timed out") });
    breaker.close();
  });

  test("however often it comes, opens at most twice in any 60 s", async () => {
    const breaker = createBreaker({ ...options, minOpenMs: 0, goodSamplesToClose: 1 });
    const openings: number[] = [];
    breaker.onChange(({ state }) => state === "open" && openings.push(Date.now()));
    for (let i = 0; i < 1_200; i += 1) {
      if (i % 3 === 0) breaker.trip("sick");
      await samples(breaker, 1, good);
    }
    expect(openings.length).toBeGreaterThan(10);
    for (const at of openings)
      expect(openings.filter((other) => other >= at && other < at + 60_000).length).toBeLessThanOrEqual(2);
    breaker.close();
  });
});

describe("closing", () => {
  test("waits while something else is bad", async () => {
    let sick = true;
    const openForMs: number[] = [];
    const mustStayOpen = (ms: number) => {
      openForMs.push(ms);
      return sick;
    };
    const breaker = createBreaker({ ...options, mustStayOpen });
    await samples(breaker, 3, bad);
    await samples(breaker, 30, good);
    expect(breaker.state().state).toBe("open");
    expect(openForMs[0]).toBeGreaterThanOrEqual(options.minOpenMs);
    sick = false;
    await samples(breaker, 1, good);
    expect(breaker.state().state).toBe("closed");
    breaker.close();
  });

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

  test("is not put off when the wall clock is stepped back", async () => {
    const breaker = createBreaker(options);
    for (let i = 0; i < 2; i += 1) {
      await samples(breaker, 3, bad);
      vi.setSystemTime(Date.now() - 300_000);
      await samples(breaker, i === 0 ? 13 : 140, good);
      expect(breaker.state()).toMatchObject({ state: "closed", openings: i + 1 });
    }
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

describe("what it tells", () => {
  test("its state, since when and why, through an opening and a closing", async () => {
    const breaker = createBreaker(options);
    const startMs = Date.now();
    const told: ReturnType<Breaker["state"]>[] = [];
    breaker.onChange((state) => told.push(state));
    const none = { openings: 0, calls: 0, failures: 0, refused: 0, goodSamplesInRow: 0 };
    expect(breaker.state()).toEqual({
      state: "closed",
      sinceMs: startMs,
      reason: "no failures yet",
      ...none,
    });
    expect(breaker.verdict()).toEqual({ route: "pulsar", reason: "no failures yet" });

    await samples(breaker, 1, good);
    await samples(breaker, 2, bad);
    const why = "2 of 3 calls to Pulsar failed in 2000 ms, the last: timed out";
    const opened = {
      state: "open",
      sinceMs: startMs + 1_000,
      reason: why,
      openings: 1,
      calls: 3,
      failures: 2,
    };
    expect(told).toEqual([{ ...opened, refused: 0, goodSamplesInRow: 0 }]);
    expect(breaker.verdict()).toEqual({ route: "sqs", reason: why });

    await samples(breaker, 11, good);
    const closedAtMs = startMs + 1_000 + options.minOpenMs;
    expect(told[1]).toMatchObject({
      state: "closed",
      sinceMs: closedAtMs,
      reason: "10 good samples in a row",
    });
    expect(breaker.verdict().route).toBe("pulsar");
    breaker.close();
  });

  test("of a call its result or its error, of a sample its error only", async () => {
    const breaker = createBreaker(options);
    expect(await breaker.guard(async () => 7)).toBe(7);
    await expect(breaker.guard(bad)).rejects.toThrow("timed out");
    expect(await breaker.sample(good)).toBeUndefined();
    expect(await breaker.sample(bad)).toEqual(new Error("timed out"));
    await expect(breaker.guard(bad)).rejects.toThrow("timed out");
    expect(breaker.state()).toMatchObject({ state: "open", calls: 5, failures: 3 });
    expect([await breaker.sample(good), await breaker.sample(bad)]).toEqual([
      undefined,
      new Error("timed out"),
    ]);
    await expect(breaker.guard(good)).rejects.toThrow("the breaker is open: 3 of 5 calls");
    breaker.close();
  });
});

describe("at the bounds", () => {
  test("half of the calls may fail, and those before the window do not count", async () => {
    const breaker = createBreaker(options);
    for (const call of [good, good, good, bad, bad, bad]) await breaker.sample(call);
    expect(breaker.state().state).toBe("closed");
    await vi.advanceTimersByTimeAsync(options.windowMs + 200);
    await samples(breaker, 2, bad);
    expect(breaker.state()).toMatchObject({ state: "closed", calls: 2, failures: 2 });
    await samples(breaker, 1, bad);
    expect(breaker.state().state).toBe("open");
    breaker.close();
  });

  test.each(["queue_send_refused", "queue_closed"])("%s is no failure, another code is", async (code) => {
    const breaker = createBreaker(options);
    const failing = (other: string) => async () => Promise.reject(new KeylineError(other, "no"));
    await samples(breaker, 4, failing(code));
    expect(breaker.state()).toMatchObject({ state: "closed", failures: 0 });
    await samples(breaker, 4, failing("queue_send_failed"));
    expect(breaker.state().state).toBe("open");
    breaker.close();
  });

  test("however long it was open, one good sample does not close it", async () => {
    const breaker = createBreaker(options);
    await samples(breaker, 3, bad);
    await vi.advanceTimersByTimeAsync(10 * options.minOpenMs);
    await samples(breaker, 2, good);
    expect(breaker.state()).toMatchObject({ state: "open", goodSamplesInRow: 2 });
    await samples(breaker, 1, good);
    expect(breaker.state().state).toBe("closed");
    breaker.close();
  });

  test("after a second opening it stays open until the first is 60 s ago", async () => {
    const breaker = createBreaker({ ...options, minOpenMs: 0, goodSamplesToClose: 1 });
    const openedAtMs: number[] = [];
    breaker.onChange(({ state, sinceMs }) => state === "open" && openedAtMs.push(sinceMs));
    await samples(breaker, 3, bad);
    await samples(breaker, 1, good);
    expect(breaker.state().state).toBe("closed");
    await samples(breaker, 8, bad);
    expect(openedAtMs).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(openedAtMs[0]! + 60_000 - 1 - Date.now());
    await breaker.sample(good);
    expect(breaker.state().state).toBe("open");
    await vi.advanceTimersByTimeAsync(1);
    await breaker.sample(good);
    expect(breaker.state()).toMatchObject({ state: "closed", openings: 2 });
    breaker.close();
  });
});

test("a call is counted and judged as opossum itself does it, whatever comes of it", async () => {
  const outcomes = [good, bad, async () => Promise.reject(new KeylineError("queue_closed", "closed"))];
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(2), { minLength: 1, maxLength: 20 }), async (calls) => {
      const [guarded, fired] = [createBreaker(options), createBreaker(options)];
      for (const index of calls) {
        await Promise.allSettled([guarded.guard(outcomes[index]!), fired.sample(outcomes[index]!)]);
        expect(guarded.verdict()).toEqual(fired.verdict());
        if (fired.state().state === "open") break;
        expect(guarded.state()).toEqual(fired.state());
      }
      guarded.close();
      fired.close();
    }),
  );
});

test("a call of some weight is counted and judged as so many calls", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.constantFrom(good, bad), fc.integer({ min: 1, max: 5 })), {
        minLength: 1,
        maxLength: 10,
      }),
      async (calls) => {
        const [heavy, light] = [createBreaker(options), createBreaker(options)];
        for (const [call, weight] of calls) {
          await Promise.allSettled([heavy.guard(call, weight)]);
          await Promise.allSettled(Array.from({ length: weight }, () => light.guard(call)));
          expect(heavy.verdict().route).toBe(light.verdict().route);
          if (heavy.state().state === "open") break;
          expect(heavy.state()).toEqual(light.state());
        }
        heavy.close();
        light.close();
      },
    ),
  );
});
