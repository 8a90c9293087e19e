/** Sends each message to the queue of its key, and tells the sender what became of it, in time. */
import { crc32 } from "node:zlib";
import type { Producer } from "../../ports/update-queue.ts";
import { KeylineError } from "../../runtime/errors.ts";
import { encodeMessage, type SqsEntry } from "./sqs-message.ts";
import type { SqsRequests } from "./sqs-requests.ts";
import { createSqsSends, type Pending, type SendsOptions, type SqsSends } from "./sqs-sends.ts";

export type SqsProducerOptions = SendsOptions & {
  /** Messages that are not yet answered, of all queues; one more is refused with `queue_send_refused`. */
  maxPending: number;
  /** A message without an answer for this long is rejected with `queue_send_timeout`. */
  sendTimeoutMs: number;
  /** Characters that the server takes in no text. Default: those that SQS refuses. */
  refusedCharacters?: RegExp | undefined;
};

/** @param queues the requests of each queue. One key's messages always go to the same of them. */
export function createSqsProducer(queues: readonly SqsRequests[], options: SqsProducerOptions): Producer {
  const { maxPending, sendTimeoutMs, maxBatchBytes } = options;
  const sends = queues.map((requests) => createSqsSends(requests, options));
  const idle = Promise.withResolvers<void>();
  let pendingCount = 0;
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

  return {
    async send(message) {
      const { entry, sizeBytes } = encodeMessage(message, options.refusedCharacters);
      const refused = refusal(sizeBytes);
      if (refused !== undefined) throw refused;
      pendingCount++;
      const { pending, answer } = createPending(entry, sizeBytes, sendTimeoutMs, settled);
      sendsOf(message.key, sends).push(pending);
      return answer;
    },
    connected: () => !closed,
    async close() {
      closed = true;
      if (pendingCount > 0) await idle.promise;
    },
  };
}

/**
 * All processes have to agree on it, or a user's messages would lie in two queues, whose order is not kept: the hash
 * and the order of the queues are part of how an installation is set up.
 */
function sendsOf(key: string, sends: readonly SqsSends[]): SqsSends {
  return sends[crc32(key) % sends.length] as SqsSends;
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
