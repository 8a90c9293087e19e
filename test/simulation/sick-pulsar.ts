/** The sicknesses of Pulsar that take a course of their own. */
import { checkVisible } from "./checks.ts";
import { isPoison } from "./load.ts";
import type { World } from "./network.ts";
import { topics } from "./processes.ts";
import type { Servers } from "./servers.ts";
import type { FailingSends } from "./simulated-pulsar.ts";

/** How a fault begins and how it ends. */
export type Course = [on: () => void, off: () => void];

const SETTLING_MS = 90_000;
/** How long a broker takes messages that it does not deliver, before it stops to answer. */
const SICK_MS = 3_000;
/** By then the route has moved and the tail is through. */
const MOVED_WITHIN_MS = 40_000;

/** It stalls and goes on, every few seconds. */
export function flickers({ time }: World, { pulsar }: Servers): Course {
  let ended = false;

  function turn(stalls: boolean): void {
    if (ended) return;
    if (stalls) pulsar.stall(true);
    else pulsar.heal();
    time.after(2_000 + time.random() * 12_000, () => turn(!stalls));
  }

  return [
    () => turn(true),
    () => {
      ended = true;
      pulsar.heal();
    },
  ];
}

/**
 * Some of what is sent fails all the time, too little for a breaker or enough for it: updates of one publisher for
 * one user travel over both paths side by side.
 */
export function failsSends(
  { time, servers }: World,
  { pulsar }: Servers,
  { share, storedShare }: Pick<FailingSends, "share" | "storedShare">,
): Course {
  const set = (failing: FailingSends | undefined) => () => {
    pulsar.failSends(failing);
    Object.assign(servers.pulsar, { ails: failing !== undefined, changedMs: time.now() });
  };
  return [set({ topic: topics.updates, share, storedShare }), set(undefined)];
}

/** It delivers nothing any more, and soon does not answer either. */
export function sickens(world: World, servers: Servers): Course {
  const { time, faults } = world;
  const { pulsar } = servers;
  let ended = false;
  /** Since when Pulsar has been sick; undefined where something else was wrong then. */
  let sinceMs: number | undefined;

  /** What Pulsar took shortly before it stopped must have come over SQS by now, when nothing else was wrong. */
  function checkFreshness(): void {
    if (sinceMs === undefined || faults.now > 1 || faults.lastMs > sinceMs) return;
    if (time.now() - sinceMs < SICK_MS + MOVED_WITHIN_MS) return;
    // What strangers sent is not in a publisher's tail.
    const own = pulsar.ledger(topics.updates).filter(({ payload }) => !isPoison(payload));
    checkVisible(world, servers.redis, own, servers.deadLettered());
  }

  return [
    () => {
      const undisturbed = faults.now === 0 && time.now() - faults.lastMs > SETTLING_MS;
      sinceMs = undisturbed ? time.now() : undefined;
      pulsar.holdDeliveries();
      time.after(SICK_MS, () => {
        if (!ended) pulsar.stall(true);
      });
    },
    () => {
      checkFreshness();
      ended = true;
      pulsar.heal();
    },
  ];
}
