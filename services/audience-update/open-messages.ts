import { type Decoded, type DecodeLimits, decode } from "../../shared/domain/decode.ts";
import { type Update, userKey } from "../../shared/domain/envelope.ts";
import { type Refusal, refuse } from "../../shared/domain/refusal.ts";
import type { Delivery } from "../../shared/ports/update-queue.ts";
import { toError } from "../../shared/runtime/errors.ts";
import type { DeadLetterOffice } from "./dead-letter.ts";
import type { HotUsers } from "./hot-users.ts";
import type { Intake } from "./intake.ts";
import type { OpenItem } from "./run-round.ts";
import type { UpdateMetrics } from "./update-metrics.ts";

/** A message in hand; decoded only where its key was not its user's. */
export type Item = {
  delivery: Delivery;
  intake: Intake;
  /** How many of its key came in that second, with it. */
  arrivals: number;
  update?: Update;
  /** It was found to be within its user's limit: a policy that changes meanwhile is for what comes then. */
  isTaken?: boolean;
};

/** A message as it was read; with the stack where reading it threw. */
type Opened = Decoded & { stack?: string | undefined };

export type OpenMessagesOptions = {
  limits: Readonly<DecodeLimits>;
  hotUsers: Pick<HotUsers, "arrived" | "verdictOf">;
  deadLetters: Pick<DeadLetterOffice, "park">;
  metrics: Pick<UpdateMetrics, "overLimit">;
  now(): number;
  /** To the mailbox of its own user. */
  sendOn(key: string, item: Item): void;
  acknowledge(item: Item): void;
};

/**
 * Decodes what came under a key, and tells apart: the user's own updates, which are returned, and the others. What can't
 * be read is parked, what is another user's is sent on, and what is over its user's limit is skipped or parked. Messages
 * wait as they came until then, since decoded ones would be most of what the garbage collector has to copy.
 */
export function createMessageOpener(
  options: OpenMessagesOptions,
): (key: string, items: readonly Item[]) => OpenItem<Item>[] {
  const { limits, hotUsers, deadLetters, metrics, now, sendOn, acknowledge } = options;

  /** No payload whatever may end the process: it would come again to the next one. */
  function decodeSafely({ delivery, intake }: Item): Opened {
    try {
      return decode(delivery.payload, delivery, limits, now(), intake.priority);
    } catch (thrown) {
      const { message, stack } = toError(thrown);
      return { refusal: refuse("apply_failed", "", delivery.payload, message), stack };
    }
  }

  /** False for what is over its user's limit, and seen to. */
  function isTaken(item: Item, update: Update): boolean {
    if (item.isTaken) return true;
    const verdict = hotUsers.verdictOf(update, item.arrivals);
    if (verdict === "apply") {
      item.isTaken = true;
      return true;
    }
    metrics.overLimit(update.tenant, verdict);
    if (verdict === "skip") acknowledge(item);
    else void deadLetters.park(item.delivery, item.intake, refuseHot(update, item.arrivals));
    return false;
  }

  return (key, items) => {
    const own: OpenItem<Item>[] = [];
    for (const item of items) {
      const { delivery, intake } = item;
      const opened: Opened = item.update ? { update: item.update } : decodeSafely(item);
      if ("refusal" in opened) {
        void deadLetters.park(delivery, intake, opened.refusal, opened.stack);
        continue;
      }
      const { update } = opened;
      const ownKey = userKey(update.tenant, update.userId);
      // Under a key that many share, the others' arrivals are none of this user's.
      if (ownKey !== key) sendOn(ownKey, { ...item, update, arrivals: hotUsers.arrived(ownKey) });
      else if (isTaken(item, update)) own.push({ item, update, path: delivery.path });
    }
    return own;
  };
}

function refuseHot({ userId }: Update, arrivals: number): Refusal {
  const message = `${arrivals} updates of this user came in a second, more than its tenant allows`;
  return refuse("user_over_limit", "userId", userId, message);
}
