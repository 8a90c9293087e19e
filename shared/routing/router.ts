import { setTimeout as sleep } from "node:timers/promises";
import type { FleetState, RouteStore, SubscriptionVerdict, Vote } from "../ports/route-store.ts";
import type { Path } from "../ports/update-queue.ts";
import { toError } from "../runtime/errors.ts";
import type { Breaker } from "./breaker.ts";
import { countVotes, subscriptionInWords } from "./fleet-decision.ts";

export type Route = {
  path: Path;
  /** Which of the three says so. */
  by: "override" | "fleet" | "local";
  why: string;
};

export type RouterOptions = {
  breaker: Breaker;
  /** Absent: this process goes by its own breaker alone. */
  routeStore: RouteStore | undefined;
  /** This process in the votes. */
  voter: string;
  /** Only where this process sees the subscription. */
  subscription?: (() => SubscriptionVerdict) | undefined;
  /** Time between two votes. */
  voteEveryMs: number;
  /** How long a vote counts, and how long the fleet's route stands that was heard last. */
  voteTtlMs: number;
  now(): number;
  /** The first listener, which hears the start as well. */
  onChange(route: Route): void;
};

export type Router = {
  /** Where to send now: `override ?? fleet ?? local`. Costs no I/O. */
  route(): Route;
  /** What the fleet said last, and why it can't be heard now, if so. */
  fleet(): { state: FleetState | undefined; error: string | undefined };
  /** When the route last changed, as this process saw it. */
  sinceMs(): number;
  /** Called after each change of the path or of who says so. */
  onChange(listener: (route: Route) => void): void;
  /** Resolves once the fleet is heard for the first time, or was not within 3 s. Until then `route` is local. */
  firstHeard: Promise<void>;
  /** Hears the fleet at once, for instance after an operator's call. */
  refresh(): Promise<void>;
  close(): Promise<void>;
};

const FIRST_HEARING_MS = 3_000;
const ASK_AGAIN_MS = 20;

/**
 * Keeps this process's idea of the route. It votes with its breaker's verdict and hears the fleet in the same
 * round trip. One that fails changes nothing yet: the route heard last stands for as long as a vote counts, so
 * that a store which fails now and then does not move it to and fro. Only then this process goes by its own
 * verdict. An override it knows of stands until it expires.
 */
export function startRouter(options: RouterOptions): Router {
  const { breaker, routeStore, now } = options;
  const stopping = new AbortController();
  let state: FleetState | undefined;
  // In words once for each hearing: `route` is asked at every send.
  let fleetWhy = "";
  let heard = false;
  let heardAtMs = 0;
  let overrideEndsMs = 0;
  let error: string | undefined;
  let known = "";
  let sinceMs = now();
  const listeners = [options.onChange];

  function route(): Route {
    const override = state?.override;
    // While the store is heard its clock decides; when it is away, the time that was left when it last was.
    if (override && (heard || now() < overrideEndsMs)) {
      return { path: override.route, by: "override", why: `${override.name}: ${override.reason}` };
    }
    if (state && (heard || justHeard())) return { path: state.route, by: "fleet", why: fleetWhy };
    const { route: path, reason } = breaker.verdict();
    return { path, by: "local", why: reason };
  }

  /** Not by a clock that was stepped back since, which would make it last for as long as the step. */
  function justHeard(): boolean {
    const agoMs = now() - heardAtMs;
    return agoMs >= 0 && agoMs < options.voteTtlMs;
  }

  function ownVote(): Vote {
    const { voter, subscription } = options;
    return { voter, ...breaker.verdict(), ...(subscription && { subscription: subscription() }) };
  }

  function announce(): void {
    const current = route();
    const name = `${current.path} ${current.by}`;
    if (name === known) return;
    known = name;
    sinceMs = now();
    for (const listener of listeners) listener(current);
  }

  async function refresh(): Promise<void> {
    if (routeStore) {
      try {
        state = await routeStore.vote(ownVote(), options.voteTtlMs);
        fleetWhy = votesInWords(state);
        heard = true;
        heardAtMs = now();
        overrideEndsMs = heardAtMs + remainingMs(state, options);
        error = undefined;
      } catch (thrown) {
        heard = false;
        error = toError(thrown).message;
      }
    }
    announce();
  }

  /** A store that is not connected yet refuses at once, and is asked again soon. */
  async function hearFirst(): Promise<void> {
    const { signal } = stopping;
    const giveUpAtMs = performance.now() + FIRST_HEARING_MS;
    await refresh();
    while (routeStore && !heard && performance.now() < giveUpAtMs && !signal.aborted) {
      await sleep(ASK_AGAIN_MS, undefined, { signal }).catch(() => {});
      await refresh();
    }
  }

  async function run(): Promise<void> {
    const { signal } = stopping;
    await firstHeard;
    while (!signal.aborted) {
      await sleep(options.voteEveryMs, undefined, { signal });
      await refresh();
    }
  }

  breaker.onChange(() => void refresh());
  const firstHeard = hearFirst();
  const running = run().catch((thrown: unknown) => {
    if (!stopping.signal.aborted) throw thrown;
  });
  return {
    route,
    fleet: () => ({ state, error }),
    sinceMs: () => sinceMs,
    onChange: (listener) => void listeners.push(listener),
    firstHeard,
    refresh,
    async close() {
      stopping.abort();
      await running;
      await routeStore?.withdraw(options.voter);
    },
  };
}

/** What was left of the override by the store's clock, which the expiry of our own vote tells. */
function remainingMs({ override, votes }: FleetState, { voter, voteTtlMs }: RouterOptions): number {
  const own = votes.find((vote) => vote.voter === voter);
  return override && own ? override.expiresAtMs - (own.expiresAtMs - voteTtlMs) : 0;
}

function votesInWords(state: FleetState): string {
  const count = countVotes(state.votes);
  return `${count.forSqs} of ${count.all} processes vote for sqs${subscriptionInWords(count)}`;
}
