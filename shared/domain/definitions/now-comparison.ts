import type { ASTNode, Environment } from "@marcbachmann/cel-js";
import { childrenOf, type Expression, positionOf, runPart } from "./expression.ts";
import { type DefinitionProblem, problem } from "./problem.ts";

/**
 * Finds when a rule changes by time alone. `now` may only be compared, so that each comparison flips at one moment:
 * `now - e > f` flips where now is e + f.
 */
export type NowComparison = {
  /** The first millisecond at which the comparison is another one than before; throws where it can't be computed. */
  flipsAtMs(context: object): number;
};

const COMPARISONS = new Set(["<", "<=", ">", ">="]);
/** With these the flip comes one millisecond after the moment of equality. */
const AFTER = { left: new Set([">", "<="]), right: new Set(["<", ">="]) };

/** All comparisons of `now`, or where it stands in no such one. */
export function nowComparisons(
  { node: root, text, environment }: Expression,
  path: string,
): NowComparison[] | DefinitionProblem {
  const found: NowComparison[] = [];
  const visit = (node: ASTNode): DefinitionProblem | undefined => {
    if (!mentionsNow(node)) return undefined;
    if (COMPARISONS.has(node.op)) {
      const [left, right] = node.args as [ASTNode, ASTNode];
      const comparison = comparisonOf(node.op, left, right, environment);
      if (comparison) {
        found.push(comparison);
        return undefined;
      }
    }
    const children = childrenOf(node);
    if (node.op === "id" || isArithmetic(node) || COMPARISONS.has(node.op)) {
      const message =
        "now may only be compared: `now - timestamp(x) >= duration('24h')`, `now < timestamp(x)` and the like,";
      return problem("invalid_definition", path, text, message, positionOf(node));
    }
    for (const child of children) {
      const wrong = visit(child);
      if (wrong) return wrong;
    }
    return undefined;
  };
  return visit(root) ?? found;
}

function isArithmetic({ op }: ASTNode): boolean {
  return op === "+" || op === "-";
}

function isNow(node: ASTNode): boolean {
  return node.op === "id" && node.args === "now";
}

function mentionsNow(node: ASTNode): boolean {
  return isNow(node) || childrenOf(node).some(mentionsNow);
}

function comparisonOf(
  op: string,
  left: ASTNode,
  right: ASTNode,
  environment: Environment,
): NowComparison | undefined {
  const nowIsLeft = mentionsNow(left);
  const [side, other] = nowIsLeft ? [left, right] : [right, left];
  if (mentionsNow(other)) return undefined;
  const after = (nowIsLeft ? AFTER.left : AFTER.right).has(op);
  const firstMs = (momentMs: number) => (after ? Math.floor(momentMs) + 1 : Math.ceil(momentMs));
  const otherMs = runPart(environment, other);
  if (isNow(side)) return { flipsAtMs: (context) => firstMs(msOf(otherMs(context))) };
  if (side.op !== "-" && side.op !== "+") return undefined;
  const [first, second] = side.args as [ASTNode, ASTNode];
  const [nowNode, shift] = isNow(first) ? [first, second] : [second, first];
  if (!isNow(nowNode) || mentionsNow(shift) || (side.op === "-" && nowNode !== first)) return undefined;
  const sign = side.op === "-" ? 1 : -1;
  const shiftMs = runPart(environment, shift);
  return {
    flipsAtMs: (context) => firstMs(msOf(otherMs(context)) + sign * msOf(shiftMs(context))),
  };
}

/** A timestamp, or a duration. */
function msOf(value: unknown): number {
  if (value instanceof Date) return value.getTime();
  const { seconds, nanos } = value as { seconds?: bigint; nanos?: number };
  if (seconds === undefined) throw new Error("neither a timestamp nor a duration");
  return Number(seconds) * 1_000 + (nanos ?? 0) / 1e6;
}
