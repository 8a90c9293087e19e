import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { createDeadLetterOffice } from "../../services/audience-update/dead-letter.ts";
import { createLedgerKeeper } from "../../services/audience-update/ledger-keeper.ts";
import { createUpdateFlow } from "../../services/audience-update/update-flow.ts";
import { createUpdateMetrics } from "../../services/audience-update/update-metrics.ts";
import { createMemoryProfileStore } from "../../shared/adapters/memory/memory-profile-store.ts";
import { stampAt } from "../../shared/domain/stamp.ts";
import type { Delivery, FallbackConsumer, OutgoingMessage, Path } from "../../shared/ports/update-queue.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";
import { smallFlowLimits } from "../support/flow-limits.ts";
import { noDefinitions } from "../support/no-definitions.ts";
import { until } from "../support/until.ts";

const NOW_MS = Date.UTC(2026, 10, 21);
const ops = [{ kind: "increment", body: { points: 1 } }];
const envelope = (seq: number) =>
  JSON.stringify({
    ...{ v: 1, tenant: "shop", userId: "42", src: "s", seq },
    ...{ stamp: stampAt(NOW_MS) + seq, at: NOW_MS, ops },
  });

/** A flow over these payloads of one key, with a ledger queue that answers as `send` does. */
function start(
  messages: readonly { path: Path; payload: string }[],
  send: (message: OutgoingMessage) => Promise<void>,
) {
  const acknowledged: string[] = [];
  const parked: string[] = [];
  const store = createMemoryProfileStore({ maxProfiles: 10 });
  const queue = (path: Path): FallbackConsumer => {
    const deliveries = messages
      .filter((message) => message.path === path)
      .map(({ payload }): Delivery => {
        const sizeBytes = payload.length;
        return { path, key: "shop:42", payload, sizeBytes, publishTimeMs: NOW_MS, handle: undefined };
      });
    return {
      receive: (max) => (deliveries.length > 0 ? Promise.resolve(deliveries.splice(0, max)) : idle()),
      async acknowledge(done) {
        acknowledged.push(...done.map(({ payload }) => payload));
      },
      async release() {},
      connected: () => true,
      pause() {},
      async close() {},
    };
  };
  const metrics = createUpdateMetrics(new Registry(), () => flow.counts());
  const flow = createUpdateFlow({
    primary: queue("pulsar"),
    bulk: { ...queue("pulsar"), receive: idle },
    fallback: queue("sqs"),
    store,
    deadLetters: createDeadLetterOffice({
      producer: { async send() {}, connected: () => true, async close() {} },
      now: () => NOW_MS,
      restMs: () => 1,
      onParked: ({ reason }) => void parked.push(reason),
      onError() {},
    }),
    keeper: createLedgerKeeper({
      producer: { send, connected: () => true, async close() {} },
      restMs: () => 1,
      onKept: metrics.kept,
      onError() {},
    }),
    limits: { ...smallFlowLimits, maxInFlightMessages: 1_000, maxInFlightBytes: 1_000_000 },
    ...noDefinitions,
    metrics,
    now: () => NOW_MS,
    onStoreFailure() {},
  });
  flow.start();
  const applied = () => metrics.counted();
  return { flow, acknowledged, parked, applied, kept: metrics.keptCount };
}

const idle = () => new Promise<Delivery[]>(() => {});

test("what came over SQS is acknowledged only once its copy is durable, verbatim and under its key", async () => {
  const sent: OutgoingMessage[] = [];
  const durable = Promise.withResolvers<void>();
  const { flow, acknowledged, applied, kept } = start([{ path: "sqs", payload: envelope(1) }], (message) => {
    sent.push(message);
    return durable.promise;
  });
  await until("the copy is sent", () => sent.length === 1);
  expect(sent).toMatchObject([{ key: "shop:42", payload: envelope(1) }]);
  expect(applied()).toEqual({ pulsar: 0, sqs: 1 });
  expect([acknowledged, kept()]).toEqual([[], 0]);
  durable.resolve();
  await until("it is acknowledged", () => acknowledged.length === 1);
  expect(kept()).toBe(1);
  expect(flow.counts()).toMatchObject({ messages: 0, bytes: 0 });
});

