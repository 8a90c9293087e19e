import { expect, test } from "vitest";
import type { Priority } from "../../shared/domain/envelope.ts";
import { stampTimeMs } from "../../shared/domain/stamp.ts";
import type { OutgoingMessage, Path, Producer } from "../../shared/ports/update-queue.ts";
import { createPublisher, type Publisher, type PublisherOptions } from "../../shared/publish/publisher.ts";
import type { UpdateInput } from "../../shared/publish/update-input.ts";
import type { Breaker } from "../../shared/routing/breaker.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";

const DEADLINE_MS = 2_000;
const breaker = { guard: (work: () => Promise<void>) => work() } as Partial<Breaker> as Breaker;

/** A producer that answers after `takesMs`, or fails if that is negative. */
function createProducer(takesMs: () => number): { producer: Producer; sent: OutgoingMessage[] } {
  const sent: OutgoingMessage[] = [];
  const producer: Producer = {
    async send(message) {
      sent.push(message);
      await new Promise((resume) => setTimeout(resume, Math.abs(takesMs())));
      if (takesMs() < 0) throw new Error("refused");
    },
    connected: () => true,
    close: async () => {},
  };
  return { producer, sent };
}

type Options = Pick<PublisherOptions, "primary" | "fallback" | "maxPending"> & Partial<PublisherOptions>;

function openPublisher(options: Options): Publisher {
  return createPublisher({
    breaker,
    route: () => ({ path: "pulsar", by: "local", why: "closed" }),
    tail: { add() {}, resent: () => 0 },
    deadlineMs: DEADLINE_MS,
    maxUnderWay: 100,
    maxUsers: 100,
    maxUpdateBytes: 10_000,
    now: Date.now,
    ...options,
  });
}

function open(options: Options) {
  const publisher = openPublisher(options);
  return (userId: string, priority?: Priority) =>
    publisher.publish({
      ...{ tenant: "shop", userId, ops: [{ kind: "set", body: { plan: "pro" } }] },
      ...(priority && { priority }),
    });
}

function start(takesMs: Record<Path, () => number>, maxPending: Record<Path, number>) {
  const [pulsar, sqs] = [createProducer(takesMs.pulsar), createProducer(takesMs.sqs)];
  const publish = open({ primary: pulsar.producer, fallback: sqs.producer, maxPending });
  return { publish, pulsar, sqs };
}

test("what waits too long for its turn on the route still reaches the other path in time", async () => {
  const { publish, sqs } = start({ pulsar: () => 1_900, sqs: () => 10 }, { pulsar: 1, sqs: 10 });
  const receipts = await Promise.all([publish("1"), publish("2"), publish("3")]);
  expect(receipts.map(({ path }) => path)).toEqual(["pulsar", "sqs", "sqs"]);
  expect(sqs.sent).toHaveLength(2);
});

test("a path that recovers within the deadline gets its turn again, under the same identity", async () => {
  let healthyAtMs = Number.POSITIVE_INFINITY;
  const takesMs = () => (Date.now() >= healthyAtMs ? 10 : -10);
  const { publish, pulsar, sqs } = start({ pulsar: takesMs, sqs: () => -10 }, { pulsar: 10, sqs: 10 });
  healthyAtMs = Date.now() + DEADLINE_MS / 4;
  expect(await publish("1")).toMatchObject({ path: "pulsar", seq: 1 });
  expect(pulsar.sent.length).toBeGreaterThan(1);
  expect(new Set([...pulsar.sent, ...sqs.sent].map(({ deduplicationId }) => deduplicationId)).size).toBe(1);
});

test("one reading of a clock that is a day ahead does not put what is published later into the future", async () => {
  const quick = createProducer(() => 1).producer;
  const wall = { aheadMs: 0 };
  const publish = open({
    primary: quick,
    fallback: quick,
    maxPending: { pulsar: 10, sqs: 10 },
    now: () => Date.now() + wall.aheadMs,
  });
  const before = await publish("1");
  wall.aheadMs = 86_400_000;
  const during = await publish("1");
  expect(during).toMatchObject({ src: before.src, seq: 2 });
  wall.aheadMs = 0;
  const after = await publish("1");
  expect(stampTimeMs(after.stamp)).toBeLessThanOrEqual(Date.now());
  expect(after.src).not.toBe(before.src);
  expect(await publish("1")).toMatchObject({ src: after.src, seq: 2 });
  wall.aheadMs = -300_000;
  const stepped = await publish("1");
  expect(stepped).toMatchObject({ src: after.src, seq: 3 });
  expect(stepped.stamp).toBeGreaterThan(after.stamp);
});

