import { setTimeout as sleep } from "node:timers/promises";
import { openPrimaryQueue } from "../shared/adapters/open.ts";
import type { PrimaryQueue, Topic } from "../shared/ports/primary-queue.ts";
import { createLog } from "../shared/runtime/log.ts";
import { topicsOf } from "../shared/runtime/topics.ts";

/** The topic that the service consumes, by the adapter that it uses. */
export async function openUpdatesTopic(pulsarUrl: string): Promise<{ queue: PrimaryQueue; topic: Topic }> {
  const queue = await openPrimaryQueue({ pulsarUrl, pulsarToken: "" }, createLog("bench", "error"));
  return { queue, topic: topicsOf("public/keyline").updates };
}

export async function untilConnected(link: { connected(): boolean }): Promise<void> {
  while (!link.connected()) await sleep(20);
}
