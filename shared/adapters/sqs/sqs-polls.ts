/** Several long polls at once, each repeated until `stop`; failing ones back off with jitter. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Message } from "@aws-sdk/client-sqs";
import { toError } from "../../runtime/errors.ts";
import type { SqsRequests } from "./sqs-requests.ts";

export type PollsOptions = {
  pollers: number;
  longPollSeconds: number;
  visibilityTimeoutSeconds: number;
  /** Messages that each poll asks for. */
  pollSize: number;
  /** Resolves when a poll may start, given how many messages the polls under way may bring. */
  room: (signal: AbortSignal, askedCount: () => number) => Promise<void>;
  take: (messages: Message[]) => void;
  onError: (error: Error) => void;
};

const minBackoffMs = 100;
const maxBackoffMs = 2_000;

export function startPolls(requests: SqsRequests, options: PollsOptions) {
  const { pollers, longPollSeconds, visibilityTimeoutSeconds, pollSize, room, take, onError } = options;
  const stopping = new AbortController();
  const signal = stopping.signal;
  const interruptedAttempts: string[] = [];
  let askedCount = 0;
  let failingCount = 0;
  const loops = Array.from({ length: pollers }, poll);

  async function poll(): Promise<void> {
    let failures = 0;
    let attemptId: string = randomUUID();
    while (true) {
      await room(signal, () => askedCount);
      if (signal.aborted) return;
      const ok = await pollOnce(attemptId);
      if (ok) attemptId = randomUUID();
      failingCount += Number(!ok) - Number(failures > 0);
      failures = ok ? 0 : failures + 1;
      if (!ok) await sleep(backoffMs(failures), undefined, { signal }).catch(() => undefined);
    }
  }

  async function pollOnce(attemptId: string): Promise<boolean> {
    askedCount += pollSize;
    try {
      const messages = await receive(attemptId, { waitSeconds: longPollSeconds, signal });
      askedCount -= pollSize;
      take(messages);
      return true;
    } catch (thrown) {
      askedCount -= pollSize;
      if (signal.aborted) interruptedAttempts.push(attemptId);
      else onError(toError(thrown));
      return false;
    }
  }

  function receive(attemptId: string, how: { waitSeconds: number; signal?: AbortSignal }) {
    return requests.receive({ maxMessages: pollSize, visibilityTimeoutSeconds, attemptId, ...how });
  }

  return {
    signal,
    failing: () => failingCount > 0,
    stop(): void {
      stopping.abort();
    },
    /**
     * After `stop`. A poll that was aborted may have taken messages whose answer nobody read: the same attempt
     * brings them again (on AWS; elsewhere it may bring others, which are then given back as well).
     */
    async finish(): Promise<void> {
      await Promise.all(loops);
      const recover = (attemptId: string) => receive(attemptId, { waitSeconds: 0 }).then(take, onError);
      await Promise.all(interruptedAttempts.splice(0).map(recover));
    },
  };
}

function backoffMs(failures: number): number {
  const ceilingMs = Math.min(maxBackoffMs, minBackoffMs * 2 ** failures);
  return minBackoffMs + Math.random() * (ceilingMs - minBackoffMs);
}
