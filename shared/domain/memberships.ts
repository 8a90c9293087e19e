import type { Calculated, PendingChange, PendingChanges } from "./calculated.ts";
import type { Workspace } from "./calculation-workspace.ts";
import type { CompiledDefinitions } from "./definitions/compile.ts";
import { type ChangeCause, entersAt } from "./membership-change.ts";
import { pendingWhere } from "./own-slots.ts";

/** The moment and cause of a turn. */
export type Moment = {
  atMs: number;
  stamp: number;
  /** Asked where something changed. */
  cause(): ChangeCause;
};

export type Judged = Pick<Calculated, "numbers" | "pending"> & {
  /** The names of all audiences that the user is in, as JSON, or undefined for none; absent where nothing changed. */
  members?: string | undefined;
};

/** Evaluates the rules that may say something else now, and numbers the changes. */
export function judge(
  workspace: Workspace,
  definitions: CompiledDefinitions,
  base: Calculated,
  { atMs, stamp, cause }: Moment,
): Judged {
  const { audiences } = definitions;
  const { scope, dirty, numbers } = workspace;
  const adopts = base.version !== definitions.version;
  /** Another version than the profile was folded with, or than what the store has lost since. */
  const isUnlisted = (version: number) => version > base.version || base.version > definitions.version;
  const places = dirty.audiences();
  if (!adopts && places.length === 0) return { numbers: base.numbers, pending: base.pending };
  const entered: number[] = [];
  const changes: PendingChange[] = [];
  const known: PendingChange[] = [];
  for (const place of places) {
    const { slot, version } = audiences[place]!.standing;
    const number = numbers[place]!;
    const member = scope.isMember(place);
    if (member !== undefined && member !== entersAt(number)) {
      numbers[place] = number + 1;
      if (number === 0) entered.push(slot);
      changes.push({ slot, number: number + 1, version });
    } else if (adopts && number > 0 && isUnlisted(version)) known.push({ slot, number, version });
  }
  if (!adopts && changes.length === 0) return { numbers: base.numbers, pending: base.pending };
  const news: PendingChanges[] = [];
  if (changes.length > 0) news.push({ atMs, stamp, cause: cause(), changes });
  if (known.length > 0) news.push({ atMs, stamp, cause: undefined, changes: known });
  const kept = keptNumbers(base, definitions, numbers, entered);
  // Nobody waits for the changes of an audience that is deleted.
  const carried = adopts
    ? pendingWhere(base.pending, (slot) => definitions.audienceSlots.has(slot))
    : base.pending;
  return { numbers: kept, pending: [...carried, ...news], members: membersJson(definitions, kept) };
}

/** They go on for an audience that is disabled, and end with one that is deleted. */
function keptNumbers(
  base: Calculated,
  { audienceSlots, audienceOfSlot }: CompiledDefinitions,
  numbers: Float64Array,
  entered: readonly number[],
): Calculated["numbers"] {
  const kept: number[] = [];
  for (let at = 0; at < base.numbers.length; at += 2) {
    const slot = base.numbers[at]!;
    if (!audienceSlots.has(slot)) continue;
    const place = audienceOfSlot.get(slot);
    kept.push(slot, place === undefined ? base.numbers[at + 1]! : numbers[place]!);
  }
  for (const slot of entered) kept.push(slot, 1);
  return kept;
}

function membersJson(
  { audiences, audienceOfSlot }: CompiledDefinitions,
  numbers: readonly number[],
): string | undefined {
  const names: string[] = [];
  for (let at = 0; at < numbers.length; at += 2) {
    const place = entersAt(numbers[at + 1]!) ? audienceOfSlot.get(numbers[at]!) : undefined;
    if (place !== undefined) names.push(audiences[place]!.name);
  }
  return names.length === 0 ? undefined : JSON.stringify(names.sort());
}
