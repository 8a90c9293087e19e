/** Sends each message to the queue of its key, and tells the sender what became of it, in time. */
import { crc32 } from "node:zlib";
import type { Producer } from "../../ports/update-queue.ts";
import { KeylineError } from "../../runtime/errors.ts";
import type { Encoded, Pending, SqsSends } from "./sqs-sends.ts";

export type SqsProducerOptions = {
  /** Messages that are not yet answered, of all queues; one more is refused with `queue_send_refused`. */
  maxPending: number;
  /** A message without an answer for this long is rejected with `queue_send_timeout`. */
  sendTimeoutMs: number;
  /** A message of more bytes is refused. */
  maxBatchBytes: number;
};

/** @param queues one key's messages always go to the same of them */
export function createSqsProducer<Content>(
  queues: readonly SqsSends<Content>[],
  options: SqsProducerOptions,
): Producer {
  const { maxPending, sendTimeoutMs, maxBatchBytes } = options;
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

  /**
   * All processes have to agree on it, or a user's messages would lie in two queues, whose order is not kept: the hash
   * and the order of the queues are part of how an installation is set up.
   */
  function queueOf(key: string): number {
    return crc32(key) % queues.length;
  }

  return {
    async send(message, number = queueOf(message.key)) {
      const queue = queues[number]!;
      const encoded = queue.encode(message);
      const refused = refusal(encoded.sizeBytes);
      if (refused !== undefined) throw refused;
      pendingCount++;
      const { pending, answer } = createPending(encoded, sendTimeoutMs, settled);
      queue.push(pending);
      return answer;
    },
    queues: { count: queues.length, of: queueOf },
    connected: () => !closed,
    async close() {
      closed = true;
      if (pendingCount > 0) await idle.promise;
    },
  };
}

function createPending<Content>(encoded: Encoded<Content>, sendTimeoutMs: number, onSettled: () => void) {
  const { promise: answer, resolve, reject } = Promise.withResolvers<void>();
  const pending: Pending<Content> = {
    ...encoded,
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
