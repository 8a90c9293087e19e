/** Several long polls at one queue at once, each repeated until `stop`; failing ones back off with jitter. */
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
  /** Takes room for one more poll; false when there is none. */
  takeRoom: () => boolean;
  /** Gives it back, after `take` has what the poll brought. */
  giveBackRoom: () => void;
  /** Resolves when there may be room, also after `stop`. */
  roomChanged: () => Promise<void>;
  take: (messages: Message[]) => void;
  onError: (error: Error) => void;
};

const minBackoffMs = 100;
const maxBackoffMs = 2_000;
/** Polls as short as this are waited for at the end, longer ones are broken off. */
const maxAwaitedPollSeconds = 2;

export function startPolls(requests: SqsRequests, options: PollsOptions) {
  const { pollers, longPollSeconds, visibilityTimeoutSeconds, pollSize } = options;
  const stopping = new AbortController();
  const breakingOff = new AbortController();
  const brokenOffAttempts: string[] = [];
  let failingCount = 0;
  const loops = Array.from({ length: pollers }, poll);

  async function poll(): Promise<void> {
    let failures = 0;
    let attemptId: string = randomUUID();
    while (!stopping.signal.aborted) {
      if (!options.takeRoom()) {
        await options.roomChanged();
        continue;
      }
      const ok = await pollOnce(attemptId);
      if (ok) attemptId = randomUUID();
      failingCount += Number(!ok) - Number(failures > 0);
      failures = ok ? 0 : failures + 1;
      if (!ok)
        await sleep(backoffMs(failures), undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  }

  async function pollOnce(attemptId: string): Promise<boolean> {
    try {
      const messages = await receive(attemptId, { waitSeconds: longPollSeconds, signal: breakingOff.signal });
      options.take(messages);
      return true;
    } catch (thrown) {
      if (breakingOff.signal.aborted) brokenOffAttempts.push(attemptId);
      else options.onError(toError(thrown));
      return false;
    } finally {
      options.giveBackRoom();
    }
  }

  function receive(attemptId: string, how: { waitSeconds: number; signal?: AbortSignal }) {
    return requests.receive({ maxMessages: pollSize, visibilityTimeoutSeconds, attemptId, ...how });
  }

  return {
    stopped: () => stopping.signal.aborted,
    failing: () => failingCount > 0,
    stop(): void {
      stopping.abort();
      if (longPollSeconds > maxAwaitedPollSeconds) breakingOff.abort();
    },
    /**
     * After `stop`. A poll that was broken off may have taken messages whose answer nobody read. On AWS the same
     * attempt brings them again. Other servers serve a poll to its end and know no attempts: what such a poll
     * takes stays invisible for the visibility timeout, unless polls are short enough to be waited for.
     */
    async finish(): Promise<void> {
      const graceMs = longPollSeconds * 1000 + maxBackoffMs;
      const timer = setTimeout(() => breakingOff.abort(), graceMs);
      await Promise.all(loops);
      clearTimeout(timer);
      const recover = (attemptId: string) =>
        receive(attemptId, { waitSeconds: 0 }).then(options.take, options.onError);
      await Promise.all(brokenOffAttempts.splice(0).map(recover));
    },
  };
}

function backoffMs(failures: number): number {
  const ceilingMs = Math.min(maxBackoffMs, minBackoffMs * 2 ** failures);
  return minBackoffMs + Math.random() * (ceilingMs - minBackoffMs);
}
