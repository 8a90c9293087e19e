import { setTimeout as sleep } from "node:timers/promises";
import { createSubscriptionReader } from "../shared/adapters/pulsar-admin/subscription-stats.ts";
import { topicsOf } from "../shared/runtime/topics.ts";
import type { RealStack } from "../test/support/real-stack.ts";
import { type ServiceProcess, startService } from "../test/support/service-process.ts";
import { until } from "../test/support/until.ts";
import type { CpuLimits } from "./cpu-limit.ts";
import { counted } from "./end-to-end.ts";
import { type ServerUsage, serverUsage } from "./server-usage.ts";
import { countsOf, type ServiceCounts, since } from "./service-counts.ts";

/** Asking takes CPU of the processes that are measured. */
const POLL_MS = 250;
/** A drain that brings nothing for so long has failed. */
const PATIENCE_MS = 180_000;

export type ScaledDrain = {
  stack: RealStack;
  /** A subscription of its own, and so its own users in Redis: `keyPrefix` of its name. */
  subscription: string;
  updates: number;
  /** Of the topic; each process has a connection for each. */
  partitions: number;
  processes: number;
  /** This many more come when some of what is measured is applied. */
  joining?: number;
  limits: CpuLimits;
  /** Of one core, for each process. */
  share: number;
  /** Lets the subscription go that was held. */
  letGo: () => Promise<void>;
};

export type DrainResult = {
  /** Updates, until all processes were there. */
  appliedHeld: number;
  /** From the limit on until the last update is applied. */
  appliedPerSecond: number;
  seconds: number;
  /** Of the servers, meanwhile. */
  servers: ServerUsage;
  /** Before the limit, by the processes together. */
  conflictsAtStart: number;
  /** Since then, until somebody joined or else to the end, and since somebody joined. */
  steady: ServiceCounts[];
  afterJoining: ServiceCounts[];
};

export const keyPrefixOf = (subscription: string) => `${subscription}:`;

/** Of the backlog, before the limit: so every process has compiled its code, and the keys have come to rest. */
const UNLIMITED = 0.55;
/** Of the backlog, when others join. */
const JOINING_AT = 0.65;

/**
 * Drains a backlog with some service processes that have so much CPU each and no more. They come, and are held at one
 * message in flight until all of them are there; then they drain the first part without a limit; the rest is measured.
 */
export async function drainScaled(drain: ScaledDrain): Promise<DrainResult> {
  const { updates, processes, letGo } = drain;
  const services = [await startOne(drain)];
  try {
    await changeInFlight(services[0]!, 1);
    services.push(...(await Promise.all(Array.from({ length: processes - 1 }, () => startOne(drain)))));
    await letGo();
    await connected(drain, processes);
    const appliedHeld = await countedByAll(services);
    await changeInFlight(services[0]!, null);
    await untilCounted(services, updates * UNLIMITED);
    return { appliedHeld, ...(await measure(drain, services)) };
  } finally {
    for (const service of services) service.kill("SIGTERM");
    await Promise.all(services.map(({ exited }) => exited));
  }
}

function startOne({ stack, subscription, partitions }: ScaledDrain): Promise<ServiceProcess> {
  const own = {
    PULSAR_CONNECTIONS: String(partitions),
    PULSAR_SUBSCRIPTION: subscription,
    REDIS_KEY_PREFIX: keyPrefixOf(subscription),
  };
  return startService({ ...stack.environment, ...own }, "/dev/null");
}

/** Each process by a connection to each partition, and nobody else: from then on no user changes hands. */
async function connected({ stack, subscription, partitions }: ScaledDrain, processes: number): Promise<void> {
  const { updates: topic } = topicsOf("public/keyline");
  const read = createSubscriptionReader(stack.urls.admin, { topic, subscription });
  await until("exactly the processes consume", async () => {
    return (await read()).consumers.length === processes * partitions;
  });
}

/** @param services those that join are added */
async function measure(
  drain: ScaledDrain,
  services: ServiceProcess[],
): Promise<Omit<DrainResult, "appliedHeld">> {
  const { stack, updates, joining = 0, limits, share } = drain;
  for (const { pid } of services) limits.limit(pid, share);
  const startedAtMs = performance.now();
  const usedBefore = await serverUsage(stack);
  const first = await countsOfAll(services);
  if (joining > 0) await untilCounted(services, updates * JOINING_AT);
  const before = await countsOfAll(services);
  const join = async () => {
    const service = await startOne(drain);
    limits.limit(service.pid, share);
    return service;
  };
  services.push(...(await Promise.all(Array.from({ length: joining }, join))));
  await untilCounted(services, updates);
  const seconds = (performance.now() - startedAtMs) / 1_000;
  const last = await countsOfAll(services);
  const used = await serverUsage(stack);
  return {
    appliedPerSecond: (sum(last, "counted") - sum(first, "counted")) / seconds,
    seconds,
    servers: {
      brokerSeconds: used.brokerSeconds - usedBefore.brokerSeconds,
      redisSeconds: used.redisSeconds - usedBefore.redisSeconds,
      redisBytes: used.redisBytes - usedBefore.redisBytes,
    },
    conflictsAtStart: sum(first, "conflicts"),
    steady: first.map((counts, index) => since(counts, (joining > 0 ? before : last)[index]!)),
    afterJoining: joining > 0 ? last.map((counts, index) => since(before[index] ?? NOTHING, counts)) : [],
  };
}

const countsOfAll = (services: readonly ServiceProcess[]) => Promise.all(services.map(countsOf));

const NOTHING: ServiceCounts = { counted: 0, repeats: 0, conflicts: 0, storeFailures: 0, cpuSeconds: 0 };

export function sum(counts: readonly ServiceCounts[], name: keyof ServiceCounts): number {
  return counts.reduce((total, each) => total + each[name], 0);
}

/** Of all processes, also those that are yet to start. @param messages null: what each was started with */
async function changeInFlight({ adminUrl }: ServiceProcess, messages: number | null): Promise<void> {
  const change = {
    method: "PUT",
    headers: { authorization: "Bearer test-token", "content-type": "application/json" },
    body: JSON.stringify({ settings: { maxInFlightMessages: messages }, reason: "bench:scale" }),
  };
  // A process that has just started may not have reached Redis yet.
  await until("the settings are changed", async () => (await fetch(`${adminUrl}/admin/settings`, change)).ok);
}

async function countedByAll(services: readonly ServiceProcess[]): Promise<number> {
  const counts = await Promise.all(services.map(countedBy));
  return counts.reduce((total, each) => total + each, 0);
}

async function untilCounted(services: readonly ServiceProcess[], updates: number): Promise<void> {
  const deadlineMs = performance.now() + PATIENCE_MS;
  for (;;) {
    const total = await countedByAll(services);
    if (total >= updates) return;
    if (performance.now() > deadlineMs) throw new Error(`${total} of ${updates} updates are applied`);
    await sleep(POLL_MS);
  }
}

async function countedBy({ adminUrl }: ServiceProcess): Promise<number> {
  const { pulsar, sqs } = await counted(adminUrl);
  return pulsar + sqs;
}
