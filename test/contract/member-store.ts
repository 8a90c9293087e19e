/** What every member store does. */
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AudienceVersion, MemberEntry, MemberStore } from "../../shared/ports/member-store.ts";

export type MemberStoreSubject = { store: MemberStore; close(): Promise<void> };

const regulars: AudienceVersion = { tenant: "shop", audience: "regulars", version: 3 };

export function changeOf(userId: string, number: number, of: AudienceVersion = regulars): MemberEntry {
  return { ...of, userId, number };
}

export function describeMemberStore(name: string, open: () => Promise<MemberStoreSubject>): void {
  describe(`member store: ${name}`, () => {
    let subject: MemberStoreSubject;
    let store: MemberStore;

    beforeEach(async () => {
      subject = await open();
      store = subject.store;
    });

    afterEach(async () => {
      await subject.close();
    });

    async function allPages(of: AudienceVersion, limit: number): Promise<string[]> {
      const userIds: string[] = [];
      let after: string | undefined;
      do {
        const page = await store.page(of, after, limit);
        expect(page.userIds.length).toBeLessThanOrEqual(limit);
        // A page that is not full is the last.
        if (page.next !== undefined) expect(page.userIds).toHaveLength(limit);
        userIds.push(...page.userIds);
        after = page.next;
      } while (after !== undefined);
      return userIds;
    }

    it("has no members at first, and takes calls without entries", async () => {
      await store.record([]);
      await store.drop(regulars);
      expect(await store.count(regulars)).toBe(0);
      expect(await store.page(regulars, undefined, 10)).toEqual({ userIds: [], next: undefined });
      expect(await store.page(regulars, "a", 10)).toEqual({ userIds: [], next: undefined });
    });

    it("has those in whose last number is odd", async () => {
      await store.record([changeOf("a", 1), changeOf("b", 1), changeOf("c", 2), changeOf("d", 7)]);
      expect(await store.count(regulars)).toBe(3);
      await store.record([changeOf("b", 2), changeOf("c", 3)]);
      expect(await store.count(regulars)).toBe(3);
      expect(await allPages(regulars, 10)).toEqual(["a", "c", "d"]);
    });

    it("is not undone by an older number, whoever comes late", async () => {
      await store.record([changeOf("a", 2), changeOf("b", 3), changeOf("c", 9_007_199_254_740_991)]);
      await store.record([changeOf("a", 1), changeOf("b", 2), changeOf("c", 9_007_199_254_740_990)]);
      await store.record([changeOf("a", 2), changeOf("b", 3), changeOf("b", 0)]);
      expect(await allPages(regulars, 10)).toEqual(["b", "c"]);
    });

    it("compares numbers as numbers", async () => {
      await store.record([changeOf("a", 9), changeOf("b", 10)]);
      await store.record([changeOf("a", 10), changeOf("b", 9)]);
      expect(await store.count(regulars)).toBe(0);
    });

    it("keeps audiences, versions and tenants apart", async () => {
      const others: AudienceVersion[] = [
        { ...regulars, version: 4 },
        { ...regulars, version: 33 },
        { ...regulars, audience: "vips" },
        { ...regulars, tenant: "other" },
        { tenant: "shop:regulars", audience: "3", version: 3 },
        { tenant: "a:b", audience: "c", version: 1 },
        { tenant: "a", audience: "b:c", version: 1 },
        { tenant: "a%3ab", audience: "c", version: 1 },
        { tenant: "a}", audience: "{b", version: 1 },
      ];
      for (const [index, of] of others.entries()) {
        await store.record([changeOf("a", 1, of), changeOf(`only-${index}`, 1, of)]);
      }
      for (const [index, of] of others.entries()) {
        expect(await allPages(of, 10)).toEqual(["a", `only-${index}`]);
      }
      await store.record([changeOf("a", 2, others[0])]);
      await store.drop(others[1]!);
      expect(await Promise.all(others.map((of) => store.count(of)))).toEqual([1, 0, 2, 2, 2, 2, 2, 2, 2]);
      expect(await store.count(regulars)).toBe(0);
    });

    it("pages in the order of UTF-8 bytes, whatever the page's size", async () => {
      const userIds = [
        ...[
          "42",
          "a",
          "a b",
          "a:b",
          "aa",
          "A",
          "é",
          "e\u0301",
          "ж",
          "日本",
          "{x}",
          "%7d",
          "-",
          "+",
          "[a",
          "(a",
        ],
        ...["\uffee", "\ufffd", "\ue000", "🦔", "🦔a", "😀", "\u{10ffff}", "x".repeat(256), "🦔".repeat(256)],
        ...Array.from({ length: 100 }, (_, index) => `user-${index}`),
      ];
      await store.record(userIds.map((userId) => changeOf(userId, 1)));
      const expected = inBytes(userIds);
      expect(expected).not.toEqual([...userIds].sort());
      for (const limit of [1, 2, 7, userIds.length - 1, userIds.length, userIds.length + 1, 1_000]) {
        expect(await allPages(regulars, limit)).toEqual(expected);
      }
      expect(await store.count(regulars)).toBe(userIds.length);
    });

    it("goes on after a user who is no longer there, or never was", async () => {
      await store.record(["a", "c", "e"].map((userId) => changeOf(userId, 1)));
      await store.record([changeOf("c", 2)]);
      expect(await store.page(regulars, "c", 10)).toEqual({ userIds: ["e"], next: undefined });
      expect(await store.page(regulars, "", 1)).toEqual({ userIds: ["a"], next: "a" });
      expect(await store.page(regulars, "b", 1)).toEqual({ userIds: ["e"], next: undefined });
      expect(await store.page(regulars, "e", 1)).toEqual({ userIds: [], next: undefined });
    });

    it("forgets a version that is dropped, with its numbers", async () => {
      const userIds = Array.from({ length: 100 }, (_, index) => `user-${index}`);
      await store.record(userIds.map((userId) => changeOf(userId, 5)));
      await store.drop(regulars);
      expect(await store.count(regulars)).toBe(0);
      await store.record([changeOf("user-7", 1)]);
      expect(await allPages(regulars, 10)).toEqual(["user-7"]);
    });

    it("takes thousands of entries at once", async () => {
      const userIds = Array.from({ length: 20_000 }, (_, index) => `${index}`);
      await store.record(userIds.map((userId, index) => changeOf(userId, 1 + (index % 2))));
      expect(await store.count(regulars)).toBe(10_000);
      expect(await allPages(regulars, 5_000)).toEqual(inBytes(userIds.filter((_, index) => index % 2 === 0)));
    });

    it("ends the same for any order and repetition: with each user's greatest number", async () => {
      let version = 100;
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.array(arbitraryChange, { maxLength: 8 }), { maxLength: 12 }),
          async (calls) => {
            version++;
            const of = { ...regulars, version };
            for (const changes of calls) {
              await store.record(changes.map(({ userId, number }) => changeOf(userId, number, of)));
            }
            const greatest = new Map<string, number>();
            for (const { userId, number } of calls.flat())
              greatest.set(userId, Math.max(number, greatest.get(userId) ?? 0));
            const members = [...greatest].filter(([, number]) => number % 2 === 1).map(([userId]) => userId);
            expect(await store.count(of)).toBe(members.length);
            expect(await allPages(of, 3)).toEqual(inBytes(members));
          },
        ),
        { numRuns: 100 },
      );
    });

    it("ends the same when those who record race", async () => {
      const userIds = Array.from({ length: 20 }, (_, index) => `user-${index}`);
      const numbers = Array.from({ length: 20 }, (_, index) => ((index * 7) % 20) + 1);
      await Promise.all(
        numbers.map((number) =>
          store.record(userIds.map((userId, index) => changeOf(userId, number + (index % 2)))),
        ),
      );
      expect(await allPages(regulars, 100)).toEqual(inBytes(userIds.filter((_, index) => index % 2 === 1)));
    });
  });
}

const arbitraryChange = fc.record({
  userId: fc.oneof(
    fc.constantFrom("a", "b", "c:d", "🦔", "\ufffd"),
    fc.string({ unit: "grapheme", minLength: 1, maxLength: 3 }),
  ),
  number: fc.integer({ min: 1, max: 6 }),
});

function inBytes(userIds: readonly string[]): string[] {
  return [...userIds].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}
