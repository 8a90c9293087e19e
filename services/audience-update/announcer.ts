/**
 * Announces membership changes: each is one message, over the route of the moment, to the topic `changes` or to the
 * changes queue, from which `queue-completion.ts` publishes it to the topic. A change that was announced before is
 * announced again under the same number, which receivers drop.
 */
import { setTimeout as sleep } from "node:timers/promises";
import pLimit from "p-limit";
import { userKey } from "../../shared/domain/envelope.ts";
import { announcementOf, type MembershipChange } from "../../shared/domain/membership-change.ts";
import type { PrimaryQueue } from "../../shared/ports/primary-queue.ts";
import type { UserKey } from "../../shared/ports/profile-store.ts";
import type { OutgoingMessage, Path, UpdateQueue } from "../../shared/ports/update-queue.ts";
import { readyToSend } from "../../shared/publish/ready-to-send.ts";
import {
  createRoutedSender,
  payloadOf,
  type RoutedSender,
  type SendOutcome,
} from "../../shared/publish/routed-send.ts";
import type { Routing } from "../../shared/routing/start-routing.ts";
import { createKeyedOrder } from "../../shared/runtime/keyed-order.ts";
import type { Lifecycle } from "../../shared/runtime/lifecycle.ts";
import { type Log, logRepeated } from "../../shared/runtime/log.ts";
import { topicsOf } from "../../shared/runtime/topics.ts";
import type { ChangeMetrics } from "./change-metrics.ts";
import { restMs } from "./rest.ts";

export type Announcer = {
  /**
   * Announces the changes of one user one after the other, in their order, and behind those of earlier calls for
   * the user. Resolves with true once all are durable, however long that takes; with false only after `close`, when
   * the last of them may be announced or not.
   */
  announce(user: UserKey, changes: readonly MembershipChange[]): Promise<boolean>;
  /** Gives up what is not announced yet; the tries that are under way are the last, and are waited for. */
  close(): Promise<void>;
};

export type AnnouncerOptions = {
  /** Nothing is sent before. */
  ready: Promise<void>;
  sender: Pick<RoutedSender, "send">;
  /** How long to rest after so many failures of one change in a row, in milliseconds. */
  restMs(failures: number): number;
  onAnnounced(path: Path): void;
  /** Neither path took a change by the sender's deadline. It is tried again. */
  onFailed(failures: readonly Error[]): void;
};

/** Changes sent and not yet durable at once, at most; the others wait, so that their deadline does not begin. */
const MAX_UNDER_WAY = 200;

export function createAnnouncer(options: AnnouncerOptions): Announcer {
  const { sender, onAnnounced, onFailed } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  const window = pLimit(MAX_UNDER_WAY);
  const inOrder = createKeyedOrder();
  const calls = new Set<Promise<boolean>>();

  async function announceAll(user: UserKey, changes: readonly MembershipChange[]): Promise<boolean> {
    await options.ready;
    for (const change of changes) if (!(await announceOne(messageOf(user, change)))) return false;
    return true;
  }

  function sendOne(message: OutgoingMessage): Promise<SendOutcome> {
    return new Promise((resolve) => sender.send(message, resolve, signal));
  }

  async function announceOne(message: OutgoingMessage): Promise<boolean> {
    for (let failures = 1; !signal.aborted; failures += 1) {
      const outcome = await window(async () => (signal.aborted ? undefined : sendOne(message)));
      if (outcome && "path" in outcome) {
        onAnnounced(outcome.path);
        return true;
      }
      if (outcome) onFailed(outcome.failures);
      await sleep(options.restMs(failures), undefined, { signal }).catch(() => {});
    }
    return false;
  }

  return {
    announce(user, changes) {
      if (changes.length === 0) return Promise.resolve(true);
      const key = userKey(user.tenant, user.userId);
      const call = inOrder(key, () => announceAll(user, changes)).finally(() => calls.delete(call));
      calls.add(call);
      return call;
    },
    async close() {
      stopping.abort();
      await Promise.allSettled([options.ready, ...calls]);
    },
  };
}

function messageOf({ tenant, userId }: UserKey, change: MembershipChange): OutgoingMessage {
  const key = userKey(tenant, userId);
  const { audience, generation, number } = change;
  return {
    key,
    payload: payloadOf(announcementOf(tenant, userId, change)),
    // No name of an audience holds a space, so that the numbers can't be taken for another user's.
    deduplicationId: `${key} ${audience} ${generation} ${number}`,
  };
}

/** An announcer with producers of its own; `lifecycle` owns them, and the caller closes the announcer first. */
export function openAnnouncer(
  lifecycle: Lifecycle,
  options: {
    primary: PrimaryQueue;
    changesQueue: Pick<UpdateQueue, "producer">;
    routing: Pick<Routing, "router" | "breaker">;
    settings: { pulsarNamespace: string; pulsarSendTimeoutMs: number; publishDeadlineMs: number };
    metrics: ChangeMetrics;
    log: Log;
  },
): Announcer {
  const { primary, changesQueue, routing, settings, metrics } = options;
  const { changes: topic } = topicsOf(settings.pulsarNamespace);
  const toTopic = { topic, sendTimeoutMs: settings.pulsarSendTimeoutMs, maxPending: MAX_UNDER_WAY };
  const onFailed = logRepeated(
    options.log,
    "error",
    "could not announce a membership change, it is tried again",
  );
  const producer = lifecycle.own("changes producer", primary.producer(toTopic));
  return createAnnouncer({
    ready: readyToSend(producer, routing.router),
    sender: createRoutedSender({
      primary: producer,
      fallback: lifecycle.own("changes queue producer", changesQueue.producer()),
      breaker: routing.breaker,
      route: routing.router.route,
      deadlineMs: settings.publishDeadlineMs,
      maxPending: { pulsar: MAX_UNDER_WAY, sqs: MAX_UNDER_WAY },
    }),
    restMs,
    onAnnounced: metrics.announced,
    onFailed(failures) {
      metrics.announcementFailed();
      onFailed(new Error(failures.map(({ message }) => message).join("; ")));
    },
  });
}
