import { MAX_AMOUNT, MIN_AMOUNT } from "../envelope.ts";
import { type Aggregate, aggregates } from "./aggregate.ts";
import { celValue } from "./cel-value.ts";
import { begin, type ClockMs, type Cost, end, failed } from "./costs.ts";
import { DEFAULT_LIMIT, type EventAttribute } from "./definition.ts";
import { distinctLimit } from "./distinct.ts";
import { type Expression, lacksProperty } from "./expression.ts";
import type { ParseCondition } from "./known-expressions.ts";
import { type DefinitionProblem, isProblem, problem } from "./problem.ts";
import { FEW_BUCKETS, MAX_BUCKETS, parseWindow, type Window } from "./window.ts";

export type EventRule = {
  aggregate: Aggregate;
  property: string | undefined;
  window: Window | undefined;
  limit: number;
};

/** What an attribute over events asks for, checked, with the longest state that it can have. */
export function eventRule(
  name: string,
  definition: EventAttribute,
  condition: ParseCondition,
): { rule: EventRule; where: Expression | undefined; stateLength: number } | DefinitionProblem {
  const path = `attributes.${name}`;
  const { aggregate: kind, of: property, window: text, limit } = definition;
  const aggregate: Aggregate = aggregates[kind];
  const refused = (field: string, value: unknown, message: string) =>
    problem("invalid_definition", `${path}.${field}`, value, message);
  if (aggregate.takes === "nothing" && property !== undefined)
    return refused("of", property, `${kind} takes no property`);
  if (aggregate.takes !== "nothing" && property === undefined)
    return refused("of", undefined, `is required: ${kind} is of a property`);
  if (text !== undefined && !aggregate.windowed) return refused("window", text, `${kind} takes no window`);
  const takesLimit = kind === "list" || kind === "set";
  if (limit !== undefined && !takesLimit) return refused("limit", limit, `${kind} takes no limit`);
  const window =
    text === undefined ? undefined : parseWindow(text, kind === "distinct" ? FEW_BUCKETS : MAX_BUCKETS);
  if (text !== undefined && window === undefined) return refused("window", text, "is longer than 10 years");
  let where: Expression | undefined;
  if (definition.where !== undefined) {
    const parsed = condition(definition.where, `${path}.where`);
    if (isProblem(parsed)) return parsed;
    where = parsed;
  }
  const keeps = kind === "distinct" ? distinctLimit(window !== undefined) : (limit ?? DEFAULT_LIMIT);
  const buckets = window === undefined ? 1 : Math.ceil(window.lengthMs / window.bucketMs) + 1;
  return {
    rule: { aggregate, property, window, limit: keeps },
    where,
    stateLength: aggregate.maxLength(buckets, keeps),
  };
}

/** Whether a condition is true of an event; false where it cannot be computed. */
export function holds(
  run: (context: object) => unknown,
  properties: Record<string, unknown>,
  cost: Cost,
  clockMs: ClockMs | undefined,
): boolean {
  const begunMs = begin(cost, clockMs);
  try {
    return run({ event: celValue(properties) }) === true;
  } catch (error) {
    if (!lacksProperty(error)) failed(cost, error);
    return false;
  } finally {
    end(cost, clockMs, begunMs);
  }
}

/** Of a property; a name that objects have by themselves is none. */
export function ownValue(properties: Record<string, unknown>, name: string): unknown {
  return Object.hasOwn(properties, name) ? properties[name] : undefined;
}

/** What numbers are added up from. */
export function isAmount(value: unknown): boolean {
  if (typeof value !== "number") return false;
  const size = Math.abs(value);
  return size === 0 || (size >= MIN_AMOUNT && size <= MAX_AMOUNT);
}
