import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { effectsOf } from "../../services/audience-update/turn-effects.ts";
import { apply } from "../../shared/domain/apply.ts";
import { AUDIENCES_FIELD } from "../../shared/domain/calculated.ts";
import { calculatedView } from "../../shared/domain/calculated-view.ts";
import type { CompiledDefinitions } from "../../shared/domain/definitions/compile.ts";
import { type Update, updateId } from "../../shared/domain/envelope.ts";
import { entersAt, type MembershipChange } from "../../shared/domain/membership-change.ts";
import { EMPTY_PROFILE, type Profile, withoutPending } from "../../shared/domain/profile.ts";
import { decodeProfile, encodeProfile } from "../../shared/domain/profile-record.ts";
import { stampAt } from "../../shared/domain/stamp.ts";
import { arbitraryDefinitions } from "../support/arbitrary-definitions.ts";
import { arbitraryCrowd, arbitraryHistory, arbitraryHistoryDelivery } from "../support/arbitrary-history.ts";
import { START_MS } from "../support/arbitrary-updates.ts";
import { compiled as compiledFrom } from "../support/compiled.ts";
import {
  Approximate,
  countsUntil,
  DAY,
  type DefinitionsInput,
  type Recomputed,
  recompute,
} from "../support/recompute.ts";

const VERSION = 3;
const YEAR = 365 * DAY;
/** Nothing is forgotten: what is, is another property's subject. */
const limits = { horizonMs: 100 * YEAR, maxSources: 128, maxIds: 32, idMemoryMs: DAY };
const lastUpdate = { id: "x", at: 0, path: "pulsar", appliedAtMs: 0, lagMs: 0 };

const compile = (definitions: DefinitionsInput) => compiledFrom(definitions, { version: VERSION });

const user = { tenant: "t", userId: "u" };

/** One turn, and what it announces; announced at once. */
function fold(
  profile: Profile,
  batch: readonly Update[],
  compiled: CompiledDefinitions,
  nowMs = START_MS,
): { profile: Profile; changes: readonly MembershipChange[] } {
  const { profile: next } = apply(profile, batch, limits, nowMs, compiled);
  const changes = effectsOf(user, profile, next, [], compiled)?.changes ?? [];
  return {
    profile: withoutPending(next),
    changes,
  };
}

const foldAll = (batches: readonly Update[][], compiled: CompiledDefinitions, nowMs = START_MS) =>
  batches.reduce((profile, batch) => fold(profile, batch, compiled, nowMs).profile, EMPTY_PROFILE);

const delivery = arbitraryHistory.chain((updates) =>
  fc.tuple(fc.constant(updates), arbitraryHistoryDelivery(updates)),
);
/** No clock of a consumer has a part in values, so any will do. */
const clock = fc.constantFrom(START_MS, START_MS + YEAR, START_MS + 5 * YEAR);

const attributesOf = (compiled: CompiledDefinitions, profile: Profile) =>
  calculatedView(profile, compiled).attributes;
const membersOf = (compiled: CompiledDefinitions, profile: Profile) =>
  calculatedView(profile, compiled).audiences;

/** Attributes over events have a field once there is something to remember. */
function fieldsOf(compiled: CompiledDefinitions, profile: Profile): Record<string, string> {
  const remembered = new Set(profile.calculated?.states.filter((_, at) => at % 2 === 0));
  const { attributes, audiences } = calculatedView(profile, compiled);
  const fields = compiled.attributes.flatMap(({ name, event, standing: { slot } }) => {
    const isThere = Object.hasOwn(attributes, name) && (!event || remembered.has(slot));
    return isThere && profile.updates > 0 ? [[name, JSON.stringify(attributes[name])] as const] : [];
  });
  const members = audiences.length > 0 ? { [AUDIENCES_FIELD]: JSON.stringify(audiences) } : {};
  return { ...Object.fromEntries(fields), ...members };
}

const json = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

/** Standard errors within which a sample must lie: beyond five, one of a million does not. */
const SIGMAS = 5;

/** The profile says what the recomputation says, of all that the list of updates can tell. */
function expectSame(profile: Profile, compiled: CompiledDefinitions, expected: Recomputed): void {
  const undecided = new Set(expected.undecided);
  const decided = <T>(record: Record<string, T>) =>
    Object.fromEntries(Object.entries(record).filter(([name]) => !undecided.has(name)));
  const values = decided(attributesOf(compiled, profile));
  for (const [name, value] of Object.entries(expected.attributes)) {
    if (!(value instanceof Approximate)) continue;
    const error = Math.abs((values[name] as number) / value.count - 1);
    expect(error).toBeLessThan(SIGMAS * value.standardError);
    values[name] = value;
  }
  expect(profile.calculated?.asOfMs ?? 0).toBe(expected.asOf);
  expect(json(values)).toEqual(json(expected.attributes));
  expect([...membersOf(compiled, profile)].sort().filter((name) => !undecided.has(name))).toEqual(
    expected.audiences,
  );
}

