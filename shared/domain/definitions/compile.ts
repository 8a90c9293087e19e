import { compileDerived } from "./compile-derived.ts";
import { compileRules, type Rule } from "./compile-rules.ts";
import { type Cost, createCost } from "./costs.ts";
import { type DerivedAttribute, isDerived, isEnabled } from "./definition.ts";
import {
  type ConditionGroup,
  type Dependents,
  findDependents,
  groupByEvent,
  type TickNeed,
  tickNeed,
} from "./dependents.ts";
import { type EventRule, eventRule } from "./event-rule.ts";
import type { CelType, Expression } from "./expression.ts";
import { conditionParser, knownExpressions } from "./known-expressions.ts";
import type { NowComparison } from "./now-comparison.ts";
import { type DefinitionProblem, isProblem } from "./problem.ts";
import type { Standing, Stored, TenantDefinitions } from "./tenant-definitions.ts";

/** A tenant's enabled definitions, ready to run. */
export type CompiledDefinitions = {
  version: number;
  /** Over events first, then derived ones, each after those that it reads. */
  attributes: readonly CompiledAttribute[];
  /** Each after those that it reads. */
  audiences: readonly CompiledAudience[];
  /** By the event's name. */
  byEvent: ReadonlyMap<string, readonly ConditionGroup[]>;
  /** What reads an attribute of the profile's own, by its name. */
  byField: ReadonlyMap<string, Dependents>;
  /** Attributes whose value time alone changes. */
  byTime: readonly number[];
  /** Audiences whose rule mentions `now`. */
  byNow: readonly number[];
  attributeAt: ReadonlyMap<string, number>;
  audienceAt: ReadonlyMap<string, number>;
  /** Of each attribute. */
  slots: readonly number[];
  attributeOfSlot: ReadonlyMap<number, number>;
  audienceOfSlot: ReadonlyMap<number, number>;
  /** Of all audiences, also those that are disabled, with their names. */
  audienceSlots: ReadonlyMap<number, NamedAudience>;
  /** The longest that the states of a user's attributes can be, in characters of the profile. */
  stateLength: number;
  /** A monotonic clock for costs, milliseconds. */
  clockMs: (() => number) | undefined;
};

export type NamedAudience = { name: string; generation: number; version: number };

export type CompiledAttribute = {
  name: string;
  ticks: TickNeed;
  standing: Standing;
  type: CelType;
  dependents: Dependents;
  cost: Cost;
} & ({ event: EventRule; derive?: never } | { derive: Expression; event?: never });

export type CompiledAudience = {
  name: string;
  standing: Standing;
  rule: Expression;
  nowComparisons: readonly NowComparison[];
  /** Audiences that depend on this one. */
  dependents: readonly number[];
  cost: Cost;
};

export const NO_DEFINITIONS: CompiledDefinitions = {
  version: 0,
  attributes: [],
  audiences: [],
  byEvent: new Map(),
  byField: new Map(),
  byTime: [],
  byNow: [],
  attributeAt: new Map(),
  audienceAt: new Map(),
  slots: [],
  attributeOfSlot: new Map(),
  audienceOfSlot: new Map(),
  audienceSlots: new Map(),
  stateLength: 0,
  clockMs: undefined,
};

/**
 * Checks and compiles what is enabled. The first problem found comes back in its place.
 *
 * @param options.before the tenant's definitions of any other version: expressions that are the same are not compiled
 * again, and costs go on where a definition is the same.
 */
