import fc from "fast-check";
import type { Operation, Update } from "../../shared/domain/envelope.ts";
import { stampAt } from "../../shared/domain/stamp.ts";
import { arbitraryDelivery, START_MS } from "./arbitrary-updates.ts";

/**
 * What happens to one user over months. Names, values and moments come from small pools, those of
 * arbitrary-definitions.ts, so that they meet.
 */

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const isoMoments = [-2, 0, 1, 30, 45].map((days) => new Date(START_MS + days * DAY_MS).toISOString());
const usual = {
  amount: fc.oneof(
    { arbitrary: fc.constantFrom(0, 1, 2.5, 10, 29.33, 0.1, 0.2, -3, 100, 1e15, -1e15, 1e-12), weight: 6 },
    fc.constantFrom<unknown[]>("12", true, null, 1e16, -1e-13, [1], { a: 1 }, false, "book"),
  ),
  item: fc.oneof(
    { arbitrary: fc.constantFrom("book", "cd", "dvd", "pro"), weight: 4 },
    fc.constantFrom<unknown[]>(1, 2, 10, true, null, { id: 1 }, ["x"], "x".repeat(254), "x".repeat(255)),
  ),
  until: fc.constantFrom(...isoMoments),
  labels: fc.constantFrom<unknown[]>(["a"], ["a", "b"], [], "a", null),
  coupon: fc.constantFrom("x", null),
};
/** What every JavaScript object has. */
const unusual = { constructor: fc.constantFrom<unknown[]>("book", 1) };
const properties: fc.Arbitrary<Record<string, unknown>> = fc.oneof(
  { arbitrary: fc.record(usual, { requiredKeys: ["amount", "item"] }), weight: 6 },
  { arbitrary: fc.record(usual, { requiredKeys: [] }), weight: 3 },
  fc.record({ ...usual, ...unusual }, { requiredKeys: ["constructor"] }),
);
/** Of the same names, so that a condition or an aggregate that read it would tell. */
const context = fc.record(usual, { requiredKeys: [] });
const event: fc.Arbitrary<Operation> = fc
  .tuple(fc.constantFrom("buy", "buy", "view"), maybe(properties), maybe(context))
  .map(([name, properties, context]) => ({
    kind: "event",
    body: { name, ...(properties && { properties }), ...(context && { context }) },
  }));

const of = <B>(kind: string, body: fc.Arbitrary<B>) => body.map((b) => ({ kind, body: b }) as Operation);
const tags = fc.constantFrom(["vip"], ["new"], ["vip", "new"]);
/** Some of its names are those of definitions, which hide them. */
const profileOperation: fc.Arbitrary<Operation> = fc.oneof(
  of("set", fc.record({ plan: fc.constantFrom("pro", "free", "book") })),
  of("set", fc.record({ trial_ends: fc.constantFrom(...isoMoments) })),
  of("add", fc.record({ tags })),
  of("remove", fc.record({ tags })),
  of("increment", fc.record({ points: fc.constantFrom(5, -5, 10, 0.1) })),
  of("unset", fc.subarray(["plan", "trial_ends", "tags"], { minLength: 1 })),
  of("set", fc.constantFrom({ orders: "junk" }, { spend: 1e9, ratio: 7 }, { regulars: true, now: 1 })),
  of("set", fc.constantFrom({ points: 3 }, { trial_ends: "soon" }, { constructor: "pro" })),
);

