/** Deletes acknowledged messages in batches, in the background. A delete that fails is told and not repeated. */
import { attempt, maxBatchEntries, type SqsRequests } from "./sqs-requests.ts";

export type DeletesOptions = {
  maxConcurrentRequests: number;
  onError: (error: Error) => void;
  /** Called when `count` has gone down. */
  onFreed: () => void;
};

type Deletion = { receiptHandle: string; settle: (deleted: boolean) => void };

export function createDeletes(requests: SqsRequests, options: DeletesOptions) {
  let waiting: Deletion[] = [];
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

  async function deleteBatch(batch: readonly Deletion[]): Promise<void> {
    requestCount++;
    deletingCount += batch.length;
    const handles = batch.map(({ receiptHandle }) => receiptHandle);
    const failures = await attempt("delete", options.onError, () => requests.delete(handles));
    batch.forEach(({ settle }, index) => {
      settle(failures !== undefined && failures[index] === undefined);
    });
    requestCount--;
    deletingCount -= batch.length;
    flush();
    options.onFreed();
    if (waiting.length + deletingCount === 0) idle?.resolve();
  }

  return {
    /** Not yet deleted. */
    count: () => waiting.length + deletingCount,
    /** @param settle is told whether SQS has deleted it */
    add(receiptHandle: string, settle: (deleted: boolean) => void): void {
      waiting.push({ receiptHandle, settle });
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
