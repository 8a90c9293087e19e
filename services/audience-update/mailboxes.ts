import type { Priority } from "../../shared/domain/envelope.ts";
import { createFailureWatch, type Failing } from "./failure-watch.ts";
import { createWaitingMailboxes } from "./waiting-mailboxes.ts";

/**
 * One mailbox per key that has messages in hand; the key is the user's, but for what others put on the topic. It is
 * in one of these modes:
 *
 * - waiting: it has items and stands in the queue for the next round, as bulk where all of them are
 * - running: its turn is under way; what arrives meanwhile stays in the mailbox
 * - resting: its last turn failed; it stands back for a while, alone, and keeps its items, up to its share
 *
 * A mailbox that runs dry is dropped. A turn takes everything the mailbox holds, so one hot user costs one
 * write a turn, and a round takes the turns of many users, so that their writes share a pipeline. A user is
 * never in two rounds at once: that is what keeps one user's updates from overlapping.
 */
export type Turn<Item> = {
  key: string;
  /** In order of arrival. */
  items: readonly Item[];
  /** How often this turn has failed in a row. */
  failures: number;
};

/** Looked at each time, so that they may change. */
export type MailboxLimits = {
  /** Updates of one user that one turn takes at most. */
  maxUpdatesPerTurn: number;
  /** Users whose turns share a round at most. */
  maxUsersPerRound: number;
  /** Rounds under way at once. */
  maxRounds: number;
  /** Of a queue's messages in flight, what one user may hold whose turns fail while those of others don't. */
  maxUserSharePercent: number;
  maxInFlightMessages: number;
};

export type RoundResult<Item> = {
  /** The turns that are not settled yet, or not to their end, and are to be run again with the items that are left. */
  unsettled: ReadonlyMap<Turn<Item>, readonly Item[]>;
  /** Those of them whose failure tells nothing of the user. */
  unanswered?: ReadonlySet<Turn<Item>>;
  /**
   * Turns that run on alone until their promise, which never rejects, resolves; only then does `unsettled` say what is
   * left of them.
   */
  finishing: ReadonlyMap<Turn<Item>, Promise<void>>;
};

export type MailboxOptions<Item> = {
  limits: Readonly<MailboxLimits>;
  /** Runs the turns of a round. A rejection counts as a failure of every turn. */
  runRound(turns: Turn<Item>[]): Promise<RoundResult<Item>>;
  /**
   * The items that belong to the key; sees to the others. Called for what a resting mailbox holds, so that
   * nothing else has to wait for a user whose turns fail.
   */
  keepOwn(key: string, items: readonly Item[]): readonly Item[];
  /** Sees to an item that came for a user whose turns fail, and who has his share already. */
  parkSurplus(item: Item, held: number): void;
  /** How long a user rests after `failures` failed turns, in milliseconds. */
  restMs(failures: number): number;
};

type Mailbox<Item> = Failing & {
  key: string;
  mode: "waiting" | "running" | "resting";
  /** Live as soon as one of its items was, until it runs dry. */
  priority: Priority;
  items: Item[];
};

export type Mailboxes<Item> = {
  deliver(key: string, item: Item, priority: Priority): void;
  /** The limits have changed: there may be room for another round. */
  recheck(): void;
  /** Keys with messages in hand, and how many of them rest after a failure. */
  counts(): { users: number; resting: number };
  /** Stops at once. Items in hand are dropped; they were not acknowledged. */
  close(): void;
};

/** So many in a row are no hiccup. */
const MAX_OWN_FAILURES = 5;

/** What one user may hold while he rests. */
function shareOf(ownFailures: number, { maxInFlightMessages, maxUserSharePercent }: MailboxLimits): number {
  if (ownFailures < MAX_OWN_FAILURES) return Number.POSITIVE_INFINITY;
  return (maxInFlightMessages * maxUserSharePercent) / 100;
}