const step = fc.constantFrom(
  ...[0, 0, 1, MINUTE_MS, 15 * MINUTE_MS, HOUR_MS, 6 * HOUR_MS, DAY_MS, DAY_MS - 1, DAY_MS + 1],
  ...[7 * DAY_MS, 30 * DAY_MS, 90 * DAY_MS],
);
/** From the stamp's moment to when it happened: now, minutes to a year ago, in the future. */
const ago = fc.constantFrom(
  ...[0, 0, 0, 1, -MINUTE_MS, -HOUR_MS, -DAY_MS, -DAY_MS + 1, -7 * DAY_MS, -30 * DAY_MS, -91 * DAY_MS],
  ...[-18 * DAY_MS, -103 * DAY_MS, -300 * DAY_MS, -365 * DAY_MS, HOUR_MS, 400 * DAY_MS],
);
const happening = fc.oneof(
  ago.map((ms) => (stampMs: number) => stampMs + ms),
  // The same few moments, whenever it is told.
  fc.constantFrom(-DAY_MS, 0, DAY_MS - 1, DAY_MS).map((ms) => () => START_MS + ms),
);
const told = fc.record({
  source: fc.integer({ min: 0, max: 2 }),
  step,
  /** Within the millisecond. */
  counter: fc.constantFrom(0, 0, 0, 1, 2),
  at: happening,
  ops: fc.array(fc.oneof({ arbitrary: event, weight: 3 }, profileOperation), { minLength: 1, maxLength: 3 }),
});
/** From the stamp of a tick to its due: on time, late, early. */
const tick = fc.record({ step, dueIn: fc.constantFrom(0, 0, -1, -HOUR_MS, -40 * DAY_MS, HOUR_MS, DAY_MS) });

type UpdateDraft =
  | { source: number; step: number; counter: number; at: (stampMs: number) => number; ops: Operation[] }
  | { step: number; dueIn: number };

/** Of one user, over months, from several publishers and the sweeper; the first one is no tick. */
export const arbitraryHistory: fc.Arbitrary<Update[]> = fc
  .tuple(told, fc.array(fc.oneof({ arbitrary: told, weight: 4 }, tick), { maxLength: 30 }))
  .map(([first, others]) => updatesOf([first, ...others]));

function updatesOf(drafts: readonly UpdateDraft[]): Update[] {
  const sources = new Map<string, { seq: number; stamp: number }>();
  let latestMs = START_MS;
  return drafts.map((draft) => {
    const src = "ops" in draft ? `s${draft.source}` : "sweeper";
    const last = sources.get(src) ?? { seq: 0, stamp: stampAt(START_MS) - 1 };
    // The sweeper looks at the time; a publisher's stamps rise by themselves, so that they meet the others'.
    const stampMs = "ops" in draft ? Math.floor((last.stamp + 1) / 2048) + draft.step : latestMs + draft.step;
    const stamp = Math.max(last.stamp + 1, stampAt(stampMs) + ("ops" in draft ? draft.counter : 0));
    latestMs = Math.max(latestMs, stampMs);
    sources.set(src, { seq: last.seq + 1, stamp });
    const identity = { v: 1 as const, tenant: "t", userId: "u", src, seq: last.seq + 1, stamp };
    if ("ops" in draft) return { ...identity, at: Math.max(0, draft.at(stampMs)), ops: draft.ops };
    const due = stampMs + draft.dueIn;
    return { ...identity, at: stampMs, ops: [{ kind: "tick", body: { due } }] };
  });
}

/** As `arbitraryDelivery`; but a sweeper knows only users of whom something was counted. */
export function arbitraryHistoryDelivery(updates: Update[]): fc.Arbitrary<Update[][]> {
  return arbitraryDelivery(updates).map((batches) => {
    const known = batches.flat().find(({ ops }) => ops[0]?.kind !== "tick");
    return known ? [[known, ...batches[0]!], ...batches.slice(1)] : batches;
  });
}

/** Events with more different values than `distinct` counts exactly. */
export const arbitraryCrowd: fc.Arbitrary<Update[]> = fc
  .record({
    values: fc.integer({ min: 200, max: 3000 }),
    offset: fc.nat(),
    repeatEvery: fc.integer({ min: 2, max: 9 }),
  })
  .map(({ values, offset, repeatEvery }) => {
    const items = Array.from(
      { length: values },
      (_, i) => `item${offset + i - (i % repeatEvery === 0 ? 1 : 0)}`,
    );
    return Array.from({ length: Math.ceil(values / 64) }, (_, i) => ({
      ...{ v: 1 as const, tenant: "t", userId: "u", src: "s0", seq: i + 1 },
      stamp: stampAt(START_MS + i * MINUTE_MS),
      at: START_MS + i * MINUTE_MS,
      ops: items.slice(i * 64, (i + 1) * 64).map((item) => {
        return { kind: "event" as const, body: { name: "buy", properties: { item } } };
      }),
    }));
  });
