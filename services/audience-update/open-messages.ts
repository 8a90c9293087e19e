import { type Decoded, type DecodeLimits, decode } from "../../shared/domain/decode.ts";
import { type Update, userKey } from "../../shared/domain/envelope.ts";
import { type Refusal, refuse } from "../../shared/domain/refusal.ts";
import type { Delivery } from "../../shared/ports/update-queue.ts";
import { toError } from "../../shared/runtime/errors.ts";
import type { DeadLetterOffice } from "./dead-letter.ts";
import type { HotUsers, HotVerdict } from "./hot-users.ts";
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
  /** By its user's limit, once it was looked at: a policy that changes meanwhile is for what comes then. */
  verdict?: HotVerdict;
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
};

/**
 * Decodes what came under a key, and tells apart: the user's own updates, which are returned, and the others. What can't
 * be read is parked, what is another user's is sent on, and what is over its user's limit loses its operations or is parked. Messages
 * wait as they came until then, since decoded ones would be most of what the garbage collector has to copy.
 */
export function createMessageOpener(
  options: OpenMessagesOptions,
): (key: string, items: readonly Item[]) => OpenItem<Item>[] {
  const { limits, hotUsers, deadLetters, metrics, now, sendOn } = options;

  /** No payload whatever may end the process: it would come again to the next one. */
  function decodeSafely({ delivery, intake }: Item): Opened {
    try {
      return decode(delivery.payload, delivery, limits, now(), intake.priority);
    } catch (thrown) {
      const { message, stack } = toError(thrown);
      return { refusal: refuse("apply_failed", "", delivery.payload, message), stack };
    }
  }

  /**
   * As it is to be folded, or undefined where it is parked. What is skipped has a place in what was seen, and nothing
   * else: it stays skipped when it is delivered again, and leaves no gap in the numbers of its source.
   */
  function within(item: Item, update: Update): Update | undefined {
    if (item.verdict === undefined) {
      item.verdict = hotUsers.verdictOf(update, item.arrivals);
      if (item.verdict !== "apply") metrics.overLimit(update.tenant, item.verdict);
    }
    if (item.verdict === "apply") return update;
    if (item.verdict === "skip") return { ...update, ops: [] };
    void deadLetters.park(item.delivery, item.intake, refuseHot(update, item.arrivals));
    return undefined;
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
      if (ownKey !== key) {
        sendOn(ownKey, { ...item, update, arrivals: hotUsers.arrived(ownKey) });
        continue;
      }
      const taken = within(item, update);
      if (taken) own.push({ item, update: taken, path: delivery.path });
    }
    return own;
  };
}

function refuseHot({ userId }: Update, arrivals: number): Refusal {
  const message = `${arrivals} updates of this user came in a second, more than its tenant allows`;
  return refuse("user_over_limit", "userId", userId, message);
}
