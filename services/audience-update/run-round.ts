import type { CompiledDefinitions } from "../../shared/domain/definitions/compile.ts";
import type { Update } from "../../shared/domain/envelope.ts";
import { EMPTY_PROFILE } from "../../shared/domain/profile.ts";
import { decodeProfile } from "../../shared/domain/profile-record.ts";
import type { ProfileRecord, ProfileStore } from "../../shared/ports/profile-store.ts";
import { toError } from "../../shared/runtime/errors.ts";
import type { DefinitionWatch } from "./definition-watch.ts";
import { type Arrival, type Base, type Fate, type FoldLimits, foldTurn } from "./fold-turn.ts";
import { forgetPending } from "./forget-pending.ts";
import type { RoundResult, Turn } from "./mailboxes.ts";
import type { ProfileCache } from "./profile-cache.ts";
import type { EffectRunner, TurnEffects } from "./turn-effects.ts";
import { type TurnOutcome, turnOutcome } from "./turn-outcome.ts";

export type RoundOptions<Item> = {
  store: ProfileStore;
  cache: ProfileCache;
  definitions: Pick<DefinitionWatch, "isFresh" | "refresh" | "of">;
  effects: Pick<EffectRunner, "carryOut">;
  limits: FoldLimits;
  now(): number;
  /**
   * The items that are of the key's own user, with their updates; sees to the others. Called again when a turn is
   * folded again.
   */
  open(key: string, items: readonly Item[]): OpenItem<Item>[];
  /**
   * Called for items whose fate is sealed: the store has answered, and what follows from them is done. One fate for
   * each item.
   */
  settle(items: readonly Item[], fates: readonly Fate[]): void;
  onConflict(): void;
  onFailure(error: Error): void;
  /** The keys whose record this build can't read; kept up here. */
  unreadable: Set<string>;
};

/** An item with its update, and the path that it came on. */
export type OpenItem<Item> = Arrival & { item: Item };

/** A turn that is to be folded. */
type OpenTurn<Item> = {
  turn: Turn<Item>;
  /**
   * What the store itself has just said; undefined in it where the user has no record. Without it the turn is folded
   * on what the cache has, which may be out of date, and which is read only then: what is held until the save is
   * over is dear for the garbage collector.
   */
  confirmed?: { record: ProfileRecord | undefined };
  /** The definitions were looked for again. */
  caughtUp?: boolean;
};

/** A turn that is folded. */
type ReadyTurn<Item> = TurnOutcome & { turn: Turn<Item> };

/**
 * Runs one round: folds each user's turn, saves all of them in one call, and settles what the store has
 * confirmed. A turn that lost its race is folded again on what the store had instead. Turns that are left are to be run
 * again: the store failed them, their record or their tenant's definitions are of another build, or they were too dear
 * for one round.
 */
export async function runRound<Item>(
  turns: readonly Turn<Item>[],
  options: RoundOptions<Item>,
): Promise<RoundResult<Item>> {
  const round = new Round(turns, options);
  try {
    let open = turns.map((turn): OpenTurn<Item> => ({ turn }));
    while (open.length > 0) {
      while (!options.definitions.isFresh()) await options.definitions.refresh();
      open = await round.foldAndSave(open);
    }
  } catch (thrown) {
    options.onFailure(toError(thrown));
  }
  return round.result;
}

class Round<Item> {
  readonly result = {
    unsettled: new Map<Turn<Item>, readonly Item[]>(),
    unanswered: new Set<Turn<Item>>(),
    finishing: new Map<Turn<Item>, Promise<void>>(),
  };
  readonly #options: RoundOptions<Item>;

  constructor(turns: readonly Turn<Item>[], options: RoundOptions<Item>) {
    this.#options = options;
    for (const turn of turns) this.result.unsettled.set(turn, turn.items);
  }