test("a repeat is kept too, under the identity of the first; another update under one of its own", async () => {
  const sent: OutgoingMessage[] = [];
  const payloads = [envelope(1), envelope(1), envelope(2)];
  const { acknowledged } = start(
    payloads.map((payload) => ({ path: "sqs", payload })),
    async (message) => void sent.push(message),
  );
  await until("all are acknowledged", () => acknowledged.length === 3);
  const ids = sent.toSorted((a, b) => a.payload.localeCompare(b.payload)).map((copy) => copy.deduplicationId);
  expect(ids[0]).toBe(ids[1]);
  expect(ids[2]).not.toBe(ids[0]);
});

test("while the ledger queue takes nothing all stays unacknowledged, and is kept once it does", async () => {
  let away = true;
  let refused = 0;
  const payloads = Array.from({ length: 300 }, (_, index) => envelope(index + 1));
  const { flow, acknowledged, applied, kept } = start(
    payloads.map((payload) => ({ path: "sqs", payload })),
    async () => {
      if (!away) return;
      refused += 1;
      throw new Error("away");
    },
  );
  await until("all are applied and some were refused often", () => applied().sqs === 300 && refused > 1_000);
  expect(acknowledged).toEqual([]);
  expect(flow.counts()).toMatchObject({ users: 0, messages: 300 });
  away = false;
  await until("all are acknowledged", () => acknowledged.length === 300);
  expect(new Set(acknowledged)).toEqual(new Set(payloads));
  expect([kept(), flow.counts().messages]).toEqual([300, 0]);
});

test("what is parked, and what came over Pulsar, is not kept and does not wait for the ledger queue", async () => {
  let sends = 0;
  const { flow, acknowledged, parked } = start(
    [
      { path: "sqs", payload: "not JSON" },
      { path: "pulsar", payload: envelope(1) },
      { path: "sqs", payload: envelope(2) },
    ],
    async () => {
      sends += 1;
      throw new Error("away");
    },
  );
  await until("two are acknowledged", () => acknowledged.length === 2 && sends > 0);
  expect(parked).toEqual(["not_json"]);
  expect(acknowledged.toSorted()).toEqual(["not JSON", envelope(1)].toSorted());
  expect(flow.counts().messages).toBe(1);
  await flow.drain(1);
});

test("what is not kept when the drain ends stays unacknowledged, and nothing more is sent", async () => {
  let sends = 0;
  const { flow, acknowledged } = start([{ path: "sqs", payload: envelope(1) }], async () => {
    sends += 1;
    throw new Error("away");
  });
  await until("it was tried", () => sends > 0);
  expect(await flow.drain(10)).toBe(false);
  const before = sends;
  await new Promise((resume) => setTimeout(resume, 20));
  expect([acknowledged, sends]).toEqual([[], before]);
});

test.each(["does not answer", "refuses"])(
  "where one of two ledger queues %s, all copies go to the other",
  async (how) => {
    const refused = new KeylineError("queue_not_connected", "away", { retryable: true });
    const unanswered = new KeylineError("queue_send_timeout", "late", { retryable: true });
    const late: ((error: Error) => void)[] = [];
    const keeper = createLedgerKeeper({
      producer: {
        queues: { count: 2, of: (key) => Number(key) % 2 },
        async send(_, queue) {
          if (queue === 0) return;
          if (how === "refuses") throw refused;
          await new Promise<void>((_, reject) => late.push(reject));
        },
        connected: () => true,
        async close() {},
      },
      ...{ restMs: () => 1, onKept() {}, onError() {} },
    });
    const keep = (count: number) =>
      Promise.all(
        Array.from({ length: count }, (_, key) =>
          keeper.keep({
            ...{ path: "sqs", key: String(key), payload: "{}", sizeBytes: 2, publishTimeMs: NOW_MS },
            handle: undefined,
          }),
        ),
      );
    const COPIES = 3_000;
    const first = keep(COPIES);
    // What was sent there before anybody knew comes back when it is late.
    const ended = first.finally(() => keeper.close());
    while (await Promise.race([ended.then(() => false), new Promise((turn) => setTimeout(turn, 1, true))]))
      for (const reject of late.splice(0)) reject(unanswered);
    expect(await first).toEqual(Array.from({ length: COPIES }, () => true));
  },
);
