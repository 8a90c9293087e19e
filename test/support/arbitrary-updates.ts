import fc from "fast-check";
import type { Operation, Update } from "../../shared/domain/envelope.ts";
import { stampAt } from "../../shared/domain/stamp.ts";

/** 2026-01-01: a start far enough from zero that horizons lie in the past. */
export const START_MS = 1_767_225_600_000;

const field = fc.constantFrom("plan", "city", "tags", "points", "__proto__", "näme");
const member = fc.oneof(fc.constantFrom("a", "b", "c"), fc.integer({ min: 0, max: 2 }), fc.boolean());
const amount = fc.oneof(
  fc.integer({ min: -1000, max: 1000 }),
  fc.constantFrom(0.1, 0.2, -0.3, 29.33, 1e-12, 1e15, -1e15, 0.30000000000000004),
);
const fields = <T>(value: fc.Arbitrary<T>) =>
  fc
    .array(fc.tuple(field, value), { minLength: 1, maxLength: 3 })
    .map((entries) => Object.fromEntries(entries));

/** As it is read from a message: JSON writes -0 as 0. */
const json = fc.jsonValue({ maxDepth: 1 }).map((value) => JSON.parse(JSON.stringify(value)) as unknown);
const event = fc.record(
  { name: fc.constantFrom("view", "buy"), properties: fields(json), context: fields(json) },
  { requiredKeys: ["name"] },
);

export const arbitraryOperation: fc.Arbitrary<Operation> = fc.oneof(
  fields(json).map((body) => ({ kind: "set" as const, body })),
  fc.array(field, { minLength: 1, maxLength: 2 }).map((body) => ({ kind: "unset" as const, body })),
  fields(fc.array(member, { minLength: 1, maxLength: 3 })).map((body) => ({ kind: "add" as const, body })),
  fields(fc.array(member, { minLength: 1, maxLength: 3 })).map((body) => ({ kind: "remove" as const, body })),
  fields(amount).map((body) => ({ kind: "increment" as const, body })),
  event.map((body) => ({ kind: "event" as const, body })),
);

/**
 * The updates that several publishers send about one user: dense numbers per source, stamps that rise within
 * a source and often collide between sources.
 */
export const arbitraryUpdates: fc.Arbitrary<Update[]> = fc
  .array(
    fc.record({
      source: fc.integer({ min: 0, max: 3 }),
      stampStep: fc.integer({ min: 1, max: 3 }),
      at: fc.integer({ min: 0, max: 1000 }),
      ops: fc.array(arbitraryOperation, { minLength: 1, maxLength: 3 }),
    }),
    { minLength: 1, maxLength: 40 },
  )
  .map((drafts) => {
    const sources = new Map<number, { seq: number; stamp: number }>();
    return drafts.map(({ source, stampStep, at, ops }) => {
      const last = sources.get(source) ?? { seq: 0, stamp: stampAt(START_MS) };
      const next = { seq: last.seq + 1, stamp: last.stamp + stampStep };
      sources.set(source, next);
      return { v: 1, tenant: "t", userId: "u", src: `s${source}`, ...next, at: START_MS + at, ops };
    });
  });

/** The same updates as brokers may deliver them: any order, some of them several times, in batches. */
export function arbitraryDelivery(updates: Update[]): fc.Arbitrary<Update[][]> {
  return fc
    .tuple(
      fc.shuffledSubarray(updates, { minLength: updates.length, maxLength: updates.length }),
      fc.array(fc.constantFrom(...updates), { maxLength: 20 }),
      fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 60, maxLength: 60 }),
      fc.infiniteStream(fc.nat()),
    )
    .map(([once, repeats, sizes, random]) => {
      const all = [...once];
      for (const repeat of repeats) all.splice((random.next().value as number) % (all.length + 1), 0, repeat);
      const batches: Update[][] = [];
      for (const size of sizes) if (all.length > 0) batches.push(all.splice(0, size));
      return batches;
    });
}
