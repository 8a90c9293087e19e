import type { LedgerPosition, OutgoingMessage } from "../../ports/update-queue.ts";
import { createFifo } from "../../runtime/fifo.ts";
import { createSubscription, type Subscription } from "./memory-broker-subscription.ts";

/** One message in a topic. */
export type Entry = {
  key: string;
  hash: number;
  payload: string;
  sizeBytes: number;
  publishTimeMs: number;
  position: LedgerPosition;
  /** Counts the topic's messages, whatever their partition. */
  sequence: number;
  /** Subscriptions that have not acknowledged it. */
  neededBy: number;
  dropped: boolean;
};

export type TopicOptions = {
  partitions: number;
  /** Messages that no subscription needs and that are kept all the same, for a subscription still to come. */
  maxRetainedMessages: number;
  /** Messages that a subscription has not acknowledged; at the bound a send is refused. */
  maxBacklogMessages: number;
};

export type MemoryTopic = {
  /** False when the backlog is full. */
  append(message: OutgoingMessage, publishTimeMs: number): boolean;
  /** The subscription of this name; a new one starts at the earliest message. */
  subscription(name: string): Subscription;
  /** Is called with each message that is appended from now on; returns what ends that. */
  follow(onAppend: (entry: Entry) => void): () => void;
  dispatchAll(): void;
};

/** Dropped messages are swept out of the log when they are at least so many and half of it. */
const MIN_SWEEP = 1_024;

export function createMemoryTopic(options: TopicOptions, stalled: () => boolean): MemoryTopic {
  let log: Entry[] = [];
  let droppedInLog = 0;
  /** In the order in which they became so; may contain some that a new subscription needs again. */
  const unneeded = createFifo<Entry>();
  let backlog = 0;
  let sequence = 0;
  const nextEntryIds = new Array<number>(options.partitions).fill(0);
  const subscriptions = new Map<string, Subscription>();
  const followers = new Set<(entry: Entry) => void>();

  function entryOf(message: OutgoingMessage, publishTimeMs: number): Entry {
    const hash = hashOf(message.key);
    const partition = hash % options.partitions;
    return {
      key: message.key,
      hash,
      payload: message.payload,
      sizeBytes: Buffer.byteLength(message.payload),
      publishTimeMs,
      position: { partition, ledgerId: 1, entryId: nextEntryIds[partition]!++, batchIndex: 0 },
      sequence: sequence++,
      neededBy: subscriptions.size,
      dropped: false,
    };
  }

  function becomeUnneeded(entry: Entry): void {
    unneeded.push(entry);
    while (unneeded.size() > options.maxRetainedMessages) drop(unneeded.shift()!);
  }

  function drop(entry: Entry): void {
    if (entry.neededBy > 0 || entry.dropped) return;
    entry.dropped = true;
    droppedInLog += 1;
    if (droppedInLog < MIN_SWEEP || droppedInLog * 2 < log.length) return;
    log = log.filter((kept) => !kept.dropped);
    droppedInLog = 0;
  }

  function acknowledged(entry: Entry): void {
    entry.neededBy -= 1;
    if (entry.neededBy > 0) return;
    backlog -= 1;
    becomeUnneeded(entry);
  }

  function subscribe(): Subscription {
    const subscription = createSubscription(stalled, acknowledged);
    for (const entry of log) {
      if (entry.dropped) continue;
      if (entry.neededBy === 0) backlog += 1;
      entry.neededBy += 1;
      subscription.add(entry);
    }
    return subscription;
  }

  return {
    append(message, publishTimeMs) {
      if (backlog >= options.maxBacklogMessages) return false;
      const entry = entryOf(message, publishTimeMs);
      log.push(entry);
      if (entry.neededBy > 0) backlog += 1;
      else becomeUnneeded(entry);
      for (const subscription of subscriptions.values()) subscription.add(entry);
      for (const onAppend of followers) onAppend(entry);
      return true;
    },
    subscription(name) {
      const known = subscriptions.get(name);
      if (known !== undefined) return known;
      const created = subscribe();
      subscriptions.set(name, created);
      return created;
    },
    follow(onAppend) {
      followers.add(onAppend);
      return () => followers.delete(onAppend);
    },
    dispatchAll() {
      for (const subscription of subscriptions.values()) subscription.dispatchAll();
    },
  };
}

/** FNV-1a with the last step of MurmurHash3, so that also the upper bits of similar keys differ. */
function hashOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < key.length; index++) {
    hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
