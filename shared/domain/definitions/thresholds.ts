import type { ASTNode } from "@marcbachmann/cel-js";
import { childrenOf } from "./expression.ts";

/** A comparison of a name with a fixed number, the name on the left. */
export type Comparison = { name: string; op: Operator; threshold: number };

type Operator = "<" | "<=" | ">" | ">=" | "==" | "!=";

const MIRRORED: Record<string, Operator> = {
  "<": ">",
  "<=": ">=",
  ">": "<",
  ">=": "<=",
  "==": "==",
  "!=": "!=",
};

/**
 * The numbers that an expression compares an attribute with: while the attribute is on the same side of all of them
 * the expression gives the same. Undefined where it does something else with it.
 */
export function thresholdsOf(root: ASTNode, name: string): readonly number[] | undefined {
  const all = FOUND.get(root) ?? thresholdsIn(root);
  FOUND.set(root, all);
  return all.has(name) ? all.get(name) : [];
}

/** An expression is looked through once, for all its names, whichever definitions it is compiled with. */
const FOUND = new WeakMap<ASTNode, ReadonlyMap<string, readonly number[] | undefined>>();

function thresholdsIn(root: ASTNode): Map<string, number[] | undefined> {
  const found = new Map<string, number[] | undefined>();
  const visit = (node: ASTNode): void => {
    if (node.op === "id") {
      found.set(node.args, undefined);
      return;
    }
    const comparison = comparisonOf(node);
    if (!comparison) {
      for (const child of childrenOf(node)) visit(child);
      return;
    }
    const { name, threshold } = comparison;
    if (found.has(name)) found.get(name)?.push(threshold);
    else found.set(name, [threshold]);
  };
  visit(root);
  return found;
}

/** The same for `days_since`: the whole numbers of days at which an expression may give another value. */
export function dayThresholds(root: ASTNode, name: string): readonly number[] | undefined {
  return thresholdsOf(root, name)?.flatMap((days) => [Math.ceil(days), Math.floor(days) + 1]);
}

/** The first place in a rising list whose number is not below another. */
export function firstFrom(thresholds: Float64Array, value: number): number {
  let [from, to] = [0, thresholds.length];
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (thresholds[middle]! < value) from = middle + 1;
    else to = middle;
  }
  return from;
}

/** Whether a value that goes from one number to another touches or crosses one of a rising list. */
export function isBetween(thresholds: Float64Array, a: number, b: number): boolean {
  return thresholds[firstFrom(thresholds, Math.min(a, b))]! <= Math.max(a, b);
}

/** Comparisons of which each that is false makes the expression false, whatever the rest of it says. */
export function guardsOf(root: ASTNode): Comparison[] {
  if (root.op === "&&") return (root.args as ASTNode[]).flatMap(guardsOf);
  const comparison = comparisonOf(root);
  return comparison ? [comparison] : [];
}

export function isTrue(op: Operator, value: number, threshold: number): boolean {
  switch (op) {
    case "<":
      return value < threshold;
    case "<=":
      return value <= threshold;
    case ">":
      return value > threshold;
    case ">=":
      return value >= threshold;
    case "==":
      return value === threshold;
    case "!=":
      return value !== threshold;
  }
}

function comparisonOf(node: ASTNode): Comparison | undefined {
  const mirrored = MIRRORED[node.op];
  if (mirrored === undefined) return undefined;
  const [left, right] = node.args as [ASTNode, ASTNode];
  if (left.op === "id") {
    const threshold = numberOf(right);
    return threshold === undefined ? undefined : { name: left.args, op: node.op as Operator, threshold };
  }
  const threshold = right.op === "id" ? numberOf(left) : undefined;
  return threshold === undefined ? undefined : { name: right.args as string, op: mirrored, threshold };
}

function numberOf(node: ASTNode): number | undefined {
  if (node.op === "-_") {
    const size = numberOf(node.args);
    return size === undefined ? undefined : -size;
  }
  if (node.op !== "value") return undefined;
  if (typeof node.args === "number") return node.args;
  if (typeof node.args !== "bigint") return undefined;
  const number = Number(node.args);
  return Number.isSafeInteger(number) ? number : undefined;
}