describe("calculated attributes and audiences", () => {
  test("any order, any repetition and any batching gives what the naive recomputation gives", () => {
    fc.assert(
      fc.property(arbitraryDefinitions, delivery, clock, (definitions, [updates, batches], nowMs) => {
        const compiled = compile(definitions);
        expectSame(foldAll(batches, compiled, nowMs), compiled, recompute(definitions, updates));
      }),
      { numRuns: 1000 },
    );
  });

  test("they are right after each turn, and survive their encoding", () => {
    fc.assert(
      fc.property(arbitraryDefinitions, delivery, (definitions, [, batches]) => {
        const compiled = compile(definitions);
        const delivered: Update[] = [];
        let plain = EMPTY_PROFILE;
        let through = EMPTY_PROFILE;
        for (const batch of batches) {
          delivered.push(...batch);
          plain = fold(plain, batch, compiled).profile;
          through = fold(through, batch, compiled).profile;
          through = decodeProfile(encodeProfile(through, lastUpdate)).profile;
          expect(through).toEqual(plain);
          expectSame(through, compiled, recompute(definitions, delivered));
        }
      }),
    );
  });

  test("after each turn the plain fields say what the profile says", () => {
    fc.assert(
      fc.property(arbitraryDefinitions, delivery, (definitions, [, batches]) => {
        const compiled = compile(definitions);
        let profile = EMPTY_PROFILE;
        const plain = new Map<string, string>();
        for (const batch of batches) {
          const applied = apply(profile, batch, limits, START_MS, compiled);
          profile = applied.profile;
          if (applied.adopted) plain.clear();
          for (const [name, text] of applied.fields)
            if (text === undefined) plain.delete(name);
            else plain.set(name, text);
          expect(Object.fromEntries(plain)).toEqual(fieldsOf(compiled, profile));
        }
      }),
    );
  });

  test("the profile before a turn is never changed by it", () => {
    fc.assert(
      fc.property(arbitraryDefinitions, delivery, (definitions, [, batches]) => {
        const compiled = compile(definitions);
        const before = foldAll(batches.slice(0, 2), compiled);
        const copy = structuredClone(before);
        batches.slice(2).reduce((profile, batch) => fold(profile, batch, compiled).profile, before);
        expect(before).toEqual(copy);
      }),
    );
  });

  test("ticks alone make no user", () => {
    fc.assert(
      fc.property(arbitraryDefinitions, delivery, (definitions, [updates]) => {
        const ticks = updates.filter(({ ops }) => ops[0]?.kind === "tick");
        const compiled = compile(definitions);
        const profile = foldAll([ticks], compiled);
        expect(profile.updates).toBe(0);
        expect(profile.calculated).toBeUndefined();
      }),
    );
  });

  test("distinct values beyond the exact bound are counted within the stated error", () => {
    const definitions: DefinitionsInput = {
      attributes: {
        kinds: { event: "buy", aggregate: "distinct", of: "item" },
        kinds_1h: { event: "buy", aggregate: "distinct", of: "item", window: "1h" },
        kinds_30d: { event: "buy", aggregate: "distinct", of: "item", window: "30d" },
      },
      audiences: {},
    };
    const compiled = compile(definitions);
    const crowd = arbitraryCrowd.chain((updates) =>
      fc.tuple(
        fc.constant(updates),
        fc.shuffledSubarray(updates, { minLength: updates.length, maxLength: updates.length }),
      ),
    );
    fc.assert(
      fc.property(crowd, ([updates, shuffled]) => {
        const inOrder = foldAll([updates], compiled);
        const inAnyOrder = foldAll(
          [...shuffled, ...updates].map((update) => [update]),
          compiled,
        );
        expectSame(inOrder, compiled, recompute(definitions, updates));
        expect(attributesOf(compiled, inAnyOrder)).toEqual(attributesOf(compiled, inOrder));
      }),
      { numRuns: 50 },
    );
  });
});

