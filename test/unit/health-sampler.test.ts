import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createMemoryBroker } from "../../shared/adapters/memory/memory-broker.ts";
import type { PrimaryQueue } from "../../shared/ports/primary-queue.ts";
import { createBreaker } from "../../shared/routing/breaker.ts";
import { startHealthSampler } from "../../shared/routing/health-sampler.ts";
import type { Signal } from "../../shared/routing/signal.ts";

const topic = "persistent://public/keyline-health/canaries";
const PARTITIONS = 3;
const TIMEOUT_MS = 400;
const START_GRACE_MS = 3_000;
const pause = (ms: number) => new Promise<void>((resume) => setTimeout(resume, ms));
const advance = (ms: number) => vi.advanceTimersByTimeAsync(ms);

/** The embedded broker on lines that take `delaysMs` to send, of which those in `offline` are not connected. */
function createSlowBroker() {
  const broker = createMemoryBroker();
  const delaysMs = Array.from({ length: PARTITIONS }, () => 0);
  const offline = new Set<number>();
  const sent: number[] = [];
  const closed: string[] = [];
  const primary: PrimaryQueue = {
    ...broker,
    producer(options) {
      const partition = Number(options.topic.at(-1));
      const producer = broker.producer(options);
      return {
        ...producer,
        connected: () => !offline.has(partition),
        async send(message) {
          sent.push(partition);
          await pause(delaysMs[partition]!);
          return producer.send(message);
        },
        async close() {
          closed.push(`producer of ${options.topic}`);
          await producer.close();
        },
      };
    },
    reader(topicName) {
      const reader = broker.reader(topicName);
      return {
        ...reader,
        async close() {
          closed.push(`reader of ${topicName}`);
          await reader.close();
        },
      };
    },
  };
  return { broker, primary, delaysMs, offline, sent, closed };
}

let slow: ReturnType<typeof createSlowBroker>;
let breaker: ReturnType<typeof createBreaker>;
let sampler: ReturnType<typeof startHealthSampler>;
let reported: Signal[];
let latenciesMs: number[];

beforeEach(() => {
  vi.useFakeTimers();
  slow = createSlowBroker();
  reported = [];
  latenciesMs = [];
});
afterEach(async () => {
  const closed = sampler.close();
  await advance(TIMEOUT_MS);
  await closed;
  breaker.close();
  await slow.broker.close();
  vi.useRealTimers();
});

function start({ intervalMs = 1_000 } = {}): void {
  const now = Date.now;
  const limits = { windowMs: 10_000, errorPercent: 50, minCalls: 2, minOpenMs: 0, goodSamplesToClose: 2 };
  breaker = createBreaker({ ...limits, now });
  sampler = startHealthSampler({
    primary: slow.primary,
    topic,
    partitions: PARTITIONS,
    breaker,
    intervalMs,
    timeoutMs: TIMEOUT_MS,
    startGraceMs: START_GRACE_MS,
    report: (signal) => void reported.push(signal),
    onSent: (latencyMs) => void latenciesMs.push(latencyMs),
    now,
  });
}

test("of no partition anything is known before its first canary", () => {
  start();
  expect(reported).toEqual(
    [0, 1, 2].map((partition) => ({
      name: "canary",
      partition,
      value: null,
      unit: "ms",
      limit: TIMEOUT_MS,
      verdict: "unknown",
      why: "no canary yet",
    })),
  );
  expect(sampler.lastCanary()).toBeUndefined();
});

test("a sample takes as long as its slowest canary, and has no latency where one is lost", async () => {
  slow.delaysMs.splice(0, PARTITIONS, 50, 10, 300);
  start();
  const startedAtMs = Date.now();
  await advance(500);
  expect(sampler.lastCanary()).toEqual({ atMs: startedAtMs + 300, latencyMs: 300, error: undefined });
  expect(latenciesMs).toEqual([10, 50, 300]);
  expect(reported.slice(PARTITIONS).map(({ partition, value }) => [partition, value])).toEqual([
    [0, 50],
    [1, 10],
    [2, 300],
  ]);
  slow.broker.break({ topic: `${topic}-partition-1` });
  await advance(1_000);
  const error = "a canary was not back after 400 ms";
  expect(sampler.lastCanary()).toEqual({ atMs: startedAtMs + 1_400, latencyMs: undefined, error });
  expect(reported.slice(2 * PARTITIONS)).toMatchObject([
    { partition: 0, value: 50, verdict: "good" },
    { partition: 1, value: null, verdict: "bad", why: error },
    { partition: 2, value: 300, verdict: "good" },
  ]);
  slow.broker.heal();
  await advance(1_000);
  expect(sampler.lastCanary()).toMatchObject({ latencyMs: 300, error: undefined });
});

describe("the first canaries", () => {
  test("wait until every partition is connected", async () => {
    slow.offline.add(0).add(2);
    start();
    await advance(1_000);
    slow.offline.delete(0);
    await advance(1_000);
    expect(slow.sent).toEqual([]);
    slow.offline.delete(2);
    await advance(100);
    expect(slow.sent).toEqual([0, 1, 2]);
    await advance(1_000);
    expect(slow.sent).toEqual([0, 1, 2, 0, 1, 2]);
  });

  test("wait no longer than the grace", async () => {
    slow.offline.add(1);
    start();
    await advance(START_GRACE_MS - 100);
    expect(slow.sent).toEqual([]);
    await advance(200);
    expect(slow.sent).toEqual([0, 1, 2]);
  });
});

test("canaries that are not back do not hold up the next", async () => {
  start({ intervalMs: 100 });
  slow.broker.break();
  await advance(TIMEOUT_MS - 50);
  expect(slow.sent).toHaveLength(4 * PARTITIONS);
});

test("a closed breaker hears of a sample that is lost altogether, an open one of any lost canary", async () => {
  start();
  slow.broker.break({ topic: `${topic}-partition-1` });
  await advance(5_000);
  expect(breaker.state()).toMatchObject({ state: "closed", failures: 0 });
  slow.broker.break();
  await advance(10_000);
  expect(breaker.state()).toMatchObject({ state: "open", goodSamplesInRow: 0 });
  slow.broker.heal();
  slow.broker.break({ topic: `${topic}-partition-1` });
  await advance(10_000);
  expect(breaker.state()).toMatchObject({ state: "open", goodSamplesInRow: 0 });
  slow.broker.heal();
  await advance(3_000);
  expect(breaker.state()).toMatchObject({ state: "closed", openings: 1 });
});

describe("closing", () => {
  test("waits for the canaries that are under way, sends no more, and leaves nothing open", async () => {
    start();
    await advance(10);
    slow.broker.break();
    await advance(1_000);
    let closed = false;
    const closing = sampler.close().then(() => {
      closed = true;
    });
    await advance(TIMEOUT_MS - 50);
    expect([closed, slow.closed]).toEqual([false, []]);
    await advance(100);
    await closing;
    expect(sampler.lastCanary()).toMatchObject({ latencyMs: undefined });
    expect(slow.closed).toHaveLength(2 * PARTITIONS);
    await advance(5_000);
    expect(slow.sent).toHaveLength(2 * PARTITIONS);
  });

  test("before the first canary lets none start", async () => {
    slow.offline.add(0);
    start();
    await advance(100);
    await sampler.close();
    await advance(2 * START_GRACE_MS);
    expect(slow.sent).toEqual([]);
  });
});