  /** One pass over the turns. Returns those that are to be folded again, with what the store has. */
  async foldAndSave(open: readonly OpenTurn<Item>[]): Promise<OpenTurn<Item>[]> {
    const { store, cache } = this.#options;
    const ready: ReadyTurn<Item>[] = [];
    const behind: OpenTurn<Item>[] = [];
    const unknown: OpenTurn<Item>[] = [];
    for (const each of open) {
      const folded = this.#fold(each);
      if (folded === "behind") behind.push(each);
      else if (folded === "unknown") unknown.push(each);
      else if (folded) ready.push(folded);
    }
    const writes = ready.flatMap(({ write }) => write ?? []);
    const results = writes.length > 0 ? await store.save(writes) : [];
    const again: OpenTurn<Item>[] = [];
    const done: ReadyTurn<Item>[] = [];
    let answered = 0;
    for (const each of ready) {
      const result = each.write ? results[answered++]! : undefined;
      if (result === undefined || result.outcome === "saved") {
        done.push(each);
        continue;
      }
      cache.forget(each.turn.key);
      if (result.outcome === "failed") {
        this.#options.onFailure(result.error);
        if (result.unanswered) this.result.unanswered.add(each.turn);
        continue;
      }
      this.#options.onConflict();
      again.push({ turn: each.turn, confirmed: { record: result.current } });
    }
    this.#conclude(done);
    return [...again, ...(await this.#catchUp(behind)), ...(await this.#load(unknown))];
  }

  /** Undefined where nothing is left to do for it in this round. */
  #fold({
    turn,
    confirmed,
    caughtUp = false,
  }: OpenTurn<Item>): ReadyTurn<Item> | "behind" | "unknown" | undefined {
    const { open, limits, now, cache } = this.#options;
    const { record } = confirmed ?? { record: cache.get(turn.key) };
    const held = this.result.unsettled.get(turn)!;
    const arrivals = open(turn.key, held);
    if (arrivals.length < held.length)
      this.result.unsettled.set(
        turn,
        arrivals.map(({ item }) => item),
      );
    const [first] = arrivals;
    if (!first) {
      this.#settle(turn, []);
      return undefined;
    }
    const definitions = this.#definitionsOf(first.update);
    const before = definitions && this.#read(turn, record);
    if (!before) return undefined;
    if (!caughtUp && (before.profile.calculated?.version ?? 0) > definitions.version) return "behind";
    const fold = foldTurn(before, arrivals, limits, now(), definitions);
    // "Seen" may be acknowledged on the store's word only: after a restart it may have forgotten what the
    // cache remembers. So a turn without news writes the same record again.
    fold.machinery ??= confirmed ? undefined : record?.machinery;
    const user = { tenant: first.update.tenant, userId: first.update.userId };
    const outcome = turnOutcome(user, record?.version, before, fold, definitions);
    // Where there is nobody a tick changes nothing, so that no write finds out whether there is.
    const repeated = fold.fates.some(({ outcome }) => outcome === "repeat");
    if (!outcome.write && !record && !confirmed && repeated) return "unknown";
    return { turn, ...outcome };
  }

  /** Undefined where this build can't read them: the tenant's turns wait for one that can. */
  #definitionsOf({ tenant }: Update): CompiledDefinitions | undefined {
    try {
      return this.#options.definitions.of(tenant);
    } catch (thrown) {
      this.#options.onFailure(toError(thrown));
      return undefined;
    }
  }

  /** Undefined when this build can't read the record, which another one wrote: the turn waits for one that can. */
  #read({ key }: Turn<Item>, record: ProfileRecord | undefined): Base | undefined {
    if (!record) return { profile: EMPTY_PROFILE, lastUpdate: undefined };
    try {
      return decodeProfile(record.machinery);
    } catch (thrown) {
      this.#options.cache.forget(key);
      this.#options.unreadable.add(key);
      this.#options.onFailure(toError(thrown));
      return undefined;
    }
  }

  /**
   * Someone folded these with definitions that are newer than ours. If the store has none newer, it has lost them (its
   * last second, a restored copy), and those that it has are the ones that count.
   */
  async #catchUp(behind: readonly OpenTurn<Item>[]): Promise<OpenTurn<Item>[]> {
    if (behind.length > 0) await this.#options.definitions.refresh();
    return behind.map((turn) => ({ ...turn, caughtUp: true }));
  }

  /** The cache has nothing of these users, and the store may have. */
  async #load(unknown: readonly OpenTurn<Item>[]): Promise<OpenTurn<Item>[]> {
    const { open, store } = this.#options;
    const loads = unknown.map(async ({ turn, ...rest }): Promise<OpenTurn<Item>> => {
      const [{ update }] = open(turn.key, this.result.unsettled.get(turn)!) as [OpenItem<Item>];
      return { ...rest, turn, confirmed: { record: await store.load(update) } };
    });
    return Promise.all(loads);
  }

  #conclude(done: readonly ReadyTurn<Item>[]): void {
    const following: (ReadyTurn<Item> & { effects: TurnEffects })[] = [];
    for (const each of done) {
      const { turn, fates, write, effects } = each;
      if (effects) {
        following.push({ ...each, effects });
        continue;
      }
      if (write) this.#options.cache.put(turn.key, write);
      this.#settle(turn, fates);
    }
    if (following.length === 0) return;
    const outcomes = this.#options.effects.carryOut(following.map(({ effects }) => effects));
    // Most share one, and a promise for each of them would be dear.
    const together = Map.groupBy(following, (_, index) => outcomes[index]!);
    for (const [carriedOut, its] of together) {
      const finished = this.#finish(its, carriedOut);
      for (const { turn } of its) this.result.finishing.set(turn, finished);
    }
  }

  /** What is not carried out stays unacknowledged; that is at the end of the process only. */
  async #finish(turns: readonly ReadyTurn<Item>[], carriedOut: Promise<boolean>): Promise<void> {
    if (!(await carriedOut)) return;
    const { cache, store } = this.#options;
    for (const { turn, fates, write, told } of turns) {
      // What another process left pending is not announced by a turn that has nothing to tell.
      if (write) cache.put(turn.key, told ? await forgetPending(write, told, store) : write);
      this.#settle(turn, fates);
    }
  }

  #settle(turn: Turn<Item>, fates: readonly Fate[]): void {
    const { unsettled } = this.result;
    this.#options.unreadable.delete(turn.key);
    const items = unsettled.get(turn)!;
    if (fates.length < items.length) unsettled.set(turn, items.slice(fates.length));
    else unsettled.delete(turn);
    this.#options.settle(items.slice(0, fates.length), fates);
  }
}