describe("membership changes", () => {
  test("are dense, alternate, and end in the membership", () => {
    fc.assert(
      fc.property(arbitraryDefinitions, delivery, (definitions, [, batches]) => {
        const compiled = compile(definitions);
        const last = new Map<string, number>();
        let profile = EMPTY_PROFILE;
        for (const batch of batches) {
          const { profile: next, changes } = fold(profile, batch, compiled);
          // What cancels out within one turn is not announced.
          expect(new Set(changes.map(({ audience }) => audience)).size).toBe(changes.length);
          for (const { audience, number, generation, version, at, stamp } of changes) {
            expect(number).toBe((last.get(audience) ?? 0) + 1);
            expect({ generation, version, at, stamp }).toEqual({
              ...{ generation: VERSION, version: VERSION },
              ...{ at: next.calculated!.asOfMs, stamp: next.lastStamp },
            });
            last.set(audience, number);
          }
          profile = next;
          const entered = [...last].filter(([, number]) => entersAt(number)).map(([audience]) => audience);
          expect([...membersOf(compiled, profile)].sort()).toEqual(entered.sort());
        }
      }),
    );
  });

  test("name their cause, and a rule that fails keeps the user where the user was", () => {
    fc.assert(
      fc.property(arbitraryDefinitions, delivery, (definitions, [, batches]) => {
        const compiled = compile(definitions);
        const delivered: Update[] = [];
        let profile = EMPTY_PROFILE;
        for (const update of batches.flat()) {
          delivered.push(update);
          const before = membersOf(compiled, profile);
          const { profile: next, changes } = fold(profile, [update], compiled);
          const byTime = update.ops[0]?.kind === "tick";
          const cause = byTime ? { kind: "time" } : { kind: "update", id: updateId(update) };
          for (const change of changes) expect(change.cause).toEqual(cause);
          for (const audience of recompute(definitions, delivered).failing)
            expect(membersOf(compiled, next).includes(audience)).toBe(before.includes(audience));
          profile = next;
        }
      }),
      { numRuns: 50 },
    );
  });

  test("a turn that counts nothing and brings no new moment changes nothing", () => {
    fc.assert(
      fc.property(arbitraryDefinitions, delivery, (definitions, [updates, batches]) => {
        const compiled = compile(definitions);
        const profile = foldAll(batches, compiled);
        const again = fold(profile, updates, compiled);
        expect(again.changes).toEqual([]);
        expect(again.profile).toEqual(profile);
      }),
    );
  });
});

/** A sweeper's tick at the moment that it is due. */
const tickAt = (due: number, seq: number): Update => ({
  ...{ v: 1, tenant: "t", userId: "u", src: "alarm", seq, stamp: stampAt(due), at: due },
  ops: [{ kind: "tick", body: { due } }],
});

/** Moments at which something may change by time, and those around them. */
function momentsOf({ attributes }: DefinitionsInput, updates: readonly Update[]): number[] {
  const moments = new Set<number>([Date.UTC(2026, 1, 1)]);
  for (const { ops, at, stamp } of updates) {
    const t = Math.min(at, Math.floor(stamp / 2048));
    for (const attribute of Object.values(attributes))
      if ("aggregate" in attribute && attribute.window !== undefined) moments.add(countsUntil(attribute, t));
    for (const days of [1, 2, 3, 30, 60, 61]) moments.add(t + days * DAY);
    for (const { kind, body } of ops)
      if (kind === "set" && typeof body.trial_ends === "string") moments.add(Date.parse(body.trial_ends));
  }
  // The durations that rules add or take away.
  const shifted = [0, -3 * DAY, 3_600_000, DAY, 10 * DAY, 45 * DAY];
  return [...moments].flatMap((m) => shifted.flatMap((by) => [m + by, m - by, m + by + 1, m + by - 1]));
}

