import type { Update } from "../../shared/domain/envelope.ts";
import { createBenchUpdates, evenly } from "../updates.ts";

/** Users of every run, whatever the number of updates. */
export const USERS = 20_000;

const CHANNELS = ["web", "app", "shop", "mail"];

/** An update of about 390 bytes as JSON, of all four kinds: a purchase, its counters, the last page, the channel. */
function operations(number: number): Update["ops"] {
  return [
    { kind: "event", body: { name: "order_completed", properties: { amount: 29.5, currency: "USD" } } },
    { kind: "increment", body: { orders: 1, spend: 29.5 } },
    { kind: "set", body: { lastPage: `/products/${number % 1_000}`, plan: "pro" } },
    { kind: "add", body: { channels: [CHANNELS[number % CHANNELS.length]!] } },
  ];
}

/** The same with a mark that no other has, so that a profile says of each update whether it is in there. */
function markedOperations(number: number): Update["ops"] {
  return [...operations(number), { kind: "add", body: { [MARKS]: [`mark-${number}`] } }];
}

/** The set that holds the marks. */
export const MARKS = "marks";
/** The counter that every update raises by one. */
export const COUNTER = "orders";

/** The first updates of a sequence that is always the same but for its times. */
export function firstUpdates(count: number): Update[] {
  const next = createBenchUpdates(evenly(USERS), operations);
  return Array.from({ length: count }, (_, number) => next(number));
}

/** Updates as they come. */
export function steadyUpdates(): (number: number) => Update {
  return createBenchUpdates(evenly(USERS), operations);
}

/** Updates as they come, each with its mark, of few users so that those of one user meet. */
export function markedUpdates(users: number): (number: number) => Update {
  return createBenchUpdates(evenly(users), markedOperations);
}
