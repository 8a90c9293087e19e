import { KeylineError } from "../../../shared/runtime/errors.ts";
import { isLetterId, type StoredLetter } from "./stored-letter.ts";

/** Which letters a command means: those with these ids, or all that every filter lets pass. */
export type Selection = {
  ids?: ReadonlySet<string>;
  reason?: string;
  /** `tenant:userId`, or the message's key. */
  user?: string;
  /** Parked at this moment or later, milliseconds since the epoch. */
  sinceMs?: number;
};

/** As they come from the command line. */
export type SelectionOptions = { reason?: string; user?: string; since?: number; all?: true };

export function selects(
  selection: Selection,
  { id, letter, user, parkedAtMs, delivery }: StoredLetter,
): boolean {
  const { ids, reason, sinceMs } = selection;
  if (ids !== undefined && !ids.has(id)) return false;
  if (reason !== undefined && reasonOf(letter) !== reason) return false;
  if (sinceMs !== undefined && parkedAtMs < sinceMs) return false;
  return selection.user === undefined || [user, letter?.key, delivery.key].includes(selection.user);
}

/** `unreadable` for what is no letter of ours. */
export function reasonOf(letter: StoredLetter["letter"]): string {
  return letter?.reason ?? "unreadable";
}

export function filtersOf({ reason, user, since }: SelectionOptions): Selection {
  return {
    ...(reason === undefined ? {} : { reason }),
    ...(user === undefined ? {} : { user }),
    ...(since === undefined ? {} : { sinceMs: since }),
  };
}

/**
 * Which letters a command that changes something means. None said is not all.
 * @throws KeylineError `no_selection`, `selection_conflict`, `bad_letter_id`
 */
export function changingSelection(ids: readonly string[], options: SelectionOptions): Selection {
  const filters = filtersOf(options);
  const ways = [ids.length > 0, Object.keys(filters).length > 0, options.all === true];
  const given = ways.filter(Boolean).length;
  if (given === 0) {
    const text = "say which letters: their ids, or --reason, --user, --since, or --all";
    throw new KeylineError("no_selection", text);
  }
  if (given > 1) {
    const text = "ids, filters (--reason, --user, --since) and --all exclude each other";
    throw new KeylineError("selection_conflict", text);
  }
  return ids.length > 0 ? { ids: new Set(ids.map(checkedId)) } : filters;
}

/** @throws KeylineError `bad_letter_id` */
export function checkedId(id: string): string {
  if (isLetterId(id)) return id;
  const text = `${JSON.stringify(id)} is not the id of a letter, such as 42:7`;
  throw new KeylineError("bad_letter_id", text, { value: id });
}

const UNITS_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/**
 * A moment: ISO 8601, or how long ago, such as 90s, 15m, 2h, 7d. Undefined for any other text.
 * @returns milliseconds since the epoch
 */
export function momentOf(text: string, nowMs: number): number | undefined {
  const ago = /^(\d{1,9})([smhd])$/.exec(text);
  if (ago !== null) return nowMs - Number(ago[1]) * UNITS_MS[ago[2] as keyof typeof UNITS_MS];
  if (!/^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?$/.test(text)) return undefined;
  const moment = Date.parse(text);
  return Number.isNaN(moment) ? undefined : moment;
}
