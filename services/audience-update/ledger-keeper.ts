/**
 * Keeps what came over the fallback queue for the ledger. A message that was applied is not acknowledged before a
 * copy of it is durable in the ledger queue, from which `queue-completion.ts` publishes it to its Pulsar topic. A
 * crash in between delivers the message again, and it is kept again; the ledger may then hold it twice, under one
 * identity.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Delivery, OutgoingMessage, Producer } from "../../shared/ports/update-queue.ts";
import { createAdaptiveLimit } from "../../shared/runtime/adaptive-limit.ts";

export type LedgerKeeper = {
  /** Tries until a copy of the message is durable, then resolves with true; with false only after `close`. */
  keep(delivery: Delivery): Promise<boolean>;
  /** Gives up what is not kept yet. */
  close(): void;
};

/**
 * Copies sent to each queue and not answered at once, at most; the others wait, so that a burst is not taken for a sick
 * queue. They travel in packs, so these are some twenty requests.
 */
const MAX_UNDER_WAY = 2_000;

export function createLedgerKeeper(options: {
  /** To the ledger queue. */
  producer: Producer;
  restMs(failures: number): number;
  onKept(): void;
  onError(error: unknown): void;
}): LedgerKeeper {
  const stopping = new AbortController();
  const { signal } = stopping;
  const { count: queueCount, of: queueOf } = options.producer.queues ?? { count: 1, of: () => 0 };
  const windows = Array.from({ length: queueCount }, () => createAdaptiveLimit(MAX_UNDER_WAY));

  /** Copies have no order to keep: where the queue of the key has no room, or has failed, the next one will do. */
  function queueFor(key: string, failures: number): number {
    const first = queueOf(key) + failures;
    const inTurn = windows.map((_, step) => (first + step) % queueCount);
    return inTurn.find((queue) => windows[queue]!.hasRoom()) ?? first % queueCount;
  }

  async function keep(delivery: Delivery): Promise<boolean> {
    for (let failures = 0; !signal.aborted; failures += 1) {
      try {
        const queue = queueFor(delivery.key, failures);
        await windows[queue]!(() => options.producer.send(copyOf(delivery), queue));
        options.onKept();
        return true;
      } catch (error) {
        options.onError(error);
      }
      await sleep(options.restMs(failures + 1), undefined, { signal }).catch(() => {});
    }
    return false;
  }

  return { keep, close: () => stopping.abort() };
}

/** The same message for another queue. The same update always has the same payload, so key and payload name it. */
export function copyOf({ key, payload }: Delivery): OutgoingMessage {
  return { key, payload, deduplicationId: `${key} ${payload}` };
}
