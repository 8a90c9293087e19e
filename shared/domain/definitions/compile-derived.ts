import type { DerivedAttribute } from "./definition.ts";
import { inOrder } from "./dependency-order.ts";
import {
  type CelType,
  definitionEnvironment,
  type Expression,
  namesRead,
  parseExpression,
} from "./expression.ts";
import type { KnownExpressions } from "./known-expressions.ts";
import { type DefinitionProblem, isProblem } from "./problem.ts";
import type { Stored } from "./tenant-definitions.ts";

export const DERIVED_TYPES = ["int", "double", "bool", "string", "dyn"];

export type DerivedOptions = {
  types: Map<string, CelType>;
  isAudience(name: string): boolean;
  /** Names that stand for nothing now. */
  disabled: ReadonlySet<string>;
  known: KnownExpressions;
};

/** In the order of their needs. Types are found on the way and added to `types`. */
export function compileDerived(
  derivations: readonly [string, Stored<DerivedAttribute>][],
  { types, disabled, known, isAudience }: DerivedOptions,
): Map<string, Expression> | DefinitionProblem {
  const refused = (used: string) =>
    refusedInDerived(used, isAudience) ?? (disabled.has(used) ? `${used} is disabled,` : undefined);
  const texts = new Map(derivations.map(([name, { definition }]) => [name, definition.derive]));
  // Which names they read has to be known before their types can be.
  const needs = new Map<string, ReadonlySet<string>>();
  for (const [name, text] of texts)
    needs.set(name, known.readsOf(name, text) ?? namesRead(text) ?? new Set());
  const order = inOrder(needs, (name) => `attributes.${name}.derive`);
  if (isProblem(order)) return order;
  const rules = { environment: definitionEnvironment(), types, results: DERIVED_TYPES, refused };
  const compiled = new Map<string, Expression>();
  for (const name of order) {
    const text = texts.get(name)!;
    const expression =
      known.derived(name, text, rules) ?? parseExpression(text, `attributes.${name}.derive`, rules);
    if (isProblem(expression)) return expression;
    compiled.set(name, expression);
    types.set(name, expression.type as CelType);
  }
  return compiled;
}

export function refusedInDerived(name: string, isAudience: (name: string) => boolean): string | undefined {
  if (name === "now" || name === "event") return `${name} can't be used in a derived attribute,`;
  return isAudience(name) ? `${name} is an audience: a derived attribute sees attributes only,` : undefined;
}
