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

/** Envelopes spread evenly and at random (with a seed) over users, each user's numbers dense. */
export function createBenchUpdates(users: number): (number: number) => Update {
  const clock = createStampClock(Date.now);
  const random = seededRandom(SEED);
  const numbers = new Map<number, number>();
  return (number) => {
    const user = Math.floor(random() * users);
    const seq = (numbers.get(user) ?? 0) + 1;
    numbers.set(user, seq);
    return {
      v: 1,
      tenant: "bench",
      userId: `user-${user}`,
      src: "benchpublisher.0",
      seq,
      stamp: clock.next(),
      at: Date.now(),
      ops: benchOperations(number),
    };
  };
}

const SEED = 1;
