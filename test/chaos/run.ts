/** One run: real servers and processes, a schedule of faults, calm, and then the check of every promise. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TenantDefinitions } from "../../shared/domain/definitions/tenant-definitions.ts";
import type { Profile } from "../../shared/domain/profile.ts";
import { drained } from "../support/all-delivered.ts";
import { getJson } from "../support/get-json.ts";
import { observed, openProfileReader } from "../support/profile-reader.ts";
import { type RealStack, startRealStack } from "../support/real-stack.ts";
import { until } from "../support/until.ts";
import { carryOut, stop, type World } from "./faults.ts";
import { type Fleet, startFleet } from "./fleet.ts";
import { checkHistory, happenedOf } from "./history.ts";
import { injectAll } from "./inject.ts";
import { checkMemberships } from "./memberships.ts";
import { watchProgress } from "./progress.ts";
import { define, readChanges, readMembers } from "./read-memberships.ts";
import { type ChaosReport, faultsDuring, promisesKept } from "./report.ts";
import { createSchedule, type Slot } from "./schedule.ts";

export type ChaosOptions = {
  minutes: number;
  seed: number;
  report(line: string): void;
  /** When it rejects, all is ended, and the run rejects with it. */
  interrupted?: Promise<never>;
};

const SIZE = { publishers: 3, consumers: 3 };
const LOAD = { users: 600, perSecondEach: 40 };
const PATIENCE = { patienceMs: 180_000, everyMs: 250 };
const AUDIT_LINES = 1_000;

/** Rejects when the system does not come back by itself after the faults, saying what never came true. */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const { seed, report, interrupted = new Promise<never>(() => {}) } = options;
  const directory = mkdtempSync(join(tmpdir(), "keyline-chaos-"));
  const stack = await startRealStack({
    partitions: 4,
    tuning: "full",
    // A client that is gone without a word leaves its keys within this time.
    settings: { webSocketSessionIdleTimeoutMillis: "10000" },
    redisSettings: { appendfsync: "always" },
    report,
  });
  try {
    const document = await define(stack);
    const fleet = await startFleet({ stack, size: SIZE, load: LOAD, seed, directory });
    try {
      const result = await Promise.race([breakAndCheck(stack, fleet, document, options), interrupted]);
      if (promisesKept(result)) rmSync(directory, { recursive: true, force: true });
      else report(`logs and journals are kept in ${directory}`);
      return result;
    } finally {
      await fleet.close();
    }
  } catch (thrown) {
    report(`logs and journals are kept in ${directory}`);
    throw thrown;
  } finally {
    await stack.close();
  }
}

async function breakAndCheck(
  stack: RealStack,
  fleet: Fleet,
  document: TenantDefinitions,
  { minutes, seed, report }: ChaosOptions,
): Promise<ChaosReport> {
  const exits: (number | null)[] = [];
  let longestStopMs = 0;
  const world: World = {
    stack,
    fleet,
    onStopped(_slot, code, tookMs) {
      exits.push(code);
      longestStopMs = Math.max(longestStopMs, tookMs);
    },
  };
  const progress = watchProgress(fleet.consumers);
  try {
    await until("updates flow", progress.flows, PATIENCE);
    const beganMs = performance.now();
    const totalMs = minutes * 60_000;
    const faults = await injectAll(createSchedule(seed, totalMs, SIZE), totalMs, {
      carryOut: (action, durationMs) => carryOut(action, durationMs, world),
      report,
    });
    const calmMs = performance.now();
    // Publishers go on meanwhile: the route moves for them, and each partition gets its next message.
    await until("every service's route is pulsar again", () => allOnPulsar(fleet), PATIENCE);
    const routeMs = performance.now() - calmMs;
    const gaps = progress.gaps().map(({ fromMs, toMs }) => ({
      fromMs: fromMs - beganMs,
      toMs: toMs - beganMs,
    }));
    await finishPublishers(fleet);
    await drained(stack, PATIENCE);
    const drainedMs = performance.now() - calmMs;
    progress.stop();
    const openingsMs = await openings(fleet);
    const slots = Array.from({ length: SIZE.consumers }, (_, index): Slot => `consumer-${index + 1}`);
    await Promise.all(slots.map((slot) => stop(slot, world)));
    const { failedPublishes, ...written } = fleet.written();
    const users = new Set(written.intents.map(({ userId }) => userId));
    const profiles = await readProfiles(stack, users);
    const history = {
      ...written,
      profiles: new Map([...profiles].map(([userId, profile]) => [userId, observed(profile)])),
    };
    return {
      ...{ seed, minutes, faults, failedPublishes, openingsMs },
      history: checkHistory(history),
      memberships: checkMemberships({
        ...{ document, profiles, happened: happenedOf(history) },
        announced: await readChanges(stack),
        members: await readMembers(stack, document),
      }),
      gaps: gaps.map((gap) => ({ ...gap, during: faultsDuring(gap, faults) })),
      recovery: { routeMs, drainedMs },
      stops: { exits, longestMs: longestStopMs },
      peakMemoryMb: progress.peakMemoryMb(),
    };
  } finally {
    progress.stop();
  }
}

async function allOnPulsar(fleet: Fleet): Promise<boolean> {
  const states = await Promise.all(
    fleet.consumers().map(({ adminUrl }) => getJson(`${adminUrl}/admin/breaker`)),
  );
  return states.every((state) => (state as { route: string }).route === "pulsar");
}

/** Ends the publishers once everything that they began is acknowledged. */
async function finishPublishers(fleet: Fleet): Promise<void> {
  const publishers = fleet.publishers();
  for (const publisher of publishers) publisher.kill("SIGTERM");
  let codes: (number | null)[] | undefined;
  void Promise.all(publishers.map(({ exited }) => exited)).then((all) => {
    codes = all;
  });
  await until("every publisher has ended", () => codes !== undefined, PATIENCE);
  if (codes!.some((code) => code !== 0)) throw new Error(`publishers ended with ${codes!.join(", ")}`);
}

async function openings(fleet: Fleet): Promise<number[]> {
  const [consumer] = fleet.consumers();
  const { lines } = (await getJson(`${consumer!.adminUrl}/admin/audit?limit=${AUDIT_LINES}`)) as {
    lines: { at: string; action: string; route: string }[];
  };
  const opened = lines.filter(({ action, route }) => action === "fleet" && route === "sqs");
  return opened.map(({ at }) => Date.parse(at)).toSorted((a, b) => a - b);
}

async function readProfiles(stack: RealStack, users: Set<string>): Promise<Map<string, Profile>> {
  const reader = openProfileReader(stack.urls.redis);
  const profiles = new Map<string, Profile>();
  try {
    await until("Redis answers", async () => {
      await reader.read("anybody");
      return true;
    });
    for (const userId of users) {
      const profile = await reader.read(userId);
      if (profile) profiles.set(userId, profile);
    }
  } finally {
    await reader.close();
  }
  return profiles;
}
