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
import { createRecentMessages, type RecentMessage } from "./recent-messages.ts";

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
  /** Of them, the newest this many; 0: no tail. */
  maxUpdates: number;
  /** ... with this many bytes together, about. */
  maxBytes: number;
  /** How long `close` waits. */
  closeWithinMs: number;
  log: Log;
  /** For ages, so a clock that never steps. */
  now(): number;
};

/** Few beside the window of the live sends, which go on meanwhile. */
const RESENDS_AT_ONCE = 20;
const RETRY_REST_MS = 500;
/** What SQS has not taken when it is this old waits for Pulsar, which has it. */
const GIVE_UP_AFTER_MS = 60_000;

/** Off when `tailMs` or `maxUpdates` is 0. Costs a publish one place in a ring, and its payload's memory. */
export function createTail(options: TailOptions): Tail {
  const { fallback, router, tailMs, log, now } = options;
  const on = tailMs > 0 && options.maxUpdates > 0;
  const recent = createRecentMessages({
    maxMessages: on ? options.maxUpdates : 1,
    maxBytes: options.maxBytes,
  });
  const onFailure = logRepeated(log, "warn", "an update that Pulsar has could not go over SQS too");
  const closing = new AbortController();
  const workers = new Set<Promise<void>>();
  let onSqs = router.route().path === "sqs";
  let resent = 0;

  router.onChange(({ path }) => {
    const wasOnSqs = onSqs;
    onSqs = path === "sqs";
    if (!onSqs || wasOnSqs || closing.signal.aborted) return;
    recent.forgetBefore(now() - tailMs);
    if (recent.size() === 0) return;
    log.info({ updates: recent.size(), tailMs }, `the last ${recent.size()} updates go over SQS too`);
    resendAll();
  });

  function resendAll(): void {
    while (onSqs && recent.size() > 0 && workers.size < RESENDS_AT_ONCE) {
      const worker = work().finally(() => workers.delete(worker));
      workers.add(worker);
    }
  }

  /** Oldest first. What is left when the route is Pulsar again stays for the next opening. */
  async function work(): Promise<void> {
    for (let next = take(); next; next = take()) await resend(next);
  }

  function take(): RecentMessage | undefined {
    return onSqs ? recent.shift() : undefined;
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
      if (!onSqs) recent.forgetBefore(now() - tailMs);
      recent.push(message, now());
      resendAll();
    },
    resent: () => resent,
    async close() {
      closing.abort();
      const waited = new AbortController();
      const patience = sleep(options.closeWithinMs, undefined, { signal: waited.signal }).catch(() => {});
      await Promise.race([Promise.all(workers), patience]);
      waited.abort();
      recent.clear();
    },
  };
}
