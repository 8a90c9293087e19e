import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { installRedis, type RedisServer, startRedis, withRedis } from "../../deploy/local/redis.ts";
import { localAwsEnvironment } from "../../localstack/create-queues.ts";
import type { ConnectedPublisher } from "../../shared/publish/connect-publisher.ts";
import {
  connectTo,
  createInstallation,
  type Installation,
  patientEnvironment,
  patientSettings,
} from "../support/installation.ts";
import { expectProfiles, pulsarBacklog } from "../support/outcome.ts";
import { messagesIn } from "../support/queue-depth.ts";
import { type SentinelRedis, startSentinelRedis } from "../support/redis-sentinel.ts";
import { type ServiceProcess, startService } from "../support/service-process.ts";
import { type SteadyTraffic, startSteadyTraffic } from "../support/steady-traffic.ts";
import { until } from "../support/until.ts";

const SEED = Number(process.env.SEED ?? 20261121);
const PER_SECOND = 150;
/** Published during each fault at least: 3 s of traffic, more than a command's timeout. */
const PUBLISHED_DURING_FAULT = 450;
const patience = { patienceMs: 45_000, everyMs: 50 };

type Fault = {
  /** Redis can save nothing once this has resolved. */
  begin(): Promise<unknown>;
  /** What /readyz says of the store meanwhile. */
  reason: RegExp;
  end(): Promise<unknown>;
};

/** One consumer process and one publisher around a Redis of their own, with updates flowing all the time. */
type Subject = {
  installation: Installation;
  service: ServiceProcess;
  traffic: SteadyTraffic;
  redisUrl: string;
};

const directory = mkdtempSync(join(tmpdir(), "keyline-redis-faults-"));
const cleanUps: (() => unknown)[] = [];

beforeAll(() => {
  Object.assign(process.env, localAwsEnvironment);
});

async function cleanUpAll(): Promise<void> {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
}

afterAll(async () => {
  await cleanUpAll();
  rmSync(directory, { recursive: true, force: true });
}, 60_000);

async function startSubject(name: string, redisUrl: string): Promise<Subject> {
  const installation = await createInstallation();
  const environment: Record<string, string> = {
    ...installation.environment,
    ...patientEnvironment,
    REDIS_URL: redisUrl,
  };
  const service = await startService(environment, join(directory, `${name}.log`));
  cleanUps.push(async () => {
    service.kill("SIGKILL");
    await service.exited;
  });
  const publisher: ConnectedPublisher = await connectTo(installation, {
    redisUrl,
    ...patientSettings,
  });
  cleanUps.push(() => publisher.close());
  const traffic = startSteadyTraffic(publisher, {
    seed: SEED,
    tenant: "shop",
    users: 60,
    perSecond: PER_SECOND,
  });
  cleanUps.push(() => traffic.pause());
  await until("updates flow", () => traffic.acknowledged.length > PER_SECOND, patience);
  return { installation, service, traffic, redisUrl };
}

async function survives(subject: Subject, { begin, reason, end }: Fault): Promise<void> {
  const { installation, service, traffic, redisUrl } = subject;
  const { pulsarAdminUrl } = inject("servers");
  const backlog = () => pulsarBacklog(pulsarAdminUrl, installation.namespace);
  const readiness = () => get(`${service.adminUrl}/readyz`);
  await until("it is ready", async () => (await readiness()).status === 200, patience);

  await begin();
  const before = traffic.acknowledged.length;
  const since = () => traffic.acknowledged.length - before;
  await until(
    `/readyz says ${reason}`,
    async () => {
      const { status, body } = await readiness();
      expect({ status, body }).toMatchObject({ status: 503, body: { checks: { pulsar: "ok", sqs: "ok" } } });
      expect((body.checks as { store: string }).store).toMatch(reason);
      return true;
    },
    patience,
  );
  await until("publishing goes on", () => since() >= PUBLISHED_DURING_FAULT, patience);
  const published = since();
  expect(await backlog(), "all that was published meanwhile is unacknowledged").toBeGreaterThanOrEqual(
    published,
  );
  expect((await readiness()).status).toBe(503);
  await end();

  await until("it is ready again", async () => (await readiness()).status === 200, patience);
  await traffic.pause();
  const undelivered = async () =>
    (await backlog()) + (await messagesIn(installation.environment.SQS_QUEUE_URL!));
  // First every copy is delivered, so that one that counts twice is seen.
  await until("nothing is left undelivered", async () => (await undelivered()) === 0, patience);
  await expectProfiles(
    { redisUrl, redisKeyPrefix: installation.redisKeyPrefix },
    traffic.acknowledged,
    patience.patienceMs,
  );
  expect(traffic.failures).toEqual([]);
  expect([...new Set(traffic.receipts.map(({ path }) => path))]).toEqual(["pulsar"]);
  const { body } = await get(`${service.adminUrl}/admin/breaker`);
  expect(body).toMatchObject({ route: "pulsar", local: { state: "closed", openings: 0 } });
  traffic.resume();
}

