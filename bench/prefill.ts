import { type Update, userKey } from "../shared/domain/envelope.ts";
import type { Producer } from "../shared/ports/update-queue.ts";
import { createSendInPacks } from "../shared/publish/send-in-packs.ts";
import { publisherSettings } from "../shared/runtime/publisher-settings.ts";
import { createBenchUpdates, type Users } from "./updates.ts";
import { openUpdatesTopic, untilConnected } from "./updates-topic.ts";

type Prefilled = { perSecond: number; meanBytes: number };

const UNDER_WAY = 2_000;
const SEND_TIMEOUT_MS = 60_000;
const KEY_GROUPS = Number(publisherSettings.keyGroups.default);

/**
 * Publishes updates as fast as the broker takes them.
 * @param options.onUpdate called with each, before it is sent
 * @returns updates a second and their mean size.
 */
export async function prefill(
  producer: Pick<Producer, "send">,
  { updates, userOf, onUpdate }: { updates: number; userOf: Users; onUpdate?: (update: Update) => void },
): Promise<Prefilled> {
  const next = createBenchUpdates(userOf);
  const startedAtMs = performance.now();
  let number = 0;
  let bytes = 0;
  const lane = async () => {
    while (number < updates) {
      const update = next(number);
      number += 1;
      onUpdate?.(update);
      const payload = JSON.stringify(update);
      bytes += Buffer.byteLength(payload);
      const key = userKey(update.tenant, update.userId);
      await producer.send({ key, payload, deduplicationId: `${key} ${update.seq}` });
    }
  };
  await Promise.all(Array.from({ length: UNDER_WAY }, lane));
  return {
    perSecond: (updates / (performance.now() - startedAtMs)) * 1_000,
    meanBytes: bytes / updates,
  };
}

/** As a publisher of ours sends that has many updates at hand. */
export function inPacks({ send }: Producer): Pick<Producer, "send"> {
  const bounds = { keyGroups: KEY_GROUPS, maxPending: UNDER_WAY, turnWithinMs: SEND_TIMEOUT_MS };
  return { send: createSendInPacks(send, bounds) };
}

/**
 * The same to the topic that a service with this environment consumes, by default as a publisher of ours sends as much.
 *
 * @param options.single each update is a message by itself, keyed by its user
 */
export async function fillBacklog(
  environment: Record<string, string | undefined>,
  { updates, userOf, single = false }: { updates: number; userOf: Users; single?: boolean },
): Promise<Prefilled> {
  const { queue, topic } = await openUpdatesTopic(environment);
  const producer = queue.producer({ topic, sendTimeoutMs: SEND_TIMEOUT_MS, maxPending: UNDER_WAY });
  await untilConnected(producer);
  console.log(`publishing ${updates} updates to ${topic}`);
  const filled = await prefill(single ? producer : inPacks(producer), { updates, userOf });
  await queue.close();
  return filled;
}
