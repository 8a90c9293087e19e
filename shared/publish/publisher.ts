import { type Priority, type Update, updateId, userKey } from "../domain/envelope.ts";
import { createStampClock } from "../domain/stamp.ts";
import type { Path, Producer } from "../ports/update-queue.ts";
import type { Breaker } from "../routing/breaker.ts";
import type { Route } from "../routing/router.ts";
import { KeylineError } from "../runtime/errors.ts";
import { createNumbering, type Numbering } from "./numbering.ts";
import { PublishError } from "./publish-error.ts";
import { createRoutedSender, payloadOf, type RoutedSender, type SendOutcome } from "./routed-send.ts";
import { createUnderWay, type Settle, settled, settledAll, type UnderWay } from "./settled.ts";
import type { Tail } from "./tail.ts";
import { assertEnvelope, envelopeOf, envelopeOfChecked, type UpdateInput } from "./update-input.ts";
import { type UserFunctions, userFunctions } from "./user-functions.ts";

export type Receipt = {
  /** The update's id: the caller's, or `src-seq`. */
  id: string;
  /** The path that has it durably. */
  path: Path;
  /** Its identity and its place in the order of the user's updates. */
  src: string;
  seq: number;
  stamp: number;
};

export type PublishResult = Receipt | KeylineError;

/** The functions of one user. All resolve and reject as `publish`. */
export type UserPublisher = UserFunctions<Receipt>;

export type Publisher = {
  /**
   * Validates, numbers, stamps and sends one update. Resolves when a path has it durably. Rejects with a
   * KeylineError: `invalid_update` or `too_large` with the path and the value that are wrong,
   * `publisher_full` when too much is under way here, `publisher_closed`, or a PublishError when neither path took
   * it by the deadline, which is when it settles at the latest, whatever the paths do.
   */
  publish(input: UpdateInput): Promise<Receipt>;
  /**
   * Publishes many at once, which costs much less than as many calls. Resolves once all are settled, with a result
   * for each in their order: what `publish` resolves or rejects with.
   *
   * @param checked that `publish` would not refuse any of them as `invalid_update`; they are not checked then.
   */
  publishAll(inputs: readonly UpdateInput[], checked?: "checked"): Promise<PublishResult[]>;
  /** Sends the update of a PublishError again, under the same identity, so that it counts once. */
  resend(update: Update): Promise<Receipt>;
  user(tenant: string, userId: string): UserPublisher;
  /** `underWay` includes sends that nobody waits for any more and that are not over yet. */
  counts(): {
    published: Record<Path, number>;
    failed: number;
    underWay: number;
    /** Of what Pulsar has, sent over SQS too, because the route moved there. */
    resent: number;
  };
  /** Waits for the calls that are under way. */
  close(): Promise<void>;
};

export type PublisherOptions = {
  primary: Producer;
  /** Bulk updates go to a topic of their own, and make way for live ones; without it, as these. */
  bulk?: {
    producer: Producer;
    /** How much later live sends may be for them, on average. */
    targetDelayMs: number;
  };
  fallback: Producer;
  breaker: Breaker;
  /** Where to send now. */
  route(): Route;
  /** Gets what Pulsar has, or may have. */
  tail: Pick<Tail, "add" | "resent">;
  /** A call settles within this time; a send without an answer by then counts as failed. */
  deadlineMs: number;
  /** Calls, and sends that go on after their call has settled; more are refused. */
  maxUnderWay: number;
  /** Live sends without an answer at once, for each path, of Pulsar packs; more of them wait here. */
  maxPending: Record<Path, number>;
  /** As a routed sender's. */
  keyGroups?: number;
  /** Users whose numbers are remembered. */
  maxUsers: number;
  /** Longest payload; both brokers must take it. */
  maxUpdateBytes: number;
  /** Milliseconds since the epoch, for stamps. */
  now(): number;
};

/**
 * Stamps never step back within a `src`, so one reading of a clock that is a day ahead would put a day of updates
 * into the future, where consumers park them (`MAX_CLOCK_SKEW_MS`). Beyond this a new `src` begins with the clock as
 * it is.
 */
const MAX_AHEAD_MS = 600_000;
/** Of what may be under way, so that live updates always find room. */
const MAX_BULK_SHARE = 0.5;
/** Few beside the window of the live sends. */
const MAX_BULK_OVER_SQS = 20;

