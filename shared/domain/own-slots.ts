import type { Calculated, PendingChanges } from "./calculated.ts";
import type { CompiledDefinitions } from "./definitions/compile.ts";

/**
 * What of a profile is of these definitions. A slot is named by its number and by the version that gave it: a change
 * that the store has lost (its last second, a restored copy) may have given the number to something else, which
 * profiles that were folded with it have. Versions grow with time, so that a profile's own tells: what it has under a
 * slot that is newer than itself is left out.
 */
export function ownSlots(calculated: Calculated, definitions: CompiledDefinitions): Calculated {
  const { version, states, numbers, pending } = calculated;
  if (version === definitions.version) return calculated;
  const { attributes, attributeOfSlot, audienceSlots } = definitions;
  const isAttribute = (slot: unknown) => {
    const place = attributeOfSlot.get(slot as number);
    return place === undefined || attributes[place]!.standing.version <= version;
  };
  const isAudience = (slot: unknown) => (audienceSlots.get(slot as number)?.generation ?? 0) <= version;
  return {
    ...calculated,
    states: pairsWhere(states, isAttribute),
    numbers: pairsWhere(numbers, isAudience),
    pending: pendingWhere(pending, isAudience),
  };
}

/** Of [slot, value, slot, value, …]; the same list where nothing is left out. */
function pairsWhere<T>(pairs: readonly T[], isOwn: (slot: T) => boolean): readonly T[] {
  const kept: T[] = [];
  for (let at = 0; at < pairs.length; at += 2) if (isOwn(pairs[at]!)) kept.push(pairs[at]!, pairs[at + 1]!);
  return kept.length === pairs.length ? pairs : kept;
}

/** Without the changes of other slots; the same list where nothing is left out. */
export function pendingWhere(
  pending: readonly PendingChanges[],
  isOwn: (slot: number) => boolean,
): readonly PendingChanges[] {
  if (pending.every(({ changes }) => changes.every(({ slot }) => isOwn(slot)))) return pending;
  return pending.flatMap((group) => {
    const changes = group.changes.filter(({ slot }) => isOwn(slot));
    return changes.length > 0 ? [{ ...group, changes }] : [];
  });
}
