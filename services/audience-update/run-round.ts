import { EMPTY_PROFILE, type Profile } from "../../shared/domain/profile.ts";
import { attributeChanges, decodeProfile } from "../../shared/domain/profile-record.ts";
import type {
  ProfileRecord,
  ProfileStore,
  ProfileWrite,
  WriteResult,
} from "../../shared/ports/profile-store.ts";
import { toError } from "../../shared/runtime/errors.ts";
import { type Arrival, type Fate, type FoldedTurn, type FoldLimits, foldTurn } from "./fold-turn.ts";
import type { Turn } from "./mailboxes.ts";
import type { ProfileCache } from "./profile-cache.ts";
import { nextVersion } from "./profile-version.ts";

export type RoundOptions<Item extends Arrival> = {
  store: ProfileStore;
  cache: ProfileCache;
  limits: FoldLimits;
  now(): number;
  /** Called once for each item whose fate is sealed: the store has answered. */
  settle(items: readonly Item[], fates: readonly Fate[]): void;
  onConflict(): void;
  onFailure(error: Error): void;
};

type OpenTurn<Item extends Arrival> = { turn: Turn<Item>; before: Profile; version: string | undefined };

/**
 * Runs one round: folds each user's turn, saves all of them in one call, and settles what the store has
 * confirmed. A turn that lost its race is folded again on what the store had instead. Returns the turns that
 * the store failed to save, to be run again.
 */
export async function runRound<Item extends Arrival>(
  turns: readonly Turn<Item>[],
  options: RoundOptions<Item>,
): Promise<Turn<Item>[]> {
  const failed: Turn<Item>[] = [];
  let open = turns.map((turn): OpenTurn<Item> => {
    const { version, profile } = options.cache.get(turn.key);
    return { turn, version, before: profile };
  });
  while (open.length > 0) {
    const folded = open.map(({ turn, before }) =>
      foldTurn(before, turn.items, options.limits, options.now()),
    );
    const changed = open.flatMap((entry, index) => writeOf(entry, folded[index]!));
    const results = changed.length > 0 ? await options.store.save(changed) : [];
    let next = 0;
    const again: OpenTurn<Item>[] = [];
    for (const [index, entry] of open.entries()) {
      const fold = folded[index]!;
      if (fold.machinery === undefined) {
        options.settle(entry.turn.items, fold.fates);
        continue;
      }
      const write = changed[next]!;
      const retry = conclude(entry, fold, write, results[next]!, options);
      next += 1;
      if (retry === "failed") failed.push(entry.turn);
      else if (retry) again.push(retry);
    }
    open = again;
  }
  return failed;
}

/** What one answer of the store means for its turn: done, to be folded again, or failed. */
function conclude<Item extends Arrival>(
  { turn }: OpenTurn<Item>,
  fold: FoldedTurn,
  write: ProfileWrite,
  result: WriteResult,
  options: RoundOptions<Item>,
): OpenTurn<Item> | "failed" | undefined {
  if (result.outcome === "saved") {
    options.cache.put(turn.key, { version: write.version, profile: fold.profile }, write.machinery.length);
    options.settle(turn.items, fold.fates);
    return undefined;
  }
  options.cache.forget(turn.key);
  if (result.outcome === "failed") {
    options.onFailure(result.error);
    return "failed";
  }
  options.onConflict();
  try {
    return { turn, ...startFrom(result.current) };
  } catch (thrown) {
    options.onFailure(toError(thrown));
    return "failed";
  }
}

function startFrom(record: ProfileRecord | undefined): Omit<OpenTurn<Arrival>, "turn"> {
  if (!record) return { version: undefined, before: EMPTY_PROFILE };
  return { version: record.version, before: decodeProfile(record.machinery).profile };
}

function writeOf<Item extends Arrival>(
  { turn, before, version }: OpenTurn<Item>,
  fold: FoldedTurn,
): ProfileWrite[] {
  if (fold.machinery === undefined) return [];
  const { tenant, userId } = turn.items[0]!.update;
  const { set, remove } = attributeChanges(before, fold.profile);
  return [
    {
      user: { tenant, userId },
      expectedVersion: version,
      version: nextVersion(version),
      machinery: fold.machinery,
      setAttributes: set,
      removeAttributes: remove,
    },
  ];
}
