import type { RefusalCode } from "../domain/refusal.ts";
import type { LedgerPosition, Path } from "./update-queue.ts";

/** What the dead-letter topic holds: the message as it came, and why it can never apply. */
export type DeadLetter = {
  v: 1;
  reason: RefusalCode;
  /** Where the offending value stands in the payload, and the value itself. */
  path: string;
  value: string;
  message: string;
  stack?: string;
  /** The path it came over. */
  via: Path;
  key: string;
  /** As it came, whole but for `cut`. */
  payload: string;
  payloadBytes: number;
  /** Present where the message is too long for a letter: payload and key are its beginnings, not fit for replay. */
  cut?: true;
  publishTimeMs: number;
  /** Its place in the ledger; absent for what came over the fallback queue. */
  position?: LedgerPosition;
  parkedAtMs: number;
};