export function createPublisher(options: PublisherOptions): Publisher {
  let clock = createStampClock(options.now);
  // Each a line of its own, so that numbers are dense on either topic.
  const lines: Record<Priority, Numbering> = {
    live: createNumbering({ maxUsers: options.maxUsers }),
    bulk: createNumbering({ maxUsers: options.maxUsers }),
  };
  const live = createRoutedSender({ ...options, onPulsarHas: options.tail.add });
  const senders: Record<Priority, RoutedSender> = {
    live,
    bulk: options.bulk ? createBulkSender(options, options.bulk) : live,
  };
  const published: Record<Path, number> = { pulsar: 0, sqs: 0 };
  const calls: Record<Priority, UnderWay> = { live: createUnderWay(), bulk: createUnderWay() };
  let failed = 0;
  let closed = false;

  function bulkAbandoned(): number {
    return senders.bulk === live ? 0 : senders.bulk.abandoned();
  }

  function underWay(): number {
    return calls.live.count() + calls.bulk.count() + live.abandoned() + bulkAbandoned();
  }

  function refuseSurplus(priority: Priority): void {
    // Elsewhere the same call may succeed: its caller must not take it for one that is wrong.
    if (closed) throw new KeylineError("publisher_closed", "the publisher is closed", { retryable: true });
    const bulkUnderWay = calls.bulk.count() + bulkAbandoned();
    const isFull = priority === "bulk" && bulkUnderWay >= options.maxUnderWay * MAX_BULK_SHARE;
    if (underWay() < options.maxUnderWay && !isFull) return;
    const count = isFull ? `${bulkUnderWay} bulk` : underWay();
    const message = `${count} updates are under way here, try again later`;
    throw new KeylineError("publisher_full", message, { retryable: true });
  }

  function serialise(update: Update): string {
    const payload = payloadOf(update);
    const sizeBytes = Buffer.byteLength(payload);
    if (sizeBytes <= options.maxUpdateBytes) return payload;
    const message = `the update is ${sizeBytes} bytes long, more than ${options.maxUpdateBytes}`;
    throw new KeylineError("too_large", message, { value: sizeBytes });
  }

  function start(update: Update, key: string, payload: string, settle: Settle<Receipt>): void {
    const priority = priorityOf(update);
    const message = { key, payload, deduplicationId: `${key} ${update.src} ${update.seq}` };
    calls[priority].begin();
    senders[priority].send(message, (outcome) => {
      settle(resultOf(update, outcome));
      calls[priority].end();
    });
  }

  function resultOf(update: Update, outcome: SendOutcome): PublishResult {
    if ("failures" in outcome) {
      failed += 1;
      return new PublishError(update, outcome.failures);
    }
    published[outcome.path] += 1;
    return receiptOf(update, outcome.path);
  }

  /**
   * An update is numbered when nothing but the paths can fail it any more: a refused one leaves no gap.
   * @throws KeylineError as `publish`, but no PublishError and no `invalid_update`
   */
  function begin(update: Update, settle: Settle<Receipt>): void {
    refuseSurplus(priorityOf(update));
    if (clock.aheadMs() > MAX_AHEAD_MS) {
      clock = createStampClock(options.now);
      for (const line of Object.values(lines)) line.renew();
    }
    const key = userKey(update.tenant, update.userId);
    const numbering = lines[priorityOf(update)];
    const { src, seq } = numbering.next(key);
    update.src = src;
    update.seq = seq;
    update.stamp = clock.next();
    let payload: string;
    try {
      payload = serialise(update);
    } catch (error) {
      numbering.takeBack(key);
      throw error;
    }
    start(update, key, payload, settle);
  }

  function publish(input: UpdateInput): Promise<Receipt> {
    return settled((settle) => begin(envelopeOf(input, options.now()), settle));
  }

  return {
    publish,
    publishAll(inputs, checked) {
      const envelope = checked ? envelopeOfChecked : envelopeOf;
      return settledAll(inputs, (input, settle) => begin(envelope(input, options.now()), settle));
    },
    resend: (update) =>
      settled((settle) => {
        assertEnvelope(update);
        refuseSurplus(priorityOf(update));
        start(update, userKey(update.tenant, update.userId), serialise(update), settle);
      }),
    user: (tenant, userId) => userFunctions((update) => publish({ ...update, tenant, userId })),
    counts: () => ({
      published: { ...published },
      failed,
      underWay: underWay(),
      resent: options.tail.resent(),
    }),
    async close() {
      closed = true;
      await Promise.all([calls.live.idle(), calls.bulk.idle()]);
    },
  };
}

function createBulkSender(
  options: PublisherOptions,
  { producer, targetDelayMs }: NonNullable<PublisherOptions["bulk"]>,
): RoutedSender {
  const { pulsar, sqs } = options.maxPending;
  return createRoutedSender({
    ...options,
    primary: producer,
    maxPending: { pulsar, sqs: Math.min(MAX_BULK_OVER_SQS, sqs) },
    background: { targetDelayMs },
  });
}

function priorityOf({ priority = "live" }: Pick<Update, "priority">): Priority {
  return priority;
}

function receiptOf(update: Update, path: Path): Receipt {
  const { src, seq, stamp } = update;
  return { id: updateId(update), path, src, seq, stamp };
}
