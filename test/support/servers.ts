/**
 * The servers that the tests run against, started once for a run (vitest globalSetup) however many projects ask
 * for them, and handed on by `inject("servers")`. Each comes, in this order, from an environment variable that
 * names one that runs, from a container where Docker runs and has or can pull the image, or from a process of this
 * machine.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { installLocalStack, startLocalStack } from "../../deploy/local/localstack.ts";
import { startPulsar } from "../../deploy/local/pulsar.ts";
import { installPulsar } from "../../deploy/local/pulsar-installation.ts";
import { installRedis, startRedis } from "../../deploy/local/redis.ts";
import { startRedisCluster } from "../../deploy/local/redis-cluster.ts";
import { createQueues, localSqsClient } from "../../localstack/create-queues.ts";
import { setUpTopics } from "../../shared/adapters/pulsar-admin/set-up.ts";
import {
  type Containers,
  containerLocalStack,
  containerPulsar,
  containerRedis,
  containerRedisCluster,
  detectContainers,
} from "./containers.ts";

export type TestServers = {
  /** pulsar://… */
  pulsarUrl: string;
  /** ws://… without a path. */
  pulsarWebSocketUrl: string;
  /** http://… without a path. */
  pulsarAdminUrl: string;
  sqsEndpoint: string;
  redisUrl: string;
  /** redis+cluster://127.0.0.1:port,127.0.0.1:port,… */
  redisClusterUrl: string;
};

declare module "vitest" {
  interface ProvidedContext {
    servers: TestServers;
  }
}

/** Something that started, and how to end it. */
type Started<Value> = { value: Value; stop(): Promise<void> };

/** The three ways to one server; `named` is undefined when the environment names none. */
type Ways<Value> = {
  name: string;
  named: Value | undefined;
  container(containers: Containers): Promise<Started<Value>>;
  process(): Promise<Started<Value> & { killNow(): void }>;
};

const report = (line: string) => console.log(`[servers] ${line}`);

/**
 * Starts all, unless an earlier project of the run has, and resolves with what ends them; rejects, having ended the
 * others, when one fails to start.
 */
export async function setup({ vitest }: TestProject): Promise<(() => Promise<void>) | undefined> {
  const run = vitest.getRootProject();
  if ("servers" in run.getProvidedContext()) return undefined;
  const named = namedPulsar();
  const directory = mkdtempSync(join(tmpdir(), "keyline-test-"));
  const containers = await detectContainers();
  const killAtExit: (() => void)[] = [];
  // For an end without teardown (a second Ctrl-C); the processes are in groups of their own.
  const atExit = () => {
    for (const killNow of killAtExit) killNow();
  };
  process.once("exit", atExit);

  const starting = [
    start(pulsar(join(directory, "pulsar"), named), containers, killAtExit),
    start(localStack(join(directory, "localstack")), containers, killAtExit),
    start(redis(join(directory, "redis")), containers, killAtExit),
    start(redisCluster(join(directory, "redis-cluster")), containers, killAtExit),
  ] as const;

  const teardown = async () => {
    const settled = await Promise.allSettled(starting);
    await Promise.all(settled.map((each) => (each.status === "fulfilled" ? each.value.stop() : undefined)));
    process.off("exit", atExit);
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const [pulsarServer, sqs, redisServer, cluster] = await Promise.all(starting);
    await Promise.all([setUpTopics(pulsarServer.value.pulsarAdminUrl), setUpQueues(sqs.value)]);
    run.provide("servers", {
      ...pulsarServer.value,
      sqsEndpoint: sqs.value,
      redisUrl: redisServer.value,
      redisClusterUrl: cluster.value,
    });
  } catch (thrown) {
    await teardown();
    throw thrown;
  }
  return teardown;
}

