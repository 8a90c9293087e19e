/**
 * What of a message of SQS was acknowledged though it comes again: of a pack that was given back, and all of one whose
 * delete failed. A pack comes again as a whole, and where one message in fifty fails hardly a pack of a hundred would
 * ever be through at once; so of what comes again only the rest counts. Known to this process only: another one takes
 * all of the pack.
 */
export type PackProgress = {
  /** The places of the messages in it. */
  acknowledged(messageId: string): ReadonlySet<number>;
  add(messageId: string, place: number): void;
  forget(messageId: string): void;
};

/** Packs of which something is remembered; the one that was begun first is forgotten first. */
const MAX_PACKS = 2_000;

const NONE: ReadonlySet<number> = new Set();

/** @param maxPacks some 4 kB each at most */
export function createPackProgress(maxPacks = MAX_PACKS): PackProgress {
  const places = new Map<string, Set<number>>();
  return {
    acknowledged: (messageId) => places.get(messageId) ?? NONE,
    add(messageId, place) {
      const known = places.get(messageId);
      if (known !== undefined) {
        known.add(place);
        return;
      }
      if (places.size >= maxPacks) places.delete(places.keys().next().value!);
      places.set(messageId, new Set([place]));
    },
    forget(messageId) {
      places.delete(messageId);
    },
  };
}
