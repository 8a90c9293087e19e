/**
 * What follows a save and comes before the acknowledgement: the members of audiences are listed, the user's next moment
 * is in the due store, and changes of membership are announced. A crash in between delivers the message again; then
 * it is a repeat, and what the profile has pending is done again.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { CompiledDefinitions } from "../../shared/domain/definitions/compile.ts";
import type { MembershipChange } from "../../shared/domain/membership-change.ts";
import type { Profile } from "../../shared/domain/profile.ts";
import type { DueEntry, DueStore } from "../../shared/ports/due-store.ts";
import type { MemberEntry, MemberStore } from "../../shared/ports/member-store.ts";
import type { UserKey } from "../../shared/ports/profile-store.ts";
import type { Fate } from "./fold-turn.ts";

/** Of one turn. */
export type TurnEffects = {
  user: UserKey;
  due: DueEntry | undefined;
  /** All that the profile has pending is in `members` and `changes`. */
  told: boolean;
  members: MemberEntry[];
  changes: MembershipChange[];
};

export type EffectRunner = {
  /**
   * Tries until all of it is done; a promise for each, in their order, of true, or of false after `close`. The stores
   * are told of all of them together: those without changes to announce share one promise.
   */
  carryOut(effects: readonly TurnEffects[]): Promise<boolean>[];
  close(): void;
};

/** What a turn has to see to, on the profile before and after it; undefined when there is nothing. */
export function effectsOf(
  user: UserKey,
  before: Profile,
  after: Profile,
  fates: readonly Fate[],
  definitions: CompiledDefinitions,
): TurnEffects | undefined {
  const { calculated } = after;
  if (!calculated) return undefined;
  const { alarmMs, pending } = calculated;
  // Whoever had it before may not have come that far.
  const repeated = fates.some(({ outcome }) => outcome === "repeat");
  const hasNews = calculated !== before.calculated && pending !== before.calculated?.pending;
  // A tick takes the moment that it is for out of the due store.
  const ticked = fates.some(({ outcome }) => outcome === "ticked");
  const isSet = !repeated && !ticked && alarmMs === before.calculated?.alarmMs;
  const due = alarmMs > 0 && !isSet ? { ...user, dueMs: alarmMs } : undefined;
  const told = (repeated || hasNews) && pending.length > 0;
  if (!due && !told) return undefined;
  const effects: TurnEffects = { user, due, told, members: [], changes: [] };
  if (told) resolve(effects, pending, definitions);
  return effects;
}

function resolve(
  { user, members, changes }: TurnEffects,
  pending: NonNullable<Profile["calculated"]>["pending"],
  definitions: CompiledDefinitions,
): void {
  for (const { atMs: at, stamp, cause, changes: group } of pending)
    for (const { slot, number, version } of group) {
      const audience = definitions.audienceSlots.get(slot);
      // Of an audience that is gone, or that the store has lost while its slot was given again.
      if (!audience || version < audience.generation) continue;
      const { name, generation } = audience;
      // Nobody asks for the members of an older version any more.
      if (version === audience.version)
        members.push({ tenant: user.tenant, audience: name, version, userId: user.userId, number });
      if (cause) changes.push({ audience: name, generation, number, at, stamp, version, cause });
    }
}

export function createEffectRunner(options: {
  dueStore: Pick<DueStore, "add">;
  memberStore: Pick<MemberStore, "record">;
  announcer: { announce(user: UserKey, changes: readonly MembershipChange[]): Promise<boolean> };
  restMs(failures: number): number;
  onError(error: unknown): void;
}): EffectRunner {
  const { dueStore, memberStore, announcer } = options;
  const stopping = new AbortController();
  const { signal } = stopping;

  async function untilDone(work: () => Promise<unknown>): Promise<boolean> {
    for (let failures = 1; !signal.aborted; failures += 1) {
      try {
        await work();
        return true;
      } catch (error) {
        options.onError(error);
      }
      await sleep(options.restMs(failures), undefined, { signal }).catch(() => {});
    }
    return false;
  }

  return {
    carryOut(effects) {
      const members = effects.flatMap((each) => each.members);
      const due = effects.flatMap((each) => each.due ?? []);
      const stored = untilDone(() =>
        Promise.all([
          members.length > 0 ? memberStore.record(members) : undefined,
          due.length > 0 ? dueStore.add(due) : undefined,
        ]),
      );
      return effects.map(({ user, changes }) =>
        changes.length === 0 ? stored : stored.then((done) => done && announcer.announce(user, changes)),
      );
    },
    close: () => stopping.abort(),
  };
}
