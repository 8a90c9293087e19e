import type { CompiledDefinitions } from "../../shared/domain/definitions/compile.ts";
import type { Cost } from "../../shared/domain/definitions/costs.ts";

/** What one definition cost one consumer; rates are those of the time since its last report. */
export type DefinitionCost = {
  evaluationsPerSecond: number;
  /** Milliseconds of each second, about: from a sample. */
  busyMsPerSecond: number;
  /** Since the consumer took this version of the definition up. */
  evaluations: number;
  failures: number;
  late: number;
  skipped: number;
  lastError?: string;
};

/** By tenant, then by the definition's name; only those that were computed at all. */
export type ConsumerCosts = Record<string, Record<string, DefinitionCost>>;

/** A report must not grow with tenants: the dearest, and before them those that failed. */
const MAX_REPORTED = 1_000;

type Known = ReadonlyMap<string, { compiled: CompiledDefinitions | Error }>;
type Seen = { evaluations: number; atMs: number };

export function createCostReport(known: () => Known): { take(nowMs: number): ConsumerCosts } {
  const before = new WeakMap<Cost, Seen>();

  function costOf(cost: Cost, nowMs: number): DefinitionCost {
    const { evaluations, timed, timedMs, failures, late, skipped, lastError } = cost;
    const last = before.get(cost);
    before.set(cost, { evaluations, atMs: nowMs });
    const seconds = last ? (nowMs - last.atMs) / 1_000 : 0;
    const evaluationsPerSecond = seconds > 0 ? (evaluations - last!.evaluations) / seconds : 0;
    return {
      evaluationsPerSecond,
      busyMsPerSecond: timed > 0 ? evaluationsPerSecond * (timedMs / timed) : 0,
      ...{ evaluations, failures, late, skipped },
      ...(lastError === undefined ? {} : { lastError }),
    };
  }

  /** By attribute: each bears a share of the time that its condition takes, and all of its failures. */
  function conditionCosts({ byEvent, attributes }: CompiledDefinitions, nowMs: number) {
    const costs = new Map<string, DefinitionCost>();
    for (const { where, cost, attributes: places } of [...byEvent.values()].flat()) {
      if (!where || cost.evaluations === 0) continue;
      const whole = costOf(cost, nowMs);
      const share = { ...whole, busyMsPerSecond: whole.busyMsPerSecond / places.length };
      for (const place of places) costs.set(attributes[place]!.name, share);
    }
    return costs;
  }

  return {
    take(nowMs) {
      const entries: [tenant: string, name: string, cost: DefinitionCost][] = [];
      for (const [tenant, { compiled }] of known()) {
        if (compiled instanceof Error) continue;
        const conditions = conditionCosts(compiled, nowMs);
        for (const { name, cost } of [...compiled.attributes, ...compiled.audiences]) {
          const condition = conditions.get(name);
          if (!condition && cost.evaluations + cost.late + cost.skipped === 0) continue;
          const own = costOf(cost, nowMs);
          entries.push([tenant, name, condition ? sumOf(condition, own) : own]);
        }
      }
      entries.sort(([, , a], [, , b]) => b.failures - a.failures || b.busyMsPerSecond - a.busyMsPerSecond);
      const costs = new Map<string, Map<string, DefinitionCost>>();
      for (const [tenant, name, cost] of entries.slice(0, MAX_REPORTED)) {
        const known = costs.get(tenant) ?? new Map<string, DefinitionCost>();
        costs.set(tenant, known.set(name, cost));
      }
      // A tenant may be called `constructor`.
      return Object.fromEntries([...costs].map(([tenant, own]) => [tenant, Object.fromEntries(own)]));
    },
  };
}

function sumOf(condition: DefinitionCost, own: DefinitionCost): DefinitionCost {
  return {
    ...condition,
    ...own,
    evaluationsPerSecond: condition.evaluationsPerSecond + own.evaluationsPerSecond,
    busyMsPerSecond: condition.busyMsPerSecond + own.busyMsPerSecond,
    evaluations: condition.evaluations + own.evaluations,
    failures: condition.failures + own.failures,
  };
}
