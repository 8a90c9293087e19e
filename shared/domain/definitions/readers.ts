import type { CompiledAttribute, CompiledDefinitions } from "./compile.ts";
import { thresholdsOf } from "./thresholds.ts";

/**
 * Whose rule may say something else when an attribute goes from one value to another. Most rules only compare a number
 * with fixed ones, and most changes cross none of these: such a rule need not be evaluated (the alpha network of Rete,
 * Forgy, 1982, with the comparisons of one attribute sorted).
 */
export type Readers = {
  /** Those to which every change may matter. */
  always: readonly number[];
  /** Rising, with the audience of each in `audiences`. */
  thresholds: Float64Array;
  audiences: Int32Array;
};

export function readersOf(attribute: CompiledAttribute, definitions: CompiledDefinitions): Readers {
  const { name, type, dependents } = attribute;
  const { attributes, audiences } = definitions;
  const isNumber = type === "int" || type === "double";
  const between = new Set([
    ...dependents.attributes.map((place) => attributes[place]!.name),
    ...dependents.audiences
      .filter((place) => audiences[place]!.dependents.length > 0)
      .map((place) => audiences[place]!.name),
  ]);
  const always: number[] = [];
  const pairs: [threshold: number, audience: number][] = [];
  for (const place of dependents.audiences) {
    const { rule } = audiences[place]!;
    const isDirect = between.size === 0 || between.isDisjointFrom(rule.reads);
    const found = isNumber && isDirect ? thresholdsOf(rule.node, name) : undefined;
    if (found) for (const threshold of found) pairs.push([threshold, place]);
    else always.push(place);
  }
  pairs.sort(([a], [b]) => a - b);
  return {
    always,
    thresholds: Float64Array.from(pairs, ([threshold]) => threshold),
    audiences: Int32Array.from(pairs, ([, place]) => place),
  };
}
