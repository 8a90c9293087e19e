/** Deletes acknowledged messages in batches, in the background. A delete that fails is told and forgotten. */
import { attempt, maxBatchEntries, type SqsRequests } from "./sqs-requests.ts";

export type DeletesOptions = {
  maxConcurrentRequests: number;
  onError: (error: Error) => void;
  /** Called when `count` has gone down. */
  onFreed: () => void;
};

export function createDeletes(requests: SqsRequests, options: DeletesOptions) {
  let waiting: string[] = [];
  let deletingCount = 0;
  let requestCount = 0;
  let flushScheduled = false;
  let idle: PromiseWithResolvers<void> | undefined;

  /** A part-full batch goes out only when no other is under way, as everything that comes meanwhile fills it. */
  function flush(): void {
    let start = 0;
    while (
      start < waiting.length &&
      requestCount < options.maxConcurrentRequests &&
      (requestCount === 0 || waiting.length - start >= maxBatchEntries)
    ) {
      void deleteBatch(waiting.slice(start, start + maxBatchEntries));
      start += maxBatchEntries;
    }
    if (start > 0) waiting = waiting.slice(start);
  }

  async function deleteBatch(receiptHandles: string[]): Promise<void> {
    requestCount++;
    deletingCount += receiptHandles.length;
    await attempt("delete", options.onError, () => requests.delete(receiptHandles));
    requestCount--;
    deletingCount -= receiptHandles.length;
    flush();
    options.onFreed();
    if (waiting.length + deletingCount === 0) idle?.resolve();
  }

  return {
    /** Not yet deleted. */
    count: () => waiting.length + deletingCount,
    add(receiptHandle: string): void {
      waiting.push(receiptHandle);
      if (flushScheduled) return;
      flushScheduled = true;
      setImmediate(() => {
        flushScheduled = false;
        flush();
      });
    },
    /** Resolves when all are deleted or given up. */
    async finish(): Promise<void> {
      if (waiting.length + deletingCount === 0) return;
      idle ??= Promise.withResolvers<void>();
      await idle.promise;
    },
  };
}
