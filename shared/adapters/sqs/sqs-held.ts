/**
 * The messages that a consumer has received and neither acknowledged nor given back. They stay invisible to
 * others while they are held.
 */
import { attempt, type EntryFailure, maxBatchEntries, type SqsRequests } from "./sqs-requests.ts";

export type HeldMessage = { receiptHandle: string; group: string; extendAtMs: number };

export type HeldMessagesOptions = {
  /** Called when fewer messages may be held than before: there may be room for a poll that waits. */
  onFreed: () => void;
  visibilityTimeoutSeconds: number;
  maxConcurrentRequests: number;
  onError: (error: Error) => void;
};

export function createHeldMessages(requests: SqsRequests, options: HeldMessagesOptions) {
  const { visibilityTimeoutSeconds } = options;
  const halfTimeoutMs = (visibilityTimeoutSeconds * 1000) / 2;
  const held = new Set<HeldMessage>();
  let extending: Promise<void> | undefined;

  const timer = setInterval(() => {
    extending ??= extendOverdue().finally(() => {
      extending = undefined;
    });
  }, halfTimeoutMs / 4);

  async function extendOverdue(): Promise<void> {
    const nowMs = performance.now();
    const overdue = [...held].filter((message) => message.extendAtMs <= nowMs);
    await changeVisibility(requests, options, overdue, visibilityTimeoutSeconds, (message, failure) => {
      message.extendAtMs = performance.now() + halfTimeoutMs;
      // SQS no longer takes the receipt handle: the message is, or will be, with someone else.
      if (failure?.senderFault === true) held.delete(message);
    });
    options.onFreed();
  }

  return {
    count: () => held.size,
    add(receiptHandle: string, group: string): HeldMessage {
      const message = { receiptHandle, group, extendAtMs: performance.now() + halfTimeoutMs };
      held.add(message);
      return message;
    },
    /** @returns false when it was not held any more. */
    drop: (message: HeldMessage): boolean => held.delete(message),
    async release(messages: readonly HeldMessage[], afterSeconds: number): Promise<void> {
      const released = messages.filter((message) => held.delete(message));
      await changeVisibility(requests, options, released, afterSeconds);
    },
    /** Gives back what is left. Every request has a deadline; none is repeated. */
    async close(): Promise<void> {
      clearInterval(timer);
      await extending;
      await changeVisibility(requests, options, [...held], 0);
      held.clear();
    },
  };
}

/**
 * Messages of one group go out in their order, one request after another, so that the first of a key never
 * becomes visible after the second. Gives up at the first request that fails as a whole; `onResult` then isn't
 * called for what is left.
 */
async function changeVisibility(
  requests: SqsRequests,
  options: HeldMessagesOptions,
  messages: readonly HeldMessage[],
  timeoutSeconds: number,
  onResult?: (message: HeldMessage, failure: EntryFailure) => void,
): Promise<void> {
  let reachable = true;
  async function runLane(lane: readonly HeldMessage[]): Promise<void> {
    for (let start = 0; start < lane.length && reachable; start += maxBatchEntries) {
      const batch = lane.slice(start, start + maxBatchEntries);
      const handles = batch.map((message) => message.receiptHandle);
      const failures = await attempt("change of visibility", options.onError, () =>
        requests.changeVisibility(handles, timeoutSeconds),
      );
      if (failures === undefined) reachable = false;
      batch.forEach((message, index) => {
        if (failures !== undefined) onResult?.(message, failures[index]);
      });
    }
  }
  await Promise.all(spreadByGroup(messages, options.maxConcurrentRequests).map(runLane));
}

function spreadByGroup(messages: readonly HeldMessage[], lanes: number): HeldMessage[][] {
  const laneOf = new Map<string, number>();
  const spread: HeldMessage[][] = Array.from({ length: lanes }, () => []);
  for (const message of messages) {
    const lane = laneOf.get(message.group) ?? laneOf.size % lanes;
    laneOf.set(message.group, lane);
    spread[lane]?.push(message);
  }
  return spread.filter((lane) => lane.length > 0);
}
