/**
 * A lock in Redis around each read, change and write, with updates from SQS: the design that Keyline replaces. The queue
 * is a standard one. It is the lock that such a design has for exclusion, and a FIFO queue with a group for each user
 * would make it needless; the price is that a standard queue keeps no order.
 *
 * redlock 5 as its README says: `using` with its default settings (10 retries, 200 ms apart), a lock of 5 s on the user.
 * SQS as its guide for throughput says: several receivers with long polling, 10 messages a call, deleted by batches once
 * applied; the visibility timeout is the default of 30 s, longer than a lock. A message whose lock is not had is left,
 * and so comes again after that time. The AWS SDK's own retries (3 attempts) publish.
 */
import { setTimeout as sleep } from "node:timers/promises";
import {
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  type SQSClient,
} from "@aws-sdk/client-sqs";
import Redlock from "redlock";
import { localSqsClient } from "../../localstack/create-queues.ts";
import type { Update } from "../../shared/domain/envelope.ts";
import { messagesIn } from "../../test/support/queue-depth.ts";
import { type ConsumerTask, startConsumerProcess, untilLetGo } from "./consumer-process.ts";
import type { OpenPeer, Peer } from "./peer.ts";
import { openRedisProfiles } from "./redis-profiles.ts";
import { sendAll } from "./user-lines.ts";

/** The most that SQS takes, gives or deletes in a call. */
const BATCH = 10;
const FILLED_AT_ONCE = 4;
/** Receivers side by side in one consumer, so 80 updates in hand. */
const RECEIVERS = 8;
const LONG_POLL_SECONDS = 20;
const LOCK_MS = 5_000;
const RETRY_AFTER_MS = 100;

export const redlock: Peer = {
  name: "redlock",
  async open(stack, run) {
    const sqs = localSqsClient(stack.urls.sqs);
    const { QueueUrl: queueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: run }));
    const profiles = openRedisProfiles(stack.urls.redis, run);
    const publish = async (update: Update) => {
      for (;;) {
        try {
          await sqs.send(new SendMessageCommand({ QueueUrl: queueUrl, MessageBody: JSON.stringify(update) }));
          return;
        } catch {
          await sleep(RETRY_AFTER_MS);
        }
      }
    };
    return {
      fill: (updates) => sendAll(batchesOf(updates), FILLED_AT_ONCE, (batch) => send(sqs, queueUrl!, batch)),
      startConsumer: ({ traced = false } = {}) =>
        startConsumerProcess(import.meta.url, { run, traced, queueUrl: queueUrl! }, stack.environment),
      publish,
      async publishVisibly(update) {
        await publish(update);
        await profiles.untilThere(update.userId);
      },
      waiting: () => messagesIn(queueUrl!),
      read: profiles.read,
      overlapped: profiles.overlapped,
      maxConsumers: 2,
      broker: stack.localStack(),
      servers: { localstack: stack.localStack(), redis: stack.redis() },
      async close() {
        sqs.destroy();
        await profiles.close();
      },
    } satisfies OpenPeer;
  },
};

function batchesOf<T>(all: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(all.length / BATCH) }, (_, n) =>
    all.slice(n * BATCH, (n + 1) * BATCH),
  );
}

async function send(sqs: SQSClient, queueUrl: string, updates: readonly Update[]): Promise<void> {
  const entries = updates.map((update, n) => ({ Id: String(n), MessageBody: JSON.stringify(update) }));
  const { Failed = [] } = await sqs.send(
    new SendMessageBatchCommand({ QueueUrl: queueUrl, Entries: entries }),
  );
  if (Failed.length > 0) throw new Error(`SQS refused ${Failed.length} messages: ${Failed[0]!.Message}`);
}

if (import.meta.main) await consume(JSON.parse(process.argv[2]!) as ConsumerTask & { queueUrl: string });

async function consume({
  run,
  traced = false,
  queueUrl,
}: ConsumerTask & { queueUrl: string }): Promise<void> {
  const profiles = openRedisProfiles(process.env.REDIS_URL!, run, traced);
  const locks = new Redlock([profiles.redis]);
  // It tells each lock that is held already; the call rejects if it stays so.
  locks.on("error", () => {});
  const sqs = localSqsClient(new URL(queueUrl).origin);
  const countApplied = await untilLetGo();

  const apply = async ({ Body }: Message) => {
    const update = JSON.parse(Body!) as Update;
    await locks.using([`${run}:lock:${update.userId}`], LOCK_MS, async (signal) => {
      await profiles.apply(update);
      if (signal.aborted) throw signal.error;
    });
    countApplied();
  };

  const receiver = async () => {
    for (;;) {
      try {
        const { Messages = [] } = await sqs.send(
          new ReceiveMessageCommand({
            QueueUrl: queueUrl,
            MaxNumberOfMessages: BATCH,
            WaitTimeSeconds: LONG_POLL_SECONDS,
          }),
        );
        const applied = await Promise.allSettled(Messages.map(apply));
        const entries = Messages.filter((_, n) => applied[n]!.status === "fulfilled").map(
          ({ ReceiptHandle }, n) => ({ Id: String(n), ReceiptHandle: ReceiptHandle! }),
        );
        if (entries.length > 0)
          await sqs.send(new DeleteMessageBatchCommand({ QueueUrl: queueUrl, Entries: entries }));
      } catch {
        await sleep(RETRY_AFTER_MS);
      }
    }
  };
  await Promise.all(Array.from({ length: RECEIVERS }, receiver));
}
