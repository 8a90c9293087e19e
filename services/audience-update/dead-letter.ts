import { setTimeout as sleep } from "node:timers/promises";
import type { Refusal } from "../../shared/domain/refusal.ts";
import type { Delivery, Producer } from "../../shared/ports/update-queue.ts";
import type { Intake } from "./intake.ts";

/** What the dead-letter topic holds: the message as it came, and why it can never apply. */
export type DeadLetter = {
  v: 1;
  reason: Refusal["code"];
  /** Where the offending value stands in the payload, and the value itself. */
  path: string;
  value: string;
  message: string;
  stack?: string;
  /** The path it came over. */
  via: Delivery["path"];
  key: string;
  /** Verbatim, but cut when it is longer than what a message may hold; the ledger keeps the whole. */
  payload: string;
  payloadBytes: number;
  publishTimeMs: number;
  position?: Delivery["position"];
  parkedAtMs: number;
};

export type DeadLetterOffice = {
  /**
   * Parks a message that can never apply and takes it off its queue: acknowledged once its dead letter is
   * durable, and not before. While the dead-letter topic can't be reached, a message of the fallback queue is
   * given back, and one of the primary queue, which is the same broker, is held.
   */
  park(delivery: Delivery, intake: Intake, refusal: Refusal, stack?: string): Promise<void>;
  /** Stops trying; what is not parked yet stays unacknowledged. */
  close(): void;
};

/** Leaves room for the rest of the letter in a message that Pulsar takes; JSON may double a text's length. */
const MAX_PAYLOAD_LENGTH = 65_536;
const GIVE_BACK_MS = 30_000;

export function createDeadLetterOffice(options: {
  /** To the dead-letter topic. */
  producer: Producer;
  now(): number;
  restMs(failures: number): number;
  onParked(letter: DeadLetter): void;
  onError(error: unknown): void;
}): DeadLetterOffice {
  const stopping = new AbortController();

  async function send(letter: DeadLetter): Promise<boolean> {
    try {
      const payload = JSON.stringify(letter);
      await options.producer.send({ key: letter.key, payload, deduplicationId: "" });
      return true;
    } catch (error) {
      options.onError(error);
      return false;
    }
  }

  return {
    async park(delivery, intake, refusal, stack) {
      const letter = letterOf(delivery, refusal, stack, options.now());
      for (let failures = 1; !(await send(letter)); failures += 1) {
        if (intake.giveBack(delivery, GIVE_BACK_MS)) return;
        await sleep(options.restMs(failures), undefined, { signal: stopping.signal }).catch(() => {});
        if (stopping.signal.aborted) return;
      }
      intake.acknowledge([delivery]);
      options.onParked(letter);
    },
    close: () => stopping.abort(),
  };
}

function letterOf(
  delivery: Delivery,
  refusal: Refusal,
  stack: string | undefined,
  nowMs: number,
): DeadLetter {
  const position = positionOf(delivery);
  return {
    v: 1,
    reason: refusal.code,
    path: refusal.path,
    value: refusal.value,
    message: refusal.message,
    ...(stack === undefined ? {} : { stack }),
    via: delivery.path,
    key: delivery.key,
    payload: delivery.payload.slice(0, MAX_PAYLOAD_LENGTH),
    payloadBytes: delivery.sizeBytes,
    publishTimeMs: delivery.publishTimeMs,
    ...(position === undefined ? {} : { position }),
    parkedAtMs: nowMs,
  };
}

/** Undefined also for a message id that can't be read: a letter must never fail. */
function positionOf(delivery: Delivery): Delivery["position"] {
  try {
    return delivery.position;
  } catch {
    return undefined;
  }
}
