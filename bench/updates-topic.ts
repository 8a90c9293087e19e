import { setTimeout as sleep } from "node:timers/promises";
import { openPrimaryQueue } from "../shared/adapters/open.ts";
import type { PrimaryQueue, Topic } from "../shared/ports/primary-queue.ts";
import { connectionSettings } from "../shared/runtime/connection-settings.ts";
import { createLog } from "../shared/runtime/log.ts";
import { readSettings } from "../shared/runtime/settings.ts";
import { topicsOf } from "../shared/runtime/topics.ts";

const { pulsarToken, pulsarCompression } = connectionSettings;

/** As a publisher opens it that has the default settings. */
export function openBenchQueue(pulsarUrl: string): Promise<PrimaryQueue> {
  const defaults = readSettings({ pulsarToken, pulsarCompression }, {});
  return openPrimaryQueue({ pulsarUrl, ...defaults }, createLog("bench", "error"));
}

/** The topic that a service with this environment consumes, by the adapter that it uses. */
export async function openUpdatesTopic(
  environment: Record<string, string | undefined>,
): Promise<{ queue: PrimaryQueue; topic: Topic }> {
  const { PULSAR_URL: pulsarUrl, PULSAR_NAMESPACE: namespace = "public/keyline" } = environment;
  const queue = await openBenchQueue(pulsarUrl!);
  return { queue, topic: topicsOf(namespace).updates };
}

export async function untilConnected(link: { connected(): boolean }): Promise<void> {
  while (!link.connected()) await sleep(20);
}
