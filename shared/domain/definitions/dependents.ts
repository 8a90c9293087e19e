import { type Cost, createCost } from "./costs.ts";
import type { Expression } from "./expression.ts";
import { dayThresholds, thresholdsOf } from "./thresholds.ts";

/** Places in `attributes` and `audiences`, rising; also what depends on these in turn. */
export type Dependents = { attributes: readonly number[]; audiences: readonly number[] };

/**
 * For which moments ticks are wanted: those at which time alone changes what an audience depends on. `thresholds` are
 * the numbers, rising, which a value has to touch or cross for that, undefined where every change of it matters.
 */
export type TickNeed = { wanted: boolean; thresholds: Float64Array | undefined };

/** Attributes over one event that share a condition, and what that costs and where it fails. */
export type ConditionGroup = { where: Expression | undefined; cost: Cost; attributes: readonly number[] };

export type DependentsOf = {
  /** What depends on a name, directly and through others, in the order in which it is to be computed. */
  all(name: string): Dependents;
  /** The expressions that read it themselves. */
  readers(name: string): readonly Expression[];
};

/**
 * The transitive closure, from the last name to the first: what depends on a name are its readers and what depends on
 * these. Names with the same readers share what is found, since a tenant may have very many of the profile's own.
 *
 * @param attributes and audiences: each after those that it reads.
 */
export function findDependents(
  attributes: readonly string[],
  audiences: readonly string[],
  expressions: ReadonlyMap<string, Expression>,
): DependentsOf {
  /** The place of a name is that of its bit. */
  const names = [...attributes, ...audiences];
  const readers = new Map<string, number[]>();
  names.forEach((reader, place) => {
    for (const name of expressions.get(reader)?.reads ?? []) {
      const known = readers.get(name);
      if (known) known.push(place);
      else readers.set(name, [place]);
    }
  });
  const words = Math.ceil(names.length / 32);
  const bits = new Uint32Array(names.length * words);
  const addReaders = (name: string, into: Uint32Array) => {
    for (const reader of readers.get(name) ?? []) {
      into[reader >>> 5]! |= 1 << (reader & 31);
      if (!readers.has(names[reader]!)) continue;
      for (let word = 0; word < words; word += 1) into[word]! |= bits[reader * words + word]!;
    }
  };
  for (let place = names.length - 1; place >= 0; place -= 1)
    addReaders(names[place]!, bits.subarray(place * words, (place + 1) * words));

  const found = new Map<string, Dependents>();
  const all = (name: string): Dependents => {
    const key = (readers.get(name) ?? []).join();
    const known = found.get(key);
    if (known) return known;
    const own = new Uint32Array(words);
    addReaders(name, own);
    const places = placesIn(own);
    const first = places.findIndex((place) => place >= attributes.length);
    const end = first < 0 ? places.length : first;
    const dependents = {
      attributes: places.slice(0, end),
      audiences: places.slice(end).map((place) => place - attributes.length),
    };
    found.set(key, dependents);
    return dependents;
  };
  return {
    all,
    readers: (name) => (readers.get(name) ?? []).map((place) => expressions.get(names[place]!)!),
  };
}

/** Of the bits that are set, rising. */
function placesIn(bits: Uint32Array): number[] {
  const places: number[] = [];
  bits.forEach((word, index) => {
    for (let rest = word; rest !== 0; rest &= rest - 1)
      places.push(index * 32 + 31 - Math.clz32(rest & -rest));
  });
  return places;
}

/** What an attribute needs of ticks. One that counts days changes with each whole one. */
export function tickNeed(name: string, countsDays: boolean, { all, readers }: DependentsOf): TickNeed {
  const wanted = all(name).audiences.length > 0;
  const thresholds = new Set<number>();
  for (const { node } of readers(name)) {
    const found = countsDays ? dayThresholds(node, name) : thresholdsOf(node, name);
    if (!found) return { wanted, thresholds: undefined };
    for (const each of found) thresholds.add(each);
  }
  return { wanted, thresholds: Float64Array.from(thresholds).sort() };
}

export function groupByEvent(
  rules: ReadonlyMap<string, { where: Expression | undefined; event: string }>,
  attributeAt: ReadonlyMap<string, number>,
  before: ReadonlyMap<string, readonly ConditionGroup[]> | undefined,
): Map<string, ConditionGroup[]> {
  const byEvent = new Map<string, (ConditionGroup & { attributes: number[] })[]>();
  for (const [name, { where, event }] of rules) {
    const groups = byEvent.get(event) ?? [];
    byEvent.set(event, groups);
    const hasIt = (each: ConditionGroup) => each.where?.text === where?.text;
    const group = groups.find(hasIt);
    if (group) group.attributes.push(attributeAt.get(name)!);
    else {
      const cost = before?.get(event)?.find(hasIt)?.cost ?? createCost();
      groups.push({ where, cost, attributes: [attributeAt.get(name)!] });
    }
  }
  return byEvent;
}
