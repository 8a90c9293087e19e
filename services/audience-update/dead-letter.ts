import { setTimeout as sleep } from "node:timers/promises";
import type { Refusal } from "../../shared/domain/refusal.ts";
import type { DeadLetter } from "../../shared/ports/dead-letter.ts";
import type { Delivery, Producer } from "../../shared/ports/update-queue.ts";
import type { Intake } from "./intake.ts";

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

/**
 * Longest letter, in UTF-8 bytes as JSON. In base64 it fits the 1,048,576 bytes of a frame to Pulsar's WebSocket
 * API, key included. JSON can double the length of what is JSON itself, so that every payload within the largest
 * `MAX_UPDATE_BYTES` (200,000) is kept whole: a longer one can never apply, whatever the settings.
 */
const MAX_LETTER_BYTES = 700_000;
/** What is left of the texts of a message that does not fit; JSON writes a control character in six bytes. */
const CUT_PAYLOAD_LENGTH = 65_536;
const CUT_KEY_LENGTH = 1_024;
/** Of a path (which is made of names in the payload), a message and a stack. */
const MAX_TEXT_LENGTH = 4_096;
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

  async function send(letter: DeadLetter, payload: string): Promise<boolean> {
    try {
      await options.producer.send({ key: letter.key, payload, deduplicationId: "" });
      return true;
    } catch (error) {
      options.onError(error);
      return false;
    }
  }

  return {
    async park(delivery, intake, refusal, stack) {
      const { letter, payload } = fitting(letterOf(delivery, refusal, stack, options.now()));
      for (let failures = 1; !(await send(letter, payload)); failures += 1) {
        if (intake.giveBack(delivery, GIVE_BACK_MS)) return;
        await sleep(options.restMs(failures), undefined, { signal: stopping.signal }).catch(() => {});
        if (stopping.signal.aborted) return;
      }
      intake.drop(delivery);
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
    path: refusal.path.slice(0, MAX_TEXT_LENGTH),
    value: refusal.value,
    message: refusal.message.slice(0, MAX_TEXT_LENGTH),
    ...(stack === undefined ? {} : { stack: stack.slice(0, MAX_TEXT_LENGTH) }),
    via: delivery.path,
    key: delivery.key,
    payload: delivery.payload,
    payloadBytes: delivery.sizeBytes,
    publishTimeMs: delivery.publishTimeMs,
    ...(position === undefined ? {} : { position }),
    parkedAtMs: nowMs,
  };
}

/** The letter as it is sent: whole, or cut and marked so. */
function fitting(letter: DeadLetter): { letter: DeadLetter; payload: string } {
  const payload = JSON.stringify(letter);
  // The key travels beside the letter too.
  const bytes = Buffer.byteLength(payload) + Buffer.byteLength(JSON.stringify(letter.key));
  if (bytes <= MAX_LETTER_BYTES) return { letter, payload };
  const cut: DeadLetter = {
    ...letter,
    key: letter.key.slice(0, CUT_KEY_LENGTH),
    payload: letter.payload.slice(0, CUT_PAYLOAD_LENGTH),
    cut: true,
  };
  return { letter: cut, payload: JSON.stringify(cut) };
}

/** Undefined also for a message id that can't be read: a letter must never fail. */
function positionOf(delivery: Delivery): Delivery["position"] {
  try {
    return delivery.position;
  } catch {
    return undefined;
  }
}
