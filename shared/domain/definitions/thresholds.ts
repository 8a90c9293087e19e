import type { ASTNode } from "@marcbachmann/cel-js";
import { childrenOf } from "./expression.ts";

const COMPARISONS = new Set(["<", "<=", ">", ">=", "==", "!="]);

/**
 * The numbers that an expression compares an attribute with: while the attribute is on the same side of all of them
 * the expression gives the same. Undefined where it does something else with it.
 */
export function thresholdsOf(root: ASTNode, name: string): number[] | undefined {
  const found: number[] = [];
  const visit = (node: ASTNode): boolean => {
    if (isNamed(node, name)) return false;
    if (COMPARISONS.has(node.op)) {
      const [left, right] = node.args as [ASTNode, ASTNode];
      const other = isNamed(left, name) ? right : isNamed(right, name) ? left : undefined;
      const threshold = other && numberOf(other);
      if (threshold !== undefined) {
        found.push(threshold);
        return true;
      }
    }
    return childrenOf(node).every(visit);
  };
  return visit(root) ? found : undefined;
}

/** The same for `days_since`: the whole numbers of days at which an expression may give another value. */
export function dayThresholds(root: ASTNode, name: string): number[] | undefined {
  return thresholdsOf(root, name)?.flatMap((days) => [Math.ceil(days), Math.floor(days) + 1]);
}

function isNamed(node: ASTNode, name: string): boolean {
  return node.op === "id" && node.args === name;
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
