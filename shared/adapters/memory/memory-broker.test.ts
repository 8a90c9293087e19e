import { afterEach, expect, it } from "vitest";
import type { Consumer } from "../../ports/update-queue.ts";
import type { Scheduler } from "../pending-sends.ts";
import { createMemoryBroker, type MemoryBroker, type MemoryBrokerConfig } from "./memory-broker.ts";

const topic = "persistent://public/keyline/updates";
let broker: MemoryBroker;

afterEach(() => broker.close());

function open(config: MemoryBrokerConfig = {}) {
  broker = createMemoryBroker(config);
  const producer = broker.producer({ topic, sendTimeoutMs: 1_000, maxPending: 100 });
  const send = (payload: string, key = "ada") => producer.send({ key, payload, deduplicationId: payload });
  const consumer = (subscription = "keyline", maxPrefetched = 100) =>
    broker.consumer({ topic, subscription, connections: 2, maxPrefetched });
  return { send, consumer };
}

const payloads = async (consumer: Consumer) =>
  (await consumer.receive(1_000)).map((delivery) => delivery.payload);

/** A clock that stands until it is moved. */
function manualScheduler(): Scheduler & { advance(byMs: number): void } {
  let now = 1_000;
  const timers = new Set<{ run: () => void; atMs: number }>();
  return {
    now: () => now,
    monotonicMs: () => now,
    setTimeout(run, delayMs) {
      const timer = { run, atMs: now + delayMs };
      timers.add(timer);
      return timer;
    },
    clearTimeout: (timer) => void timers.delete(timer as never),
    advance(byMs) {
      now += byMs;
      for (const timer of [...timers].filter(({ atMs }) => atMs <= now)) {
        timers.delete(timer);
        timer.run();
      }
    },
  };
}

it("keeps the newest messages that nobody needs, for a subscription still to come", async () => {
  const { send, consumer } = open({ maxRetainedMessages: 3 });
  for (let index = 0; index < 10; index++) await send(`${index}`);
  expect(await payloads(consumer())).toEqual(["7", "8", "9"]);
});

it("keeps every message that a subscription has not acknowledged, however many are acknowledged", async () => {
  const { send, consumer } = open({ maxRetainedMessages: 10 });
  const first = consumer();
  await send("stuck", "bob");
  const [stuck] = await first.receive(1);
  for (let index = 0; index < 5_000; index++) {
    await send(`${index}`);
    await first.acknowledge(await first.receive(10));
  }
  expect(stuck!.payload).toBe("stuck");
  const later = consumer("another");
  const kept: string[] = [];
  while (kept.length < 11) {
    const deliveries = await later.receive(100);
    kept.push(...deliveries.map(({ payload }) => payload));
    await later.acknowledge(deliveries);
  }
  const newest = Array.from({ length: 10 }, (_, index) => `${4_990 + index}`);
  expect(kept.toSorted()).toEqual(["stuck", ...newest].toSorted());
});

it("refuses sends when the backlog is full, and takes them again after an acknowledgement", async () => {
  const { send, consumer } = open({ maxBacklogMessages: 2 });
  const reading = consumer();
  await send("1");
  await send("2");
  await expect(send("3")).rejects.toMatchObject({ code: "queue_blocked", retryable: true });
  await reading.acknowledge(await reading.receive(1));
  await send("3");
});

it("is deterministic: publish times and timeouts come from the given clock only", async () => {
  const scheduler = manualScheduler();
  const { send, consumer } = open({ scheduler });
  scheduler.advance(500);
  await send("1");
  const [delivery] = await consumer().receive(1);
  expect(delivery!.publishTimeMs).toBe(1_500);
  broker.break();
  let outcome: unknown = "waiting";
  const sending = send("2").catch((error) => {
    outcome = error;
  });
  scheduler.advance(999);
  await Promise.resolve();
  expect(outcome).toBe("waiting");
  scheduler.advance(1);
  await sending;
  expect(outcome).toMatchObject({ code: "queue_send_timeout" });
});

it("loses what it was sent while broken, and stores what follows", async () => {
  const scheduler = manualScheduler();
  const { send, consumer } = open({ scheduler });
  const reading = consumer();
  broker.break();
  const lost = expect(send("lost")).rejects.toMatchObject({ code: "queue_send_timeout" });
  expect(reading.connected()).toBe(true);
  scheduler.advance(1_000);
  await lost;
  broker.heal();
  await send("kept");
  expect(await payloads(reading)).toEqual(["kept"]);
});

it("with storesLate has after all what timed out, as a stopped broker does", async () => {
  const scheduler = manualScheduler();
  const { send, consumer } = open({ scheduler });
  const reading = consumer();
  broker.break({ storesLate: true });
  const timedOut = expect(send("late")).rejects.toMatchObject({ code: "queue_send_timeout" });
  scheduler.advance(1_000);
  await timedOut;
  const answered = send("in time");
  broker.heal();
  await answered;
  expect(await payloads(reading)).toEqual(["late", "in time"]);
});

it("while broken delivers nothing, and takes note of acknowledgements and leaves when it is healed", async () => {
  const { send, consumer } = open();
  const leaving = consumer();
  await send("acknowledged");
  const received = await leaving.receive(10);
  await send("not acknowledged");
  broker.break();
  await leaving.acknowledge(received);
  await leaving.close();
  const next = consumer();
  const waiting = payloads(next);
  broker.heal();
  expect(await waiting).toEqual(["not acknowledged"]);
});

it("gives a key to the consumer that the keys' division says, once nothing of it is in flight", async () => {
  const { send, consumer } = open();
  const first = consumer();
  const keys = Array.from({ length: 40 }, (_, index) => `user-${index}`);
  for (const key of keys) await send("1", key);
  const inFlight = await first.receive(1_000);
  const second = consumer();
  for (const key of keys) await send("2", key);
  await first.acknowledge(inFlight);
  const moved = await second.receive(1_000);
  const stayed = await first.receive(1_000);
  expect(moved.length).toBeGreaterThan(5);
  expect([...moved, ...stayed].map(({ key }) => key).toSorted()).toEqual(keys.toSorted());
});
