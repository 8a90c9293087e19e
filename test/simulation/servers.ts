/** The simulated servers, with the checks that belong to every single acknowledgement. */

import type { Update } from "../../shared/domain/envelope.ts";
import { checkAcknowledgement, checkCompleted, checkKept } from "./checks.ts";
import { createDefinitions, type SimulatedDefinitions } from "./definitions.ts";
import { isPoison } from "./load.ts";
import { announcementNameOf, checkAnnounced, createIndex, tickNameOf } from "./membership-checks.ts";
import type { Content, World } from "./network.ts";
import { topics } from "./processes.ts";
import { createSimulatedPulsar, type SimulatedPulsar } from "./simulated-pulsar.ts";
import { createSimulatedRedis, type SimulatedRedis } from "./simulated-redis.ts";
import { createSimulatedQueue, type SimulatedQueue } from "./simulated-sqs.ts";

export type Servers = {
  pulsar: SimulatedPulsar;
  updates: SimulatedQueue;
  ledgerQueue: SimulatedQueue;
  changesQueue: SimulatedQueue;
  redis: SimulatedRedis;
  definitions: SimulatedDefinitions;
  /** Payloads of messages that were parked. */
  deadLettered(): ReadonlySet<string>;
  isInLedger(message: Content): boolean;
  /** Whether the topic of membership changes has it. */
  isAnnounced(message: Content): boolean;
};

const MAX_PREFETCHED = 50;

export function createServers(world: World): Servers {
  const redis = createSimulatedRedis(world, ({ userId, dueMs }) => {
    if (!ticks().has(`${userId} ${dueMs}`))
      world.violate("ticks", `taken out before its tick was durable: ${userId} at ${dueMs}`);
  });
  const definitions = createDefinitions(world, redis);
  function onAcknowledge(delivery: Content): void {
    checkAcknowledgement(world, redis, delivery, deadLettered);
    if (isPoison(delivery.payload)) return;
    checkAnnounced(world, redis, definitions, JSON.parse(delivery.payload) as Update, announced);
  }
  const pulsar = createSimulatedPulsar(world, onAcknowledge);
  const ledgerQueue = createSimulatedQueue(world, {
    maxPrefetched: MAX_PREFETCHED,
    onAcknowledge: (delivery) => checkCompleted(world, delivery, isInLedger),
  });
  const changesQueue = createSimulatedQueue(world, {
    maxPrefetched: MAX_PREFETCHED,
    onAcknowledge: (delivery) => checkCompleted(world, delivery, isAnnounced),
  });
  const updates = createSimulatedQueue(world, {
    maxPrefetched: MAX_PREFETCHED,
    onAcknowledge(delivery) {
      onAcknowledge(delivery);
      checkKept(world, delivery, ledgerQueue.took, deadLettered);
    },
  });

  const announced = createIndex(
    [() => pulsar.ledger(topics.changes), changesQueue.taken],
    announcementNameOf,
  );
  const ticks = createIndex([() => pulsar.ledger(topics.updates), updates.taken], tickNameOf);
  const parked = new Set<string>();
  let lettersRead = 0;
  function deadLettered(): ReadonlySet<string> {
    const letters = pulsar.ledger(topics.deadLetter);
    for (; lettersRead < letters.length; lettersRead += 1)
      parked.add((JSON.parse(letters[lettersRead]!.payload) as { payload: string }).payload);
    return parked;
  }

  function isInLedger(message: Content): boolean {
    return pulsar.took(topics.updates, message) || pulsar.took(topics.bulk, message);
  }

  function isAnnounced(message: Content): boolean {
    return pulsar.took(topics.changes, message);
  }

  return {
    pulsar,
    updates,
    ledgerQueue,
    changesQueue,
    redis,
    definitions,
    deadLettered,
    isInLedger,
    isAnnounced,
  };
}