async function start<Value>(
  ways: Ways<Value>,
  containers: Containers | undefined,
  killAtExit: (() => void)[],
): Promise<Started<Value>> {
  const began = performance.now();
  const done = (how: string) =>
    report(`${ways.name}: ${how}, ${((performance.now() - began) / 1000).toFixed(1)} s`);
  if (ways.named !== undefined) {
    done(`named by the environment (${JSON.stringify(ways.named)})`);
    return { value: ways.named, stop: async () => {} };
  }
  if (containers !== undefined) {
    try {
      const started = await ways.container(containers);
      done("container");
      return started;
    } catch (thrown) {
      report(`${ways.name}: no container (${String(thrown).split("\n")[0]}), starting a process instead`);
    }
  }
  const started = await ways.process();
  killAtExit.push(started.killNow);
  done("process of this machine");
  return started;
}

type PulsarUrls = Pick<TestServers, "pulsarUrl" | "pulsarWebSocketUrl" | "pulsarAdminUrl">;

/** The Pulsar that the environment names. @throws when it names it in part. */
function namedPulsar(): PulsarUrls | undefined {
  const { TEST_PULSAR_URL, TEST_PULSAR_WEBSOCKET_URL, TEST_PULSAR_ADMIN_URL } = process.env;
  const urls = [TEST_PULSAR_URL, TEST_PULSAR_WEBSOCKET_URL, TEST_PULSAR_ADMIN_URL];
  const given = urls.filter((url) => url !== undefined && url !== "");
  if (given.length !== 0 && given.length !== urls.length) {
    throw new Error(
      "TEST_PULSAR_URL, TEST_PULSAR_WEBSOCKET_URL and TEST_PULSAR_ADMIN_URL go together: all or none",
    );
  }
  const [pulsarUrl, pulsarWebSocketUrl, pulsarAdminUrl] = given;
  return pulsarUrl && pulsarWebSocketUrl && pulsarAdminUrl
    ? { pulsarUrl, pulsarWebSocketUrl, pulsarAdminUrl }
    : undefined;
}

function pulsar(directory: string, named: PulsarUrls | undefined): Ways<PulsarUrls> {
  return {
    name: "pulsar",
    named,
    container: containerPulsar,
    async process() {
      const server = await startPulsar(await installPulsar(report), { directory, tuning: "quick" });
      const { urls } = server;
      return {
        value: { pulsarUrl: urls.pulsar, pulsarWebSocketUrl: urls.webSocket, pulsarAdminUrl: urls.admin },
        ...endOf(server),
      };
    },
  };
}

function localStack(directory: string): Ways<string> {
  return {
    name: "localstack",
    named: process.env.TEST_SQS_ENDPOINT || undefined,
    container: containerLocalStack,
    async process() {
      const server = await startLocalStack(await installLocalStack(report), { directory });
      return { value: server.urls.sqs, ...endOf(server) };
    },
  };
}

function redis(directory: string): Ways<string> {
  return {
    name: "redis",
    named: process.env.TEST_REDIS_URL || undefined,
    container: containerRedis,
    async process() {
      const server = await startRedis(await installRedis(report), { directory });
      return { value: server.urls.redis, ...endOf(server) };
    },
  };
}

function redisCluster(directory: string): Ways<string> {
  return {
    name: "redis cluster",
    named: process.env.TEST_REDIS_CLUSTER_URL || undefined,
    container: containerRedisCluster,
    async process() {
      const cluster = await startRedisCluster(await installRedis(report), { directory });
      return { value: cluster.urls.redisCluster, ...endOf(cluster) };
    },
  };
}

/** Nothing of theirs is kept: an orderly end would only take longer. */
function endOf(server: { stop(): Promise<void>; kill(signal: NodeJS.Signals): void }) {
  const killNow = () => server.kill("SIGKILL");
  const stop = () => {
    killNow();
    return server.stop();
  };
  return { stop, killNow };
}

async function setUpQueues(endpoint: string): Promise<void> {
  const client = localSqsClient(endpoint);
  try {
    await createQueues(client);
  } finally {
    client.destroy();
  }
}
