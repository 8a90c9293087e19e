import type { Priority, Update } from "./envelope.ts";

/** Where the ledger holds a message. Grows along a partition. */
export type LedgerPlace = { partition: number; ledgerId: number; entryId: number; batchIndex: number };

const LEDGERS_PER_SOURCE = 2 ** 12;
const ENTRIES_PER_LEDGER = 2 ** 29;
const MESSAGES_PER_BATCH = 2 ** 12;
const LEDGER_SOURCE_PREFIX = "ledger:";
const UNORDERED_SOURCE_PREFIX = "unordered-ledger:";

/** What the key of a minimal message was: `tenant:userId`, the userId alone, or something else. */
export type KeyForm = "user" | "userId" | "other";

/**
 * Keys come in order each, but not beside each other. So each form is a source of its own: in the order of one
 * key, a gap between two places belongs to other keys for good.
 */
const prefixOfForm: Record<KeyForm, string> = {
  user: LEDGER_SOURCE_PREFIX,
  userId: `${LEDGER_SOURCE_PREFIX}userId:`,
  other: UNORDERED_SOURCE_PREFIX,
};

/**
 * The identity of a message that carries none: its place in the ledger. The place grows along a partition, so
 * it can serve as the number; a safe integer holds 4,096 ledgers, and the next 4,096 are a new source.
 * Messages that are not keyed by their user come in no order that holds for the user; the gaps of their source
 * are never taken for seen. A partition of the topic of bulk updates is another than that of the live ones.
 */
export function ledgerIdentity(
  place: LedgerPlace,
  form: KeyForm,
  priority: Priority = "live",
): Pick<Update, "src" | "seq"> | undefined {
  const { partition, ledgerId, entryId, batchIndex } = place;
  if (entryId >= ENTRIES_PER_LEDGER || batchIndex >= MESSAGES_PER_BATCH) return undefined;
  const era = Math.floor(ledgerId / LEDGERS_PER_SOURCE);
  const ledger = ledgerId % LEDGERS_PER_SOURCE;
  return {
    src: `${prefixOfForm[form]}${priority === "bulk" ? "bulk:" : ""}${partition}.${era}`,
    seq: (ledger * ENTRIES_PER_LEDGER + entryId) * MESSAGES_PER_BATCH + batchIndex + 1,
  };
}

/** True for sources that only this file may name. */
export function isReservedSource(src: string): boolean {
  return isLedgerSource(src) || src.startsWith(UNORDERED_SOURCE_PREFIX);
}

/** True for sources whose numbers are places in the ledger: they grow, but are not dense. */
export function isLedgerSource(src: string): boolean {
  return src.startsWith(LEDGER_SOURCE_PREFIX);
}