describe("the alarm", () => {
  const fraction = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });

  test("no membership changes by time alone before it, and none at all without one", () => {
    fc.assert(
      fc.property(
        arbitraryDefinitions,
        arbitraryHistory,
        fc.array(fraction, { minLength: 5, maxLength: 5 }),
        fc.infiniteStream(fc.nat()),
        (definitions, updates, fractions, random) => {
          const { asOfMs: asOf, alarmMs } = foldAll([updates], compile(definitions)).calculated!;
          if (alarmMs > 0) expect(alarmMs).toBeGreaterThan(asOf);
          const end = alarmMs || asOf + 11 * YEAR;
          const near = momentsOf(definitions, updates).filter((moment) => moment > asOf && moment < end);
          const some = Array.from({ length: Math.min(10, near.length) }, () => {
            return near[(random.next().value as number) % near.length]!;
          });
          const between = fractions.map((part) => asOf + Math.floor(part * (end - asOf)));
          const now = recompute(definitions, updates);
          for (const moment of [end - 1, ...some, ...between]) {
            const { audiences, failing } = recompute(definitions, updates, [moment]);
            // A rule that fails says nothing new.
            const told = (names: string[]) =>
              names.filter((name) => !failing.includes(name) && !now.failing.includes(name));
            expect({ moment, audiences: told(audiences) }).toEqual({
              moment,
              audiences: told(now.audiences),
            });
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test("a tick at it moves it on, with values and memberships that are right then", () => {
    fc.assert(
      fc.property(arbitraryDefinitions, arbitraryHistory, (definitions, updates) => {
        const compiled = compile(definitions);
        const delivered = [...updates];
        let profile = foldAll([updates], compiled);
        for (let i = 1; i <= 8; i++) {
          const due = profile.calculated!.alarmMs;
          if (due === 0) return;
          delivered.push(tickAt(due, i));
          profile = fold(profile, [tickAt(due, i)], compiled).profile;
          expectSame(profile, compiled, recompute(definitions, delivered));
          expect(profile.calculated!.alarmMs || Number.POSITIVE_INFINITY).toBeGreaterThan(due);
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe("definitions that the document does not allow", () => {
  const count = { event: "buy", aggregate: "count" } as const;
  const sum = { event: "buy", aggregate: "sum", of: "amount" } as const;
  const attribute = (attributes: Record<string, unknown>) => ({ attributes, audiences: {} });
  const rule = (text: string) => ({
    attributes: { orders: count, spend: sum },
    audiences: { some: { rule: text } },
  });

  test.each<[string, unknown]>([
    ["a name with a capital", attribute({ Orders: count })],
    ["a name with a digit first", attribute({ "1st": count })],
    ["a name of 65 characters", attribute({ ["a".repeat(65)]: count })],
    ["the name `now`", attribute({ now: count })],
    ["the name `event`", attribute({ event: count })],
    ["a word of CEL as a name", attribute({ in: count })],
    ["a type of CEL as a name", attribute({ int: count })],
    ["an attribute and an audience of one name", { ...rule("true"), attributes: { some: count } }],
    ["an unknown aggregate", attribute({ a: { event: "buy", aggregate: "median", of: "amount" } })],
    ["a sum of nothing", attribute({ a: { event: "buy", aggregate: "sum" } })],
    ["a count of something", attribute({ a: { ...count, of: "amount" } })],
    ["a window of seconds", attribute({ a: { ...count, window: "30s" } })],
    ["a window of no length", attribute({ a: { ...count, window: "0d" } })],
    ["a window of half a day", attribute({ a: { ...count, window: "0.5d" } })],
    ["a window of more than 10 years", attribute({ a: { ...count, window: "11y" } })],
    ["days_since of a window", attribute({ a: { event: "buy", aggregate: "days_since", window: "1d" } })],
    ["a limit of a count", attribute({ a: { ...count, limit: 5 } })],
    ["a limit of 0", attribute({ a: { event: "buy", aggregate: "list", of: "item", limit: 0 } })],
    ["a limit of 101", attribute({ a: { event: "buy", aggregate: "set", of: "item", limit: 101 } })],
    ["a condition that is no CEL", attribute({ a: { ...count, where: "event.amount >" } })],
    ["a condition that is no bool", attribute({ a: { ...count, where: "'yes'" } })],
    ["a condition over another name", attribute({ a: count, b: { ...count, where: "a > 1" } })],
    ["a derived list", attribute({ a: { derive: "[1, 2]" } })],
    ["a derived timestamp", attribute({ a: { derive: "timestamp(trial_ends)" } })],
    ["types that do not go together", attribute({ a: count, b: { derive: "a + 'x'" } })],
    ["a cycle of attributes", attribute({ a: { derive: "b" }, b: { derive: "a" } })],
    ["an attribute of itself", attribute({ a: { derive: "a" } })],
    ["an attribute of an audience", { ...rule("true"), attributes: { a: { derive: "some ? 1 : 2" } } }],
    ["an attribute of now", attribute({ a: { derive: "now > timestamp(trial_ends)" } })],
    ["a rule that is no bool", rule("orders + 1")],
    ["a rule that compares a number with a text", rule("orders == 'x'")],
    ["an audience of itself", rule("!some")],
    ["now that is equal to something", rule("now == timestamp(trial_ends)")],
    ["now on both sides", rule("now - timestamp(trial_ends) > now - timestamp(trial_began)")],
    ["a part of now", rule("now.getHours() > 12")],
    ["a regular expression", rule("plan.matches('^(a+)+$')")],
    ["a function inside of another", rule("tags.all(a, tags.exists(b, a == b))")],
    ["a binding", rule("cel.bind(x, orders, x > 1)")],
    ["now inside of a function", rule("tags.exists(t, now > timestamp(t))")],
    ["now with two things added", rule("now + duration('1h') + duration('1h') > timestamp(trial_ends)")],
    ["an expression of more than 4,096 characters", rule(`orders > 1${" ".repeat(4096)}`)],
  ])("%s", (_, definitions) => {
    expect(() => compile(definitions as DefinitionsInput)).toThrow();
  });

  test("a cycle is refused naming it", () => {
    const definitions = attribute({
      ...{ alpha: { derive: "beta" }, beta: { derive: "gamma" }, gamma: { derive: "alpha" } },
    });
    for (const name of ["alpha", "beta", "gamma"])
      expect(() => compile(definitions as DefinitionsInput)).toThrow(name);
  });
});
