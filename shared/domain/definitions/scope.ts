/**
 * What expressions see of one user: a context whose values are computed when they are asked for, once. One scope
 * serves one user after another, so that an evaluation allocates nothing.
 */

import { entersAt } from "../membership-change.ts";
import { attributeValue, type Profile } from "../profile.ts";
import type { State } from "./aggregate.ts";
import { celValue, jsonValue } from "./cel-value.ts";
import type { CompiledDefinitions } from "./compile.ts";
import { begin, createCost, end, failed } from "./costs.ts";
import type { Expression } from "./expression.ts";
import { type Comparison, guardsOf, isTrue } from "./thresholds.ts";

/** One user's part of the definitions, in their order. */
export type UserState = {
  profile: Profile;
  asOfMs: number;
  /** Of attributes over events, by place. */
  states: readonly (State | undefined)[];
  /** Of the last change in each audience, by place; 0 or nothing for none. */
  numbers: ArrayLike<number | undefined>;
};

export type Scope = {
  /** What was computed is forgotten. */
  look(user: UserState): void;
  /** As JSON has it; undefined where there is none. */
  attribute(place: number): unknown;
  /**
   * What the rule says; undefined where it can't be computed though nothing is missing, which is counted.
   */
  isMember(place: number): boolean | undefined;
  /** An expression's context, for parts of it. */
  contextOf(expression: Expression): object;
};

const NOT_COMPUTED = Symbol("not computed");

/** What stands in CEL for a value that is not there. */
const MISSING_NUMBER = Number.NaN;
const MISSING = null;
const NO_MEMBERS: readonly unknown[] = [];

/** A comparison of a calculated number. */
type Guard = Omit<Comparison, "name"> & { place: number };

type Read = () => unknown;

/** What cel-js asks for the value of a name: a map that computes. Faster than an object with getters. */
class Context extends Map<string, unknown> {
  readonly #reads: ReadonlyMap<string, Read>;

  constructor(reads: ReadonlyMap<string, Read>) {
    super();
    this.#reads = reads;
  }

  override get(name: string): unknown {
    return this.#reads.get(name)?.();
  }
}

export function createScope(definitions: CompiledDefinitions): Scope {
  const { attributes, audiences, attributeAt, audienceAt, byField, clockMs } = definitions;
  let user!: UserState;
  /** By place, as JSON has it. */
  const values: unknown[] = new Array(attributes.length).fill(NOT_COMPUTED);
  /** As CEL has it: of attributes by place, then of the profile's own. */
  const celValues: unknown[] = new Array(attributes.length + byField.size).fill(NOT_COMPUTED);

  const once = (at: number, compute: Read): Read => {
    return () => {
      const known = celValues[at];
      if (known !== NOT_COMPUTED) return known;
      const computed = compute();
      celValues[at] = computed;
      return computed;
    };
  };

  const own = new Map<string, Read>();
  for (const name of byField.keys())
    own.set(
      name,
      once(attributes.length + own.size, () => celValue(attributeValue(user.profile, name))),
    );
  const reads = new Map<string, Read>();
  for (const [name, read] of own) reads.set(name, () => read() ?? MISSING);
  attributes.forEach(({ name, type }, place) => {
    const missing = type === "double" ? MISSING_NUMBER : MISSING;
    const compute = (): unknown => {
      const value = attribute(place);
      if (value === undefined) return missing;
      return type === "int" ? BigInt(value as number) : celValue(value);
    };
    reads.set(name, once(place, compute));
  });
  audiences.forEach(({ name }, place) => {
    reads.set(name, () => entersAt(user.numbers[place] ?? 0));
  });
  reads.set("now", () => new Date(user.asOfMs));

  const shared = new Context(reads);
  const contexts = new Map<Expression, object>();

  /** Names on the right of `in` are empty lists where they are missing. */
  function contextOf(expression: Expression): object {
    const known = contexts.get(expression);
    if (known) return known;
    const lists = [...expression.lists].flatMap((name) => {
      const read = own.get(name);
      return read ? [[name, () => read() ?? NO_MEMBERS] as const] : [];
    });
    const context = lists.length === 0 ? shared : new Context(new Map([...reads, ...lists]));
    contexts.set(expression, context);
    return context;
  }

  function isMissing(name: string): boolean {
    const place = attributeAt.get(name);
    if (place !== undefined) return attribute(place) === undefined;
    return !audienceAt.has(name) && attributeValue(user.profile, name) === undefined;
  }

  function lacksSomething({ reads }: Expression): boolean {
    for (const name of reads) if (isMissing(name)) return true;
    return false;
  }

  function attribute(place: number): unknown {
    const known = values[place];
    if (known !== NOT_COMPUTED) return known;
    const computed = compute(place);
    values[place] = computed;
    return computed;
  }

  function compute(place: number): unknown {
    const { event, derive, cost } = attributes[place]!;
    if (event) {
      try {
        return event.aggregate.value(user.states[place], user.asOfMs);
      } catch (error) {
        failed(cost, error);
        return undefined;
      }
    }
    const begunMs = begin(cost, clockMs);
    try {
      return bounded(jsonValue(derive.run(contextOf(derive))));
    } catch (error) {
      if (!lacksSomething(derive)) failed(cost, error);
      return undefined;
    } finally {
      end(cost, clockMs, begunMs);
    }
  }

  const guards = audiences.map(({ rule }) => guardsOf(rule.node).flatMap(toGuard));

  function toGuard({ name, op, threshold }: Comparison): Guard | [] {
    const place = attributeAt.get(name);
    if (place === undefined) return [];
    const { type } = attributes[place]!;
    return type === "int" || type === "double" ? { place, op, threshold } : [];
  }

  /** Without the library: of the rules that are evaluated most turn out false by a plain comparison. */
  function isRuledOut(place: number): boolean {
    for (const { place: of, op, threshold } of guards[place]!) {
      const value = attribute(of);
      if (typeof value === "number" && !isTrue(op, value, threshold)) return true;
    }
    return false;
  }

  function isMember(place: number): boolean | undefined {
    const { rule, cost } = audiences[place]!;
    const begunMs = begin(cost, clockMs);
    try {
      if (isRuledOut(place)) return false;
      return rule.run(contextOf(rule)) === true;
    } catch (error) {
      if (lacksSomething(rule)) return false;
      failed(cost, error);
      return undefined;
    } finally {
      end(cost, clockMs, begunMs);
    }
  }

  return {
    look(next) {
      user = next;
      values.fill(NOT_COMPUTED);
      celValues.fill(NOT_COMPUTED);
    },
    attribute,
    isMember,
    contextOf,
  };
}

/** To look is no evaluation that a definition is to be charged with. */
export function withoutCosts(definitions: CompiledDefinitions): CompiledDefinitions {
  return {
    ...definitions,
    clockMs: undefined,
    attributes: definitions.attributes.map((each) => ({ ...each, cost: createCost() })),
    audiences: definitions.audiences.map((each) => ({ ...each, cost: createCost() })),
  };
}

/** Longest derived value as JSON. */
const MAX_DERIVED_LENGTH = 4_096;

function bounded(value: unknown): unknown {
  const length = typeof value === "string" ? value.length : 0;
  const isLong =
    length > MAX_DERIVED_LENGTH ||
    (typeof value === "object" && JSON.stringify(value).length > MAX_DERIVED_LENGTH);
  if (isLong) throw new Error(`the value is longer than ${MAX_DERIVED_LENGTH} characters`);
  return value;
}
