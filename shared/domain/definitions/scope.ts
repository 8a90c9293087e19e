/**
 * What expressions see of one user: a context whose values are computed when they are asked for, once. One scope
 * serves one user after another, so that an evaluation allocates nothing.
 */

import { entersAt } from "../membership-change.ts";
import { attributeValue, type Profile } from "../profile.ts";
import type { State } from "./aggregate.ts";
import { celValue, jsonValue } from "./cel-value.ts";
import type { CompiledDefinitions } from "./compile.ts";
import { begin, end, failed } from "./costs.ts";
import type { Expression } from "./expression.ts";

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

export function createScope(definitions: CompiledDefinitions): Scope {
  const { attributes, audiences, attributeAt, audienceAt, clockMs } = definitions;
  let user!: UserState;
  const values: unknown[] = new Array(attributes.length).fill(NOT_COMPUTED);
  // Not without a prototype: V8 looks such objects' properties up in a dictionary.
  const shared: Record<string, unknown> = {};
  const contexts = new Map<Expression, object>();

  const define = (on: object, name: string, get: () => unknown): void => {
    Object.defineProperty(on, name, { get, enumerable: true });
  };

  attributes.forEach(({ name, type }, place) => {
    const missing = type === "double" ? MISSING_NUMBER : MISSING;
    define(shared, name, () => {
      const value = attribute(place);
      if (value === undefined) return missing;
      return type === "int" ? BigInt(value as number) : celValue(value);
    });
  });
  audiences.forEach(({ name }, place) => {
    define(shared, name, () => entersAt(user.numbers[place] ?? 0));
  });
  for (const name of definitions.byField.keys())
    define(shared, name, () => celValue(attributeValue(user.profile, name)) ?? MISSING);
  define(shared, "now", () => new Date(user.asOfMs));

  /** Names on the right of `in` are empty lists where they are missing. */
  function contextOf(expression: Expression): object {
    const known = contexts.get(expression);
    if (known) return known;
    let context = shared;
    for (const name of expression.lists) {
      if (attributeAt.has(name) || audienceAt.has(name)) continue;
      if (context === shared) context = Object.create(shared) as Record<string, unknown>;
      define(context, name, () => celValue(attributeValue(user.profile, name)) ?? NO_MEMBERS);
    }
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

  function isMember(place: number): boolean | undefined {
    const { rule, cost } = audiences[place]!;
    const begunMs = begin(cost, clockMs);
    try {
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
    },
    attribute,
    isMember,
    contextOf,
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
