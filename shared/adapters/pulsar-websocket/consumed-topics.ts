import { setTimeout as sleep } from "node:timers/promises";
import type { Topic } from "../../ports/primary-queue.ts";
import type { Endpoint } from "./endpoint.ts";

const RETRY_EVERY_MS = 500;
const REQUEST_TIMEOUT_MS = 2_000;
const MAX_UNANSWERED = 4;

export type ConsumedTopics = { close(): Promise<void> };

/**
 * Decides which topic each of a consumer's connections subscribes to, and again when the number of partitions
 * changes. As many connections as partitions, or more: each has one partition, because several consumers of
 * one process on the same partition compete for the broker's read-ahead: it reads messages, finds their
 * consumer full, puts them aside and reads them again, which cost half of the broker's time. Fewer connections
 * than partitions, or a server that does not tell: each consumes the whole topic.
 *
 * @param onPlan is called with one topic for each connection
 */
export function watchConsumedTopics(
  endpoint: Endpoint,
  topic: Topic,
  connections: number,
  onPlan: (topics: Topic[]) => void,
): ConsumedTopics {
  const stopping = new AbortController();
  const { signal } = stopping;
  let planned: number | undefined;
  let unanswered = 0;

  async function run(): Promise<void> {
    while (!signal.aborted) {
      const answer = await askPartitions(endpoint, topic, signal);
      if (answer === undefined) unanswered += 1;
      // A server that does not tell must not keep its messages: the whole topic, until it does.
      const partitions = answer === undefined && unanswered >= MAX_UNANSWERED ? 0 : answer;
      // Partitions only ever become more; an answer that says less is of a server in trouble.
      if (partitions !== undefined && partitions > (planned ?? -1)) {
        planned = partitions;
        onPlan(planTopics(topic, connections, partitions));
      }
      await sleep(planned === undefined ? RETRY_EVERY_MS : endpoint.watchPartitionsMs, undefined, { signal });
    }
  }

  const running = run().catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
  return {
    async close() {
      stopping.abort();
      await running;
    },
  };
}

function planTopics(topic: Topic, connections: number, partitions: number): Topic[] {
  if (partitions === 0 || connections < partitions) return Array.from({ length: connections }, () => topic);
  const each = Math.floor(connections / partitions);
  return Array.from({ length: partitions * each }, (_, index) => `${topic}-partition-${index % partitions}`);
}

/**
 * The number of partitions by Pulsar's admin REST, which listens where its WebSocket API does; 0 for a topic
 * without partitions or a server that answers otherwise; undefined when there was no answer.
 */
async function askPartitions(
  endpoint: Endpoint,
  topic: Topic,
  signal: AbortSignal,
): Promise<number | undefined> {
  const path = topic.replace("://", "/").split("/").map(encodeURIComponent).join("/");
  const url = `${endpoint.url.replace(/^ws/, "http")}/admin/v2/${path}/partitions`;
  const headers: Record<string, string> =
    endpoint.token === undefined ? {} : { authorization: `Bearer ${endpoint.token}` };
  let text: string;
  try {
    const limits = AbortSignal.any([signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]);
    const response = await fetch(url, { headers, signal: limits });
    if (response.status >= 500) return undefined;
    text = response.ok ? await response.text() : "";
  } catch {
    return undefined;
  }
  try {
    const { partitions } = JSON.parse(text) as { partitions?: unknown };
    return Number.isSafeInteger(partitions) ? (partitions as number) : 0;
  } catch {
    return 0;
  }
}
