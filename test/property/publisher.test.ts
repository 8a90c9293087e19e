import fc from "fast-check";
import { expect, test } from "vitest";
import { contentsOf, type Packed } from "../../shared/domain/pack.ts";
import type { Path, Producer } from "../../shared/ports/update-queue.ts";
import { PublishError } from "../../shared/publish/publish-error.ts";
import { createPublisher } from "../../shared/publish/publisher.ts";
import type { Breaker } from "../../shared/routing/breaker.ts";

const DEADLINE_MS = 250;
/** Far more than a busy machine adds; what never settles is told from what is slow. */
const PATIENCE_MS = 5_000;
const breaker = { guard: (work: () => Promise<void>) => work() } as Partial<Breaker> as Breaker;

/** What a path does with one send. */
type Behaviour = { kind: "answers" | "fails"; afterMs: number } | { kind: "hangs" };

const behaviour: fc.Arbitrary<Behaviour> = fc.oneof(
  fc.record({
    kind: fc.constantFrom("answers" as const, "fails" as const),
    afterMs: fc.constantFrom(0, 5, 60, DEADLINE_MS - 5, DEADLINE_MS + 50),
  }),
  fc.constant({ kind: "hangs" as const }),
);

/** A producer that behaves as told, send after send, until it is let go: then it answers everything. */
function createProducer(behaviours: readonly Behaviour[]) {
  const taken: Packed[] = [];
  const hanging = new Set<() => void>();
  let calls = 0;
  let underWay = 0;
  let mostUnderWay = 0;
  let letGo = false;

  async function run(next: Behaviour): Promise<void> {
    if (letGo) return;
    if (next.kind === "hangs") return new Promise((resume) => hanging.add(resume));
    await new Promise((resume) => setTimeout(resume, next.afterMs));
    if (next.kind === "fails") throw new Error("refused");
  }

  const producer: Producer = {
    async send(message) {
      const next = behaviours[calls++ % behaviours.length]!;
      underWay += 1;
      mostUnderWay = Math.max(mostUnderWay, underWay);
      await run(next).finally(() => {
        underWay -= 1;
      });
      taken.push(...contentsOf(message));
    },
    connected: () => true,
    close: async () => {},
  };
  return {
    producer,
    taken,
    mostUnderWay: () => mostUnderWay,
    letGo() {
      letGo = true;
      for (const resume of hanging) resume();
    },
  };
}

function start(
  behaviours: Record<Path, readonly Behaviour[]>,
  {
    maxPending,
    maxUnderWay,
    route = "pulsar",
    keyGroups,
  }: { maxPending: number; maxUnderWay: number; route?: Path; keyGroups?: number | undefined },
) {
  const pulsar = createProducer(behaviours.pulsar);
  const sqs = createProducer(behaviours.sqs);
  const publisher = createPublisher({
    primary: pulsar.producer,
    fallback: sqs.producer,
    breaker,
    route: () => ({ path: route, by: "local", why: "told so" }),
    tail: { add() {}, resent: () => 0 },
    deadlineMs: DEADLINE_MS,
    maxUnderWay,
    maxPending: { pulsar: maxPending, sqs: maxPending },
    ...(keyGroups && { keyGroups }),
    maxUsers: 1_000,
    maxUpdateBytes: 10_000,
    now: Date.now,
  });
  const publish = (userId: number) => publisher.user("shop", String(userId)).increment({ points: 1 });
  return { publisher, publish, pulsar, sqs };
}

async function settled<T>(calls: Promise<T>[]): Promise<PromiseSettledResult<T>[]> {
  let timer: NodeJS.Timeout | undefined;
  const never = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("a call never settled")), PATIENCE_MS);
  });
  return Promise.race([Promise.allSettled(calls), never]).finally(() => clearTimeout(timer));
}

const behaviours = fc.array(behaviour, { minLength: 1, maxLength: 4 });

test("whatever the paths do, a call settles by its deadline and says what is true", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({ pulsar: behaviours, sqs: behaviours }),
      fc.constantFrom<Path>("pulsar", "sqs"),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 8 }),
      fc.constantFrom(undefined, 1, 3),
      async (paths, route, maxPending, updates, keyGroups) => {
        const settings = { maxPending, maxUnderWay: 100, route, keyGroups };
        const { publisher, publish, pulsar, sqs } = start(paths, settings);
        /** Whether Pulsar and SQS had the update when its call settled. */
        const took = new Map<number, boolean[]>();
        const tookBy = (key: string) =>
          [pulsar, sqs].map(({ taken }) => taken.some((message) => message.key === key));
        const calls = Array.from({ length: updates }, (_, index) =>
          publish(index).finally(() => took.set(index, tookBy(`shop:${index}`))),
        );
        const results = await settled(calls);
        for (const [index, result] of results.entries()) {
          if (result.status === "fulfilled") {
            expect(took.get(index)![result.value.path === "pulsar" ? 0 : 1]).toBe(true);
          } else {
            expect(result.reason).toBeInstanceOf(PublishError);
            expect(result.reason).toMatchObject({ retryable: true, update: { userId: String(index) } });
            expect(took.get(index)).toEqual([false, false]);
          }
        }
        expect(pulsar.mostUnderWay()).toBeLessThanOrEqual(maxPending);
        expect(sqs.mostUnderWay()).toBeLessThanOrEqual(maxPending);
        pulsar.letGo();
        sqs.letGo();
        await expect.poll(() => publisher.counts().underWay, { timeout: PATIENCE_MS }).toBe(0);
        const refused = results.filter(({ status }) => status === "rejected") as PromiseRejectedResult[];
        for (const { reason } of refused) {
          const { update } = reason as PublishError;
          expect(await publisher.resend(update)).toMatchObject({ src: update.src, seq: update.seq });
        }
        await publisher.close();
      },
    ),
    { numRuns: 40 },
  );
}, 120_000);

test("what still hangs after the deadline keeps its room, and counts as under way until it is over", async () => {
  const hangs: Behaviour[] = [{ kind: "hangs" }];
  const { publisher, publish, pulsar, sqs } = start(
    { pulsar: hangs, sqs: hangs },
    { maxPending: 2, maxUnderWay: 10 },
  );
  const results = await settled(Array.from({ length: 10 }, (_, index) => publish(index)));
  expect(results.every(({ status }) => status === "rejected")).toBe(true);
  const { message } = (results[0] as PromiseRejectedResult).reason as PublishError;
  expect(message).toContain("no answer over pulsar by the deadline");
  await expect(publish(11)).rejects.toMatchObject({ code: "publisher_full", retryable: true });
  expect([pulsar.mostUnderWay(), sqs.mostUnderWay()]).toEqual([2, 2]);

  pulsar.letGo();
  sqs.letGo();
  await expect.poll(() => publisher.counts().underWay, { timeout: PATIENCE_MS }).toBe(0);
  expect(await publish(11)).toMatchObject({ path: "pulsar", seq: 1 });
  // What waited for its turn when its call gave up is never sent.
  expect(new Set([...pulsar.taken, ...sqs.taken].map(({ key }) => key)).size).toBe(5);
});

test("a path that takes no more does not keep an update from the other", async () => {
  const { publish } = start(
    { pulsar: [{ kind: "hangs" }], sqs: [{ kind: "answers", afterMs: 1 }] },
    { maxPending: 1, maxUnderWay: 10 },
  );
  const [first, ...others] = await settled([publish(1), publish(2), publish(3)]);
  expect(first!.status).toBe("rejected");
  expect(others).toMatchObject([{ value: { path: "sqs" } }, { value: { path: "sqs" } }]);
});
