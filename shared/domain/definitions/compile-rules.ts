import { inOrder } from "./dependency-order.ts";
import {
  definitionEnvironment,
  type Expression,
  type ExpressionRules,
  type Names,
  parseExpression,
} from "./expression.ts";
import type { KnownExpressions } from "./known-expressions.ts";
import { type NowComparison, nowComparisons } from "./now-comparison.ts";
import { type DefinitionProblem, isProblem } from "./problem.ts";
import type { Stored } from "./tenant-definitions.ts";

export type Rule = { rule: Expression; nowComparisons: readonly NowComparison[] };

/** In the order of their needs. */
export function compileRules(
  audiences: readonly [string, Stored<{ rule: string }>][],
  types: Names,
  disabled: ReadonlySet<string>,
  known: KnownExpressions,
): Map<string, Rule> | DefinitionProblem {
  const rules = {
    ...{ environment: definitionEnvironment(), types, results: RULE_TYPES },
    refused: (used: string) =>
      refusedInRule(used) ?? (disabled.has(used) ? `${used} is disabled,` : undefined),
  };
  const found = new Map<string, Rule>();
  for (const [name, { definition }] of audiences) {
    const rule = known.rule(name, definition.rule, rules) ?? parseRule(name, definition.rule, rules);
    if (isProblem(rule)) return rule;
    found.set(name, rule);
  }
  const needs = new Map([...found].map(([name, { rule }]) => [name, rule.reads]));
  const order = inOrder(needs, (name) => `audiences.${name}.rule`);
  if (isProblem(order)) return order;
  return new Map(order.map((name) => [name, found.get(name)!]));
}

export const RULE_TYPES = ["bool", "dyn"];

export function refusedInRule(name: string): string | undefined {
  return name === "event" ? "event can't be used in a rule," : undefined;
}

export function parseRule(name: string, text: string, rules: ExpressionRules): Rule | DefinitionProblem {
  const path = `audiences.${name}.rule`;
  const rule = parseExpression(text, path, rules);
  if (isProblem(rule)) return rule;
  const comparisons = rule.usesNow ? nowComparisons(rule, path) : [];
  return isProblem(comparisons) ? comparisons : { rule, nowComparisons: comparisons };
}
