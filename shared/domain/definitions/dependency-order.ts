import { type DefinitionProblem, problem } from "./problem.ts";

/**
 * Names so that each comes after those that it needs (depth-first topological order); needs that are no such name are
 * passed over. A cycle is named with all its members.
 */
export function inOrder(
  needs: ReadonlyMap<string, ReadonlySet<string>>,
  pathOf: (name: string) => string,
): string[] | DefinitionProblem {
  const order: string[] = [];
  const done = new Set<string>();
  const visit = (name: string, way: readonly string[]): DefinitionProblem | undefined => {
    if (done.has(name)) return undefined;
    const begins = way.indexOf(name);
    if (begins >= 0) {
      const cycle = [...way.slice(begins), name].join(" → ");
      return problem("definition_cycle", pathOf(name), name, `needs itself: ${cycle}`);
    }
    for (const need of needs.get(name)!) {
      const cycle = needs.has(need) ? visit(need, [...way, name]) : undefined;
      if (cycle) return cycle;
    }
    done.add(name);
    order.push(name);
    return undefined;
  };
  for (const name of needs.keys()) {
    const cycle = visit(name, []);
    if (cycle) return cycle;
  }
  return order;
}
