/** Sends to one queue in batches: what is queued in one turn of the event loop, or while requests are under way. */
import { KeylineError, toError } from "../../runtime/errors.ts";
import { createLanes, type Waiting } from "./sqs-lanes.ts";
import type { SqsEntry } from "./sqs-message.ts";
import { type EntryFailure, maxBatchEntries, type SqsRequests } from "./sqs-requests.ts";

export type SendsOptions = {
  /** Bytes in one batch, bodies and attributes together. */
  maxBatchBytes: number;
  maxConcurrentRequests: number;
};

export type Pending = Waiting & {
  entry: SqsEntry;
  /** Set while the message is in a request. */
  request: { unsettled: number; controller: AbortController } | undefined;
  /** Tells the sender; only the first call counts. */
  settle: (error: Error | undefined) => void;
};

export type SqsSends = {
  /** Settles the message some time; by itself it has no deadline. */
  push(pending: Pending): void;
};

/** Below this many requests under way a batch may go out part full; above, it waits until it is full. */
const eagerRequests = 4;

export function createSqsSends(requests: SqsRequests, options: SendsOptions): SqsSends {
  const { maxBatchBytes, maxConcurrentRequests } = options;
  const lanes = createLanes<Pending>({ maxEntries: maxBatchEntries, maxBytes: maxBatchBytes });
  let requestCount = 0;
  let flushScheduled = false;

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
    push(pending) {
      lanes.push(pending);
      scheduleFlush();
    },
  };
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
