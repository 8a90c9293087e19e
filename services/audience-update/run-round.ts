import type { Update } from "../../shared/domain/envelope.ts";
import { EMPTY_PROFILE, type Profile } from "../../shared/domain/profile.ts";
import { attributeChanges, decodeProfile } from "../../shared/domain/profile-record.ts";
import type { ProfileRecord, ProfileStore, ProfileWrite } from "../../shared/ports/profile-store.ts";
import { toError } from "../../shared/runtime/errors.ts";
import {
  type Arrival,
  type Base,
  type Fate,
  type FoldedTurn,
  type FoldLimits,
  foldTurn,
} from "./fold-turn.ts";
import type { Turn } from "./mailboxes.ts";
import type { ProfileCache } from "./profile-cache.ts";
import { nextVersion } from "./profile-version.ts";

export type RoundOptions<Item> = {
  store: ProfileStore;
  cache: ProfileCache;
  limits: FoldLimits;
  now(): number;
  /**
   * The items that are of the key's own user, with their updates; sees to the others. Called again when a turn is
   * folded again.
   */
  open(key: string, items: readonly Item[]): OpenItem<Item>[];
  /** Called for items whose fate is sealed: the store has answered. One fate for each item. */
  settle(items: readonly Item[], fates: readonly Fate[]): void;
  onConflict(): void;
  onFailure(error: Error): void;
  /** The keys whose record this build can't read; kept up here. */
  unreadable: Set<string>;
};

/** An item with its update, and the path that it came on. */
export type OpenItem<Item> = Arrival & { item: Item };

/** A turn and the record that it is folded on; undefined where the user has none, as far as is known. */
type OpenTurn<Item> = {
  turn: Turn<Item>;
  record: ProfileRecord | undefined;
  /** The store itself has just said so; the cache may be out of date. */
  confirmed: boolean;
};

/** The turns of a round that are not settled yet, with the items that are left of them. */
type Unsettled<Item> = Map<Turn<Item>, readonly Item[]>;

/**
 * Runs one round: folds each user's turn, saves all of them in one call, and settles what the store has
 * confirmed. A turn that lost its race is folded again on what the store had instead. Returns the turns that
 * were not settled, or not to their end, to be run again: the store failed them, their record is of another build, or
 * they were too dear for one round.
 */
export async function runRound<Item>(
  turns: readonly Turn<Item>[],
  options: RoundOptions<Item>,
): Promise<Unsettled<Item>> {
  const unsettled: Unsettled<Item> = new Map(turns.map((turn) => [turn, turn.items]));
  try {
    let open = turns.map((turn): OpenTurn<Item> => {
      return { turn, record: options.cache.get(turn.key), confirmed: false };
    });
    while (open.length > 0) open = await foldAndSave(open, options, unsettled);
  } catch (thrown) {
    options.onFailure(toError(thrown));
  }
  return unsettled;
}

/** One pass over the turns. Returns those that lost their race, with what the store has. */
async function foldAndSave<Item>(
  open: readonly OpenTurn<Item>[],
  options: RoundOptions<Item>,
  unsettled: Unsettled<Item>,
): Promise<OpenTurn<Item>[]> {
  const { store, cache } = options;
  const settle = (turn: Turn<Item>, fates: readonly Fate[]) => {
    options.unreadable.delete(turn.key);
    const items = unsettled.get(turn)!;
    if (fates.length < items.length) unsettled.set(turn, items.slice(fates.length));
    else unsettled.delete(turn);
    options.settle(items.slice(0, fates.length), fates);
  };
  const saving: { turn: Turn<Item>; fates: Fate[]; write: ProfileWrite }[] = [];
  for (const { turn, record, confirmed } of open) {
    const held = unsettled.get(turn)!;
    const arrivals = options.open(turn.key, held);
    if (arrivals.length < held.length)
      unsettled.set(
        turn,
        arrivals.map(({ item }) => item),
      );
    const [first] = arrivals;
    if (!first) {
      settle(turn, []);
      continue;
    }
    const before = readProfile(turn, record, options);
    if (!before) continue;
    const fold = foldTurn(before, arrivals, options.limits, options.now());
    // "Seen" may be acknowledged on the store's word only: after a restart it may have forgotten what the
    // cache remembers. So a turn without news writes the same record again.
    fold.machinery ??= confirmed ? undefined : record?.machinery;
    const write = writeOf(first.update, record?.version, before.profile, fold);
    if (write) saving.push({ turn, fates: fold.fates, write });
    else settle(turn, fold.fates);
  }
  const results = saving.length > 0 ? await store.save(saving.map(({ write }) => write)) : [];
  const again: OpenTurn<Item>[] = [];
  saving.forEach(({ turn, fates, write }, index) => {
    const result = results[index]!;
    if (result.outcome === "saved") {
      cache.put(turn.key, write);
      settle(turn, fates);
      return;
    }
    cache.forget(turn.key);
    if (result.outcome === "failed") {
      options.onFailure(result.error);
      return;
    }
    options.onConflict();
    again.push({ turn, record: result.current, confirmed: true });
  });
  return again;
}

/** Undefined when this build can't read the record, which another one wrote: the turn waits for one that can. */
function readProfile<Item>(
  { key }: Turn<Item>,
  record: ProfileRecord | undefined,
  options: RoundOptions<Item>,
): Base | undefined {
  if (!record) return { profile: EMPTY_PROFILE, lastUpdate: undefined };
  try {
    return decodeProfile(record.machinery);
  } catch (thrown) {
    options.cache.forget(key);
    options.unreadable.add(key);
    options.onFailure(toError(thrown));
    return undefined;
  }
}

function writeOf(
  { tenant, userId }: Update,
  version: string | undefined,
  before: Profile,
  { profile, machinery }: FoldedTurn,
): ProfileWrite | undefined {
  if (machinery === undefined) return undefined;
  const { set, remove } = attributeChanges(before, profile);
  return {
    user: { tenant, userId },
    expectedVersion: version,
    version: nextVersion(version),
    machinery,
    setAttributes: set,
    removeAttributes: remove,
  };
}
