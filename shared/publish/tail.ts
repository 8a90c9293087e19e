/**
 * The tail: what this process sent to Pulsar within the last seconds. A broker that falls sick may hold it back
 * from consumers, though it has it durably. When the route moves to SQS, the tail goes over SQS too, with the
 * same identities, so that it is not late either; what arrives twice counts once.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { OutgoingMessage, Producer } from "../ports/update-queue.ts";
import type { Router } from "../routing/router.ts";
import { KeylineError } from "../runtime/errors.ts";
import { type Log, logRepeated } from "../runtime/log.ts";
import { createRecentMessages, type RecentMessage, type RecentMessages } from "./recent-messages.ts";

export type Tail = {
  /** Remembers a message that Pulsar has, or may have, and SQS is not known to have. */
  add(message: OutgoingMessage): void;
  /** Messages that went over SQS too, since the start. */
  resent(): number;
  /** Finishes a re-send that is under way, within the bound. */
  close(): Promise<void>;
};

export type TailOptions = {
  fallback: Producer;
  router: Pick<Router, "route" | "onChange">;
  /** How old, in milliseconds, a message may be when the route moves to SQS; 0: no tail. */
  tailMs: number;
  /** Of them, the newest this many, each queue its share; 0: no tail. */
  maxUpdates: number;
  /** ... with this many bytes together, about, shared as well. */
  maxBytes: number;
  /** How long `close` waits. */
  closeWithinMs: number;
  log: Log;
  /** For ages, so a clock that never steps. */
  now(): number;
};

/** To each queue. Few beside the window of the live sends, which go on meanwhile. */
const RESENDS_AT_ONCE = 20;
const RETRY_REST_MS = 500;
/** What SQS has not taken when it is this old waits for Pulsar, which has it. */
const GIVE_UP_AFTER_MS = 60_000;

/** Of one queue: one that does not answer holds up its own re-sends only. */
type QueueTail = { recent: RecentMessages; workers: Set<Promise<void>> };

/** Off when `tailMs` or `maxUpdates` is 0. Costs a publish one place in a ring, and its payload's memory. */
export function createTail(options: TailOptions): Tail {
  const { fallback, router, tailMs, log, now } = options;
  const on = tailMs > 0 && options.maxUpdates > 0;
  const { count: queueCount, of: queueOf } = fallback.queues ?? { count: 1, of: () => 0 };
  const queues = Array.from({ length: queueCount }, (): QueueTail => {
    const maxMessages = on ? Math.ceil(options.maxUpdates / queueCount) : 1;
    const recent = createRecentMessages({ maxMessages, maxBytes: options.maxBytes / queueCount });
    return { recent, workers: new Set() };
  });
  const onFailure = logRepeated(log, "warn", "an update that Pulsar has could not go over SQS too");
  const closing = new AbortController();
  let onSqs = router.route().path === "sqs";
  let resent = 0;

  router.onChange(({ path }) => {
    const wasOnSqs = onSqs;
    onSqs = path === "sqs";
    if (!onSqs || wasOnSqs || closing.signal.aborted) return;
    for (const { recent } of queues) recent.forgetBefore(now() - tailMs);
    const updates = queues.reduce((sum, { recent }) => sum + recent.size(), 0);
    if (updates === 0) return;
    log.info({ updates, tailMs }, `the last ${updates} updates go over SQS too`);
    queues.forEach(resendAll);
  });

  function resendAll({ recent, workers }: QueueTail): void {
    while (onSqs && recent.size() > 0 && workers.size < RESENDS_AT_ONCE) {
      const worker = work(recent).finally(() => workers.delete(worker));
      workers.add(worker);
    }
  }

  /** Oldest first. What is left when the route is Pulsar again stays for the next opening. */
  async function work(recent: RecentMessages): Promise<void> {
    const take = () => (onSqs ? recent.shift() : undefined);
    for (let next = take(); next; next = take()) await resend(next);
  }

  async function resend({ message, addedAtMs }: RecentMessage): Promise<void> {
    for (;;) {
      try {
        await fallback.send(message);
        resent += 1;
        return;
      } catch (error) {
        onFailure(error);
        const final = error instanceof KeylineError && !error.retryable;
        if (final || closing.signal.aborted) return;
      }
      await rest();
      if (!onSqs || closing.signal.aborted || now() - addedAtMs > GIVE_UP_AFTER_MS) return;
    }
  }

  async function rest(): Promise<void> {
    await sleep(RETRY_REST_MS, undefined, { signal: closing.signal }).catch(() => {});
  }

  return {
    add(message) {
      if (!on || closing.signal.aborted) return;
      const queue = queues[queueOf(message.key)]!;
      if (!onSqs) queue.recent.forgetBefore(now() - tailMs);
      queue.recent.push(message, now());
      resendAll(queue);
    },
    resent: () => resent,
    async close() {
      closing.abort();
      const waited = new AbortController();
      const patience = sleep(options.closeWithinMs, undefined, { signal: waited.signal }).catch(() => {});
      await Promise.race([Promise.all(queues.flatMap(({ workers }) => [...workers])), patience]);
      waited.abort();
      for (const { recent } of queues) recent.clear();
    },
  };
}
