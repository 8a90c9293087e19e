import type { CompiledAudience, CompiledDefinitions } from "./compile.ts";
import { conditionEnvironment, type Expression, type Names, parseExpression } from "./expression.ts";
import { type DefinitionProblem, isProblem } from "./problem.ts";

/**
 * Expressions that were compiled before and are the same now. What an expression means depends on its text and on the
 * types of the names that it reads, and on nothing else: once it is checked, it asks its environment for no name.
 */
export type KnownExpressions = {
  /** By its text, which says all: a condition reads only `event`. */
  conditions: ReadonlyMap<string, Expression>;
  /** What a derived attribute reads, whatever the types of that are. */
  readsOf(name: string, text: string): ReadonlySet<string> | undefined;
  derived(name: string, text: string, rules: Meaning): Expression | undefined;
  rule(name: string, text: string, rules: Meaning): CompiledAudience | undefined;
};

type Meaning = {
  types: Names;
  /** Why a name must not be used now. */
  refused(name: string): string | undefined;
};

export function knownExpressions(before: CompiledDefinitions | undefined): KnownExpressions {
  const conditions = new Map<string, Expression>();
  for (const groups of before?.byEvent.values() ?? [])
    for (const { where } of groups) if (where) conditions.set(where.text, where);

  const attribute = (name: string) => before?.attributes[before.attributeAt.get(name) ?? -1];
  const audience = (name: string) => before?.audiences[before.audienceAt.get(name) ?? -1];
  const typeOf = (name: string) => attribute(name)?.type ?? (audience(name) && "bool");

  function isSame(expression: Expression, text: string, { types, refused }: Meaning): boolean {
    if (expression.text !== text) return false;
    for (const name of expression.reads)
      if (typeOf(name) !== types.get(name) || refused(name) !== undefined) return false;
    return true;
  }

  return {
    conditions,
    readsOf(name, text) {
      const derive = attribute(name)?.derive;
      return derive?.text === text ? derive.reads : undefined;
    },
    derived(name, text, meaning) {
      const derive = attribute(name)?.derive;
      return derive && isSame(derive, text, meaning) ? derive : undefined;
    },
    rule(name, text, meaning) {
      const found = audience(name);
      return found && isSame(found.rule, text, meaning) ? found : undefined;
    },
  };
}

/** Parses conditions over events, each text once. */
export type ParseCondition = (text: string, path: string) => Expression | DefinitionProblem;

export function conditionParser(known: ReadonlyMap<string, Expression>): ParseCondition {
  const parsed = new Map(known);
  const environment = conditionEnvironment();
  return (text, path) => {
    const found = parsed.get(text);
    if (found) return found;
    const condition = parseExpression(text, path, {
      ...{ environment, types: new Map(), results: ["bool", "dyn"] },
      refused: (name) => (name === "event" ? undefined : `${name} is not known: a condition sees only event`),
    });
    if (!isProblem(condition)) parsed.set(text, condition);
    return condition;
  };
}
