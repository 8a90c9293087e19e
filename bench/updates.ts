import type { Update } from "../shared/domain/envelope.ts";
import { createStampClock } from "../shared/domain/stamp.ts";
import { seededRandom } from "../test/support/seeded-updates.ts";

/** An update of about 390 bytes as JSON: a purchase, its counters and the last seen page. */
export function benchOperations(number: number): Update["ops"] {
  return [
    {
      kind: "event",
      body: {
        name: "order_completed",
        properties: { orderId: `order-${number}`, amount: 29.5, currency: "USD", channel: "web" },
      },
    },
    { kind: "increment", body: { orders: 1, spend: 29.5 } },
    { kind: "set", body: { lastPage: `/products/${number % 1_000}`, plan: "pro" } },
  ];
}

/** Whose update each is, by its number from 0 on. */
export type Users = (number: number) => string;

/** Evenly and at random, with a seed. */
export function evenly(users: number): Users {
  const random = seededRandom(SEED);
  return () => `user-${Math.floor(random() * users)}`;
}

/** Every second update is one user's. */
export function halfOnOne(others: Users): Users {
  return (number) => (number % 2 === 0 ? others(number) : "hot");
}

/** Envelopes, each user's numbers dense. */
export function createBenchUpdates(userOf: Users, operations = benchOperations): (number: number) => Update {
  const clock = createStampClock(Date.now);
  const numbers = new Map<string, number>();
  return (number) => {
    const userId = userOf(number);
    const seq = (numbers.get(userId) ?? 0) + 1;
    numbers.set(userId, seq);
    return {
      v: 1,
      tenant: "bench",
      userId,
      src: "benchpublisher.0",
      seq,
      stamp: clock.next(),
      at: Date.now(),
      ops: operations(number),
    };
  };
}

const SEED = 1;
