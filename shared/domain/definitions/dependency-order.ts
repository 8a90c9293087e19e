import { type DefinitionProblem, problem } from "./problem.ts";

/**
 * Names so that each comes after those that it needs (depth-first topological order); needs that are no such name are
 * passed over. A cycle is named with all its members.
 */
export function inOrder(
  needs: ReadonlyMap<string, ReadonlySet<string>>,
  pathOf: (name: string) => string,
): string[] | DefinitionProblem {
  const done = new Set<string>();
  /** From the first name asked for to the one that is looked at. */
  const way = new Set<string>();
  const visit = (name: string): DefinitionProblem | undefined => {
    if (done.has(name)) return undefined;
    if (way.has(name)) {
      const names = [...way];
      const cycle = [...names.slice(names.indexOf(name)), name].join(" → ");
      return problem("definition_cycle", pathOf(name), name, `needs itself: ${cycle}`);
    }
    way.add(name);
    for (const need of needs.get(name)!) {
      const cycle = needs.has(need) ? visit(need) : undefined;
      if (cycle) return cycle;
    }
    way.delete(name);
    done.add(name);
    return undefined;
  };
  for (const name of needs.keys()) {
    const cycle = visit(name);
    if (cycle) return cycle;
  }
  return [...done];
}
