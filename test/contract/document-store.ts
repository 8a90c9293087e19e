/** What every definition store does. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { DocumentStore, TenantDocument } from "../../shared/ports/document-store.ts";

export type DefinitionStoreSubject = { store: DocumentStore; close(): Promise<void> };

export const versionOf = (version: number, document: string): TenantDocument => ({ version, document });

export function describeDocumentStore(name: string, open: () => Promise<DefinitionStoreSubject>): void {
  describe(`document store: ${name}`, () => {
    let subject: DefinitionStoreSubject;
    let store: DocumentStore;

    beforeEach(async () => {
      subject = await open();
      store = subject.store;
    });

    afterEach(async () => {
      await subject.close();
    });

    it("has nothing at first", async () => {
      expect(await store.revision()).toBe(0);
      expect(await store.changedAfter(-1)).toEqual({ revision: 0, documents: new Map() });
      expect(await store.read("shop")).toEqual({ version: 0, document: "" });
      expect(await store.reports()).toEqual([]);
    });

    it("gives back what was written, under the version that its writer said", async () => {
      const document = JSON.stringify({ emoji: "🦔", lines: "a\nb", text: "1 ж".repeat(3_000) });
      expect(await store.replace("shop", 0, versionOf(1, document))).toBe(true);
      expect(await store.read("shop")).toEqual({ version: 1, document });
      const later = versionOf(1_767_225_600_123, "");
      expect(await store.replace("shop", 1, later)).toBe(true);
      expect(await store.read("shop")).toEqual(later);
      expect(await store.replace("shop", 1_767_225_600_123, versionOf(1_767_225_600_124, "1 2"))).toBe(true);
      expect(await store.read("shop")).toEqual(versionOf(1_767_225_600_124, "1 2"));
    });

    it("refuses a writer who read another version, and changes nothing", async () => {
      await store.replace("shop", 0, versionOf(1, "first"));
      const revision = await store.revision();
      expect(await store.replace("shop", 0, versionOf(3, "late"))).toBe(false);
      expect(await store.replace("shop", 2, versionOf(3, "early"))).toBe(false);
      expect(await store.replace("other", 1, versionOf(3, "never there"))).toBe(false);
      expect(await store.read("shop")).toEqual({ version: 1, document: "first" });
      expect(await store.read("other")).toEqual({ version: 0, document: "" });
      expect(await store.revision()).toBe(revision);
    });

    it("lets one of many writers who race through", async () => {
      for (let version = 0; version < 20; version++) {
        const writers = Array.from({ length: 10 }, (_, writer) => `${version} by ${writer}`);
        const results = await Promise.all(
          writers.map((text) => store.replace("shop", version, versionOf(version + 1, text))),
        );
        const winners = results.flatMap((result, writer) => (result ? [writer] : []));
        expect(winners).toHaveLength(1);
        const document = writers[winners[0]!];
        expect(await store.read("shop")).toEqual({ version: version + 1, document });
      }
    });

    it("grows its revision with each change of any tenant's", async () => {
      const revisions = [await store.revision()];
      for (const [tenant, version] of [
        ["shop", 0],
        ["other", 0],
        ["shop", 1],
      ] as const) {
        await store.replace(tenant, version, versionOf(version + 1, tenant));
        revisions.push(await store.revision());
      }
      expect(revisions).toEqual([...new Set(revisions)].sort((a, b) => a - b));
      expect(await store.changedAfter(-1)).toEqual({
        revision: revisions.at(-1),
        documents: new Map([
          ["shop", { version: 2, document: "shop" }],
          ["other", { version: 1, document: "other" }],
        ]),
      });
      expect(await store.changedAfter(revisions[2]!)).toEqual({
        revision: revisions.at(-1),
        documents: new Map([["shop", { version: 2, document: "shop" }]]),
      });
      expect((await store.changedAfter(revisions.at(-1)!)).documents.size).toBe(0);
    });

    it("reads all tenants' documents with the revision that they are of", async () => {
      let writing = true;
      const write = async () => {
        for (let version = 0; version < 100; version++)
          await store.replace("shop", version, versionOf(version + 1, `${version + 1}`));
        writing = false;
      };
      const seen = new Map<number, string | undefined>();
      const read = async () => {
        while (writing) {
          const { revision, documents } = await store.changedAfter(-1);
          const document = documents.get("shop")?.document;
          if (seen.has(revision)) expect(document).toBe(seen.get(revision));
          seen.set(revision, document);
        }
      };
      await Promise.all([write(), read(), read()]);
      const inOrder = [...seen].sort(([a], [b]) => a - b).map(([, document]) => Number(document ?? 0));
      expect(inOrder).toEqual([...new Set(inOrder)].sort((a, b) => a - b));
    });

    it("keeps the last report of each consumer, by name", async () => {
      await store.report("b", "first", 60_000);
      await store.report("a", '{"text":"1 2\\n🦔"}', 60_000);
      await store.report("b", "second", 60_000);
      const reports = await store.reports();
      expect(reports).toEqual([
        { consumer: "a", atMs: expect.any(Number), report: '{"text":"1 2\\n🦔"}' },
        { consumer: "b", atMs: expect.any(Number), report: "second" },
      ]);
      for (const { atMs } of reports) expect(Math.abs(atMs - Date.now())).toBeLessThan(60_000);
    });

    it("forgets a report when its time is over, and no other", async () => {
      await store.report("long", "", 60_000);
      await store.report("short", "", 50);
      await store.report("again", "", 50);
      await store.report("again", "", 60_000);
      await vi.waitFor(async () => {
        expect((await store.reports()).map(({ consumer }) => consumer)).toEqual(["again", "long"]);
      });
    });
  });
}
