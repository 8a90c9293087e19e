import type { Priority } from "../../shared/domain/envelope.ts";

/** Those that wait for a round, each priority in the order in which they came. */
export type WaitingMailboxes<Mailbox> = {
  /** One that waits already goes over to `live`, never back. */
  add(mailbox: Mailbox, priority: Priority): void;
  /** Takes at most so many for one round. */
  take(count: number): Mailbox[];
  size(): number;
  clear(): void;
};

/** Of all places, those that bulk has though live ones wait. */
const BULK_SHARE = 1 / 16;

/** Live before bulk, which never starves. */
export function createWaitingMailboxes<Mailbox>(): WaitingMailboxes<Mailbox> {
  const live = new Set<Mailbox>();
  const bulk = new Set<Mailbox>();
  /** Places that are bulk's by now; of a small round it has none for some rounds. */
  let due = 0;

  return {
    add(mailbox, priority) {
      if (live.has(mailbox)) return;
      if (priority === "bulk") {
        bulk.add(mailbox);
        return;
      }
      bulk.delete(mailbox);
      live.add(mailbox);
    },
    take(count) {
      due = bulk.size === 0 ? 0 : Math.min(count, due + count * BULK_SHARE);
      const taken = first(live, count - Math.min(bulk.size, Math.floor(due)));
      const ofBulk = first(bulk, count - taken.length);
      due = Math.max(0, due - ofBulk.length);
      return [...taken, ...ofBulk];
    },
    size: () => live.size + bulk.size,
    clear() {
      live.clear();
      bulk.clear();
    },
  };
}

function first<Mailbox>(waiting: Set<Mailbox>, count: number): Mailbox[] {
  const taken: Mailbox[] = [];
  if (count <= 0) return taken;
  for (const mailbox of waiting) {
    waiting.delete(mailbox);
    taken.push(mailbox);
    if (taken.length >= count) break;
  }
  return taken;
}
