/**
 * A plain Pulsar consumer: Key_Shared, one GET and one SET an update. It is what a team writes from Pulsar's page on
 * Key_Shared (one message of a key at a time, others side by side, each acknowledged once it is applied), on this
 * project's own WebSocket client, the same transport as Keyline's. Nothing in it knows what was applied before.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { MAX_PREFETCHED } from "../../services/audience-update/open-consumers.ts";
import { createPulsarAdmin } from "../../shared/adapters/pulsar-admin/pulsar-admin.ts";
import { subscriptionBacklog } from "../../shared/adapters/pulsar-admin/subscription-backlog.ts";
import { type Update, userKey } from "../../shared/domain/envelope.ts";
import type { OutgoingMessage } from "../../shared/ports/update-queue.ts";
import type { RealStack } from "../../test/support/real-stack.ts";
import { holdSubscription } from "../held-subscription.ts";
import { withOwnTopics } from "../own-topics.ts";
import { inPacks } from "../prefill.ts";
import { openUpdatesTopic, untilConnected } from "../updates-topic.ts";
import { type ConsumerTask, startConsumerProcess, untilLetGo } from "./consumer-process.ts";
import type { OpenPeer, Peer } from "./peer.ts";
import { openRedisProfiles } from "./redis-profiles.ts";
import { createUserLines, sendAll } from "./user-lines.ts";

export const PARTITIONS = 4;
export const CONNECTIONS = 4;
const SUBSCRIPTION = "peer";
/** Sends under way while the backlog is filled. */
const FILLED_AT_ONCE = 2_000;
/** Pulsar's own default: a send that has no answer by then is given up. */
const SEND_TIMEOUT_MS = 30_000;
const RETRY_AFTER_MS = 100;
/** As many as Redis answers in one go keep both busy; more only wait. */
const MAX_IN_FLIGHT = 500;

export const pulsar: Peer = {
  name: "pulsar",
  async open(stack, run) {
    const own = await withOwnTopics(stack, `public/${run}`, PARTITIONS);
    const backlog = await openBacklog(own, SUBSCRIPTION);
    const profiles = openRedisProfiles(stack.urls.redis, run);
    const lines = createUserLines();
    // One at a time for each user, so that a retry overtakes nothing.
    const publish = (update: Update) =>
      lines.run(update.userId, () => sendUntilTaken(backlog, messageOf(update)));
    return {
      fill: backlog.fill,
      async startConsumer({ traced = false } = {}) {
        const consumer = await startConsumerProcess(import.meta.url, { run, traced }, own.environment);
        await backlog.letGo();
        return consumer;
      },
      publish,
      async publishVisibly(update) {
        await publish(update);
        await profiles.untilThere(update.userId);
      },
      waiting: backlog.waiting,
      read: profiles.read,
      overlapped: profiles.overlapped,
      maxConsumers: 2,
      broker: stack.pulsar(),
      servers: { pulsar: stack.pulsar(), redis: stack.redis() },
      async close() {
        await backlog.close();
        await profiles.close();
      },
    } satisfies OpenPeer;
  },
};

export type Backlog = Pick<OpenPeer, "fill" | "waiting" | "close"> & {
  send(message: OutgoingMessage): Promise<void>;
  /** Leaves the subscription to the consumers that are connected by now. */
  letGo(): Promise<void>;
};

/**
 * A topic with a subscription that somebody is connected to who takes nothing (`held-subscription.ts` says why) until
 * it is let go.
 *
 * @param how.packed it is filled as Keyline's own publishers send
 */
export async function openBacklog(
  on: RealStack,
  subscription: string,
  { packed = false }: { packed?: boolean } = {},
): Promise<Backlog> {
  const letGo = await holdSubscription(on, subscription);
  let held = true;
  const { queue, topic } = await openUpdatesTopic(on.environment);
  const producer = queue.producer({ topic, sendTimeoutMs: SEND_TIMEOUT_MS, maxPending: 20_000 });
  await untilConnected(producer);
  const admin = createPulsarAdmin(on.urls.admin);
  const filling = packed ? inPacks(producer) : producer;
  const release = async () => {
    if (held) await letGo();
    held = false;
  };
  return {
    send: (message) => producer.send(message),
    fill: (updates) => sendAll(updates, FILLED_AT_ONCE, (update) => filling.send(messageOf(update))),
    letGo: release,
    async waiting() {
      const { messages } = await subscriptionBacklog(admin, topic, subscription);
      return messages.reduce((sum, count) => sum + count, 0);
    },
    async close() {
      await release();
      await queue.close();
    },
  };
}

function messageOf(update: Update): OutgoingMessage {
  const key = userKey(update.tenant, update.userId);
  return { key, payload: JSON.stringify(update), deduplicationId: `${key} ${update.seq}` };
}

async function sendUntilTaken(backlog: Backlog, message: OutgoingMessage): Promise<void> {
  for (;;) {
    try {
      return await backlog.send(message);
    } catch {
      await sleep(RETRY_AFTER_MS);
    }
  }
}

if (import.meta.main) await consume(JSON.parse(process.argv[2]!) as ConsumerTask);

async function consume({ run, traced = false }: ConsumerTask): Promise<void> {
  const profiles = openRedisProfiles(process.env.REDIS_URL!, run, traced);
  const { queue, topic } = await openUpdatesTopic(process.env);
  const consumer = queue.consumer({
    topic,
    subscription: SUBSCRIPTION,
    connections: CONNECTIONS,
    maxPrefetched: MAX_PREFETCHED,
  });
  await untilConnected(consumer);
  const countApplied = await untilLetGo();
  const lines = createUserLines();
  let inFlight = 0;
  let oneEnded = Promise.withResolvers<void>();
  for (;;) {
    for (const delivery of await consumer.receive(MAX_IN_FLIGHT - inFlight)) {
      inFlight += 1;
      void lines.run(delivery.key, async () => {
        await profiles.apply(JSON.parse(delivery.payload) as Update);
        await consumer.acknowledge([delivery]);
        countApplied();
        inFlight -= 1;
        oneEnded.resolve();
      });
    }
    while (inFlight >= MAX_IN_FLIGHT) {
      oneEnded = Promise.withResolvers<void>();
      await oneEnded.promise;
    }
  }
}