/** Seed 81 of the simulation, 2026-11-21: a publish took 51 s. */
test("a wall clock that steps back by an hour does not put off the deadline", async () => {
  const slow = createProducer(() => -50).producer;
  const startedMs = performance.now();
  let calls = 0;
  const publish = open({
    primary: slow,
    fallback: slow,
    maxPending: { pulsar: 10, sqs: 10 },
    now: () => Date.now() - 3_600_000 * (calls++ > 2 ? 1 : 0),
  });
  await expect(publish("1")).rejects.toMatchObject({ code: "publish_failed" });
  await expect(publish("1")).rejects.toMatchObject({ code: "publish_failed" });
  expect(performance.now() - startedMs).toBeLessThan(3 * DEADLINE_MS);
});

const ok = () => Promise.resolve();
const hangs = () => new Promise<void>(() => {});
const fails = (code: string) => () => Promise.reject(new KeylineError(code, code, { retryable: true }));

test.each([
  { what: "what Pulsar took", pulsar: ok, sqs: ok, inTail: true },
  { what: "what SQS took", pulsar: fails("queue_not_connected"), sqs: ok, inTail: false },
  { what: "what SQS took and Pulsar may have", pulsar: fails("queue_send_timeout"), sqs: ok, inTail: false },
  { what: "what Pulsar may have", pulsar: fails("queue_send_timeout"), sqs: fails("away"), inTail: true },
  { what: "what Pulsar has not answered by the deadline", pulsar: hangs, sqs: ok, inTail: true },
  { what: "what nobody has", pulsar: fails("breaker_open"), sqs: fails("away"), inTail: false },
  { what: "what only SQS may have", pulsar: fails("breaker_open"), sqs: hangs, inTail: false },
])("the tail has $what: $inTail", async ({ pulsar, sqs, inTail }) => {
  const sent: OutgoingMessage[] = [];
  const added: OutgoingMessage[] = [];
  const producer = (send: () => Promise<void>): Producer => ({
    send(message) {
      sent.push(message);
      return send();
    },
    connected: () => true,
    close: async () => {},
  });
  const publish = open({
    primary: producer(pulsar),
    fallback: producer(sqs),
    maxPending: { pulsar: 10, sqs: 10 },
    deadlineMs: 150,
    tail: { add: (message) => added.push(message), resent: () => 0 },
  });
  await publish("1").catch(() => {});
  expect(added).toEqual(inTail ? [sent[0]] : []);
});

test("bulk goes to its own topic under numbers of its own, so that either topic has all of its numbers", async () => {
  const [pulsar, bulk, sqs] = [createProducer(() => 1), createProducer(() => 1), createProducer(() => 1)];
  const publish = open({
    ...{ primary: pulsar.producer, fallback: sqs.producer, maxPending: { pulsar: 10, sqs: 10 } },
    bulk: { producer: bulk.producer, targetDelayMs: 10 },
  });
  const receipts = [
    await publish("1"),
    await publish("1", "bulk"),
    await publish("1"),
    await publish("1", "bulk"),
  ];
  expect(receipts.map(({ seq }) => seq)).toEqual([1, 1, 2, 2]);
  expect(receipts[0]!.src).toBe(receipts[2]!.src);
  expect(receipts[1]!.src).toBe(receipts[3]!.src);
  expect(receipts[1]!.src).not.toBe(receipts[0]!.src);
  expect([pulsar, bulk, sqs].map(({ sent }) => sent.length)).toEqual([2, 2, 0]);
});

test("bulk goes over SQS when its topic fails, and Pulsar is not judged by it", async () => {
  const [pulsar, bulk, sqs] = [createProducer(() => 1), createProducer(() => -1), createProducer(() => 1)];
  let guarded = 0;
  const publish = open({
    ...{ primary: pulsar.producer, fallback: sqs.producer, maxPending: { pulsar: 10, sqs: 10 } },
    bulk: { producer: bulk.producer, targetDelayMs: 10 },
    breaker: {
      guard(work: () => Promise<void>) {
        guarded += 1;
        return work();
      },
    } as Partial<Breaker> as Breaker,
  });
  expect(await publish("1", "bulk")).toMatchObject({ path: "sqs" });
  expect(guarded).toBe(0);
  await publish("1");
  expect(guarded).toBe(1);
});

