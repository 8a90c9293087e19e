/** Redis as its clients see it: the stores in memory behind a network that fails, with faults of its own. */
import { createMemoryDocumentStore } from "../../shared/adapters/memory/memory-document-store.ts";
import { createMemoryDueStore } from "../../shared/adapters/memory/memory-due-store.ts";
import { createMemoryMemberStore } from "../../shared/adapters/memory/memory-member-store.ts";
import { createMemoryProfileStore } from "../../shared/adapters/memory/memory-profile-store.ts";
import { createMemoryRouteStore } from "../../shared/adapters/memory/memory-route-store.ts";
import type { Stores } from "../../shared/adapters/open.ts";
import type { Profile } from "../../shared/domain/profile.ts";
import { decodeProfile } from "../../shared/domain/profile-record.ts";
import type { DocumentStore } from "../../shared/ports/document-store.ts";
import type { DueEntry, DueStore } from "../../shared/ports/due-store.ts";
import type { MemberStore } from "../../shared/ports/member-store.ts";
import type { ProfileStore, UserKey, WriteResult } from "../../shared/ports/profile-store.ts";
import type { RouteStore } from "../../shared/ports/route-store.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";
import { openChannel, type SimulatedProcess, Unreachable, type World, within } from "./network.ts";

export type SimulatedRedis = {
  connect(process: SimulatedProcess): Stores;
  /** Why writes fail now: full, read-only; undefined when they don't. */
  refuseWrites(reason: string | undefined): void;
  /** A user's profile as it is on the server. */
  saved(user: UserKey): Profile | undefined;
  /** The route store as an operator's tool reaches it. */
  routes: RouteStore;
  /** What the tenants have defined and who the members are, as it is on the server. */
  definitions: DocumentStore;
  members: MemberStore;
  /** The moments that are not done, as they are on the server. */
  dueEntries(): readonly AddedEntry[];
  /** Each write as it begins at its client and, where it is saved, with what was there before. */
  watchWrites(watch: WriteWatch): void;
};

export type AddedEntry = DueEntry & { addedMs: number };

export type WriteWatch = {
  /** Whether to look at writes now. */
  wanted(): boolean;
  begun(user: UserKey, profile: Profile): void;
  saved(user: UserKey, profile: Profile, before: Profile | undefined): void;
};

const COMMAND_TIMEOUT_MS = 2_000;
const MAX_ENTRIES = 1_000_000;

/** @param onDone called for each due moment that is taken out. */
export function createSimulatedRedis(world: World, onDone: (entry: DueEntry) => void): SimulatedRedis {
  const profiles = createMemoryProfileStore({ maxProfiles: MAX_ENTRIES });
  const routes = createMemoryRouteStore({ now: world.time.now });
  // Nobody changes these here.
  const tenantStore = createMemoryDocumentStore({ maxEntries: 1 });
  const settingsStore = createMemoryDocumentStore({ maxEntries: 1 });
  const definitions = createMemoryDocumentStore({ maxEntries: MAX_ENTRIES, now: world.time.now });
  const due = createMemoryDueStore({ maxEntries: MAX_ENTRIES });
  const members = createMemoryMemberStore({ maxEntries: MAX_ENTRIES });
  /** Read when it is asked for, once. */
  const saved = new Map<string, { machinery: string; profile: Profile | undefined }>();
  const dueEntries = new Map<string, AddedEntry>();
  let watch: WriteWatch | undefined;
  let refusal: string | undefined;

  function savedOf(user: UserKey): Profile | undefined {
    const record = saved.get(keyOf(user));
    if (record) record.profile ??= decodeProfile(record.machinery).profile;
    return record?.profile;
  }

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
        const watched = watch?.wanted() ? watch : undefined;
        if (watched)
          for (const { user, machinery } of writes) watched.begun(user, decodeProfile(machinery).profile);
        try {
          return await command(
            channel,
            async () => {
              const results = await profiles.save(writes);
              results.forEach(({ outcome }, index) => {
                const { machinery } = writes[index]!;
                if (outcome !== "saved") return;
                const { user } = writes[index]!;
                const before = watched && savedOf(user);
                saved.set(keys[index]!, { machinery, profile: undefined });
                watched?.saved(user, savedOf(user)!, before);
              });
              return results;
            },
            true,
          );
        } catch (error) {
          return writes.map(
            (): WriteResult => ({
              outcome: "failed",
              error: error as Error,
              unanswered: true,
            }),
          );
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
    const definitionStore: DocumentStore = {
      revision: () => command(channel, () => definitions.revision(), false),
      changedAfter: (revision) => command(channel, () => definitions.changedAfter(revision), false),
      read: (tenant) => command(channel, () => definitions.read(tenant), false),
      replace: (tenant, expectedVersion, next) =>
        command(channel, () => definitions.replace(tenant, expectedVersion, next), true),
      report: (consumer, report, ttlMs) =>
        command(channel, () => definitions.report(consumer, report, ttlMs), true),
      reports: () => command(channel, () => definitions.reports(), false),
      close: async () => {},
    };
    const dueStore: DueStore = {
      add: (entries) =>
        command(
          channel,
          async () => {
            await due.add(entries);
            for (const entry of entries) {
              const key = `${keyOf(entry)} ${entry.dueMs}`;
              const { addedMs = world.time.now() } = dueEntries.get(key) ?? {};
              dueEntries.set(key, { ...entry, addedMs });
            }
          },
          true,
        ),
      claim: (nowMs, limit, holdMs) => command(channel, () => due.claim(nowMs, limit, holdMs), true),
      done: (entries) =>
        command(
          channel,
          async () => {
            await due.done(entries);
            for (const entry of entries) {
              dueEntries.delete(`${keyOf(entry)} ${entry.dueMs}`);
              onDone(entry);
            }
          },
          true,
        ),
      waiting: () => command(channel, () => due.waiting(), false),
      close: async () => {},
    };
    const memberStore: MemberStore = {
      record: (entries) => command(channel, () => members.record(entries), true),
      count: (of) => command(channel, () => members.count(of), false),
      page: (of, after, limit) => command(channel, () => members.page(of, after, limit), false),
      drop: (of) => command(channel, () => members.drop(of), true),
      close: async () => {},
    };
    return { store, routeStore, definitionStore, dueStore, memberStore, tenantStore, settingsStore };
  }

  return {
    connect,
    refuseWrites(reason) {
      refusal = reason;
    },
    saved: savedOf,
    routes,
    definitions,
    members,
    dueEntries: () => [...dueEntries.values()],
    watchWrites(now) {
      watch = now;
    },
  };
}

function keyOf({ tenant, userId }: UserKey): string {
  return `${tenant}:${userId}`;
}
