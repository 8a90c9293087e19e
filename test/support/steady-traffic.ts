import { setTimeout as sleep } from "node:timers/promises";
import type { Publisher, Receipt, Update } from "../../shared/publish/connect-publisher.ts";
import { seededOperations, seededRandom } from "./seeded-updates.ts";

export type SteadyTraffic = {
  /** Every update whose publish resolved, as the envelope that was sent, in order of their receipts. */
  acknowledged: Update[];
  receipts: Receipt[];
  /** What publishing rejected with. */
  failures: unknown[];
  pause(): Promise<void>;
  resume(): void;
};

/** Publishes seeded updates of a few users at a steady rate until paused. */
export function startSteadyTraffic(
  publisher: Publisher,
  options: { seed: number; tenant: string; users: number; perSecond: number },
): SteadyTraffic {
  const random = seededRandom(options.seed);
  const acknowledged: Update[] = [];
  const receipts: Receipt[] = [];
  const failures: unknown[] = [];
  const underWay = new Set<Promise<void>>();
  let running = false;
  let loop = Promise.resolve();

  async function publish(): Promise<void> {
    const input = {
      tenant: options.tenant,
      userId: `user-${Math.floor(random() * options.users)}`,
      ops: seededOperations(random),
      at: Date.now(),
    };
    try {
      const receipt = await publisher.publish(input);
      receipts.push(receipt);
      const { src, seq, stamp } = receipt;
      acknowledged.push({ v: 1, src, seq, stamp, ...input });
    } catch (error) {
      failures.push(error);
    }
  }

  async function run(): Promise<void> {
    const startedMs = Date.now();
    for (let sent = 0; running; sent += 1) {
      await sleep(Math.max(0, startedMs + (sent * 1_000) / options.perSecond - Date.now()));
      const publishing = publish();
      underWay.add(publishing);
      void publishing.then(() => underWay.delete(publishing));
    }
    await Promise.all(underWay);
  }

  function resume(): void {
    if (running) return;
    running = true;
    loop = loop.then(run);
  }

  resume();
  return {
    acknowledged,
    receipts,
    failures,
    pause() {
      running = false;
      return loop;
    },
    resume,
  };
}
