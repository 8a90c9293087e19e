import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { createQueue, localAwsEnvironment, localSqsClient } from "../localstack/create-queues.ts";
import { openFallbackQueue, openStores } from "../shared/adapters/open.ts";
import type { SqsQueue } from "../shared/adapters/sqs/sqs.ts";
import { createLog } from "../shared/runtime/log.ts";
import { exitOf, startService } from "../test/support/service-process.ts";
import { until } from "../test/support/until.ts";
import { countersOf } from "./end-to-end.ts";
import { prefill } from "./prefill.ts";
import { cpuSeconds } from "./process-usage.ts";
import { evenly } from "./updates.ts";

/** How a backlog is drained: received and deleted, the same with copies for the ledger, or applied by the service. */
export type Drain = "raw" | "copied" | "applied";

export type SqsServer = { endpoint: string; pid: number };

export type Drained = { perSecond: number; cpuMicros: number; serverCpuMicros: number };

export type SqsBacklog = { updates: number; users: number; queueCount: number };

/** Not measured: a process compiles its code in that time. */
const UNMEASURED = 0.2;
/** Looking takes CPU of the server that is measured. */
const LOOK_EVERY_MS = 50;
const OVERRIDE_MS = 3_600_000;
const PRODUCING = {
  sqsPollers: 1,
  sqsLongPollSeconds: 0,
  sqsVisibilityTimeoutSeconds: 60,
  maxInFlightMessages: 1,
};

let runs = 0;

/**
 * Fills new queues and measures how fast a process of its own drains them, until the last message is deleted.
 *
 * @param environment of a service; queues and a key prefix of this run stand above it
 */
export async function measureSqsDrain(
  drain: Drain,
  server: SqsServer,
  environment: Record<string, string>,
  backlog: SqsBacklog,
): Promise<Drained> {
  runs += 1;
  const queueUrls = await createQueues(server.endpoint, `bench-${runs}`, backlog.queueCount);
  const settings = { ...environment, ...queueUrls, REDIS_KEY_PREFIX: `bench-${runs}:` };
  Object.assign(process.env, localAwsEnvironment);
  const queue = await openQueue(queueUrls.SQS_QUEUE_URL);
  const { updates, users } = backlog;
  await prefill(queue.producer(), { updates, userOf: evenly(users) });
  const draining = await (drain === "applied" ? startApplying(settings) : startDraining(drain, settings));
  const drained = await measure(queue, { updates, drainPid: draining.pid, serverPid: server.pid });
  await draining.check(updates);
  await draining.stop();
  await queue.close();
  return drained;
}

async function measure(
  queue: SqsQueue,
  { updates, drainPid, serverPid }: { updates: number; drainPid: number; serverPid: number },
): Promise<Drained> {
  const cpu = () => ({ drain: cpuSeconds(drainPid), server: cpuSeconds(serverPid) });
  const left = await leftAtMost(queue, updates * (1 - UNMEASURED));
  const startedAtMs = performance.now();
  const before = cpu();
  await leftAtMost(queue, 0);
  const seconds = (performance.now() - startedAtMs) / 1_000;
  const after = cpu();
  return {
    perSecond: left / seconds,
    cpuMicros: ((after.drain - before.drain) / left) * 1e6,
    serverCpuMicros: ((after.server - before.server) / left) * 1e6,
  };
}

/** Waits until at most so many messages are left in the queue, those in hand included. @returns how many. */
async function leftAtMost(queue: SqsQueue, most: number): Promise<number> {
  for (;;) {
    const left = await queue.waiting();
    if (left <= most) return left;
    await sleep(LOOK_EVERY_MS);
  }
}

type Draining = {
  pid: number;
  /** Rejects where not every update was applied, and kept for the ledger, once. */
  check(updates: number): Promise<void>;
  stop(): Promise<unknown>;
};

function startDraining(drain: Drain, settings: Record<string, string>): Draining {
  const child = spawn(process.execPath, ["bench/sqs-drain-process.ts", drain], {
    env: { ...process.env, ADMIN_TOKEN: "bench-token", ...settings },
    stdio: ["ignore", "inherit", "inherit"],
  });
  const exited = exitOf(child);
  return {
    pid: child.pid!,
    check: () => Promise.resolve(),
    stop: () => {
      child.kill("SIGTERM");
      return exited;
    },
  };
}

/** The route is SQS, as in an outage: else the service would also write what it has kept to Pulsar meanwhile. */
async function startApplying(settings: Record<string, string>): Promise<Draining> {
  const { REDIS_URL: redisUrl, REDIS_KEY_PREFIX: redisKeyPrefix } = settings;
  const { routeStore, connection } = openStores({
    redisUrl: redisUrl!,
    redisKeyPrefix: redisKeyPrefix!,
    redisCommandTimeoutMs: 2_000,
  });
  const override = { route: "sqs", reason: "bench", name: "bench", expiresInMs: OVERRIDE_MS } as const;
  await until("Redis takes the override", () => routeStore.override(override).then(() => true));
  await connection.close();
  const service = await startService(settings, "/dev/null");
  return {
    pid: service.pid,
    async check(updates) {
      const { counted, ledger } = await countersOf(service.adminUrl);
      if (counted.sqs !== updates || ledger.kept !== updates)
        throw new Error(`applied ${counted.sqs} and kept ${ledger.kept} of ${updates} updates`);
    },
    stop: () => {
      service.kill("SIGTERM");
      return service.exited;
    },
  };
}

function openQueue(sqsQueueUrl: string): Promise<SqsQueue> {
  return openFallbackQueue({ sqsQueueUrl, sqsSendTimeoutMs: 60_000 }, PRODUCING, createLog("bench", "error"));
}

async function createQueues(endpoint: string, name: string, count: number) {
  const client = localSqsClient(endpoint);
  const create = async (of: string) => {
    const urls: string[] = [];
    for (let queue = 0; queue < count; queue += 1) {
      const { pathname } = new URL(await createQueue(client, `${name}-${queue}${of}.fifo`));
      // The embedded server's own URL has a host that only some resolvers know.
      urls.push(`${endpoint}${pathname}`);
    }
    return urls.join(",");
  };
  const queueUrls = {
    SQS_QUEUE_URL: await create(""),
    SQS_LEDGER_QUEUE_URL: await create("-ledger"),
    SQS_CHANGES_QUEUE_URL: await create("-changes"),
  };
  client.destroy();
  return queueUrls;
}
