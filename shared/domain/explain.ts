/** Why a user is in an audience or out of it: pure, from the profile and the definitions. */
import { scopeOn } from "./calculated-view.ts";
import { jsonValue } from "./definitions/cel-value.ts";
import type { CompiledDefinitions } from "./definitions/compile.ts";
import { type Attribute, type Audience, isDerived } from "./definitions/definition.ts";
import type { Expression } from "./definitions/expression.ts";
import { changesAtMs } from "./definitions/next-due.ts";
import type { Scope, UserState } from "./definitions/scope.ts";
import type { TenantDefinitions } from "./definitions/tenant-definitions.ts";
import { type Condition, conditionsOf, type Gives } from "./explain-conditions.ts";
import { type EventsBehind, eventsBehind } from "./explain-events.ts";
import { changeByTimeAlone, type TimeAlone } from "./explain-time.ts";
import { type LastChange, lastChangeIn } from "./last-change.ts";
import { entersAt } from "./membership-change.ts";
import { attributeValue, type Profile } from "./profile.ts";

export type NameExplained = {
  name: string;
  kind: "attribute" | "derived" | "audience" | "profile";
  /** Null where it has none. */
  value: unknown;
  /** As its author wrote it; null for an attribute of the profile's own. */
  definition: Attribute | Audience | null;
  /** What it reads in turn. */
  reads: string[];
  /** Of an attribute over events. */
  events: EventsBehind | null;
  /** When time alone may change the value next; null for never, or where nothing waits for that. */
  changesAtMs: number | null;
};

export type Explanation = {
  audience: string;
  /** What the profile says, which is what was announced. */
  member: boolean;
  /** Null for a user who was never in. */
  lastChange: LastChange | null;
  /** False where it is disabled: nothing below is computed then. */
  enabled: boolean;
  rule: string;
  /** What the rule gives as of `asOfMs`. */
  gives: Gives | undefined;
  asOfMs: number;
  /** The version of the definitions that the profile was folded with, and of those that this explains. */
  foldedWithVersion: number;
  definitionsVersion: number;
  conditions: Condition[];
  /** What the rule reads, and what that reads in turn; each once. */
  names: NameExplained[];
  byTimeAlone: TimeAlone;
};

/** Undefined where there is no such audience. */
export function explain(
  profile: Profile,
  document: TenantDefinitions,
  definitions: CompiledDefinitions,
  audience: string,
  nowMs: number,
): Explanation | undefined {
  if (!Object.hasOwn(document.audiences, audience)) return undefined;
  const { definition, standing } = document.audiences[audience]!;
  const { scope, user } = scopeOn(profile, definitions, nowMs);
  const place = definitions.audienceAt.get(audience);
  const common = {
    audience,
    lastChange: lastChangeIn(profile, standing) ?? null,
    rule: definition.rule,
    asOfMs: user.asOfMs,
    foldedWithVersion: profile.calculated?.version ?? 0,
    definitionsVersion: definitions.version,
  };
  if (place === undefined)
    return {
      ...common,
      ...{ member: false, enabled: false, gives: undefined, conditions: [], names: [] },
      byTimeAlone: { changes: "never" },
    };
  const { rule } = definitions.audiences[place]!;
  const names = namesBehind(rule, { document, definitions, scope, user });
  const places = (at: ReadonlyMap<string, number>) =>
    names.flatMap(({ name }) => at.get(name) ?? []).sort((a, b) => a - b);
  const read = { attributes: places(definitions.attributeAt), audiences: places(definitions.audienceAt) };
  const [context, why] = [scope.contextOf(rule), whyNot(names)];
  return {
    ...common,
    member: entersAt(user.numbers[place] ?? 0),
    enabled: true,
    gives: givenByRule(rule, context, why),
    conditions: conditionsOf(rule.node, { environment: rule.environment, reads: rule.reads, context, why }),
    names,
    byTimeAlone: changeByTimeAlone(profile, definitions, { place, ...read }, nowMs),
  };
}

type Looking = {
  document: TenantDefinitions;
  definitions: CompiledDefinitions;
  scope: Scope;
  user: UserState;
};

function namesBehind(rule: Expression, looking: Looking): NameExplained[] {
  const found = new Map<string, NameExplained>();
  const waiting = [...rule.reads];
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    if (found.has(name)) continue;
    const explained = explainName(name, looking);
    found.set(name, explained);
    waiting.push(...explained.reads);
  }
  return [...found.values()];
}

function explainName(name: string, { document, definitions, scope, user }: Looking): NameExplained {
  const audience = definitions.audienceAt.get(name);
  const nothing = { reads: [], events: null, changesAtMs: null };
  if (audience !== undefined) {
    const { definition } = document.audiences[name]!;
    const reads = [...definitions.audiences[audience]!.rule.reads];
    const value = entersAt(user.numbers[audience] ?? 0);
    return { ...nothing, name, kind: "audience", value, definition, reads };
  }
  const place = definitions.attributeAt.get(name);
  if (place === undefined) {
    const value = attributeValue(user.profile, name) ?? null;
    return { ...nothing, name, kind: "profile", value, definition: null };
  }
  const { definition } = document.attributes[name]!;
  const attribute = definitions.attributes[place]!;
  const value = scope.attribute(place) ?? null;
  if (!attribute.event || isDerived(definition)) {
    const reads = attribute.derive ? [...attribute.derive.reads] : [];
    return { ...nothing, name, kind: "derived", value, definition, reads };
  }
  const state = user.states[place];
  const dueMs = state === undefined ? Number.POSITIVE_INFINITY : changesAtMs(attribute, state, user.asOfMs);
  return {
    ...{ name, kind: "attribute", value, definition, reads: [] },
    events: eventsBehind(definition, attribute.event, state, user.profile),
    changesAtMs: Number.isFinite(dueMs) ? dueMs : null,
  };
}

/** Says of a part that can't be computed what it lacks, or else what the library says. */
function whyNot(names: readonly NameExplained[]) {
  return (reads: readonly string[], error: unknown): string => {
    const missing = names.filter(({ name, value }) => reads.includes(name) && value === null);
    if (missing.length > 0) {
      const which = missing.map(({ name }) => name).join(" and ");
      return `${which} ${missing.length === 1 ? "has" : "have"} no value`;
    }
    const { summary, message } = error as { summary?: string; message: string };
    return summary ?? message.split("\n")[0]!;
  };
}

function givenByRule(rule: Expression, context: object, why: ReturnType<typeof whyNot>): Gives {
  try {
    return { computed: true, value: jsonValue(rule.run(context)) ?? null };
  } catch (error) {
    return { computed: false, why: why([...rule.reads], error) };
  }
}
