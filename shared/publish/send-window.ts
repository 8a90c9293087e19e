import pLimit from "p-limit";
import type { Path } from "../ports/update-queue.ts";
import { createAdaptiveLimit } from "../runtime/adaptive-limit.ts";
import { KeylineError } from "../runtime/errors.ts";
import { createBackgroundLimit } from "./background-limit.ts";

/** The sends of one path: a bounded number without an answer, and those that wait for their turn. */
export type SendWindow = {
  /**
   * Calls `send` when there is room, and settles with it, but never later than the deadline. Rejects with the
   * send's own error, with `publish_late` when its turn has not come by `turnByMs`, or with
   * `queue_send_timeout` when there is no answer by `deadlineAtMs`. Both by `performance.now`.
   */
  send(send: () => Promise<void>, turnByMs: number, deadlineAtMs: number): Promise<void>;
  /** Sends that are not over though nobody waits for them any more. Those under way keep their room. */
  abandoned(): number;
};

/**
 * What waits for its turn is not yet sent, so that a burst is not taken for a broker that does not answer. Of a
 * Pulsar that is slow the breaker takes care; SQS has none, so fewer are sent there at once while it is.
 *
 * @param options.maxPending sends without an answer at once.
 * @param options.targetDelayMs given where these make way for others who send there: what a send may take longer for them.
 */
export function createSendWindow(options: {
  path: Path;
  maxPending: number;
  targetDelayMs?: number | undefined;
}): SendWindow {
  const { path, maxPending } = options;
  const room = openRoom(options);
  let abandoned = 0;

  const late = () =>
    new KeylineError("publish_late", `${maxPending} others wait for an answer over ${path}`, {
      retryable: true,
    });
  const unanswered = () =>
    new KeylineError("queue_send_timeout", `no answer over ${path} by the deadline`, { retryable: true });

  return {
    send(send, turnByMs, deadlineAtMs) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      let stage: "waiting" | "sent" | "abandoned" = "waiting";

      function abandon(error: KeylineError): void {
        stage = "abandoned";
        abandoned += 1;
        reject(error);
      }
      function over(): void {
        clearTimeout(timer);
        if (stage === "abandoned") abandoned -= 1;
      }
      let timer = setTimeout(
        () => {
          if (stage === "waiting") abandon(late());
          else timer = setTimeout(() => abandon(unanswered()), Math.max(0, deadlineAtMs - performance.now()));
        },
        Math.max(0, turnByMs - performance.now()),
      );

      void room(async () => {
        if (stage === "abandoned" || performance.now() > turnByMs) throw late();
        stage = "sent";
        await send();
      }).then(
        () => {
          over();
          resolve();
        },
        (error: unknown) => {
          over();
          reject(error);
        },
      );
      return promise;
    },
    abandoned: () => abandoned,
  };
}

function openRoom({
  path,
  maxPending,
  targetDelayMs,
}: Parameters<typeof createSendWindow>[0]): (work: () => Promise<void>) => Promise<void> {
  if (targetDelayMs !== undefined) return createBackgroundLimit(maxPending, targetDelayMs);
  return path === "sqs" ? createAdaptiveLimit(maxPending) : pLimit(maxPending);
}
