/** Sends to one queue in batches: what is queued in one turn of the event loop, or while requests are under way. */
import type { OutgoingMessage } from "../../ports/update-queue.ts";
import { KeylineError, toError } from "../../runtime/errors.ts";
import { createLanes, type Waiting } from "./sqs-lanes.ts";
import { encodeMessage, type SqsEntry } from "./sqs-message.ts";
import { type EntryFailure, maxBatchEntries, type SqsRequests } from "./sqs-requests.ts";

export type SendsOptions = {
  /** Bytes in one batch, bodies and attributes together. */
  maxBatchBytes: number;
  maxConcurrentRequests: number;
  /** Characters that the server takes in no text. Default: those that SQS refuses. */
  refusedCharacters?: RegExp | undefined;
};

/** A message as it waits to be sent, in whatever form. */
export type Encoded<Content> = { content: Content; group: string; sizeBytes: number };

export type Pending<Content> = Waiting & {
  content: Content;
  /** Set while the message is in a request. */
  request: { unsettled: number; controller: AbortController } | undefined;
  /** Tells the sender; only the first call counts. */
  settle: (error: Error | undefined) => void;
};

/** How messages get to one queue. */
export type SqsSends<Content> = {
  encode(message: OutgoingMessage): Encoded<Content>;
  /** Settles the message some time; by itself it has no deadline. */
  push(pending: Pending<Content>): void;
};

/** Below this many requests under way a batch may go out part full; above, it waits until it is full. */
const eagerRequests = 4;

/** Each message is one of SQS's, in order within its group. */
export function createSqsSends(requests: SqsRequests, options: SendsOptions): SqsSends<SqsEntry> {
  const { maxBatchBytes, maxConcurrentRequests } = options;
  const lanes = createLanes<Pending<SqsEntry>>({ maxEntries: maxBatchEntries, maxBytes: maxBatchBytes });
  let requestCount = 0;
  const scheduleFlush = oncePerTurn(flush);

  function flush(): void {
    while (requestCount < maxConcurrentRequests && lanes.hasReady()) {
      if (requestCount >= eagerRequests && lanes.waitingCount() < maxBatchEntries) return;
      const batch = lanes.takeBatch();
      if (batch.length > 0) void run(batch);
    }
  }

  async function run(batch: Pending<SqsEntry>[]): Promise<void> {
    requestCount++;
    await sendParcels(
      requests,
      batch.map((pending) => ({ entry: pending.content, holds: [pending] })),
    );
    requestCount--;
    lanes.finish(batch);
    flush();
  }

  return {
    encode(message) {
      const { entry, sizeBytes } = encodeMessage(message, options.refusedCharacters);
      return { content: entry, group: entry.MessageGroupId, sizeBytes };
    },
    push(pending) {
      lanes.push(pending);
      scheduleFlush();
    },
  };
}

/** Runs at the end of a turn of the event loop in which it was called, however often. */
export function oncePerTurn(run: () => void): () => void {
  let scheduled = false;
  return () => {
    if (scheduled) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      run();
    });
  };
}

/** One message of SQS, and what it holds. */
type Parcel = { entry: SqsEntry; holds: readonly Pending<unknown>[] };

/** Settles all that the parcels hold; the request is given up when nobody waits for any of it. */
export async function sendParcels(requests: SqsRequests, parcels: readonly Parcel[]): Promise<void> {
  const all = parcels.flatMap(({ holds }) => holds);
  const request = { unsettled: all.length, controller: new AbortController() };
  for (const pending of all) pending.request = request;
  try {
    const entries = parcels.map(({ entry }) => entry);
    const failures = await requests.send(entries, request.controller.signal);
    parcels.forEach(({ holds }, index) => {
      for (const pending of holds) pending.settle(refusalOf(failures[index]));
    });
  } catch (thrown) {
    for (const pending of all) pending.settle(toError(thrown));
  }
}

function refusalOf(failure: EntryFailure): KeylineError | undefined {
  if (failure === undefined) return undefined;
  const text = `SQS refused the message (${failure.code}: ${failure.message})`;
  return new KeylineError("queue_send_refused", text, { retryable: !failure.senderFault });
}
