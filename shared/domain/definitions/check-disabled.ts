import { type Aggregate, aggregates } from "./aggregate.ts";
import type { CompiledDefinitions } from "./compile.ts";
import { DERIVED_TYPES, refusedInDerived } from "./compile-derived.ts";
import { parseRule, RULE_TYPES, refusedInRule } from "./compile-rules.ts";
import { type DerivedAttribute, type EventAttribute, isDerived, isEnabled } from "./definition.ts";
import { eventRule } from "./event-rule.ts";
import {
  type CelType,
  definitionEnvironment,
  type Expression,
  namesRead,
  parseExpression,
} from "./expression.ts";
import { conditionParser } from "./known-expressions.ts";
import { type DefinitionProblem, isProblem } from "./problem.ts";
import { meansTheSame, type TenantDefinitions } from "./tenant-definitions.ts";

/**
 * What is wrong with the disabled definitions that are new or other ones than before, as if all were enabled. They are
 * not compiled, and what was saved before is never in the way of another change. A cycle is found when they are enabled.
 *
 * @param compiled what is enabled in `document`.
 */
export function checkDisabled(
  before: TenantDefinitions,
  document: TenantDefinitions,
  compiled: CompiledDefinitions,
): DefinitionProblem | undefined {
  const { attributes, audiences } = document;
  const isNews = (part: "attributes" | "audiences", name: string): boolean => {
    const { definition } = document[part][name]!;
    if (isEnabled(definition)) return false;
    return !Object.hasOwn(before[part], name) || !meansTheSame(before[part][name]!.definition, definition);
  };
  const rules = { environment: definitionEnvironment(), types: new Map<string, CelType>() };
  const condition = conditionParser(new Map());
  const derivations = new Map<string, Expression | DefinitionProblem | undefined>();

  function derivation(
    name: string,
    { derive }: DerivedAttribute,
  ): Expression | DefinitionProblem | undefined {
    if (derivations.has(name)) return derivations.get(name);
    derivations.set(name, undefined);
    learnTypes(derive);
    const parsed = parseExpression(derive, `attributes.${name}.derive`, {
      ...{ ...rules, results: DERIVED_TYPES },
      refused: (used) => refusedInDerived(used, (each) => Object.hasOwn(audiences, each)),
    });
    derivations.set(name, parsed);
    return parsed;
  }

  function learnTypes(text: string): void {
    for (const name of namesRead(text) ?? []) {
      const type = rules.types.get(name) ?? typeOf(name);
      if (type) rules.types.set(name, type);
    }
  }

  const typeOfEvents = ({ aggregate: kind }: EventAttribute): CelType => {
    const aggregate: Aggregate = aggregates[kind];
    return aggregate.type;
  };

  function typeOf(name: string): CelType | undefined {
    if (Object.hasOwn(audiences, name)) return "bool";
    const place = compiled.attributeAt.get(name);
    if (place !== undefined) return compiled.attributes[place]!.type;
    if (!Object.hasOwn(attributes, name)) return undefined;
    const { definition } = attributes[name]!;
    if (!isDerived(definition)) return typeOfEvents(definition);
    const parsed = derivation(name, definition);
    if (parsed === undefined || isProblem(parsed)) return undefined;
    return parsed.type as CelType;
  }

  for (const [name, { definition }] of Object.entries(attributes)) {
    if (!isNews("attributes", name)) continue;
    const found = isDerived(definition)
      ? derivation(name, definition)
      : eventRule(name, definition, condition);
    if (found && isProblem(found)) return found;
  }
  for (const [name, { definition }] of Object.entries(audiences)) {
    if (!isNews("audiences", name)) continue;
    learnTypes(definition.rule);
    const ruleOptions = { ...rules, results: RULE_TYPES, refused: refusedInRule };
    const found = parseRule(name, definition.rule, ruleOptions);
    if (isProblem(found)) return found;
  }
  return undefined;
}
