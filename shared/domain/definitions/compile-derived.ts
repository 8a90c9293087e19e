import type { Environment } from "@marcbachmann/cel-js";
import type { DerivedAttribute } from "./definition.ts";
import { inOrder } from "./dependency-order.ts";
import { type CelType, definitionEnvironment, type Expression, parseExpression } from "./expression.ts";
import { type DefinitionProblem, isProblem } from "./problem.ts";
import type { Stored } from "./tenant-definitions.ts";

const DERIVED_TYPES = ["int", "double", "bool", "string", "dyn"];

/** In the order of their needs. Types are found on the way and added to `types`. */
export function compileDerived(
  derivations: readonly [string, Stored<DerivedAttribute>][],
  types: Map<string, CelType>,
  audiences: readonly [string, unknown][],
  disabled: ReadonlySet<string>,
): Map<string, Expression> | DefinitionProblem {
  const audienceNames = new Set(audiences.map(([name]) => name));
  const refused = (used: string): string | undefined => {
    if (used === "now" || used === "event") return `${used} can't be used in a derived attribute,`;
    if (audienceNames.has(used)) return `${used} is an audience: a derived attribute sees attributes only,`;
    return disabled.has(used) ? `${used} is disabled,` : undefined;
  };
  // Which names they read has to be known before their types can be.
  const untyped = definitionEnvironment(new Map());
  const texts = new Map(derivations.map(([name, { definition }]) => [name, definition.derive]));
  const parse = (name: string, environment: Environment, results: readonly string[]) =>
    parseExpression(texts.get(name)!, `attributes.${name}.derive`, { environment, results, refused });
  const needs = new Map<string, ReadonlySet<string>>();
  for (const name of texts.keys()) {
    const parsed = parse(name, untyped, [...DERIVED_TYPES, "list", "map", "null"]);
    // A type error without types may be none with them.
    if (isProblem(parsed) && parsed.position === undefined) return parsed;
    needs.set(name, isProblem(parsed) ? new Set() : parsed.reads);
  }
  const order = inOrder(needs, (name) => `attributes.${name}.derive`);
  if (isProblem(order)) return order;
  const compiled = new Map<string, Expression>();
  for (const name of order) {
    const expression = parse(name, definitionEnvironment(types), DERIVED_TYPES);
    if (isProblem(expression)) return expression;
    compiled.set(name, expression);
    types.set(name, expression.type as CelType);
  }
  return compiled;
}
