/**
 * One run: the real publishers and consumers under a simulated clock, on simulated servers and links that fail by
 * a plan that the seed gives. After the faults have ended every promise of the design is checked.
 */
import type { Update } from "../../shared/domain/envelope.ts";
import {
  checkAudit,
  checkBounds,
  checkComplete,
  checkDeadLetters,
  checkOneIdentity,
  checkProfiles,
  checkVotes,
} from "./checks.ts";
import { planFaults } from "./faults.ts";
import { createFleet, type Fleet } from "./fleet.ts";
import { createFaults } from "./inject-faults.ts";
import { createLoad, isPoison } from "./load.ts";
import { checkMemberships, checkOverdue, watchWrites } from "./membership-checks.ts";
import { createServer, type World } from "./network.ts";
import { topics } from "./processes.ts";
import { createServers, type Servers } from "./servers.ts";
import { START_MS, type VirtualTime } from "./virtual-time.ts";

export type Run = {
  seed: number;
  /** Promises that were broken, in the order in which that was seen. */
  violations: string[];
  /** What happened, a line an event; empty unless asked for. */
  trace: string[];
  updates: number;
  faults: number;
  events: number;
};

export type RunOptions = { seed: number; minutes: number; traced: boolean };

/** Of the run: faults, then load alone, then only what is left to do. */
const FAULTS_SHARE = 0.5;
const LOAD_SHARE = 0.6;
/** Of the runs, the share in which the definitions change. */
const CHANGED_SHARE = 0.3;
const MAX_CHANGES = 6;
const PUBLISHERS = 3;
const CONSUMERS = 2;
const MAX_VIOLATIONS = 10;

export async function simulate(time: VirtualTime, { seed, minutes, traced }: RunOptions): Promise<Run> {
  time.restart(seed);
  const run: Run = { seed, violations: [], trace: [], updates: 0, faults: 0, events: 0 };
  const world = createWorld(time, run, traced);
  const servers = createServers(world);
  const load = createLoad(world);
  const fleet = createFleet(world, servers, load);
  const faults = createFaults(world, servers, fleet, load);
  await servers.definitions.begin();
  for (let index = 0; index < PUBLISHERS; index += 1) fleet.addPublisher();
  for (let index = 0; index < CONSUMERS; index += 1) fleet.addConsumer();
  const lengthMs = minutes * 60_000;
  const plan = planFaults(time.random, lengthMs * FAULTS_SHARE);
  for (const planned of plan) time.after(planned.atMs, () => faults.inject(planned));
  if (time.random() < CHANGED_SHARE) changeDefinitions(world, servers, lengthMs * FAULTS_SHARE);
  time.after(lengthMs * LOAD_SHARE, load.end);
  for (let elapsedMs = 0; elapsedMs < lengthMs; elapsedMs += 1_000) {
    await time.run(START_MS + elapsedMs);
    checkBounds(world, fleet.publishers(), fleet.consumers());
    checkOverdue(world, servers.redis, skewsOf(fleet));
    if (elapsedMs > lengthMs * LOAD_SHARE + 1_000 && unsettled(servers, fleet) === undefined) break;
  }
  const left = unsettled(servers, fleet);
  if (left !== undefined) world.violate("I5", `not settled at the end: ${left}`);
  await checkEnd(world, servers, fleet, faults.toggles());
  return Object.assign(run, { updates: load.updates(), faults: plan.length, events: time.events() });
}

function changeDefinitions(world: World, { definitions, redis }: Servers, lengthMs: number): void {
  const { time } = world;
  watchWrites(world, redis, definitions);
  const changes = 1 + Math.floor(time.random() * MAX_CHANGES);
  for (let left = changes; left > 0; left -= 1)
    time.after(time.random() * lengthMs, () => {
      world.trace(() => "the definitions change");
      void definitions.change();
    });
}

function skewsOf(fleet: Fleet): number[] {
  return fleet.consumers().map(({ process }) => process.skewMs);
}

function createWorld(time: VirtualTime, run: Run, traced: boolean): World {
  const trace = (line: () => string) => {
    if (traced) run.trace.push(`${((time.now() - START_MS) / 1_000).toFixed(3).padStart(8)}  ${line()}`);
  };
  return {
    time,
    servers: {
      pulsar: createServer("pulsar", time.now()),
      sqs: createServer("sqs", time.now()),
      redis: createServer("redis", time.now()),
    },
    faults: { now: 0, lastMs: 0 },
    trace,
    violate(promise, text) {
      trace(() => `VIOLATED ${promise}: ${text}`);
      if (run.violations.length < MAX_VIOLATIONS) run.violations.push(`${promise}: ${text}`);
    },
  };
}

/** What keeps the system from rest, in plain words; undefined when nothing does. */
function unsettled(
  { pulsar, updates, ledgerQueue, changesQueue }: Servers,
  fleet: Fleet,
): string | undefined {
  const underWay = fleet.publishers().find(({ publisher }) => publisher.counts().underWay > 0);
  if (underWay) return `${underWay.process.name} has updates under way`;
  const backlog = pulsar.backlog(topics.updates) + pulsar.backlog(topics.bulk);
  if (backlog > 0) return `${backlog} messages wait in Pulsar`;
  if (updates.size() > 0) return `${updates.size()} messages wait in SQS`;
  if (ledgerQueue.size() > 0) return `${ledgerQueue.size()} messages wait to be written to the ledger`;
  if (changesQueue.size() > 0) return `${changesQueue.size()} membership changes wait for their topic`;
  for (const { process, routing } of [...fleet.publishers(), ...fleet.consumers()]) {
    const { path, by, why } = routing.router.route();
    if (path !== "pulsar") return `${process.name} is on ${path} by ${by}: ${why}`;
    if (routing.breaker.verdict().route !== "pulsar") return `the breaker of ${process.name} is open`;
  }
  return undefined;
}

async function checkEnd(world: World, servers: Servers, fleet: Fleet, toggles: number): Promise<void> {
  const { pulsar, updates: fallback, redis } = servers;
  const ledger = [...pulsar.ledger(topics.updates), ...pulsar.ledger(topics.bulk)];
  const taken = [...ledger, ...fallback.taken()];
  const poison = taken.map(({ payload }) => payload).filter(isPoison);
  checkDeadLetters(world, poison, servers.deadLettered());
  const accepted = taken.filter(({ payload }) => !isPoison(payload));
  checkComplete(world, accepted, servers.isInLedger);
  checkComplete(world, servers.changesQueue.taken(), servers.isAnnounced);
  const updates = accepted.map(({ payload }) => JSON.parse(payload) as Update);
  checkProfiles(world, redis, updates, fleet.acknowledged);
  checkOneIdentity(world, updates);
  await checkMemberships(world, redis, servers.definitions, {
    accepted: updates,
    announced: pulsar.ledger(topics.changes),
    tookDetour: servers.changesQueue.took,
    skewsMs: skewsOf(fleet),
  });
  await checkVotes(world, redis, fleet.publishers().length + fleet.consumers().length);
  await checkAudit(world, redis, toggles);
}
