/**
 * A profile as a plain JSON document, and the plain fold of one update into it, in the order in which they come.
 * All peers but Keyline keep it so. It knows nothing of what was seen, nor of stamps: order and "once" are the queue's.
 */
import type { Update } from "../../shared/domain/envelope.ts";
import type { KeptProfile } from "./peer.ts";

export type PlainProfile = {
  /** How many updates were folded into it. */
  writes: number;
  counters: Record<string, number>;
  registers: Record<string, unknown>;
  sets: Record<string, (string | number | boolean)[]>;
  events: Record<string, { count: number; firstAt: number; lastAt: number }>;
};

export function emptyProfile(): PlainProfile {
  return { writes: 0, counters: {}, registers: {}, sets: {}, events: {} };
}

/** Folds an update into a profile, which is changed. */
export function fold(profile: PlainProfile, { ops, at }: Pick<Update, "ops" | "at">): PlainProfile {
  profile.writes += 1;
  for (const operation of ops) {
    switch (operation.kind) {
      case "increment":
        for (const [name, amount] of Object.entries(operation.body))
          profile.counters[name] = (profile.counters[name] ?? 0) + amount;
        break;
      case "set":
        Object.assign(profile.registers, operation.body);
        break;
      case "add":
        for (const [name, members] of Object.entries(operation.body))
          profile.sets[name] = [...new Set([...(profile.sets[name] ?? []), ...members])];
        break;
      case "event": {
        const { name } = operation.body;
        const { count, firstAt, lastAt } = profile.events[name] ?? { count: 0, firstAt: at, lastAt: at };
        profile.events[name] = {
          count: count + 1,
          firstAt: Math.min(firstAt, at),
          lastAt: Math.max(lastAt, at),
        };
        break;
      }
      default:
        throw new Error(`the peers' bench has no updates of kind ${operation.kind}`);
    }
  }
  return profile;
}

/** In the form of the oracle. */
export function keptOf({ counters, sets, registers, events }: PlainProfile): KeptProfile {
  const sorted = Object.entries(sets).map(([name, members]) => [
    name,
    members.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)),
  ]);
  return { attributes: { ...counters, ...Object.fromEntries(sorted), ...registers }, events };
}
