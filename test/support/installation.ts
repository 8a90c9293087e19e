import { randomBytes } from "node:crypto";
import { inject } from "vitest";
import { createQueue, localAwsEnvironment, localSqsClient } from "../../localstack/create-queues.ts";
import { setUpTopics } from "../../shared/adapters/pulsar-admin/set-up.ts";
import { type ConnectedPublisher, connectPublisher } from "../../shared/publish/connect-publisher.ts";
import { createLog } from "../../shared/runtime/log.ts";
import { healthNamespaceOf } from "../../shared/runtime/topics.ts";

/** One installation of Keyline on the test run's servers: a namespace, queues and a key prefix of its own. */
export type Installation = {
  namespace: string;
  redisKeyPrefix: string;
  /** What its services and publishers need in their environment. */
  environment: Record<string, string>;
};

/** For services: on two cores under load a slow answer of Pulsar must not pass for an outage. */
export const patientEnvironment = {
  PULSAR_SEND_TIMEOUT_MS: "5000",
  PUBLISH_DEADLINE_MS: "10000",
  CANARY_TIMEOUT_MS: "5000",
};

/** The same for publishers. */
export const patientSettings = {
  pulsarSendTimeoutMs: 5_000,
  publishDeadlineMs: 10_000,
  canaryTimeoutMs: 5_000,
};

export async function createInstallation(): Promise<Installation> {
  const servers = inject("servers");
  const name = `test-${randomBytes(5).toString("hex")}`;
  const namespace = `public/${name}`;
  const sqs = localSqsClient(servers.sqsEndpoint);
  const queueUrl = await createQueue(sqs, `${name}.fifo`);
  await Promise.all(["ledger", "changes"].map((of) => createQueue(sqs, `${name}-${of}.fifo`)));
  sqs.destroy();
  await setUpTopics(servers.pulsarAdminUrl, {
    namespace,
    healthNamespace: healthNamespaceOf(namespace),
    partitions: 2,
  });
  const redisKeyPrefix = `${name}:`;
  return {
    namespace,
    redisKeyPrefix,
    environment: {
      ...localAwsEnvironment,
      PULSAR_URL: servers.pulsarWebSocketUrl,
      PULSAR_NAMESPACE: namespace,
      SQS_QUEUE_URL: queueUrl,
      REDIS_URL: servers.redisUrl,
      REDIS_KEY_PREFIX: redisKeyPrefix,
    },
  };
}

/** A publisher of the installation; silent, and with the defaults but for `settings`. */
export function connectTo(
  { environment, namespace, redisKeyPrefix }: Installation,
  settings: Parameters<typeof connectPublisher>[0] = {},
): Promise<ConnectedPublisher> {
  return connectPublisher(
    {
      pulsarUrl: environment.PULSAR_URL!,
      pulsarNamespace: namespace,
      sqsQueueUrl: environment.SQS_QUEUE_URL!,
      redisUrl: environment.REDIS_URL!,
      redisKeyPrefix,
      ...settings,
    },
    createLog("test", "fatal"),
  );
}
