import { packText } from "../domain/pack.ts";
import type { OutgoingMessage } from "../ports/update-queue.ts";
import { keyGroupOf } from "./key-group.ts";
import type { Room, Steps } from "./send-room.ts";

export type PackSteps<T> = {
  /** Asked of each message when its pack leaves; one that has none is over as `late`. */
  hasTurn(item: T): boolean;
  late(): Error;
  /** Sends a pack of so many. */
  send(message: OutgoingMessage, updates: number): Promise<void>;
  /** Called once for each message. */
  over(item: T, error?: Error): void;
};

/** The messages of one key group that wait, and its packs that wait for their turn or are under way. */
type KeyGroup<T> = {
  readonly key: string;
  waiting: T[];
  waitingLength: number;
  packs: number;
  notBegun: number;
  /** Ends the patience of what waits. */
  timer: NodeJS.Timeout | undefined;
};

/** A pack is made when its turn comes. */
export type Pack<T> = { readonly group: KeyGroup<T>; items: readonly T[] };

/** Messages in one pack, at most. */
const MAX_PACKED = 50;
/** UTF-16 code units of their keys and payloads, at most; a longer message goes alone. */
const MAX_PACK_LENGTH = 32_768;

/** A pack that has no answer for long says nothing of when there will be one: what waits for it leaves by itself. */
const PATIENCE_MS = 50;

/**
 * What comes at once for a key group is one pack, and what comes while that waits for its turn or is under way is the
 * next, which leaves after it, as soon as it is full, or after 50 ms. So a single message leaves at once, and the more
 * there are the larger packs get (as Nagle's algorithm does with segments, RFC 896).
 *
 * @param open the room in which a pack waits for its turn among those of other groups
 */
export function openPackRoom<T extends { message: OutgoingMessage }>(
  keyGroups: number,
  open: (steps: Steps<Pack<T>>) => Room<Pack<T>>,
  steps: PackSteps<T>,
): Room<T> {
  const busy = new Map<string, KeyGroup<T>>();
  const enter = open({ begin, over });

  function enterNext(group: KeyGroup<T>, patience: "left" | "over" = "left"): void {
    if (group.waiting.length === 0 || group.notBegun > 0) return;
    if (group.packs > 0 && !isFull(group) && patience === "left") {
      group.timer ??= setTimeout(() => {
        group.timer = undefined;
        enterNext(group, "over");
      }, PATIENCE_MS);
      return;
    }
    clearTimeout(group.timer);
    group.timer = undefined;
    group.packs += 1;
    group.notBegun += 1;
    enter({ group, items: [] });
  }

  function enterSoon(group: KeyGroup<T>): void {
    queueMicrotask(() => enterNext(group));
  }

  function begin(pack: Pack<T>): Promise<void> {
    const { group } = pack;
    group.notBegun -= 1;
    const taken = take(group);
    if (group.waiting.length > 0) enterSoon(group);
    pack.items = taken.filter((item) => {
      const hasTurn = steps.hasTurn(item);
      if (!hasTurn) steps.over(item, steps.late());
      return hasTurn;
    });
    const [first] = pack.items;
    if (first === undefined) throw steps.late();
    const payload = packText(pack.items.map(({ message }) => message));
    const { deduplicationId } = first.message;
    return steps.send({ key: group.key, payload, deduplicationId }, pack.items.length);
  }

  function over({ group, items }: Pack<T>, error?: Error): void {
    group.packs -= 1;
    if (group.packs === 0 && group.waiting.length === 0) busy.delete(group.key);
    else enterNext(group);
    for (const item of items) steps.over(item, error);
  }

  return (item) => {
    const key = keyGroupOf(item.message.key, keyGroups);
    const known = busy.get(key);
    const group = known ?? { key, waiting: [], waitingLength: 0, packs: 0, notBegun: 0, timer: undefined };
    group.waiting.push(item);
    group.waitingLength += lengthOf(item);
    if (known === undefined) {
      busy.set(key, group);
      // What comes in the same moment goes with it.
      enterSoon(group);
    } else if (group.packs > 0) enterNext(group);
  };
}

function lengthOf({ message: { key, payload } }: { message: OutgoingMessage }): number {
  return key.length + payload.length;
}

function isFull({ waiting, waitingLength }: KeyGroup<unknown>): boolean {
  return waiting.length >= MAX_PACKED || waitingLength >= MAX_PACK_LENGTH;
}

/** As many of those that wait as fit into one pack. */
function take<T extends { message: OutgoingMessage }>(group: KeyGroup<T>): T[] {
  let length = 0;
  const found = group.waiting.slice(0, MAX_PACKED).findIndex((item, index) => {
    length += lengthOf(item);
    return index > 0 && length > MAX_PACK_LENGTH;
  });
  const taken = group.waiting.splice(0, found < 0 ? MAX_PACKED : found);
  for (const item of taken) group.waitingLength -= lengthOf(item);
  return taken;
}