export function compileDefinitions(
  document: TenantDefinitions,
  options: { clockMs?: () => number; before?: CompiledDefinitions | undefined } = {},
): CompiledDefinitions | DefinitionProblem {
  const enabled = <D extends { enabled?: boolean }>(all: Record<string, Stored<D>>) =>
    Object.entries(all).filter(([, { definition }]) => isEnabled(definition));
  const attributes = enabled(document.attributes);
  const audiences = enabled(document.audiences);
  const disabled = new Set(
    [...Object.entries(document.attributes), ...Object.entries(document.audiences)]
      .filter(([, { definition }]) => !isEnabled(definition))
      .map(([name]) => name),
  );

  const rules = new Map<string, { rule: EventRule; where: Expression | undefined; event: string }>();
  const known = knownExpressions(options.before);
  const condition = conditionParser(known.conditions);
  let stateLength = 0;
  for (const [name, { definition }] of attributes) {
    if (isDerived(definition)) continue;
    const rule = eventRule(name, definition, condition);
    if (isProblem(rule)) return rule;
    stateLength += rule.stateLength;
    rules.set(name, { ...rule, event: definition.event });
  }
  const derivations = attributes.filter(([, { definition }]) => isDerived(definition));
  const audienceNames = new Set(audiences.map(([name]) => name));
  const types = new Map<string, CelType>([...rules].map(([name, { rule }]) => [name, rule.aggregate.type]));
  const derived = compileDerived(derivations as [string, Stored<DerivedAttribute>][], {
    ...{ types, disabled, known, isAudience: (name) => audienceNames.has(name) },
  });
  if (isProblem(derived)) return derived;
  const names = new Map<string, CelType>(types);
  for (const name of audienceNames) names.set(name, "bool");
  const ruled = compileRules(audiences, names, disabled, known);
  if (isProblem(ruled)) return ruled;

  return assemble(document, { rules, derived, ruled, types, stateLength, ...options });
}

function assemble(
  document: TenantDefinitions,
  parts: {
    rules: Map<string, { rule: EventRule; where: Expression | undefined; event: string }>;
    derived: Map<string, Expression>;
    ruled: Map<string, Rule>;
    types: Map<string, CelType>;
    stateLength: number;
    clockMs?: () => number;
    before?: CompiledDefinitions | undefined;
  },
): CompiledDefinitions {
  const { rules, derived, ruled, types, before } = parts;
  const attributeNames = [...rules.keys(), ...derived.keys()];
  const audienceNames = [...ruled.keys()];
  const attributeAt = new Map(attributeNames.map((name, index) => [name, index]));
  const audienceAt = new Map(audienceNames.map((name, index) => [name, index]));
  const expressions = new Map(derived);
  for (const [name, { rule }] of ruled) expressions.set(name, rule);
  const dependentsOf = findDependents(attributeNames, audienceNames, expressions);
  const costOf = (name: string, { version }: Standing): Cost => {
    const [index, audienceIndex] = [before?.attributeAt.get(name), before?.audienceAt.get(name)];
    const old = index === undefined ? before?.audiences[audienceIndex ?? -1] : before?.attributes[index];
    return old?.standing.version === version ? old.cost : createCost();
  };
  const attributes = attributeNames.map((name): CompiledAttribute => {
    const { standing } = document.attributes[name]!;
    const event = rules.get(name)?.rule;
    const common = {
      name,
      ticks: tickNeed(name, event?.aggregate.windowed === false, dependentsOf),
      standing,
      type: types.get(name)!,
      dependents: dependentsOf.all(name),
      cost: costOf(name, standing),
    };
    return event ? { ...common, event } : { ...common, derive: derived.get(name)! };
  });
  const audiences = audienceNames.map((name): CompiledAudience => {
    const { standing } = document.audiences[name]!;
    const { audiences: dependents } = dependentsOf.all(name);
    const { rule, nowComparisons } = ruled.get(name)!;
    return { name, standing, rule, nowComparisons, dependents, cost: costOf(name, standing) };
  });
  const fields = new Set<string>();
  for (const { reads } of expressions.values())
    for (const name of reads) if (!attributeAt.has(name) && !audienceAt.has(name)) fields.add(name);
  return {
    version: document.version,
    attributes,
    audiences,
    byEvent: groupByEvent(rules, attributeAt, before?.byEvent),
    byField: new Map([...fields].map((name) => [name, dependentsOf.all(name)])),
    byTime: attributes.flatMap(({ event }, index) =>
      event && (event.window || !event.aggregate.windowed) ? [index] : [],
    ),
    byNow: audiences.flatMap(({ rule }, index) => (rule.usesNow ? [index] : [])),
    attributeAt,
    audienceAt,
    slots: attributes.map(({ standing }) => standing.slot),
    attributeOfSlot: new Map(attributes.map(({ standing }, index) => [standing.slot, index])),
    audienceOfSlot: new Map(audiences.map(({ standing }, index) => [standing.slot, index])),
    audienceSlots: new Map(
      Object.entries(document.audiences).map(([name, { standing }]) => [
        standing.slot,
        { name, generation: standing.generation, version: standing.version },
      ]),
    ),
    stateLength: parts.stateLength,
    clockMs: parts.clockMs,
  };
}
