import type { OutgoingMessage, Producer } from "../ports/update-queue.ts";
import { createDeadlines } from "../runtime/deadlines.ts";
import { KeylineError } from "../runtime/errors.ts";
import { openPackRoom, type PackSteps } from "./pack-room.ts";
import { openRoom, type Room, type RoomOptions, type Steps } from "./send-room.ts";

/** The sends of one path: a bounded number without an answer at each queue, and those that wait for their turn. */
export type SendWindow = {
  /**
   * Sends the message when there is room, and calls `settle` once, never later than the deadline: without an error
   * when the path has the message, else with the send's own, with `publish_late` when its turn has not come by
   * `turnByMs`, or with `queue_send_timeout` when there is no answer by `deadlineAtMs`. Both by `performance.now`.
   */
  send(message: OutgoingMessage, turnByMs: number, deadlineAtMs: number, settle: Settle): void;
  /** Sends that are not over though nobody waits for them any more. Those under way keep their room. */
  abandoned(): number;
};

export type Settle = (error?: Error) => void;

type Sending = {
  readonly message: OutgoingMessage;
  readonly turnByMs: number;
  readonly deadlineAtMs: number;
  readonly settle: Settle;
  /** `abandoned`: its caller was told that it failed, and it is not over. */
  stage: "waiting" | "sent" | "abandoned" | "over";
  slot: number;
};

export type SendWindowOptions = RoomOptions & {
  /** Of the producer. */
  queues?: Producer["queues"];
  /** Where messages travel in packs, the groups of users by which these are keyed; 0 or absent: each goes by itself. */
  keyGroups?: number | undefined;
  /** Of one message of the broker, which holds so many of those that were given. */
  send(message: OutgoingMessage, updates: number): Promise<void>;
};

/**
 * What waits for its turn is not yet sent, so that a burst is not taken for a broker that does not answer. Of a
 * Pulsar that is slow the breaker takes care; SQS has none, so fewer are sent there at once while it is.
 */
export function createSendWindow(options: SendWindowOptions): SendWindow {
  const { path, send } = options;
  const enter = openRooms(options, { begin, hasTurn, late, send, over });
  const deadlines = createDeadlines<Sending>(abandon);
  let abandoned = 0;

  function late(): KeylineError {
    const message = `others wait for their answers over ${path}, and its turn did not come in time`;
    return new KeylineError("publish_late", message, { retryable: true });
  }

  const unanswered = () =>
    new KeylineError("queue_send_timeout", `no answer over ${path} by the deadline`, { retryable: true });

  function abandon(sending: Sending): void {
    const error = sending.stage === "waiting" ? late() : unanswered();
    sending.stage = "abandoned";
    abandoned += 1;
    sending.settle(error);
  }

  /** @returns false where it came too late. */
  function hasTurn(sending: Sending): boolean {
    if (sending.stage === "abandoned" || performance.now() > sending.turnByMs) return false;
    sending.stage = "sent";
    deadlines.remove(sending);
    deadlines.add(sending, sending.deadlineAtMs);
    return true;
  }

  function begin(sending: Sending): Promise<void> {
    if (!hasTurn(sending)) throw late();
    return send(sending.message, 1);
  }

  function over(sending: Sending, error?: Error): void {
    const { stage } = sending;
    sending.stage = "over";
    deadlines.remove(sending);
    if (stage === "abandoned") abandoned -= 1;
    else sending.settle(error);
  }

  return {
    send(message, turnByMs, deadlineAtMs, settle) {
      const sending: Sending = { message, turnByMs, deadlineAtMs, settle, stage: "waiting", slot: -1 };
      enter(sending);
      if (sending.stage === "waiting") deadlines.add(sending, turnByMs);
    },
    abandoned: () => abandoned,
  };
}

/** One for each queue: what waits for a queue that does not answer keeps no room from the others. */
function openRooms(options: SendWindowOptions, steps: Steps<Sending> & PackSteps<Sending>): Room<Sending> {
  const { queues, keyGroups } = options;
  if (keyGroups) return openPackRoom(keyGroups, (packs) => openRoom(options, packs), steps);
  if (queues === undefined) return openRoom(options, steps);
  const rooms = Array.from({ length: queues.count }, () => openRoom(options, steps));
  return (sending) => rooms[queues.of(sending.message.key)]!(sending);
}
