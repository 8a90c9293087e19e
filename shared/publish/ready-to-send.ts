import { setTimeout as sleep } from "node:timers/promises";
import type { Producer } from "../ports/update-queue.ts";
import type { Router } from "../routing/router.ts";

/** How long to wait for the first connection. */
const CONNECT_GRACE_MS = 3_000;
const LOOK_EVERY_MS = 10;

/**
 * Resolves once a process that has just started may send: before, its first messages could go past an operator's
 * override, or the other way, and be failures to the breaker, only because its producer is not connected yet. After
 * 3 s it may send all the same.
 */
export async function readyToSend(
  producer: Pick<Producer, "connected">,
  router: Pick<Router, "firstHeard">,
): Promise<void> {
  await Promise.all([untilConnected(producer), router.firstHeard]);
}

async function untilConnected(producer: Pick<Producer, "connected">): Promise<void> {
  const deadlineMs = performance.now() + CONNECT_GRACE_MS;
  while (!producer.connected() && performance.now() < deadlineMs) await sleep(LOOK_EVERY_MS);
}
