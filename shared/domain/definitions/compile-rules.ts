import type { Environment } from "@marcbachmann/cel-js";
import { inOrder } from "./dependency-order.ts";
import { type Expression, parseExpression } from "./expression.ts";
import { type NowComparison, nowComparisons } from "./now-comparison.ts";
import { type DefinitionProblem, isProblem } from "./problem.ts";
import type { Stored } from "./tenant-definitions.ts";

export type Ruled = Map<string, { rule: Expression; comparisons: NowComparison[] }>;

/** In the order of their needs. */
export function compileRules(
  audiences: readonly [string, Stored<{ rule: string }>][],
  environment: Environment,
  disabled: ReadonlySet<string>,
): Ruled | DefinitionProblem {
  const refused = (used: string): string | undefined => {
    if (used === "event") return "event can't be used in a rule,";
    return disabled.has(used) ? `${used} is disabled,` : undefined;
  };
  const found: Ruled = new Map();
  for (const [name, { definition }] of audiences) {
    const path = `audiences.${name}.rule`;
    const rule = parseExpression(definition.rule, path, { environment, results: ["bool", "dyn"], refused });
    if (isProblem(rule)) return rule;
    const comparisons = rule.usesNow ? nowComparisons(rule.node, path, rule.text, environment) : [];
    if (isProblem(comparisons)) return comparisons;
    found.set(name, { rule, comparisons });
  }
  const needs = new Map([...found].map(([name, { rule }]) => [name, rule.reads]));
  const order = inOrder(needs, (name) => `audiences.${name}.rule`);
  if (isProblem(order)) return order;
  return new Map(order.map((name) => [name, found.get(name)!]));
}
