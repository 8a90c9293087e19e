/** What breaks when: a seed and a length make one schedule, always the same. Pure. */
import { seededRandom } from "../support/seeded-updates.ts";

export type Server = "pulsar" | "sqs" | "redis";
export type Role = "publisher" | "consumer";
/** A place in the fleet; the process in it may be replaced. */
export type Slot = `${Role}-${number}`;

export type Action =
  /** SIGSTOP, and SIGCONT at the end. */
  | { kind: "pause"; what: Server | Slot }
  /** SIGKILL; a new process at the end. */
  | { kind: "kill"; what: "pulsar" | "redis" | Slot }
  /** SIGTERM, as a rolling restart does; a new process at the end. */
  | { kind: "stop"; what: Slot }
  /** Lines of these processes to one server. */
  | { kind: "slow" | "half-open" | "reset"; server: Server; slots: Slot[] }
  /** Redis can't write its file, or has no memory left for writes. */
  | { kind: "full-disk" | "full-memory"; what: "redis" }
  /** The process's wall clock is off by this much, and right again at the end. */
  | { kind: "clock"; what: Slot; stepMs: number };

export type Fault = { startMs: number; durationMs: number; action: Action };

export type FleetSize = { publishers: number; consumers: number };

export const FIRST_FAULT_MS = 5_000;
/** Faults at once, at most. */
export const MAX_AT_ONCE = 2;
const GAP_MS = { min: 500, max: 7_500 };
const MAX_CLOCK_STEP_MS = 300_000;

type Draw = {
  between(min: number, max: number): number;
  pick<T>(values: readonly T[]): T;
};
type Template = { minMs: number; maxMs: number; action(draw: Draw, fleet: Fleet): Action };
type Fleet = { publishers: Slot[]; consumers: Slot[]; all: Slot[] };

const anyOf = (role: Role) => (draw: Draw, fleet: Fleet) => draw.pick(fleet[`${role}s`]);

function lines(kind: "slow" | "half-open" | "reset", server: Server): Template {
  return {
    minMs: kind === "reset" ? 500 : 2_000,
    maxMs: 10_000,
    action: (draw, fleet) => {
      const one = [draw.pick(fleet.all)];
      return { kind, server, slots: draw.pick([one, fleet.publishers, fleet.consumers, fleet.all]) };
    },
  };
}

/** SQS is never killed: this one's messages live in memory, those of the real one do not. */
const TEMPLATES: readonly Template[] = [
  { minMs: 3_000, maxMs: 15_000, action: () => ({ kind: "pause", what: "pulsar" }) },
  { minMs: 2_000, maxMs: 10_000, action: () => ({ kind: "pause", what: "sqs" }) },
  { minMs: 1_000, maxMs: 8_000, action: () => ({ kind: "pause", what: "redis" }) },
  {
    minMs: 2_000,
    maxMs: 12_000,
    action: (draw, fleet) => ({ kind: "pause", what: anyOf("consumer")(draw, fleet) }),
  },
  {
    minMs: 1_000,
    maxMs: 8_000,
    action: (draw, fleet) => ({ kind: "pause", what: anyOf("publisher")(draw, fleet) }),
  },
  { minMs: 500, maxMs: 3_000, action: () => ({ kind: "kill", what: "pulsar" }) },
  { minMs: 100, maxMs: 5_000, action: () => ({ kind: "kill", what: "redis" }) },
  {
    minMs: 100,
    maxMs: 5_000,
    action: (draw, fleet) => ({ kind: "kill", what: anyOf("consumer")(draw, fleet) }),
  },
  {
    minMs: 100,
    maxMs: 3_000,
    action: (draw, fleet) => ({ kind: "kill", what: anyOf("publisher")(draw, fleet) }),
  },
  {
    minMs: 100,
    maxMs: 2_000,
    action: (draw, fleet) => ({ kind: "stop", what: anyOf("consumer")(draw, fleet) }),
  },
  ...(["slow", "half-open", "reset"] as const).flatMap((kind) =>
    (["pulsar", "sqs", "redis"] as const).map((server) => lines(kind, server)),
  ),
  { minMs: 2_000, maxMs: 8_000, action: () => ({ kind: "full-disk", what: "redis" }) },
  { minMs: 2_000, maxMs: 8_000, action: () => ({ kind: "full-memory", what: "redis" }) },
  ...(["publisher", "consumer"] as const).map((role) => ({
    minMs: 2_000,
    maxMs: 15_000,
    action: (draw: Draw, fleet: Fleet): Action => ({
      kind: "clock",
      what: anyOf(role)(draw, fleet),
      stepMs: draw.pick([-1, 1]) * draw.between(1_000, MAX_CLOCK_STEP_MS),
    }),
  })),
];

/**
 * Faults in the order of their start, all over by `totalMs`. Every kind comes once before one comes again; at
 * most `MAX_AT_ONCE` at a time, and never two of them on the same part.
 */
export function createSchedule(seed: number, totalMs: number, size: FleetSize): Fault[] {
  const random = seededRandom(seed);
  const draw: Draw = {
    between: (min, max) => min + Math.floor(random() * (max - min + 1)),
    pick: (values) => values[Math.floor(random() * values.length)]!,
  };
  const slots = (role: Role, count: number) =>
    Array.from({ length: count }, (_, index): Slot => `${role}-${index + 1}`);
  const publishers = slots("publisher", size.publishers);
  const consumers = slots("consumer", size.consumers);
  const fleet = { publishers, consumers, all: [...publishers, ...consumers] };
  const faults: Fault[] = [];
  let bag: Template[] = [];
  for (let nowMs = FIRST_FAULT_MS; nowMs < totalMs; nowMs += draw.between(GAP_MS.min, GAP_MS.max)) {
    const active = faults.filter((fault) => fault.startMs + fault.durationMs > nowMs);
    if (active.length >= MAX_AT_ONCE) continue;
    if (bag.length === 0) bag = [...TEMPLATES];
    const [template] = bag.splice(draw.between(0, bag.length - 1), 1) as [Template];
    const fault: Fault = {
      startMs: nowMs,
      durationMs: draw.between(template.minMs, template.maxMs),
      action: template.action(draw, fleet),
    };
    const clashes = active.some((other) => sharesPart(other.action, fault.action));
    if (clashes) bag.push(template);
    else if (nowMs + fault.durationMs <= totalMs) faults.push(fault);
  }
  return faults;
}

/** What a fault holds for its time; another fault of the same part has to wait. */
export function partsOf(action: Action): string[] {
  if ("slots" in action) return action.slots.map((slot) => `${slot} to ${action.server}`);
  return [action.kind === "clock" ? `clock of ${action.what}` : action.what];
}

/** Such as `pause pulsar`, `half-open publisher-1, publisher-2 to redis`. */
export function nameOf(action: Action): string {
  if ("slots" in action) return `${action.kind} ${action.slots.join(", ")} to ${action.server}`;
  const step = action.kind === "clock" ? ` by ${action.stepMs} ms` : "";
  return `${action.kind} ${action.what}${step}`;
}

function sharesPart(one: Action, other: Action): boolean {
  return !new Set(partsOf(one)).isDisjointFrom(new Set(partsOf(other)));
}