async function get(url: string): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(url, { signal: AbortSignal.timeout(5_000) });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

describe(`updates flow on, nothing is acknowledged, and all is caught up, while Redis is, seed ${SEED}:`, () => {
  let redis: RedisServer;
  let port: number;
  let subject: Subject;
  const start = async (settings: Record<string, string> = {}) =>
    startRedis(await installRedis(() => {}), {
      directory: join(directory, "redis"),
      settings: { appendfsync: "always", ...settings },
      ...(port === undefined ? {} : { port }),
    });
  const call = (...command: [string, ...string[]]) => withRedis(port, (client) => client.call(...command));
  async function crash(): Promise<void> {
    redis.kill("SIGKILL");
    await redis.stop();
  }

  beforeAll(async () => {
    redis = await start();
    port = Number(new URL(redis.urls.redis).port);
    cleanUps.push(() => redis.stop());
    subject = await startSubject("service", redis.urls.redis);
  }, 60_000);

  afterAll(cleanUpAll, 60_000);

  test("killed and started again on its data", async () => {
    const end = async () => {
      redis = await start();
    };
    await survives(subject, { begin: crash, reason: /ECONNREFUSED/, end });
  }, 120_000);

  test("frozen", async () => {
    await survives(subject, {
      begin: async () => redis.kill("SIGSTOP"),
      reason: /no answer|Socket timeout|not ready: .* hangs/,
      end: async () => redis.kill("SIGCONT"),
    });
  }, 120_000);

  test("full", async () => {
    await survives(subject, {
      begin: () => call("CONFIG", "SET", "maxmemory", "1"),
      reason: /OOM/,
      end: () => call("CONFIG", "SET", "maxmemory", "0"),
    });
  }, 120_000);

  test("read-only, as a replica of a primary that is gone", async () => {
    await survives(subject, {
      begin: () => call("REPLICAOF", "127.0.0.1", "1"),
      reason: /READONLY/,
      end: () => call("REPLICAOF", "NO", "ONE"),
    });
  }, 120_000);

  test("loading its data", async () => {
    let loading: Promise<RedisServer> | undefined;
    await survives(subject, {
      async begin() {
        await call("BGREWRITEAOF");
        const rewritten = async () =>
          /aof_rewrite_in_progress:0/.test(`${await call("INFO", "persistence")}`);
        await until("its file is rewritten", rewritten, patience);
        await crash();
        // In microseconds for each key of its file: it loads until it is told to hurry.
        loading = start({ "key-load-delay": "200000", "loading-process-events-interval-bytes": "1024" });
        loading.catch(() => {});
        await until("it is loading", async () => /^LOADING/.test(await hurried("PING")), patience);
      },
      reason: /not ready: it is loading/,
      async end() {
        expect(await hurried("CONFIG", "SET", "key-load-delay", "0")).toBe("OK");
        redis = await loading!;
      },
    });
  }, 120_000);

  /** The answer of a server that may be loading, which ioredis would wait for to be ready. */
  async function hurried(...command: [string, ...string[]]): Promise<string> {
    const client = new Redis({ port, lazyConnect: true, enableReadyCheck: false, retryStrategy: () => null });
    client.on("error", () => {});
    try {
      await client.connect();
      return (await client.call(...command).catch((error: Error) => error.message)) as string;
    } finally {
      client.disconnect();
    }
  }
});

test("the same while Redis fails over by Sentinel, and when the old primary wakes", async () => {
  const sentinel: SentinelRedis = await startSentinelRedis(await installRedis(() => {}), directory);
  cleanUps.push(() => sentinel.stop());
  const subject = await startSubject("service-sentinel", sentinel.url);
  const oldPrimary = await sentinel.primaryPort();
  const { traffic, service } = subject;
  sentinel.primary.kill("SIGSTOP");
  await until(
    "it says that it is not ready",
    async () => (await get(`${service.adminUrl}/readyz`)).status === 503,
    patience,
  );
  await until("the replica is promoted", async () => (await sentinel.primaryPort()) !== oldPrimary, patience);
  await until(
    "it is ready again",
    async () => (await get(`${service.adminUrl}/readyz`)).status === 200,
    patience,
  );
  sentinel.primary.kill("SIGCONT");
  const after = traffic.acknowledged.length;
  await until("publishing goes on", () => traffic.acknowledged.length > after + PER_SECOND, patience);
  await traffic.pause();
  const backlog = () => pulsarBacklog(inject("servers").pulsarAdminUrl, subject.installation.namespace);
  await until("nothing is left undelivered", async () => (await backlog()) === 0, patience);
  await expectProfiles(
    { redisUrl: sentinel.url, redisKeyPrefix: subject.installation.redisKeyPrefix },
    traffic.acknowledged,
    patience.patienceMs,
  );
  expect(traffic.failures).toEqual([]);
  const { body } = await get(`${service.adminUrl}/admin/breaker`);
  expect(body).toMatchObject({ route: "pulsar", local: { state: "closed", openings: 0 } });
}, 120_000);
