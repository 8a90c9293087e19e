/** Redis as its clients see it: the stores in memory behind a network that fails, with faults of its own. */
import { createMemoryProfileStore } from "../../shared/adapters/memory/memory-profile-store.ts";
import { createMemoryRouteStore } from "../../shared/adapters/memory/memory-route-store.ts";
import type { Profile } from "../../shared/domain/profile.ts";
import { decodeProfile } from "../../shared/domain/profile-record.ts";
import type { ProfileStore, UserKey, WriteResult } from "../../shared/ports/profile-store.ts";
import type { RouteStore } from "../../shared/ports/route-store.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";
import { openChannel, type SimulatedProcess, Unreachable, type World, within } from "./network.ts";

export type SimulatedRedis = {
  connect(process: SimulatedProcess): { store: ProfileStore; routeStore: RouteStore };
  /** Why writes fail now: full, read-only; undefined when they don't. */
  refuseWrites(reason: string | undefined): void;
  /** A user's profile as it is on the server. */
  saved(user: UserKey): Profile | undefined;
  /** The route store as an operator's tool reaches it. */
  routes: RouteStore;
};

const COMMAND_TIMEOUT_MS = 2_000;

export function createSimulatedRedis(world: World): SimulatedRedis {
  const profiles = createMemoryProfileStore({ maxProfiles: 1_000_000 });
  const routes = createMemoryRouteStore({ now: world.time.now });
  /** Read when it is asked for, once. */
  const saved = new Map<string, { machinery: string; profile: Profile | undefined }>();
  let refusal: string | undefined;

  const unavailable = (why: string) =>
    new KeylineError("store_unavailable", `simulated Redis: ${why}`, { retryable: true });

  function command<T>(
    channel: ReturnType<typeof openChannel>,
    work: () => Promise<T>,
    writes: boolean,
  ): Promise<T> {
    const answer = channel
      .request(() => {
        if (writes && refusal !== undefined) throw unavailable(refusal);
        return work();
      })
      .catch((error: unknown) => {
        throw error instanceof Unreachable ? unavailable(error.message) : error;
      });
    return within(answer, COMMAND_TIMEOUT_MS, () => unavailable("no answer in time"));
  }

  function connect(process: SimulatedProcess) {
    const channel = openChannel(world, process, "redis");
    const saving = new Set<string>();
    const store: ProfileStore = {
      description: "simulated Redis",
      async save(writes) {
        const keys = writes.map(({ user }) => keyOf(user));
        for (const key of keys)
          if (saving.has(key)) world.violate("I3", `${key}: two writes at once in ${process.name}`);
        for (const key of keys) saving.add(key);
        try {
          return await command(
            channel,
            async () => {
              const results = await profiles.save(writes);
              results.forEach(({ outcome }, index) => {
                const { machinery } = writes[index]!;
                if (outcome === "saved") saved.set(keys[index]!, { machinery, profile: undefined });
              });
              return results;
            },
            true,
          );
        } catch (error) {
          return writes.map((): WriteResult => ({ outcome: "failed", error: error as Error }));
        } finally {
          for (const key of keys) saving.delete(key);
        }
      },
      load: (user) => command(channel, () => profiles.load(user), false),
      ping: () => command(channel, () => profiles.ping(), true),
      close: async () => {},
    };
    const routeStore: RouteStore = {
      vote: (vote, ttlMs) => command(channel, () => routes.vote(vote, ttlMs), true),
      withdraw: (voter) => command(channel, () => routes.withdraw(voter), true).catch(() => {}),
      override: (override) => command(channel, () => routes.override(override), true),
      clearOverride: (by) => command(channel, () => routes.clearOverride(by), true),
      read: () => command(channel, () => routes.read(), false),
      audit: (limit) => command(channel, () => routes.audit(limit), false),
      close: async () => {},
    };
    return { store, routeStore };
  }

  return {
    connect,
    refuseWrites(reason) {
      refusal = reason;
    },
    saved(user) {
      const record = saved.get(keyOf(user));
      if (record) record.profile ??= decodeProfile(record.machinery).profile;
      return record?.profile;
    },
    routes,
  };
}

function keyOf({ tenant, userId }: UserKey): string {
  return `${tenant}:${userId}`;
}
