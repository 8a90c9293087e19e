import type { Expression } from "./expression.ts";
import { dayThresholds } from "./thresholds.ts";

/** Places in `attributes` and `audiences`, rising; also what depends on these in turn. */
export type Dependents = { attributes: readonly number[]; audiences: readonly number[] };

/**
 * For which moments ticks are wanted: those at which time alone changes what an audience depends on. `days` are the
 * whole days since the last event that matter, undefined for all of them.
 */
export type TickNeed = { wanted: boolean; days: readonly number[] | undefined };

/** Attributes over one event that share a condition. */
export type ConditionGroup = { where: Expression | undefined; attributes: readonly number[] };

type Rules = ReadonlyMap<string, { rule: Expression }>;

export function tickNeed(
  name: string,
  { audiences }: Dependents,
  derived: ReadonlyMap<string, Expression>,
  ruled: Rules,
): TickNeed {
  if (audiences.length === 0) return { wanted: false, days: [] };
  const readers = [...derived.values(), ...[...ruled.values()].map(({ rule }) => rule)].filter(({ reads }) =>
    reads.has(name),
  );
  const days = new Set<number>();
  for (const { node } of readers) {
    const thresholds = dayThresholds(node, name);
    if (!thresholds) return { wanted: true, days: undefined };
    for (const each of thresholds) days.add(each);
  }
  return { wanted: true, days: [...days].sort((a, b) => a - b) };
}

/** What depends on a name, directly and through others, in the order in which it is to be computed. */
export function findDependents(
  derived: ReadonlyMap<string, Expression>,
  ruled: Rules,
  attributeAt: ReadonlyMap<string, number>,
  audienceAt: ReadonlyMap<string, number>,
): (name: string) => Dependents {
  const readers = new Map<string, string[]>();
  const note = (reader: string, { reads }: Expression) => {
    for (const name of reads) {
      const known = readers.get(name);
      if (known) known.push(reader);
      else readers.set(name, [reader]);
    }
  };
  for (const [reader, expression] of derived) note(reader, expression);
  for (const [reader, { rule }] of ruled) note(reader, rule);
  return (name) => {
    const found = new Set<string>();
    const waiting = [name];
    for (let each = waiting.pop(); each !== undefined; each = waiting.pop())
      for (const reader of readers.get(each) ?? [])
        if (!found.has(reader)) {
          found.add(reader);
          waiting.push(reader);
        }
    const placesIn = (at: ReadonlyMap<string, number>) =>
      [...found].flatMap((each) => at.get(each) ?? []).sort((a, b) => a - b);
    return { attributes: placesIn(attributeAt), audiences: placesIn(audienceAt) };
  };
}

export function groupByEvent(
  rules: ReadonlyMap<string, { where: Expression | undefined; event: string }>,
  attributeAt: ReadonlyMap<string, number>,
): Map<string, ConditionGroup[]> {
  const byEvent = new Map<string, { where: Expression | undefined; attributes: number[] }[]>();
  for (const [name, { where, event }] of rules) {
    const groups = byEvent.get(event) ?? [];
    byEvent.set(event, groups);
    const group = groups.find((each) => each.where?.text === where?.text);
    if (group) group.attributes.push(attributeAt.get(name)!);
    else groups.push({ where, attributes: [attributeAt.get(name)!] });
  }
  return byEvent;
}
