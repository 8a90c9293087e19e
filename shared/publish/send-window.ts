import type { OutgoingMessage, Path, Producer } from "../ports/update-queue.ts";
import { createAdaptiveLimit } from "../runtime/adaptive-limit.ts";
import { createDeadlines } from "../runtime/deadlines.ts";
import { KeylineError, toError } from "../runtime/errors.ts";
import { createFifo } from "../runtime/fifo.ts";
import { createBackgroundLimit } from "./background-limit.ts";

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

/** What becomes of a send: `begin` may throw, and `over` is called once, whatever it comes to. */
type Steps = {
  begin(sending: Sending): Promise<void>;
  over(sending: Sending, error?: Error): void;
};

/** Where sends wait for their turn. */
type Room = (sending: Sending) => void;

export type SendWindowOptions = {
  path: Path;
  /** Sends without an answer at once, at each queue. */
  maxPending: number;
  /** Of the producer. */
  queues?: Producer["queues"];
  /** Given where these make way for others who send there: what a send may take longer for them. */
  targetDelayMs?: number | undefined;
  send(message: OutgoingMessage): Promise<void>;
};

/**
 * What waits for its turn is not yet sent, so that a burst is not taken for a broker that does not answer. Of a
 * Pulsar that is slow the breaker takes care; SQS has none, so fewer are sent there at once while it is.
 */
export function createSendWindow(options: SendWindowOptions): SendWindow {
  const { path, maxPending, send } = options;
  const enter = openRooms(options, { begin, over });
  const deadlines = createDeadlines<Sending>(abandon);
  let abandoned = 0;

  const late = () =>
    new KeylineError("publish_late", `${maxPending} others wait for an answer over ${path}`, {
      retryable: true,
    });
  const unanswered = () =>
    new KeylineError("queue_send_timeout", `no answer over ${path} by the deadline`, { retryable: true });

  function abandon(sending: Sending): void {
    const error = sending.stage === "waiting" ? late() : unanswered();
    sending.stage = "abandoned";
    abandoned += 1;
    sending.settle(error);
  }

  function begin(sending: Sending): Promise<void> {
    if (sending.stage === "abandoned" || performance.now() > sending.turnByMs) throw late();
    sending.stage = "sent";
    deadlines.remove(sending);
    deadlines.add(sending, sending.deadlineAtMs);
    return send(sending.message);
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
function openRooms(options: SendWindowOptions, steps: Steps): Room {
  const { queues } = options;
  if (queues === undefined) return openRoom(options, steps);
  const rooms = Array.from({ length: queues.count }, () => openRoom(options, steps));
  return (sending) => rooms[queues.of(sending.message.key)]!(sending);
}

function openRoom({ path, maxPending, targetDelayMs }: SendWindowOptions, steps: Steps): Room {
  if (targetDelayMs !== undefined)
    return limitedRoom(createBackgroundLimit(maxPending, targetDelayMs), steps);
  if (path === "sqs") return limitedRoom(createAdaptiveLimit(maxPending), steps);
  return fixedRoom(maxPending, steps);
}

function limitedRoom(limit: (work: () => Promise<void>) => Promise<void>, { begin, over }: Steps): Room {
  return (sending) => {
    limit(async () => begin(sending)).then(
      () => over(sending),
      (error: unknown) => over(sending, toError(error)),
    );
  };
}

/** In the order of their coming. The promises that a library's limit makes for each cost more than the send itself. */
function fixedRoom(max: number, { begin, over }: Steps): Room {
  const waiting = createFifo<Sending>();
  let underWay = 0;

  function start(sending: Sending): void {
    let answer: Promise<void>;
    try {
      answer = begin(sending);
    } catch (error) {
      over(sending, toError(error));
      return;
    }
    underWay += 1;
    answer.then(
      () => leave(sending),
      (error: unknown) => leave(sending, toError(error)),
    );
  }

  function leave(sending: Sending, error?: Error): void {
    underWay -= 1;
    while (underWay < max && waiting.size() > 0) start(waiting.shift()!);
    over(sending, error);
  }

  return (sending) => {
    if (underWay < max && waiting.size() === 0) start(sending);
    else waiting.push(sending);
  };
}
