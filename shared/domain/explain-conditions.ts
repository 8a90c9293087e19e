/** The conditions of a rule, what each gives, and which of them decide it. */
import type { ASTNode, Environment } from "@marcbachmann/cel-js";
import { jsonValue } from "./definitions/cel-value.ts";
import { wordsOf } from "./definitions/expression.ts";

/** What an expression gives: a value, or why there is none. */
export type Gives = { computed: true; value: unknown } | { computed: false; why: string };

/** A part of the rule that is no `&&`, `||`, `!` or `?:` itself. */
export type Condition = {
  /** In its author's words. */
  text: string;
  gives: Gives;
  reads: string[];
  /** Whether the rule gives what it gives because of this. */
  decides: boolean;
};

export type Evaluating = {
  environment: Environment;
  /** What the rule reads. */
  reads: ReadonlySet<string>;
  /** What expressions of the rule see. */
  context: object;
  /** Why a part that reads these names can't be computed. */
  why(reads: readonly string[], error: unknown): string;
};

type Part = { op: string; parts: Part[]; condition: Condition | undefined };

/** In the order in which they stand. */
export function conditionsOf(rule: ASTNode, evaluating: Evaluating): Condition[] {
  const part = partOf(rule, evaluating);
  for (const { condition } of deciding(part)) condition!.decides = true;
  return conditionsIn(part);
}

const CONNECTIVES = new Set(["&&", "||", "!_", "?:"]);

function partOf(node: ASTNode, evaluating: Evaluating): Part {
  const { op } = node;
  if (!CONNECTIVES.has(op)) return { op, parts: [], condition: conditionOf(node, evaluating) };
  const nodes = [node.args].flat() as ASTNode[];
  return { op, parts: nodes.map((each) => partOf(each, evaluating)), condition: undefined };
}

function conditionsIn({ parts, condition }: Part): Condition[] {
  return condition ? [condition] : parts.flatMap(conditionsIn);
}

function conditionOf(node: ASTNode, evaluating: Evaluating): Condition {
  const reads = [...evaluating.reads].filter((name) => mentions(node, name));
  const text = wordsOf(node, evaluating.environment);
  return { text, gives: givenBy(text, reads, evaluating), reads, decides: false };
}

function givenBy(text: string, reads: readonly string[], { environment, context, why }: Evaluating): Gives {
  try {
    return { computed: true, value: jsonValue(environment.parse(text)(context)) ?? null };
  } catch (error) {
    return { computed: false, why: why(reads, error) };
  }
}

/** A variable of a macro counts as a name of the rule's: its value is then shown for nothing. */
function mentions(node: unknown, name: string): boolean {
  if (Array.isArray(node)) return node.some((each) => mentions(each, name));
  if (typeof node !== "object" || node === null || !("op" in node)) return false;
  const { op, args } = node as ASTNode;
  return op === "id" ? args === name : mentions(args, name);
}

/** True, false, or undefined where it can't be computed; as CEL has it, the other side may decide all the same. */
function truthOf({ op, parts, condition }: Part): boolean | undefined {
  if (condition) {
    const { gives } = condition;
    return gives.computed && typeof gives.value === "boolean" ? gives.value : undefined;
  }
  const truths = parts.map(truthOf);
  const [first, second, third] = truths;
  if (op === "!_") return first === undefined ? undefined : !first;
  if (op === "?:") return first === undefined ? undefined : first ? second : third;
  const decisive = op === "||";
  if (truths.includes(decisive)) return decisive;
  return truths.includes(undefined) ? undefined : !decisive;
}

/** The conditions without which a part might give something else. */
function deciding(part: Part): Part[] {
  const { op, parts, condition } = part;
  if (condition) return [part];
  const [first, second, third] = parts;
  if (op === "?:") {
    const taken = truthOf(first!);
    const branch = taken === undefined ? [] : deciding(taken ? second! : third!);
    return [...deciding(first!), ...branch];
  }
  const truth = truthOf(part);
  const same = op === "!_" ? parts : parts.filter((each) => truthOf(each) === truth);
  return same.flatMap(deciding);
}
