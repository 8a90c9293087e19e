import { setTimeout as sleep } from "node:timers/promises";
import type { OutgoingMessage, Path, Producer } from "../ports/update-queue.ts";
import type { Breaker } from "../routing/breaker.ts";
import type { Route } from "../routing/router.ts";
import { KeylineError, toError } from "../runtime/errors.ts";
import { createSendWindow } from "./send-window.ts";

export type RoutedSenderOptions = {
  primary: Producer;
  fallback: Producer;
  breaker: Pick<Breaker, "guard">;
  /** Where to send now. */
  route(): Route;
  /** A send settles within this time; one without an answer by then counts as failed. */
  deadlineMs: number;
  /** Sends without an answer at once, for each path; more of them wait here. */
  maxPending: Record<Path, number>;
  /**
   * For what can wait: it makes way as soon as it delays others who send there by so much, waits for its turn on the
   * route to the deadline, and is nothing to judge Pulsar by.
   */
  background?: { targetDelayMs: number };
  /** Gets each message that Pulsar has, or may have and SQS is not known to have. */
  onPulsarHas?(message: OutgoingMessage): void;
};

export type SendOutcome =
  /** The path that has it durably; the other one may have it too. */
  | { path: Path }
  /** Of the last try. Either path may have it all the same: an answer got lost. */
  | { failures: Error[] };

export type RoutedSender = {
  /**
   * Sends over the route, then over the other path, and both again until one of them has it or the deadline is
   * over. Once `stopping` is aborted, the try that is under way is the last.
   */
  send(message: OutgoingMessage, stopping?: AbortSignal): Promise<SendOutcome>;
  /** Sends that are not over though nobody waits for them any more. */
  abandoned(): number;
};

const RETRY_REST_MS = 100;
/** With less time left than this, the other path is not tried. */
const MIN_ATTEMPT_MS = 5;
/** Of the deadline, how long a message waits for its turn on the route before it tries the other path. */
const FIRST_PATH_SHARE = 0.3;

export function createRoutedSender(options: RoutedSenderOptions): RoutedSender {
  const { primary, fallback, breaker, route, deadlineMs, maxPending, background } = options;
  const targetDelayMs = background?.targetDelayMs;
  const windows = {
    pulsar: createSendWindow({ path: "pulsar", maxPending: maxPending.pulsar, targetDelayMs }),
    sqs: createSendWindow({ path: "sqs", maxPending: maxPending.sqs, targetDelayMs }),
  };
  const firstTurnMs = background ? deadlineMs : deadlineMs * FIRST_PATH_SHARE;

  async function sendOver(path: Path, message: OutgoingMessage): Promise<void> {
    if (path === "sqs") return fallback.send(message);
    if (background) return primary.send(message);
    const { by, path: current } = route();
    // An operator who says pulsar means it: the breaker is not asked.
    if (by === "override" && current === "pulsar") return primary.send(message);
    return breaker.guard(() => primary.send(message));
  }

  return {
    async send(message, stopping) {
      // By a clock that never steps: the wall clock may, by an hour, while a send is under way.
      const now = () => performance.now();
      const deadlineAtMs = now() + deadlineMs;
      let pulsarMayHaveIt = false;
      for (;;) {
        const { path: first } = route();
        // What waits too long for its turn on the first path still has time for the other.
        const firstTurnByMs = Math.min(deadlineAtMs, now() + firstTurnMs);
        const failures: Error[] = [];
        for (const path of [first, otherPath(first)]) {
          if (failures.length > 0 && now() + MIN_ATTEMPT_MS > deadlineAtMs) break;
          const turnByMs = path === first ? firstTurnByMs : deadlineAtMs;
          try {
            await windows[path].send(() => sendOver(path, message), turnByMs, deadlineAtMs);
            if (path === "pulsar") options.onPulsarHas?.(message);
            return { path };
          } catch (error) {
            failures.push(toError(error));
            if (path === "pulsar" && isUnanswered(error)) pulsarMayHaveIt = true;
          }
        }
        if (stopping?.aborted || now() + RETRY_REST_MS >= deadlineAtMs) {
          if (pulsarMayHaveIt) options.onPulsarHas?.(message);
          return { failures };
        }
        await sleep(RETRY_REST_MS);
      }
    },
    abandoned: () => windows.pulsar.abandoned() + windows.sqs.abandoned(),
  };
}

function isUnanswered(error: unknown): boolean {
  return error instanceof KeylineError && error.code === "queue_send_timeout";
}

function otherPath(path: Path): Path {
  return path === "pulsar" ? "sqs" : "pulsar";
}

/** JSON escapes the other characters that SQS refuses. */
const REFUSED_BY_SQS = /[\ufffe\uffff]/g;

/** A value as JSON that either path takes: nothing within a limit of length is too much for SQS alone. */
export function payloadOf(value: unknown): string {
  return JSON.stringify(value).replace(REFUSED_BY_SQS, (character) =>
    character === "\ufffe" ? "\\ufffe" : "\\uffff",
  );
}
