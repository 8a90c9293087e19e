import type { ServiceProcess } from "../test/support/service-process.ts";
import { cpuSeconds } from "./process-usage.ts";

/** What a service process has counted since it started, and the CPU time that it has used. */
export type ServiceCounts = {
  /** Distinct updates. */
  counted: number;
  /** Updates that came again. */
  repeats: number;
  /** Saves that found another version in the store than they were folded on. */
  conflicts: number;
  storeFailures: number;
  cpuSeconds: number;
};

export async function countsOf({ adminUrl, pid }: ServiceProcess): Promise<ServiceCounts> {
  const lines = (await (await fetch(`${adminUrl}/metrics`)).text()).split("\n");
  return {
    counted: sumOf(lines, "keyline_updates_total", 'outcome="counted"'),
    repeats: sumOf(lines, "keyline_updates_total", 'outcome="repeat"'),
    conflicts: sumOf(lines, "keyline_store_conflicts_total"),
    storeFailures: sumOf(lines, "keyline_store_failures_total"),
    cpuSeconds: cpuSeconds(pid),
  };
}

/** Of all lines of a metric that have the label. */
function sumOf(lines: readonly string[], name: string, label = ""): number {
  const own = lines.filter((line) => /^[^{ ]+/.exec(line)?.[0] === name);
  if (own.length === 0) throw new Error(`the service has no metric ${name}`);
  return own
    .filter((line) => line.includes(label))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}

/** What was counted from one reading to another. */
export function since(before: ServiceCounts, after: ServiceCounts): ServiceCounts {
  return {
    counted: after.counted - before.counted,
    repeats: after.repeats - before.repeats,
    conflicts: after.conflicts - before.conflicts,
    storeFailures: after.storeFailures - before.storeFailures,
    cpuSeconds: after.cpuSeconds - before.cpuSeconds,
  };
}
