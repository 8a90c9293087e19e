/** What goes wrong in a run, drawn from its seed. */
import type { ServerName } from "./network.ts";

export type Fault =
  | { kind: "pulsar stalls"; storesLate: boolean }
  | { kind: "pulsar crashes" }
  | { kind: "pulsar flickers" }
  | { kind: "pulsar sickens" }
  /** Where `hotPerSecond` is above 0, one publisher has a user meanwhile that is updated so often. */
  | { kind: "some sends fail"; share: number; storedShare: number; publisher: number; hotPerSecond: number }
  | { kind: "server down"; server: "sqs" | "redis" }
  | { kind: "server stalls"; server: "sqs" | "redis" }
  | { kind: "server slow"; server: ServerName; slowMs: number; lossRate: number }
  | { kind: "redis refuses writes"; reason: string }
  | { kind: "ledger queue refuses" }
  | { kind: "link"; process: number; server: ServerName; state: "cut" | "silent" }
  | { kind: "publisher killed" | "consumer killed" | "consumer stopped" | "consumer added"; process: number }
  | { kind: "override"; route: "pulsar" | "sqs"; forMs: number }
  | { kind: "override ended" }
  | { kind: "clock steps"; process: number; byMs: number }
  | { kind: "ten times the load" };

export type PlannedFault = { atMs: number; forMs: number; fault: Fault };

const MAX_FAULTS = 12;
const MIN_MS: Partial<Record<Fault["kind"], number>> & { other: number } = {
  /** Long enough to see whether the tail came over SQS meanwhile. */
  "pulsar sickens": 50_000,
  /** ... for a user's updates to travel over both paths side by side. */
  "some sends fail": 60_000,
  other: 500,
};
/** A hot user is dear. */
const HOT_SHARE = 0.25;

/** Faults that begin and end within `lengthMs`, in the order of their beginning. */
export function planFaults(random: () => number, lengthMs: number): PlannedFault[] {
  const count = 1 + Math.floor(random() * MAX_FAULTS);
  const plan = Array.from({ length: count }, (): PlannedFault => {
    const fault = drawFault(random);
    const atMs = random() * lengthMs * 0.9;
    // Most are short; some last for minutes.
    const minMs = MIN_MS[fault.kind] ?? MIN_MS.other;
    const forMs = Math.min(lengthMs - atMs, minMs + random() ** 3 * 120_000);
    return { atMs, forMs, fault };
  });
  return plan.sort((a, b) => a.atMs - b.atMs);
}

function drawFault(random: () => number): Fault {
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
  const process = Math.floor(random() * 1_000);
  const server = pick(["sqs", "redis"] as const);
  const any = pick(["pulsar", "sqs", "redis"] as const);
  const draws: (() => Fault)[] = [
    () => ({ kind: "pulsar stalls", storesLate: random() < 0.5 }),
    () => ({ kind: "pulsar stalls", storesLate: true }),
    () => ({ kind: "pulsar crashes" }),
    () => ({ kind: "pulsar flickers" }),
    () => ({ kind: "pulsar sickens" }),
    () => ({
      kind: "some sends fail",
      share: 0.1 + random() * 0.5,
      storedShare: random() ** 2,
      publisher: process,
      hotPerSecond: random() < HOT_SHARE ? 20 + random() * 80 : 0,
    }),
    () => ({ kind: "server down", server }),
    () => ({ kind: "server stalls", server }),
    () => ({ kind: "server slow", server: any, slowMs: random() * 3_000, lossRate: random() * 0.3 }),
    () => ({
      kind: "redis refuses writes",
      reason: pick(["OOM command not allowed", "READONLY", "LOADING"]),
    }),
    () => ({ kind: "ledger queue refuses" }),
    () => ({ kind: "link", process, server: any, state: pick(["cut", "silent"] as const) }),
    () => ({ kind: "link", process, server: any, state: "silent" }),
    () => ({ kind: "publisher killed", process }),
    () => ({ kind: "consumer killed", process }),
    () => ({ kind: "consumer stopped", process }),
    () => ({ kind: "consumer added", process }),
    () => ({ kind: "override", route: pick(["pulsar", "sqs"] as const), forMs: 1_000 + random() * 60_000 }),
    () => ({ kind: "override ended" }),
    () => ({ kind: "clock steps", process, byMs: (random() - 0.5) * 120_000 }),
    () => ({ kind: "ten times the load" }),
  ];
  return pick(draws)();
}
