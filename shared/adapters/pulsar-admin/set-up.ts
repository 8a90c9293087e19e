/**
 * What Keyline needs of a Pulsar cluster: the ledger's namespace and topics, and the topic of the canaries.
 *
 * Limits of unacknowledged messages stay the broker's own. Key_Shared stops reading ahead at 2,000 messages a
 * consumer (20,000 a subscription) that wait for their key, long before the 50,000 unacknowledged a consumer
 * or 200,000 a subscription that block delivery, and a consumer's bounds in flight are below either.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Topic } from "../../ports/primary-queue.ts";
import { KeylineError } from "../../runtime/errors.ts";
import { DEAD_LETTER_SUBSCRIPTION } from "../../runtime/topics.ts";
import { createPulsarAdmin, type PulsarAdmin, type PulsarAdminOptions } from "./pulsar-admin.ts";

export type TopicSetUpOptions = PulsarAdminOptions & {
  /** `tenant/namespace` of the ledger; kept for good. */
  namespace?: string;
  /** `tenant/namespace` of the canaries; nothing is kept. */
  healthNamespace?: string;
  /** Of `updates`, when it is new; `updates-bulk` and `changes` get as many as that has. */
  partitions?: number;
  /** Of the topic of canaries, which gets more when it has fewer. */
  canaryPartitions?: number;
  /** The durable subscription on `updates` and on `updates-bulk`. */
  subscription?: string;
};

export type TopicSetUp = {
  updates: Topic;
  bulk: Topic;
  changes: Topic;
  deadLetter: Topic;
  canary: Topic;
  subscription: string;
  /** Of `updates` as it is: a topic that existed keeps its number. */
  partitions: number;
};

const unlimited = -1;
const canaryLifeSeconds = 60;
/** The message id before all others, as the admin API writes it. */
const earliest = { ledgerId: -1, entryId: -1, partitionIndex: -1 };
const busyStatus = 412;
const busyAttempts = 50;
const busyRetryMs = 100;

/**
 * Makes namespaces, topics and the subscriptions, as far as they are missing, and sets the namespaces' policies.
 * A subscription starts at the earliest message, so that nothing published before the first consumer is lost
 * from its view. May be called any number of times and by several processes at once.
 *
 * An `updates` topic that exists keeps its number of partitions: another number would move users to other
 * partitions while their earlier updates still wait in the old ones.
 * @throws KeylineError `pulsar_admin_unavailable`, `pulsar_admin_refused`.
 */
export async function setUpTopics(adminUrl: string, options: TopicSetUpOptions = {}): Promise<TopicSetUp> {
  const namespace = options.namespace ?? "public/keyline";
  const healthNamespace = options.healthNamespace ?? "public/keyline-health";
  const subscription = options.subscription ?? "audience-update";
  const admin = createPulsarAdmin(adminUrl, options);

  await ensureNamespace(admin, namespace);
  await ensureNamespace(admin, healthNamespace);
  await keepForGood(admin, namespace);
  await keepNothing(admin, healthNamespace);
  const partitions = await ensurePartitionedTopic(admin, `${namespace}/updates`, options.partitions ?? 4);
  await ensurePartitionedTopic(admin, `${namespace}/updates-bulk`, partitions);
  await ensurePartitionedTopic(admin, `${namespace}/changes`, partitions);
  await admin.create(`persistent/${namespace}/dead-letter`);
  await ensureAtLeast(admin, `${healthNamespace}/canaries`, options.canaryPartitions ?? 4);
  await ensureSubscription(admin, `${namespace}/updates`, subscription);
  await ensureSubscription(admin, `${namespace}/updates-bulk`, subscription);
  await ensureSubscription(admin, `${namespace}/dead-letter`, DEAD_LETTER_SUBSCRIPTION);
  return {
    updates: `persistent://${namespace}/updates`,
    bulk: `persistent://${namespace}/updates-bulk`,
    changes: `persistent://${namespace}/changes`,
    deadLetter: `persistent://${namespace}/dead-letter`,
    canary: `persistent://${healthNamespace}/canaries`,
    subscription,
    partitions,
  };
}

async function ensureNamespace(admin: PulsarAdmin, namespace: string): Promise<void> {
  const [tenant] = namespace.split("/");
  if ((await admin.find(`tenants/${tenant}`)) === undefined) {
    await admin.create(`tenants/${tenant}`, { allowedClusters: await admin.get<string[]>("clusters") });
  }
  await admin.create(`namespaces/${namespace}`);
}

async function keepForGood(admin: PulsarAdmin, namespace: string): Promise<void> {
  const policies = `namespaces/${namespace}`;
  // By default a subscription that is 10 GB behind makes the broker hold every producer: an outage of ours.
  const quota = { limitSize: unlimited, limitTime: unlimited, policy: "producer_request_hold" };
  await admin.set(`${policies}/backlogQuota?backlogQuotaType=destination_storage`, quota);
  await admin.set(`${policies}/retention`, {
    retentionTimeInMinutes: unlimited,
    retentionSizeInMB: unlimited,
  });
  await keepTopics(admin, namespace);
}

async function keepNothing(admin: PulsarAdmin, namespace: string): Promise<void> {
  await admin.set(`namespaces/${namespace}/retention`, { retentionTimeInMinutes: 0, retentionSizeInMB: 0 });
  await admin.set(`namespaces/${namespace}/messageTTL`, canaryLifeSeconds);
  await keepTopics(admin, namespace);
}

/** A topic neither comes by a misspelt name nor goes because nobody is connected. */
async function keepTopics(admin: PulsarAdmin, namespace: string): Promise<void> {
  await admin.set(`namespaces/${namespace}/autoTopicCreation`, { allowAutoTopicCreation: false });
  await admin.set(`namespaces/${namespace}/inactiveTopicPolicies`, {
    inactiveTopicDeleteMode: "delete_when_no_subscriptions",
    maxInactiveDurationSeconds: 60,
    deleteWhileInactive: false,
  });
}

async function ensurePartitionedTopic(
  admin: PulsarAdmin,
  topic: string,
  partitions: number,
): Promise<number> {
  await admin.create(`persistent/${topic}/partitions`, partitions);
  const existing = await admin.get<{ partitions: number }>(`persistent/${topic}/partitions`);
  return existing.partitions;
}

/** Several processes may do so at once: to give a topic as many as it has is no error. */
async function ensureAtLeast(admin: PulsarAdmin, topic: string, partitions: number): Promise<void> {
  if ((await ensurePartitionedTopic(admin, topic, partitions)) >= partitions) return;
  await admin.set(`persistent/${topic}/partitions`, partitions);
}

/** While another process makes the same subscription, the broker says that it is busy. */
async function ensureSubscription(admin: PulsarAdmin, topic: string, subscription: string): Promise<void> {
  const path = `persistent/${topic}/subscription/${encodeURIComponent(subscription)}`;
  for (let attempt = 1; ; attempt += 1) {
    try {
      await admin.create(path, earliest);
      return;
    } catch (thrown) {
      const busy = thrown instanceof KeylineError && thrown.value === busyStatus;
      if (!busy || attempt === busyAttempts) throw thrown;
      await delay(busyRetryMs);
    }
  }
}