test("bulk has half of the room at most", async () => {
  const gate = Promise.withResolvers<void>();
  const held: Producer = { send: () => gate.promise, connected: () => true, close: async () => {} };
  const publish = open({
    ...{ primary: held, fallback: held, maxPending: { pulsar: 100, sqs: 100 }, maxUnderWay: 10 },
    bulk: { producer: held, targetDelayMs: 10 },
  });
  const calls = Array.from({ length: 5 }, () => publish("1", "bulk"));
  await expect(publish("1", "bulk")).rejects.toMatchObject({ code: "publisher_full", retryable: true });
  calls.push(...Array.from({ length: 5 }, () => publish("1")));
  await expect(publish("1")).rejects.toMatchObject({ code: "publisher_full" });
  gate.resolve();
  expect(await Promise.all(calls)).toHaveLength(10);
  expect(await publish("1", "bulk")).toMatchObject({ seq: 6 });
});

test("of many at once each has its own result, in their order, and what is refused leaves no gap in the numbers", async () => {
  const [pulsar, sqs] = [createProducer(() => 1), createProducer(() => -1)];
  const failing: Producer = {
    ...pulsar.producer,
    send: (message) =>
      message.key === "shop:bad" ? Promise.reject(new Error("no")) : pulsar.producer.send(message),
  };
  const publisher = openPublisher({
    ...{ primary: failing, fallback: sqs.producer, maxPending: { pulsar: 10, sqs: 10 }, deadlineMs: 200 },
  });
  const input = (userId: string, text = "pro"): UpdateInput => ({
    ...{ tenant: "shop", userId, ops: [{ kind: "set", body: { plan: text } }] },
  });
  const results = await publisher.publishAll([
    input("1"),
    { ...input("1"), ops: [] },
    input("1", "x".repeat(10_000)),
    input("bad"),
    input("1"),
  ]);
  expect(results).toMatchObject([
    { path: "pulsar", seq: 1 },
    { code: "invalid_update", path: "ops" },
    { code: "too_large" },
    { code: "publish_failed", update: { userId: "bad", seq: 1 } },
    { path: "pulsar", seq: 2 },
  ]);
  expect(publisher.counts()).toEqual({
    ...{ published: { pulsar: 2, sqs: 0 }, failed: 1, underWay: 0, resent: 0 },
  });
  expect(await publisher.publishAll([])).toEqual([]);
});

test("of many at once as many are taken as there is room for, and closing waits for these", async () => {
  const gate = Promise.withResolvers<void>();
  const held: Producer = { send: () => gate.promise, connected: () => true, close: async () => {} };
  const publisher = openPublisher({
    ...{ primary: held, fallback: held, maxPending: { pulsar: 10, sqs: 10 }, maxUnderWay: 2 },
  });
  const inputs = ["1", "2", "3"].map(
    (userId): UpdateInput => ({
      ...{ tenant: "shop", userId, ops: [{ kind: "set", body: { plan: "pro" } }] },
    }),
  );
  const published = publisher.publishAll(inputs);
  expect(publisher.counts().underWay).toBe(2);
  let closed = false;
  const closing = publisher.close().then(() => {
    closed = true;
  });
  expect(await publisher.publishAll(inputs.slice(0, 1))).toMatchObject([{ code: "publisher_closed" }]);
  expect(closed).toBe(false);
  gate.resolve();
  expect(await published).toMatchObject([
    { path: "pulsar" },
    { path: "pulsar" },
    { code: "publisher_full", retryable: true },
  ]);
  await closing;
});

test("sends of one user leave in the order of the calls, also when others wait for their turn", async () => {
  const sent: string[] = [];
  const answers: (() => void)[] = [];
  const primary: Producer = {
    send({ deduplicationId }) {
      sent.push(deduplicationId.split(" ")[2]!);
      return new Promise((resolve) => answers.push(resolve));
    },
    connected: () => true,
    close: async () => {},
  };
  const publisher = openPublisher({ primary, fallback: primary, maxPending: { pulsar: 2, sqs: 2 } });
  const publish = () => publisher.user("shop", "1").increment({ points: 1 });
  const first = [publish(), publish(), publish(), publish()];
  // Called in the moment in which room is made, before the others have had their turn.
  const later = first[0]!.then(() => publish());
  expect(sent).toEqual(["1", "2"]);
  while (sent.length < 5 || answers.length > 0) {
    answers.shift()?.();
    await new Promise(setImmediate);
  }
  await Promise.all([...first, later]);
  expect(sent).toEqual(["1", "2", "3", "4", "5"]);
});
