import { userKey } from "../../../shared/domain/envelope.ts";
import type { DeadLetter } from "../../../shared/ports/dead-letter.ts";
import type { Delivery, LedgerPosition } from "../../../shared/ports/update-queue.ts";
import { isKeyGroup } from "../../../shared/publish/key-group.ts";

/** One message of the dead-letter topic. */
export type StoredLetter = {
  /** Its place in the dead-letter topic, `ledger:entry`; stays the same until it is replayed or dropped. */
  id: string;
  /** Undefined for a message that is no letter of ours. */
  letter: DeadLetter | undefined;
  /** `tenant:userId` as the payload says, else the message's key, if that may be a user's. */
  user: string | undefined;
  /** When it was parked, milliseconds since the epoch. */
  parkedAtMs: number;
  delivery: Delivery;
};

export function storedLetter(delivery: Delivery, position: LedgerPosition): StoredLetter {
  const letter = readLetter(delivery.payload);
  return {
    id: letterId(position),
    letter,
    user: userOf(letter) ?? userOfKey(letter?.key ?? delivery.key),
    parkedAtMs: letter?.parkedAtMs ?? delivery.publishTimeMs,
    delivery,
  };
}

/** A ledger's number is given once in a cluster, so that it names the partition as well. */
export function letterId({ ledgerId, entryId, batchIndex }: LedgerPosition): string {
  return batchIndex === 0 ? `${ledgerId}:${entryId}` : `${ledgerId}:${entryId}:${batchIndex}`;
}

export function isLetterId(text: string): boolean {
  return /^\d{1,16}:\d{1,16}(:\d{1,9})?$/.test(text);
}

function readLetter(payload: string): DeadLetter | undefined {
  const letter = parsed(payload);
  const texts = ["reason", "path", "value", "message", "via", "key", "payload"];
  const numbers = ["payloadBytes", "publishTimeMs", "parkedAtMs"];
  const isLetter =
    letter?.v === 1 &&
    texts.every((name) => typeof letter[name] === "string") &&
    numbers.every((name) => Number.isSafeInteger(letter[name]));
  return isLetter ? (letter as DeadLetter) : undefined;
}

function userOf(letter: DeadLetter | undefined): string | undefined {
  const update = letter && parsed(letter.payload);
  const tenant = update?.tenant ?? update?.tenantId;
  const userId = update?.userId;
  return typeof tenant === "string" && typeof userId === "string" ? userKey(tenant, userId) : undefined;
}

/** What could not be read may have come under the key of a group of users, or of a pack over SQS. */
function userOfKey(key: string): string | undefined {
  return isKeyGroup(key) || /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i.test(key) ? undefined : key;
}

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
