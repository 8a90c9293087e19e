/** Sends in batches: what is queued in one turn of the event loop, or while requests are under way. */
import type { Producer } from "../../ports/update-queue.ts";
import { KeylineError, toError } from "../../runtime/errors.ts";
import { createLanes, type Waiting } from "./sqs-lanes.ts";
import { encodeMessage, type SqsEntry } from "./sqs-message.ts";
import { type EntryFailure, maxBatchEntries, type SqsRequests } from "./sqs-requests.ts";

export type SqsProducerOptions = {
  /** Messages that are not yet answered; one more is refused with `queue_send_refused`. */
  maxPending: number;
  /** A message without an answer for this long is rejected with `queue_send_timeout`. */
  sendTimeoutMs: number;
  /** Bytes in one batch, bodies and attributes together. */
  maxBatchBytes: number;
  maxConcurrentRequests: number;
  /** Characters that the server takes in no text. Default: those that SQS refuses. */
  refusedCharacters?: RegExp | undefined;
};

type Pending = Waiting & {
  entry: SqsEntry;
  /** Set while the message is in a request. */
  request: { unsettled: number; controller: AbortController } | undefined;
  /** Tells the sender; only the first call counts. */
  settle: (error: Error | undefined) => void;
};

/** Below this many requests under way a batch may go out part full; above, it waits until it is full. */
const eagerRequests = 4;

export function createSqsProducer(requests: SqsRequests, options: SqsProducerOptions): Producer {
  const { maxPending, sendTimeoutMs, maxBatchBytes, maxConcurrentRequests } = options;
  const lanes = createLanes<Pending>({ maxEntries: maxBatchEntries, maxBytes: maxBatchBytes });
  const idle = Promise.withResolvers<void>();
  let pendingCount = 0;
  let requestCount = 0;
  let flushScheduled = false;
  let closed = false;

  function refusal(sizeBytes: number): KeylineError | undefined {
    if (closed) return new KeylineError("queue_not_connected", "the SQS producer is closed");
    if (sizeBytes > maxBatchBytes) {
      const text = `a message of ${sizeBytes} bytes is over the limit of ${maxBatchBytes}`;
      return new KeylineError("queue_send_refused", text, { value: sizeBytes });
    }
    if (pendingCount < maxPending) return undefined;
    const text = `${maxPending} messages wait for SQS already`;
    return new KeylineError("queue_send_refused", text, { retryable: true });
  }

  function settled(): void {
    pendingCount--;
    if (closed && pendingCount === 0) idle.resolve();
  }

  function scheduleFlush(): void {
    if (flushScheduled) return;
    flushScheduled = true;
    setImmediate(() => {
      flushScheduled = false;
      flush();
    });
  }

  function flush(): void {
    while (requestCount < maxConcurrentRequests && lanes.hasReady()) {
      if (requestCount >= eagerRequests && lanes.waitingCount() < maxBatchEntries) return;
      const batch = lanes.takeBatch();
      if (batch.length > 0) void run(batch);
    }
  }

  async function run(batch: Pending[]): Promise<void> {
    requestCount++;
    await sendBatch(requests, batch);
    requestCount--;
    lanes.finish(batch);
    flush();
  }

  return {
    async send(message) {
      const { entry, sizeBytes } = encodeMessage(message, options.refusedCharacters);
      const refused = refusal(sizeBytes);
      if (refused !== undefined) throw refused;
      pendingCount++;
      const { pending, answer } = createPending(entry, sizeBytes, sendTimeoutMs, settled);
      lanes.push(pending);
      scheduleFlush();
      return answer;
    },
    connected: () => !closed,
    async close() {
      closed = true;
      if (pendingCount > 0) await idle.promise;
    },
  };
}

function createPending(entry: SqsEntry, sizeBytes: number, sendTimeoutMs: number, onSettled: () => void) {
  const { promise: answer, resolve, reject } = Promise.withResolvers<void>();
  const pending: Pending = {
    entry,
    group: entry.MessageGroupId,
    sizeBytes,
    request: undefined,
    settled: false,
    settle(error) {
      if (pending.settled) return;
      pending.settled = true;
      clearTimeout(timer);
      if (pending.request !== undefined) pending.request.unsettled--;
      if (error === undefined) resolve();
      else reject(error);
      onSettled();
    },
  };
  const timer = setTimeout(() => {
    const text = `SQS gave no answer within ${sendTimeoutMs} ms`;
    pending.settle(new KeylineError("queue_send_timeout", text, { retryable: true }));
    if (pending.request?.unsettled === 0) pending.request.controller.abort();
  }, sendTimeoutMs);
  return { pending, answer };
}

/** Settles every message of the batch; the request is given up when nobody waits for any of them. */
async function sendBatch(requests: SqsRequests, batch: readonly Pending[]): Promise<void> {
  const request = { unsettled: batch.length, controller: new AbortController() };
  const entries: SqsEntry[] = [];
  for (const pending of batch) {
    pending.request = request;
    entries.push(pending.entry);
  }
  try {
    const failures = await requests.send(entries, request.controller.signal);
    batch.forEach((pending, index) => {
      pending.settle(refusalOf(failures[index]));
    });
  } catch (thrown) {
    for (const pending of batch) pending.settle(toError(thrown));
  }
}

function refusalOf(failure: EntryFailure): KeylineError | undefined {
  if (failure === undefined) return undefined;
  const text = `SQS refused the message (${failure.code}: ${failure.message})`;
  return new KeylineError("queue_send_refused", text, { retryable: !failure.senderFault });
}
