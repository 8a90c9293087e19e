import type { ASTNode } from "@marcbachmann/cel-js";
import { childrenOf } from "./expression.ts";

const MIRRORED = new Set(["<", "<=", ">", ">=", "==", "!="]);

/**
 * At which whole numbers of days an expression may give another value: where it only compares a `days_since` attribute
 * with numbers, at those; undefined where it does something else with it, which may be any.
 */
export function dayThresholds(root: ASTNode, name: string): number[] | undefined {
  const found: number[] = [];
  const visit = (node: ASTNode): boolean => {
    if (isNamed(node, name)) return false;
    if (MIRRORED.has(node.op)) {
      const [left, right] = node.args as [ASTNode, ASTNode];
      const other = isNamed(left, name) ? right : isNamed(right, name) ? left : undefined;
      const days = other && numberOf(other);
      if (days !== undefined) {
        found.push(Math.ceil(days), Math.floor(days) + 1);
        return true;
      }
    }
    return childrenOf(node).every(visit);
  };
  return visit(root) ? found : undefined;
}

function isNamed(node: ASTNode, name: string): boolean {
  return node.op === "id" && node.args === name;
}

function numberOf(node: ASTNode): number | undefined {
  if (node.op !== "value") return undefined;
  return typeof node.args === "bigint" || typeof node.args === "number" ? Number(node.args) : undefined;
}
