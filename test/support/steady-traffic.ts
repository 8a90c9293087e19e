import { setTimeout as sleep } from "node:timers/promises";
import type { Publisher, Receipt, Update, UpdateInput } from "../../shared/publish/connect-publisher.ts";
import { seededOperations, seededRandom } from "./seeded-updates.ts";

export type SteadyTraffic = {
  /** Every update whose publish resolved, as the envelope that was sent, in order of their receipts. */
  acknowledged: Update[];
  receipts: Receipt[];
  /** What publishing rejected with. */
  failures: unknown[];
  /** The longest time that a publish took. */
  longestMs(): number;
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
  let longestMs = 0;
  let running = false;
  let loop = Promise.resolve();

  async function publish(): Promise<void> {
    const beganMs = Date.now();
    const input: UpdateInput & { at: number } = {
      tenant: options.tenant,
      userId: `user-${Math.floor(random() * options.users)}`,
      ops: seededOperations(random),
      at: beganMs,
    };
    try {
      const receipt = await publisher.publish(input);
      receipts.push(receipt);
      acknowledged.push(envelopeOf(input, receipt));
    } catch (error) {
      failures.push(error);
    }
    longestMs = Math.max(longestMs, Date.now() - beganMs);
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
    longestMs: () => longestMs,
    pause() {
      running = false;
      return loop;
    },
    resume,
  };
}

/** The envelope of an update that was published as `input`. */
export function envelopeOf(input: UpdateInput & { at: number }, { src, seq, stamp }: Receipt): Update {
  return { v: 1, src, seq, stamp, ...input } as Update;
}