export function createMailboxes<Item>(options: MailboxOptions<Item>): Mailboxes<Item> {
  const { limits } = options;
  const mailboxes = new Map<string, Mailbox<Item>>();
  const ready = createWaitingMailboxes<Mailbox<Item>>();
  const rests = new Set<NodeJS.Timeout>();
  let resting = 0;
  const failing = createFailureWatch();
  let rounds = 0;
  let pumping: NodeJS.Immediate | undefined;
  let closed = false;

  /** Waits for the end of this event-loop turn, so that what arrives together runs together. */
  function pumpSoon(): void {
    pumping ??= setImmediate(pump);
  }

  function pump(): void {
    pumping = undefined;
    while (!closed && ready.size() > 0 && rounds < limits.maxRounds) {
      const chosen = ready.take(limits.maxUsersPerRound);
      rounds += 1;
      void run(chosen);
    }
  }

  async function run(chosen: Mailbox<Item>[]): Promise<void> {
    const turns = chosen.map((mailbox): Turn<Item> => {
      mailbox.mode = "running";
      const { key, failures } = mailbox;
      return { key, items: takeTurn(mailbox), failures };
    });
    const whole: () => RoundResult<Item> = () => ({
      unsettled: new Map(turns.map((turn) => [turn, turn.items])),
      finishing: new Map(),
    });
    const { unsettled, unanswered, finishing } = await options.runRound(turns).catch(whole);
    rounds -= 1;
    turns.forEach((turn, index) => {
      const mailbox = chosen[index]!;
      const finish = () => {
        const left = unsettled.get(turn);
        if (left) rest(mailbox, left, !unanswered?.has(turn));
        else proceed(mailbox);
        pumpSoon();
      };
      const finished = finishing.get(turn);
      if (finished) void finished.then(finish);
      else finish();
    });
    pumpSoon();
  }

  function takeTurn(mailbox: Mailbox<Item>): Item[] {
    const { items } = mailbox;
    if (items.length > limits.maxUpdatesPerTurn) return items.splice(0, limits.maxUpdatesPerTurn);
    mailbox.items = [];
    return items;
  }

  function proceed(mailbox: Mailbox<Item>): void {
    if (closed) return;
    mailbox.failures = 0;
    failing.proceeded();
    if (mailbox.items.length === 0) mailboxes.delete(mailbox.key);
    else wait(mailbox);
  }

  function wait(mailbox: Mailbox<Item>): void {
    mailbox.mode = "waiting";
    ready.add(mailbox, mailbox.priority);
  }

  function rest(mailbox: Mailbox<Item>, left: readonly Item[], isTelling: boolean): void {
    if (closed) return;
    mailbox.mode = "resting";
    failing.failed(mailbox, isTelling);
    const own = options.keepOwn(mailbox.key, [...left, ...mailbox.items]);
    mailbox.items = [];
    keep(mailbox, own);
    resting += 1;
    const timer = setTimeout(() => {
      rests.delete(timer);
      resting -= 1;
      wait(mailbox);
      pumpSoon();
    }, options.restMs(mailbox.failures));
    rests.add(timer);
  }

  /** Also what came while the turn ran that failed, else a user who holds all there is would hold it for good. */
  function keep({ items, ownFailures }: Mailbox<Item>, own: readonly Item[]): void {
    for (const item of own)
      if (items.length < shareOf(ownFailures, limits)) items.push(item);
      else options.parkSurplus(item, items.length);
  }

  return {
    deliver(key, item, priority) {
      if (closed) return;
      const mailbox = mailboxes.get(key);
      if (mailbox) {
        if (mailbox.mode === "resting") keep(mailbox, options.keepOwn(key, [item]));
        else mailbox.items.push(item);
        if (priority === "live" && mailbox.priority === "bulk") {
          mailbox.priority = "live";
          if (mailbox.mode === "waiting") ready.add(mailbox, "live");
        }
        return;
      }
      const fresh: Mailbox<Item> = {
        key,
        mode: "waiting",
        priority,
        items: [item],
        failures: 0,
        ownFailures: 0,
        failedAtMs: 0,
      };
      mailboxes.set(key, fresh);
      wait(fresh);
      pumpSoon();
    },
    recheck: pumpSoon,
    counts: () => ({ users: mailboxes.size, resting }),
    close() {
      closed = true;
      for (const timer of rests) clearTimeout(timer);
      if (pumping) clearImmediate(pumping);
      mailboxes.clear();
      ready.clear();
    },
  };
}
