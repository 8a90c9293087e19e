import { type Update, updateId, userKey } from "../domain/envelope.ts";
import { createStampClock } from "../domain/stamp.ts";
import type { Path, Producer } from "../ports/update-queue.ts";
import type { Breaker } from "../routing/breaker.ts";
import type { Route } from "../routing/router.ts";
import { KeylineError } from "../runtime/errors.ts";
import { createNumbering } from "./numbering.ts";
import { createRoutedSender, payloadOf } from "./routed-send.ts";
import type { Tail } from "./tail.ts";
import { assertEnvelope, envelopeOf, type UpdateInput } from "./update-input.ts";
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

/**
 * Neither path is known to have the update. Either may have it all the same (an answer got lost): pass
 * `update` to `resend`, which keeps its identity, instead of publishing a second time.
 */
export class PublishError extends KeylineError {
  readonly update: Update;

  constructor(update: Update, failures: Error[]) {
    const reasons = failures.map((failure) => failure.message).join("; ");
    super("publish_failed", `neither path took the update in time: ${reasons}`, {
      retryable: true,
      cause: new AggregateError(failures),
    });
    this.update = update;
  }
}

export type PublisherOptions = {
  primary: Producer;
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
  /** Sends without an answer at once, for each path; more of them wait here. */
  maxPending: Record<Path, number>;
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

export function createPublisher(options: PublisherOptions): Publisher {
  let clock = createStampClock(options.now);
  const numbering = createNumbering({ maxUsers: options.maxUsers });
  const sender = createRoutedSender({ ...options, onPulsarHas: options.tail.add });
  const published: Record<Path, number> = { pulsar: 0, sqs: 0 };
  const calls = new Set<Promise<Receipt>>();
  let failed = 0;
  let closed = false;

  async function send(update: Update, payload: string): Promise<Receipt> {
    const key = userKey(update.tenant, update.userId);
    const message = { key, payload, deduplicationId: `${key} ${update.src} ${update.seq}` };
    const outcome = await sender.send(message);
    if ("failures" in outcome) {
      failed += 1;
      throw new PublishError(update, outcome.failures);
    }
    published[outcome.path] += 1;
    return receiptOf(update, outcome.path);
  }

  function underWay(): number {
    return calls.size + sender.abandoned();
  }

  function refuseSurplus(): void {
    // Elsewhere the same call may succeed: its caller must not take it for one that is wrong.
    if (closed) throw new KeylineError("publisher_closed", "the publisher is closed", { retryable: true });
    if (underWay() < options.maxUnderWay) return;
    const message = `${underWay()} updates are under way here, try again later`;
    throw new KeylineError("publisher_full", message, { retryable: true });
  }

  function serialise(update: Update): string {
    const payload = payloadOf(update);
    const sizeBytes = Buffer.byteLength(payload);
    if (sizeBytes <= options.maxUpdateBytes) return payload;
    const message = `the update is ${sizeBytes} bytes long, more than ${options.maxUpdateBytes}`;
    throw new KeylineError("too_large", message, { value: sizeBytes });
  }

  function start(update: Update, payload: string): Promise<Receipt> {
    const sending = send(update, payload).finally(() => calls.delete(sending));
    calls.add(sending);
    return sending;
  }

  /** An update is numbered when nothing but the paths can fail it any more: a refused one leaves no gap. */
  async function publish(input: UpdateInput): Promise<Receipt> {
    const update = envelopeOf(input, options.now());
    refuseSurplus();
    if (clock.aheadMs() > MAX_AHEAD_MS) {
      clock = createStampClock(options.now);
      numbering.renew();
    }
    const key = userKey(update.tenant, update.userId);
    Object.assign(update, numbering.next(key), { stamp: clock.next() });
    let payload: string;
    try {
      payload = serialise(update);
    } catch (error) {
      numbering.takeBack(key);
      throw error;
    }
    return start(update, payload);
  }

  return {
    publish,
    async resend(update) {
      assertEnvelope(update);
      refuseSurplus();
      return start(update, serialise(update));
    },
    user: (tenant, userId) => userFunctions((update) => publish({ ...update, tenant, userId })),
    counts: () => ({
      published: { ...published },
      failed,
      underWay: underWay(),
      resent: options.tail.resent(),
    }),
    async close() {
      closed = true;
      await Promise.allSettled(calls);
    },
  };
}

function receiptOf(update: Update, path: Path): Receipt {
  const { src, seq, stamp } = update;
  return { id: updateId(update), path, src, seq, stamp };
}
