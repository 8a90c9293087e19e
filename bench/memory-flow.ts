import { Registry } from "prom-client";
import { createDeadLetterOffice } from "../services/audience-update/dead-letter.ts";
import { createHotUsers } from "../services/audience-update/hot-users.ts";
import { consumerSettings } from "../services/audience-update/settings.ts";
import { createEffectRunner } from "../services/audience-update/turn-effects.ts";
import { createUpdateFlow, type FlowLimits } from "../services/audience-update/update-flow.ts";
import { createUpdateMetrics } from "../services/audience-update/update-metrics.ts";
import { createMemoryDueStore } from "../shared/adapters/memory/memory-due-store.ts";
import { createMemoryMemberStore } from "../shared/adapters/memory/memory-member-store.ts";
import type { CompiledDefinitions } from "../shared/domain/definitions/compile.ts";
import { type Update, userKey } from "../shared/domain/envelope.ts";
import type { ProfileStore } from "../shared/ports/profile-store.ts";
import type { Consumer, Delivery } from "../shared/ports/update-queue.ts";
import { sharedSettings } from "../shared/runtime/connection-settings.ts";
import { publisherSettings } from "../shared/runtime/publisher-settings.ts";
import { readSettings } from "../shared/runtime/settings.ts";

/** The service's whole flow, with its default settings, fed from memory. */

const MAX_ENTRIES = 1_000_000;

/** The defaults. */
export const flowSettings = readSettings(
  { ...consumerSettings, ...publisherSettings, ...sharedSettings },
  {},
);
const limits: FlowLimits = {
  ...flowSettings,
  horizonMs: flowSettings.horizonDays * 86_400_000,
  idMemoryMs: flowSettings.idMemoryHours * 3_600_000,
  maxIds: flowSettings.maxRememberedIds,
};

/**
 * Messages as a consumer of Pulsar has them.
 *
 * @param from the number of the first; each user's numbers are dense as long as `next` is the same.
 */
export function deliveriesOf(next: (number: number) => Update, from: number, count: number): Delivery[] {
  return Array.from({ length: count }, (_, index) => {
    const number = from + index;
    const update = next(number);
    const payload = JSON.stringify(update);
    return {
      path: "pulsar",
      key: userKey(update.tenant, update.userId),
      payload,
      sizeBytes: Buffer.byteLength(payload),
      publishTimeMs: update.at,
      position: { partition: 0, ledgerId: 1, entryId: number, batchIndex: 0 },
      handle: number,
    };
  });
}

export type MemoryFlow = {
  /** Resolves once each of the messages is acknowledged. @throws where the store fails, or a message is parked */
  drain(deliveries: readonly Delivery[]): Promise<void>;
  close(): Promise<void>;
};

/**
 * A flow that begins with an empty cache. Members and due moments stay in memory, and what would be announced is taken
 * to be durable at once.
 */
export function createMemoryFlow(options: {
  store: ProfileStore;
  definitions: CompiledDefinitions;
}): MemoryFlow {
  const { store, definitions } = options;
  const failed = Promise.withResolvers<never>();
  const fail = (error: Error) => failed.reject(error);
  const metrics = createUpdateMetrics(new Registry(), () => flow.counts());
  const source = createSource();
  const flow = createUpdateFlow({
    primary: source.consumer,
    bulk: { ...source.consumer, receive: idle },
    fallback: { ...source.consumer, receive: idle, async release() {} },
    store,
    deadLetters: createDeadLetterOffice({
      producer: { async send() {}, connected: () => true, async close() {} },
      now: Date.now,
      restMs: () => 0,
      onParked: ({ message }) => fail(new Error(`parked: ${message}`)),
      onError: () => {},
    }),
    keeper: { keep: async () => true, close() {} },
    definitions: { isFresh: () => true, async refresh() {}, of: () => definitions },
    effects: createEffectRunner({
      dueStore: createMemoryDueStore({ maxEntries: MAX_ENTRIES }),
      memberStore: createMemoryMemberStore({ maxEntries: MAX_ENTRIES }),
      announcer: { announce: async () => true },
      restMs: () => 0,
      onError: (error) => fail(error as Error),
    }),
    hotUsers: createHotUsers({ policyOf: () => undefined, now: () => performance.now() }),
    limits,
    metrics,
    now: Date.now,
    onStoreFailure: fail,
  });
  flow.start();
  return {
    drain: (deliveries) => Promise.race([source.give(deliveries), failed.promise]),
    async close() {
      await flow.drain(0);
    },
  };
}

/** A consumer that has everything at hand. */
function createSource(): { consumer: Consumer; give(deliveries: readonly Delivery[]): Promise<void> } {
  let waiting: readonly Delivery[] = [];
  let next = 0;
  let unacknowledged = 0;
  let given = Promise.withResolvers<void>();
  let drained = Promise.withResolvers<void>();
  const consumer: Consumer = {
    async receive(max) {
      while (next >= waiting.length) await given.promise;
      const taken = waiting.slice(next, next + max);
      next += taken.length;
      return taken;
    },
    async acknowledge(done) {
      unacknowledged -= done.length;
      if (unacknowledged === 0) drained.resolve();
    },
    connected: () => true,
    pause() {},
    async close() {},
  };
  return {
    consumer,
    give(deliveries) {
      [waiting, next, unacknowledged] = [deliveries, 0, deliveries.length];
      drained = Promise.withResolvers();
      given.resolve();
      given = Promise.withResolvers();
      return drained.promise;
    },
  };
}

function idle(): Promise<Delivery[]> {
  return new Promise(() => {});
}
