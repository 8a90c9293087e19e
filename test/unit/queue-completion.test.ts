import { afterEach, expect, test } from "vitest";
import { startCompletion } from "../../services/audience-update/queue-completion.ts";
import type { Delivery, FallbackConsumer, OutgoingMessage, Path } from "../../shared/ports/update-queue.ts";
import { createBreaker } from "../../shared/routing/breaker.ts";
import { until } from "../support/until.ts";

const closing: (() => void | Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A queue in memory: what is given back comes again at once. */
function createQueue(payloads: readonly string[], keyOf: (payload: string) => string) {
  const state = { waiting: [...payloads], held: new Set<string>(), deleted: [] as string[], consumers: 0 };
  const deliveryOf = (payload: string): Delivery => ({
    ...{ path: "sqs", key: keyOf(payload), payload },
    ...{ sizeBytes: payload.length, publishTimeMs: 0, handle: payload },
  });
  function consumer(): FallbackConsumer {
    state.consumers += 1;
    let paused = false;
    return {
      async receive(max) {
        while (!paused && state.waiting.length === 0) await new Promise((resume) => setTimeout(resume, 1));
        const taken = paused ? [] : state.waiting.splice(0, Math.min(max, 10));
        for (const payload of taken) state.held.add(payload);
        return taken.map(deliveryOf);
      },
      async acknowledge(done) {
        for (const { payload } of done) if (state.held.delete(payload)) state.deleted.push(payload);
      },
      async release(back) {
        for (const { payload } of back) if (state.held.delete(payload)) state.waiting.push(payload);
      },
      connected: () => true,
      pause() {
        paused = true;
      },
      async close() {
        state.consumers -= 1;
        state.waiting.push(...state.held);
        state.held.clear();
      },
    };
  }
  return { state, consumer };
}

function start(options: {
  payloads: readonly string[];
  keyOf?: (payload: string) => string;
  route?: Path;
  routeHeard?: Promise<void>;
  perSecond?: number;
  inOrder?: boolean;
  send: (message: OutgoingMessage) => Promise<void>;
}) {
  const { state: queue, consumer } = createQueue(
    options.payloads,
    options.keyOf ?? ((payload) => `user ${payload}`),
  );
  const breaker = createBreaker({
    ...{ windowMs: 2_000, errorPercent: 50, minCalls: 3, minOpenMs: 60_000, goodSamplesToClose: 3 },
    now: Date.now,
  });
  closing.push(breaker.close);
  /** Each look whether it may complete asks for the route. */
  const world = { route: options.route ?? ("pulsar" as Path), connected: true, looks: 0 };
  const counts = { completed: 0, failed: 0 };
  const completion = startCompletion({
    queue: { consumer },
    producer: { send: options.send, connected: () => world.connected, async close() {} },
    breaker,
    route() {
      world.looks += 1;
      return { path: world.route, by: "fleet", why: "" };
    },
    routeHeard: options.routeHeard ?? Promise.resolve(),
    perSecond: () => options.perSecond ?? 100_000,
    inOrder: options.inOrder ?? false,
    restMs: () => 1,
    onCompleted() {
      counts.completed += 1;
    },
    onFailed() {
      counts.failed += 1;
    },
  });
  closing.push(completion.close);
  /** The first of them may have been under way before. */
  async function untilItHasLooked(): Promise<void> {
    const before = world.looks;
    await until("it has looked twice", () => world.looks >= before + 2, { everyMs: 10 });
  }
  return { queue, breaker, world, counts, completion, untilItHasLooked };
}

const payloads = Array.from({ length: 1_000 }, (_, index) => `update ${index}`);

test("publishes all that waits, verbatim and under its key, never more than a window at once", async () => {
  const sent: OutgoingMessage[] = [];
  let underWay = 0;
  let most = 0;
  const { queue, counts } = start({
    payloads,
    async send(message) {
      underWay += 1;
      most = Math.max(most, underWay);
      await new Promise((resume) => setTimeout(resume, 5));
      underWay -= 1;
      sent.push(message);
    },
  });
  await until("all are deleted", () => queue.deleted.length === payloads.length);
  expect(sent.map(({ payload }) => payload).toSorted()).toEqual(payloads.toSorted());
  expect(sent.every(({ key, payload }) => key === `user ${payload}`)).toBe(true);
  expect(most).toBeGreaterThan(10);
  expect(most).toBeLessThanOrEqual(256);
  expect(counts).toEqual({ completed: payloads.length, failed: 0 });
});

test("deletes a message only after Pulsar's answer", async () => {
  const answer = Promise.withResolvers<void>();
  let sends = 0;
  const { queue } = start({
    payloads: ["one"],
    send() {
      sends += 1;
      return answer.promise;
    },
  });
  await until("it is sent", () => sends === 1);
  expect([queue.deleted, [...queue.held]]).toEqual([[], ["one"]]);
  answer.resolve();
  await until("it is deleted", () => queue.deleted.length === 1);
});

test("asks for nothing while the route is sqs or the producer is not connected", async () => {
  const { queue, world, untilItHasLooked } = start({ payloads: ["one"], route: "sqs", async send() {} });
  await untilItHasLooked();
  expect([queue.consumers, queue.waiting]).toEqual([0, ["one"]]);
  world.connected = false;
  world.route = "pulsar";
  await untilItHasLooked();
  expect([queue.consumers, queue.waiting]).toEqual([0, ["one"]]);
  world.connected = true;
  await until("it is completed", () => queue.deleted.length === 1);
});

test("asks for nothing before the fleet has been asked for its route", async () => {
  const asked = Promise.withResolvers<void>();
  const { queue, world } = start({ payloads: ["one"], routeHeard: asked.promise, async send() {} });
  await new Promise(setImmediate);
  expect(world.looks).toBe(0);
  expect([queue.consumers, queue.waiting]).toEqual([0, ["one"]]);
  asked.resolve();
  await until("it is completed", () => queue.deleted.length === 1);
});

test("leaves the queue when the route becomes sqs, and comes back", async () => {
  const { queue, world, untilItHasLooked } = start({ payloads: ["one"], async send() {} });
  await until("it is completed", () => queue.deleted.length === 1);
  world.route = "sqs";
  await until("it has left", () => queue.consumers === 0);
  queue.waiting.push("two");
  await untilItHasLooked();
  expect(queue.waiting).toEqual(["two"]);
  world.route = "pulsar";
  await until("the other is completed too", () => queue.deleted.length === 2);
});

test("publishes nothing of what it received before the route became sqs", async () => {
  const sent: string[] = [];
  const { queue, world } = start({
    payloads,
    async send({ payload }) {
      sent.push(payload);
      world.route = "sqs";
    },
  });
  await until("it has left", () => sent.length > 0 && queue.consumers === 0);
  expect(sent.length).toBeLessThanOrEqual(10);
  expect([...queue.deleted, ...queue.waiting].toSorted()).toEqual(payloads.toSorted());
});

test("gives back what Pulsar does not take, and completes it later", async () => {
  const refused = new Set(payloads.filter((_, index) => index % 97 === 0));
  const { queue, breaker, counts } = start({
    payloads,
    async send({ payload }) {
      if (refused.delete(payload)) throw new Error("timed out");
    },
  });
  await until("all are deleted", () => queue.deleted.length === payloads.length);
  expect(new Set(queue.deleted)).toEqual(new Set(payloads));
  expect(counts).toEqual({ completed: payloads.length, failed: 11 });
  expect(breaker.state().state).toBe("closed");
});

test("its failures open the breaker, and then it asks for nothing more", async () => {
  const { queue, breaker, counts, untilItHasLooked } = start({
    payloads,
    send: () => Promise.reject(new Error("timed out")),
  });
  await until("the breaker is open", () => breaker.state().state === "open");
  await until("it has left", () => queue.consumers === 0);
  const { failed } = counts;
  await untilItHasLooked();
  expect([queue.consumers, counts]).toEqual([0, { completed: 0, failed }]);
  expect(queue.waiting).toHaveLength(payloads.length);
  expect(queue.deleted).toEqual([]);
});

test("waits at its end for what is under way, and gives back the rest", async () => {
  const answers: (() => void)[] = [];
  const { queue, completion } = start({
    payloads,
    send: () => new Promise((resolve) => answers.push(resolve)),
  });
  await until("the window is full", () => answers.length === 256);
  const closed = completion.close();
  for (const answer of answers.splice(0)) answer();
  await closed;
  expect(answers).toEqual([]);
  expect([queue.deleted.length, queue.waiting.length]).toEqual([256, payloads.length - 256]);
});

test("publishes no faster than it may", async () => {
  const perSecond = 500;
  const startedMs = performance.now();
  const sentAfterMs: number[] = [];
  const { queue } = start({
    ...{ payloads: payloads.slice(0, 150), perSecond },
    async send() {
      sentAfterMs.push(performance.now() - startedMs);
    },
  });
  await until("all are deleted", () => queue.deleted.length === 150);
  const timerMs = 2;
  const early = sentAfterMs.filter((ms, index) => ms < (index * 1_000) / perSecond - timerMs);
  expect(early).toEqual([]);
});

test("gives back what waits for its turn when it leaves", async () => {
  const { queue, world } = start({ payloads: ["one", "two", "three"], perSecond: 1, async send() {} });
  await until("one is completed, the others wait", () => queue.deleted.length === 1 && queue.held.size === 2);
  world.route = "sqs";
  await until("it has left", () => queue.consumers === 0);
  expect([queue.deleted, queue.waiting.toSorted()]).toEqual([["one"], ["three", "two"]]);
});

test("in order, the messages of one key go one after the other, and what follows one that failed goes back with it", async () => {
  const sent: string[] = [];
  const underWay = new Set<string>();
  let failing = true;
  const { queue, counts } = start({
    payloads: ["a1", "a2", "b1", "a3", "b2", "b3"],
    keyOf: (payload) => payload[0]!,
    inOrder: true,
    async send({ key, payload }) {
      expect(underWay.has(key)).toBe(false);
      underWay.add(key);
      await new Promise(setImmediate);
      underWay.delete(key);
      if (failing && payload === "a2") {
        failing = false;
        throw new Error("timed out");
      }
      sent.push(payload);
    },
  });
  await until("all are deleted", () => queue.deleted.length === 6);
  expect(counts).toEqual({ completed: 6, failed: 1 });
  expect(sent.filter((payload) => payload.startsWith("a"))).toEqual(["a1", "a2", "a3"]);
  expect(sent.filter((payload) => payload.startsWith("b"))).toEqual(["b1", "b2", "b3"]);
});
