import { expect, test } from "vitest";
import type { OutgoingMessage, Path, Producer } from "../../shared/ports/update-queue.ts";
import { createPublisher } from "../../shared/publish/publisher.ts";
import type { Breaker } from "../../shared/routing/breaker.ts";

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

function start(takesMs: Record<Path, () => number>, maxPending: Record<Path, number>) {
  const [pulsar, sqs] = [createProducer(takesMs.pulsar), createProducer(takesMs.sqs)];
  const publisher = createPublisher({
    primary: pulsar.producer,
    fallback: sqs.producer,
    breaker,
    route: () => ({ path: "pulsar", by: "local", why: "closed" }),
    deadlineMs: DEADLINE_MS,
    maxUnderWay: 100,
    maxPending,
    maxUsers: 100,
    maxUpdateBytes: 10_000,
    now: Date.now,
  });
  const publish = (userId: string) =>
    publisher.publish({ tenant: "shop", userId, ops: [{ kind: "set", body: { plan: "pro" } }] });
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
