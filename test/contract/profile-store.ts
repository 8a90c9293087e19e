/** What every profile store does. */
import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ProfileStore, ProfileWrite, UserKey } from "../../shared/ports/profile-store.ts";

export type ProfileStoreSubject = {
  store: ProfileStore;
  /** The plain attribute fields as whoever reads the store directly sees them; undefined without a record. */
  attributes(user: UserKey): Promise<Record<string, string> | undefined>;
  close(): Promise<void>;
};

/** A user that no other test uses. */
export function someUser(): UserKey {
  return { tenant: "shop", userId: randomUUID() };
}

export function writeOf(user: UserKey, write: Partial<ProfileWrite> = {}): ProfileWrite {
  const empty = { expectedVersion: undefined, machinery: "{}", setAttributes: [], removeAttributes: [] };
  return { user, version: randomUUID(), ...empty, ...write };
}

export function describeProfileStore(name: string, open: () => Promise<ProfileStoreSubject>): void {
  describe(`profile store: ${name}`, () => {
    let subject: ProfileStoreSubject;
    let store: ProfileStore;

    beforeEach(async () => {
      subject = await open();
      store = subject.store;
    });

    afterEach(async () => {
      await subject.close();
    });

    it("has nothing for a user it never saw", async () => {
      expect(await store.load(someUser())).toBeUndefined();
    });

    it("gives back what was saved", async () => {
      const user = someUser();
      const machinery = JSON.stringify({ emoji: "🦔", nul: "\u0000", text: "ж".repeat(3_000) });
      expect(await store.save([writeOf(user, { version: "one", machinery })])).toEqual([
        { outcome: "saved" },
      ]);
      expect(await store.load(user)).toEqual({ version: "one", machinery });
    });

    it("answers a write that was computed from another version with what it has, and changes nothing", async () => {
      const user = someUser();
      await store.save([
        writeOf(user, { version: "one", machinery: "first", setAttributes: [["plan", '"gold"']] }),
      ]);
      const current = { version: "one", machinery: "first" };
      const late = writeOf(user, { expectedVersion: "zero", setAttributes: [["plan", '"tin"']] });
      const fresh = writeOf(user, { setAttributes: [["plan", '"tin"']] });
      expect(await store.save([late])).toEqual([{ outcome: "conflict", current }]);
      expect(await store.save([fresh])).toEqual([{ outcome: "conflict", current }]);
      expect(await store.load(user)).toEqual(current);
      expect(await subject.attributes(user)).toEqual({ plan: '"gold"' });
    });

    it("says that it forgot a user whose version the writer still holds", async () => {
      const results = await store.save([writeOf(someUser(), { expectedVersion: "one" })]);
      expect(results).toEqual([{ outcome: "conflict", current: undefined }]);
    });

    it("keeps, changes and removes single attributes", async () => {
      const user = someUser();
      const first = [
        ["a", "1"],
        ["b", "2"],
        ["c", "3"],
      ] as const;
      await store.save([writeOf(user, { version: "one", setAttributes: first })]);
      const change = { setAttributes: [["b", "20"]] as const, removeAttributes: ["a", "never"] };
      await store.save([writeOf(user, { expectedVersion: "one", ...change })]);
      expect(await subject.attributes(user)).toEqual({ b: "20", c: "3" });
    });

    it("keeps attributes apart from its own fields, whatever their names", async () => {
      const user = someUser();
      const names = ["$v", "$m", "$$v", "", "ключ", "with space", "__proto__"];
      const setAttributes = names.map((attribute) => [attribute, JSON.stringify(attribute)] as const);
      await store.save([writeOf(user, { version: "one", machinery: "m", setAttributes })]);
      expect(await store.load(user)).toEqual({ version: "one", machinery: "m" });
      expect(Object.entries((await subject.attributes(user)) ?? {}).sort()).toEqual(
        [...setAttributes].sort(),
      );
      await store.save([
        writeOf(user, { expectedVersion: "one", version: "two", removeAttributes: ["$v", "$m"] }),
      ]);
      expect((await store.load(user))?.version).toBe("two");
    });

    it("takes more attributes than a script's stack", async () => {
      const user = someUser();
      const names = Array.from({ length: 20_001 }, (_, index) => `attribute${index}`);
      const setAttributes = names.map((attribute) => [attribute, "true"] as const);
      expect(await store.save([writeOf(user, { version: "one", setAttributes })])).toEqual([
        { outcome: "saved" },
      ]);
      expect(Object.keys((await subject.attributes(user)) ?? {})).toHaveLength(20_001);
      const removal = writeOf(user, { expectedVersion: "one", removeAttributes: names.slice(1) });
      expect(await store.save([removal])).toEqual([{ outcome: "saved" }]);
      expect(await subject.attributes(user)).toEqual({ attribute0: "true" });
    });

    it("answers many users in the order of the writes, each by itself", async () => {
      const users = Array.from({ length: 500 }, someUser);
      await store.save(
        users.filter((_, index) => index % 3 === 0).map((user) => writeOf(user, { version: "old" })),
      );
      const results = await store.save(users.map((user) => writeOf(user, { version: "new" })));
      const outcomes = results.map(({ outcome }) => outcome);
      expect(outcomes).toEqual(users.map((_, index) => (index % 3 === 0 ? "conflict" : "saved")));
      expect((await store.load(users[4] as UserKey))?.version).toBe("new");
    });

    it("takes a call without writes", async () => {
      expect(await store.save([])).toEqual([]);
    });

    it("never mixes up two users, whatever their names", async () => {
      const mark = randomUUID();
      const users = [
        ["a", "b:c"],
        ["a:b", "c"],
        ["a%3ab", "c"],
        ["a", "b"],
        ["a", "b}"],
        ["a", "{b}"],
        ["a", "b%7d"],
        ["a}", "b"],
        ["", "a:b"],
        ["a", ""],
        ["", ""],
        ["a", "é"],
        ["a", "e\u0301"],
        ["a", "\ud800"],
        ["a", "\ud801"],
        ["a", "\ufffd"],
        ["a", "\u0000"],
        ["a", "日本"],
        ["a", "x".repeat(5_000)],
      ].map(([tenant, userId]) => ({ tenant: `${mark}${tenant}`, userId: `${userId}` }));
      const saved = await store.save(users.map((user, index) => writeOf(user, { machinery: `${index}` })));
      expect(saved.map(({ outcome }) => outcome)).toEqual(users.map(() => "saved"));
      const loaded = await Promise.all(users.map((user) => store.load(user)));
      expect(loaded.map((record) => record?.machinery)).toEqual(users.map((_, index) => `${index}`));
    });

    it("loses no increment of two writers that race", async () => {
      const user = someUser();
      const conflicts = await Promise.all([increment(user, 500), increment(user, 500)]);
      expect((await store.load(user))?.machinery).toBe("1000");
      // Otherwise they never raced, and this shows nothing.
      expect(conflicts[0] + conflicts[1]).toBeGreaterThan(0);
    });

    /** @returns how often the other writer came first. */
    async function increment(user: UserKey, times: number): Promise<number> {
      let current = await store.load(user);
      let conflicts = 0;
      for (let done = 0; done < times; ) {
        const machinery = String(Number(current?.machinery ?? 0) + 1);
        const write = writeOf(user, { expectedVersion: current?.version, machinery });
        const [result] = await store.save([write]);
        if (result?.outcome === "saved") {
          current = write;
          done++;
        } else if (result?.outcome === "conflict") {
          current = result.current;
          conflicts++;
        } else throw result?.error;
      }
      return conflicts;
    }

    it("tells that it is well", async () => {
      await expect(store.ping()).resolves.toBeUndefined();
    });
  });
}
