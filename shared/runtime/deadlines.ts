/** What is waited for, each until its own moment; many share a timer. */
export type Deadlines<T> = {
  /** Calls `onOver` at `atMs`, by `performance.now`, or up to 5 ms later, unless it is removed before. */
  add(item: T, atMs: number): void;
  remove(item: T): void;
};

type Slot<T> = { items: Set<T>; timer: NodeJS.Timeout };

/** A timer for each slot of this length in which something ends; one for each item costs more than the rest of a send. */
const SLOT_MS = 5;

/** Of an item, which is waited for once at a time, `slot` is theirs to write. */
export function createDeadlines<T extends { slot: number }>(onOver: (item: T) => void): Deadlines<T> {
  const slots = new Map<number, Slot<T>>();

  function slotOf(number: number): Slot<T> {
    const known = slots.get(number);
    if (known) return known;
    const delayMs = Math.max(0, number * SLOT_MS - performance.now());
    const slot = { items: new Set<T>(), timer: setTimeout(() => end(number), delayMs) };
    slots.set(number, slot);
    return slot;
  }

  function end(number: number): void {
    const slot = slots.get(number)!;
    for (const item of slot.items) {
      slot.items.delete(item);
      onOver(item);
    }
    // What was added to it meanwhile has ended too; where it was emptied before that, another has its place.
    if (slots.get(number) === slot) slots.delete(number);
  }

  return {
    add(item, atMs) {
      item.slot = Math.ceil(atMs / SLOT_MS);
      slotOf(item.slot).items.add(item);
    },
    remove(item) {
      const slot = slots.get(item.slot);
      if (!slot?.items.delete(item) || slot.items.size > 0) return;
      clearTimeout(slot.timer);
      slots.delete(item.slot);
    },
  };
}
