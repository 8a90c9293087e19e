import type { OutgoingMessage, Path, Producer } from "../ports/update-queue.ts";
import type { Breaker } from "../routing/breaker.ts";
import type { Route } from "../routing/router.ts";
import { KeylineError } from "../runtime/errors.ts";
import { createSendWindow } from "./send-window.ts";

export type RoutedSenderOptions = {
  primary: Producer;
  fallback: Producer;
  breaker: Pick<Breaker, "guard">;
  /** Where to send now. */
  route(): Route;
  /** A send settles within this time; one without an answer by then counts as failed. */
  deadlineMs: number;
  /** Sends without an answer at once, for each path, and for each of several queues; more of them wait here. */
  maxPending: Record<Path, number>;
  /** Given where messages travel over Pulsar in packs, which are keyed by so many groups of users. */
  keyGroups?: number;
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
   * over, and calls `settle` once. Once `stopping` is aborted, the try that is under way is the last.
   */
  send(message: OutgoingMessage, settle: (outcome: SendOutcome) => void, stopping?: AbortSignal): void;
  /** Sends that are not over though nobody waits for them any more. */
  abandoned(): number;
};

/** One message on its way. */
type Delivery = {
  readonly message: OutgoingMessage;
  readonly settle: (outcome: SendOutcome) => void;
  readonly stopping: AbortSignal | undefined;
  /** By a clock that never steps: the wall clock may, by an hour, while a send is under way. */
  readonly deadlineAtMs: number;
  /** Of the round that is under way: the path that was first, and what failed. */
  first: Path;
  failures: Error[];
  pulsarMayHaveIt: boolean;
};

const RETRY_REST_MS = 100;
/** With less time left than this, the other path is not tried. */
const MIN_ATTEMPT_MS = 5;
/** Of the deadline, how long a message waits for its turn on the route before it tries the other path. */
const FIRST_PATH_SHARE = 0.3;

/** Calls instead of promises: those of each step, for each message, cost more than all that is done with it. */
export function createRoutedSender(options: RoutedSenderOptions): RoutedSender {
  const { primary, fallback, breaker, route, deadlineMs, maxPending, background } = options;
  const window = (
    path: Path,
    { queues }: Producer,
    send: (message: OutgoingMessage, updates: number) => Promise<void>,
    keyGroups?: number,
  ) =>
    createSendWindow({
      ...{ path, maxPending: maxPending[path], targetDelayMs: background?.targetDelayMs, keyGroups, send },
      ...(queues && { queues }),
    });
  const windows = {
    pulsar: window("pulsar", primary, sendToPulsar, options.keyGroups),
    sqs: window("sqs", fallback, sendToSqs),
  };
  const firstTurnMs = background ? deadlineMs : deadlineMs * FIRST_PATH_SHARE;

  function sendToPulsar(message: OutgoingMessage, updates: number): Promise<void> {
    if (background) return primary.send(message);
    const { by, path: current } = route();
    // An operator who says pulsar means it: the breaker is not asked.
    if (by === "override" && current === "pulsar") return primary.send(message);
    return breaker.guard(() => primary.send(message), updates);
  }

  function sendToSqs(message: OutgoingMessage): Promise<void> {
    return fallback.send(message);
  }

  /** One try over each path, the route's first. */
  function beginRound(delivery: Delivery): void {
    delivery.first = route().path;
    delivery.failures = [];
    // What waits too long for its turn on the first path still has time for the other.
    const turnByMs = Math.min(delivery.deadlineAtMs, performance.now() + firstTurnMs);
    attempt(delivery, delivery.first, turnByMs);
  }

  function attempt(delivery: Delivery, path: Path, turnByMs: number): void {
    windows[path].send(delivery.message, turnByMs, delivery.deadlineAtMs, (error) => {
      if (error) onFailure(delivery, path, error);
      else onSuccess(delivery, path);
    });
  }

  function onSuccess({ message, settle }: Delivery, path: Path): void {
    if (path === "pulsar") options.onPulsarHas?.(message);
    settle({ path });
  }

  function onFailure(delivery: Delivery, path: Path, error: Error): void {
    const { first, failures, deadlineAtMs, stopping } = delivery;
    failures.push(error);
    if (path === "pulsar" && isUnanswered(error)) delivery.pulsarMayHaveIt = true;
    const nowMs = performance.now();
    if (path === first && nowMs + MIN_ATTEMPT_MS <= deadlineAtMs)
      attempt(delivery, otherPath(first), deadlineAtMs);
    else if (stopping?.aborted || nowMs + RETRY_REST_MS >= deadlineAtMs) giveUp(delivery);
    else setTimeout(() => beginRound(delivery), RETRY_REST_MS);
  }

  function giveUp({ message, settle, failures, pulsarMayHaveIt }: Delivery): void {
    if (pulsarMayHaveIt) options.onPulsarHas?.(message);
    settle({ failures });
  }

  return {
    send(message, settle, stopping) {
      const deadlineAtMs = performance.now() + deadlineMs;
      beginRound({
        ...{ message, settle, stopping, deadlineAtMs },
        ...{ first: "pulsar", failures: [], pulsarMayHaveIt: false },
      });
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
