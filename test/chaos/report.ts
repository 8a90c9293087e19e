import { isExact, type Verdict } from "./history.ts";
import { isRight, type MembershipVerdict } from "./memberships.ts";
import type { Gap } from "./progress.ts";
import { type Action, nameOf } from "./schedule.ts";

/** A fault as it was: from its start until what was broken worked again, in ms since the schedule began. */
export type InjectedFault = { action: Action; startedMs: number; endedMs: number };

export type ChaosReport = {
  seed: number;
  minutes: number;
  faults: InjectedFault[];
  history: Verdict;
  memberships: MembershipVerdict;
  /** Publish calls that ended with an unknown outcome; the updates were sent again. */
  failedPublishes: number;
  /** When the fleet's route went to sqs, by the audit log, milliseconds since the epoch. */
  openingsMs: number[];
  /** When nothing was applied for more than a second, the longest first, and the faults of that time. */
  gaps: (Gap & { during: string[] })[];
  /** From the last fault's end until the route was pulsar again, and both queues empty. */
  recovery: { routeMs: number; drainedMs: number };
  /** SIGTERM to exit, of services that were asked to leave. */
  stops: { exits: (number | null)[]; longestMs: number };
  peakMemoryMb: number;
};

export type Figures = Record<string, { value: number; unit: string }>;

const OPENINGS_WINDOW_MS = 60_000;
const MAX_OPENINGS = 2;
const PRINTED_GAPS = 5;

export function figuresOf(report: ChaosReport): Figures {
  const { history, memberships, recovery, stops } = report;
  const byKind = Map.groupBy(report.faults, ({ action }) => action.kind);
  const kinds = [...byKind].map(([kind, faults]) => [`faults.${kind}`, faults.length, "faults"] as const);
  const rows: (readonly [name: string, value: number, unit: string])[] = [
    ["faults.all", report.faults.length, "faults"],
    ...kinds.toSorted(([a], [b]) => (a < b ? -1 : 1)),
    ["updates.acknowledged", history.acknowledged, "updates"],
    ["updates.lost", history.lost, "updates"],
    ["updates.doubled", history.doubled, "updates"],
    ["updates.invented", history.invented, "updates"],
    ["profiles.missing", history.missingProfiles, "profiles"],
    ["profiles.outOfOrder", history.outOfOrder, "fields"],
    ["profiles.wrongSums", history.wrongSums, "fields"],
    ["memberships.changes", memberships.changes, "changes"],
    ["memberships.wrong", memberships.wrong, "values"],
    ["memberships.misplaced", memberships.misplaced, "users"],
    ["changes.unannounced", memberships.unannounced, "changes"],
    ["changes.repeated", memberships.repeated, "messages"],
    ["changes.overtaken", memberships.overtaken, "changes"],
    ["publishes.failed", report.failedPublishes, "calls"],
    ["updates.optional", history.optional, "updates"],
    ["updates.optionalApplied", history.optionalApplied, "updates"],
    ["breaker.openings", report.openingsMs.length, "openings"],
    ["breaker.mostIn60s", mostInWindow(report.openingsMs), "openings"],
    ["gap.longest", lengthOf(report.gaps[0]), "ms"],
    ["recovery.route", recovery.routeMs, "ms"],
    ["recovery.drained", recovery.drainedMs, "ms"],
    ["stops.all", stops.exits.length, "stops"],
    ["stops.unclean", stops.exits.filter((code) => code !== 0).length, "stops"],
    ["stops.longest", stops.longestMs, "ms"],
    ["services.peakMemory", report.peakMemoryMb, "MB"],
  ];
  return Object.fromEntries(rows.map(([name, value, unit]) => [name, { value: Math.round(value), unit }]));
}

export function printReport(report: ChaosReport, print: (line: string) => void): void {
  const figures = Object.entries(figuresOf(report));
  const width = Math.max(...figures.map(([name]) => name.length));
  print(`chaos: ${report.minutes} minutes, seed ${report.seed}`);
  for (const [name, { value, unit }] of figures)
    print(`${name.padEnd(width)}  ${String(value).padStart(8)} ${unit}`);
  for (const gap of report.gaps.slice(0, PRINTED_GAPS)) {
    const during = gap.during.join("; ") || "no fault";
    print(`nothing applied for ${Math.round(lengthOf(gap))} ms from ${seconds(gap.fromMs)} s on: ${during}`);
  }
  for (const example of [...report.history.examples, ...report.memberships.examples]) print(example);
}

/** The history is exact, memberships are right and announced, the breaker does not flap, and services leave cleanly. */
export function promisesKept({ history, memberships, openingsMs, stops }: ChaosReport): boolean {
  const clean = stops.exits.every((code) => code === 0);
  return isExact(history) && isRight(memberships) && mostInWindow(openingsMs) <= MAX_OPENINGS && clean;
}

/** The faults that were there in a gap. */
export function faultsDuring(gap: Gap, faults: readonly InjectedFault[]): string[] {
  return faults
    .filter(({ startedMs, endedMs }) => startedMs < gap.toMs && endedMs > gap.fromMs)
    .map(
      ({ action, startedMs, endedMs }) =>
        `${nameOf(action)} (${seconds(startedMs)} to ${seconds(endedMs)} s)`,
    );
}

const seconds = (ms: number) => (ms / 1000).toFixed(1);

const lengthOf = (gap: Gap | undefined) => (gap ? gap.toMs - gap.fromMs : 0);

/** The most openings in any 60 s. */
export function mostInWindow(openingsMs: readonly number[]): number {
  const within = (fromMs: number) =>
    openingsMs.filter((ms) => ms >= fromMs && ms < fromMs + OPENINGS_WINDOW_MS).length;
  return Math.max(0, ...openingsMs.map(within));
}
