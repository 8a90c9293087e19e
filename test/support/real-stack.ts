/** Real servers of one test's own, to be frozen and killed: Pulsar, LocalStack and Redis as host processes. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../deploy/local/free-ports.ts";
import { installLocalStack, type LocalStackServer, startLocalStack } from "../../deploy/local/localstack.ts";
import { freePulsarPorts, type PulsarServer, startPulsar } from "../../deploy/local/pulsar.ts";
import { installPulsar } from "../../deploy/local/pulsar-installation.ts";
import {
  installRedis,
  type RedisInstallation,
  type RedisServer,
  startRedis,
} from "../../deploy/local/redis.ts";
import {
  createQueues,
  localAwsEnvironment,
  localSqsClient,
  updatesQueueName,
} from "../../localstack/create-queues.ts";
import { setUpTopics } from "../../shared/adapters/pulsar-admin/set-up.ts";

export type RealStack = {
  pulsar(): PulsarServer;
  localStack(): LocalStackServer;
  redis(): RedisServer;
  /** Kills the broker as a crash would, and starts it again on its data. */
  crashPulsar(downMs: number): Promise<void>;
  /** The same with Redis. */
  crashRedis(downMs: number): Promise<void>;
  /** Creates a subscription on the updates topic, from its earliest message on. */
  subscribe(subscription: string): Promise<void>;
  urls: { admin: string; sqs: string; redis: string };
  /** Where Redis has its append-only file. */
  redisDirectory: string;
  /** What a service needs in its environment. */
  environment: Record<string, string>;
  close(): Promise<void>;
};

export async function startRealStack(options: {
  partitions: number;
  /** The client of Pulsar that `environment` picks. Default `websocket`. */
  transport?: "websocket" | "native";
  tuning: "quick" | "full";
  /** Settings of Pulsar's standalone.conf that replace the stack's own. */
  settings?: Record<string, string>;
  /** Settings of Redis beside the project's own. */
  redisSettings?: Record<string, string>;
  report: (line: string) => void;
}): Promise<RealStack> {
  const directory = mkdtempSync(join(tmpdir(), "keyline-stack-"));
  const { report } = options;
  const [pulsarInstallation, localStackInstallation, redisInstallation] = [
    await installPulsar(report),
    await installLocalStack(report),
    await installRedis(report),
  ];
  const ports = await freePulsarPorts();
  const startBroker = () =>
    startPulsar(pulsarInstallation, {
      directory: join(directory, "pulsar"),
      ports,
      tuning: options.tuning,
      settings: options.settings ?? {},
    });
  const redisDirectory = join(directory, "redis");
  const redisPort = await freePort();
  const redisProgram = survivingFileSizeLimits(redisInstallation, directory);
  const startStore = () =>
    startRedis(redisProgram, {
      directory: redisDirectory,
      port: redisPort,
      settings: options.redisSettings ?? {},
    });
  const started = await Promise.all([
    startBroker(),
    startLocalStack(localStackInstallation, { directory: join(directory, "localstack") }),
    startStore(),
  ]);
  let [pulsar, , redis] = started;
  const [, localStack] = started;
  await setUpTopics(pulsar.urls.admin, { partitions: options.partitions });
  const sqs = localSqsClient(localStack.urls.sqs);
  const queues = await createQueues(sqs);
  sqs.destroy();
  return {
    pulsar: () => pulsar,
    localStack: () => localStack,
    redis: () => redis,
    redisDirectory,
    async crashPulsar(downMs) {
      pulsar.kill("SIGKILL");
      await pulsar.stop();
      await new Promise((resume) => setTimeout(resume, downMs));
      pulsar = await startBroker();
    },
    async crashRedis(downMs) {
      redis.kill("SIGKILL");
      await redis.stop();
      await new Promise((resume) => setTimeout(resume, downMs));
      redis = await startStore();
    },
    async subscribe(subscription) {
      await setUpTopics(pulsar.urls.admin, { partitions: options.partitions, subscription });
    },
    urls: { admin: pulsar.urls.admin, sqs: localStack.urls.sqs, redis: redis.urls.redis },
    environment: {
      ...localAwsEnvironment,
      PULSAR_URL: options.transport === "native" ? pulsar.urls.pulsar : pulsar.urls.webSocket,
      SQS_QUEUE_URL: queues[updatesQueueName]!,
      REDIS_URL: redis.urls.redis,
    },
    async close() {
      const servers = [redis, localStack, pulsar];
      // Nothing of theirs is kept: an orderly end would only take longer.
      for (const server of servers) server.kill("SIGKILL");
      await Promise.all(servers.map((server) => server.stop()));
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/**
 * A write past a process's limit on the size of a file fails as on a full disk, but for a signal that ends the
 * process unless it is ignored; programs inherit that.
 */
function survivingFileSizeLimits(installation: RedisInstallation, directory: string): RedisInstallation {
  const program = join(directory, "redis-server.sh");
  writeFileSync(program, `#!/bin/sh\ntrap '' XFSZ\nexec '${installation.program}' "$@"\n`, { mode: 0o755 });
  return { ...installation, program };
}
