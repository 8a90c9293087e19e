import type { Update } from "../shared/domain/envelope.ts";
import { createStampClock } from "../shared/domain/stamp.ts";

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

/** Envelopes spread over users, each user's numbers dense. */
export function createBenchUpdates(users: number): (number: number) => Update {
  const clock = createStampClock(Date.now);
  return (number) => ({
    v: 1,
    tenant: "bench",
    userId: `user-${number % users}`,
    src: "benchpublisher.0",
    seq: Math.floor(number / users) + 1,
    stamp: clock.next(),
    at: Date.now(),
    ops: benchOperations(number),
  });
}
