/** Keyline itself: the audience-update service as a process of its own, and the publisher of this library. */
import { setTimeout as sleep } from "node:timers/promises";
import { createQueue, localSqsClient } from "../../localstack/create-queues.ts";
import { waitingQueueUrls } from "../../services/audience-update/waiting-queues.ts";
import { openStores } from "../../shared/adapters/open.ts";
import type { Update } from "../../shared/domain/envelope.ts";
import { decodeProfile } from "../../shared/domain/profile-record.ts";
import {
  type ConnectedPublisher,
  connectPublisher,
  PublishError,
  type Receipt,
} from "../../shared/publish/connect-publisher.ts";
import { createLog } from "../../shared/runtime/log.ts";
import { messagesIn } from "../../test/support/queue-depth.ts";
import type { RealStack } from "../../test/support/real-stack.ts";
import { startService } from "../../test/support/service-process.ts";
import { until } from "../../test/support/until.ts";
import { visible } from "../../test/support/visible.ts";
import { counted } from "../end-to-end.ts";
import { withOwnTopics } from "../own-topics.ts";
import type { KeptProfile, OpenPeer, Peer, PeerConsumer } from "./peer.ts";
import { CONNECTIONS, openBacklog, PARTITIONS } from "./pulsar.ts";

const SUBSCRIPTION = "keyline";
const TENANT = "bench";
const READ_AT_ONCE = 100;

export const keyline: Peer = {
  name: "keyline",
  async open(stack, run) {
    const own = await withOwnTopics(stack, `public/${run}`, PARTITIONS);
    const sqsQueueUrl = await createOwnQueues(stack, run);
    const environment = {
      ...own.environment,
      SQS_QUEUE_URL: sqsQueueUrl,
      PULSAR_CONNECTIONS: String(CONNECTIONS),
      PULSAR_SUBSCRIPTION: SUBSCRIPTION,
      REDIS_KEY_PREFIX: `${run}:`,
    };
    const backlog = await openBacklog(own, SUBSCRIPTION, { packed: true });
    const profiles = openProfiles(stack.urls.redis, `${run}:`);
    let publisher: Promise<ConnectedPublisher> | undefined;
    const publish = async (update: Update) => {
      publisher ??= openPublisher(environment);
      await publishUntilTaken(await publisher, update);
    };
    return {
      fill: backlog.fill,
      startConsumer: async () => consumerOf(environment, backlog.letGo),
      publish,
      async publishVisibly(update) {
        await publish(update);
        await until(
          `${update.userId} is visible`,
          async () => (await profiles.read([update.userId])).size === 1,
          {
            everyMs: 1,
          },
        );
      },
      async waiting() {
        const { ledger, changes } = waitingQueueUrls({
          sqsQueueUrl,
          sqsLedgerQueueUrl: "",
          sqsChangesQueueUrl: "",
        });
        const queues = await Promise.all([sqsQueueUrl, ledger, changes].map(messagesIn));
        return queues.reduce((sum, count) => sum + count, await backlog.waiting());
      },
      read: profiles.read,
      maxConsumers: 2,
      broker: stack.pulsar(),
      servers: { pulsar: stack.pulsar(), redis: stack.redis(), localstack: stack.localStack() },
      async close() {
        await (await publisher)?.close();
        await backlog.close();
        await profiles.close();
      },
    } satisfies OpenPeer;
  },
};

async function consumerOf(
  environment: Record<string, string>,
  letGo: () => Promise<void>,
): Promise<PeerConsumer> {
  const { pid, adminUrl, kill, exited } = await startService(environment, "/dev/null");
  const applied = async () => {
    const { pulsar, sqs } = await counted(adminUrl);
    return pulsar + sqs;
  };
  return {
    ...{ pid, kill, exited, applied },
    async letGo() {
      // The process is up before it is connected, and of a subscription without anybody the broker keeps nothing in memory.
      await until("the service is connected", () => isConnected(adminUrl), { everyMs: 10 });
      await letGo();
    },
  };
}

async function isConnected(adminUrl: string): Promise<boolean> {
  const { checks } = (await (await fetch(`${adminUrl}/readyz`)).json()) as { checks: { pulsar: string } };
  return checks.pulsar === "ok";
}

/** The updates queue of a run, and the two that its service wants beside it. */
async function createOwnQueues(stack: RealStack, run: string): Promise<string> {
  const sqs = localSqsClient(stack.urls.sqs);
  try {
    const [updates] = await Promise.all(
      ["", "-ledger", "-changes"].map((kind) => createQueue(sqs, `${run}${kind}.fifo`)),
    );
    return updates!;
  } finally {
    sqs.destroy();
  }
}

/** As the publisher's documentation says: `resend` under the same identity until a path has it. */
async function publishUntilTaken(publisher: ConnectedPublisher, update: Update): Promise<void> {
  const again = async (error: unknown): Promise<Receipt> => {
    if (!(error instanceof PublishError)) throw error;
    await sleep(100);
    return publisher.resend(error.update).catch(again);
  };
  const { tenant, userId, ops, at } = update;
  await publisher.publish({ tenant, userId, ops, at }).catch(again);
}

function openPublisher(environment: Record<string, string>): Promise<ConnectedPublisher> {
  Object.assign(process.env, environment);
  return connectPublisher({}, createLog("bench", "fatal"));
}

function openProfiles(redisUrl: string, redisKeyPrefix: string) {
  const { store, connection } = openStores({ redisUrl, redisKeyPrefix, redisCommandTimeoutMs: 10_000 });
  return {
    async read(userIds: readonly string[]): Promise<Map<string, KeptProfile>> {
      await until("Redis is connected", () => store.ping().then(() => true), { everyMs: 1 });
      const found = new Map<string, KeptProfile>();
      for (let from = 0; from < userIds.length; from += READ_AT_ONCE) {
        const some = userIds.slice(from, from + READ_AT_ONCE);
        const records = await Promise.all(some.map((userId) => store.load({ tenant: TENANT, userId })));
        for (const [index, record] of records.entries()) {
          if (record === undefined) continue;
          const { attributes, events } = visible(decodeProfile(record.machinery).profile);
          found.set(some[index]!, { attributes, events });
        }
      }
      return found;
    },
    async close() {
      await store.close();
      await connection.close();
    },
  };
}
