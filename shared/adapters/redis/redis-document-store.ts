/** The tenants' documents in Redis, all of a kind in one slot; see document-script.ts for how they are kept. */
import type { ConsumerReport, DocumentStore, TenantDocument } from "../../ports/document-store.ts";
import { compareUtf8 } from "../utf8-order.ts";
import { changedAfterScript, replaceScript, reportScript, reportsScript } from "./document-script.ts";
import { assertKeyPrefix } from "./profile-key.ts";
import { type RedisStoreOptions, runCall, type Script } from "./redis-calls.ts";
import type { RedisConnection } from "./redis-connection.ts";

/** What the documents are of. */
export type DocumentKind = "definitions" | "tenants" | "schemas" | "settings";

/**
 * `close` leaves the connection open; it is its opener's to close.
 * @throws KeylineError `bad_key_prefix`
 */
export function createRedisDocumentStore(
  connection: RedisConnection,
  kind: DocumentKind,
  options: RedisStoreOptions,
): DocumentStore {
  const { keyPrefix, commandTimeoutMs } = options;
  assertKeyPrefix(keyPrefix);
  const documentsKey = `${keyPrefix}{${kind}}:documents`;
  const revisionKey = `${keyPrefix}{${kind}}:revision`;
  const changesKey = `${keyPrefix}{${kind}}:changes`;
  const reportsKey = `${keyPrefix}{${kind}}:reports`;

  function command(name: "get" | "hget", key: string, ...args: string[]): Promise<unknown> {
    return runCall(connection, { key, command: name, args: [key, ...args] }, commandTimeoutMs);
  }

  function run(script: Script, keys: [string, ...string[]], ...args: (string | number)[]): Promise<unknown> {
    const call = { key: keys[0], script, keyCount: keys.length, args: [...keys, ...args] };
    return runCall(connection, call, commandTimeoutMs);
  }

  return {
    async revision() {
      return Number((await command("get", revisionKey)) ?? 0);
    },
    async changedAfter(after) {
      const reply = await run(changedAfterScript, [documentsKey, revisionKey, changesKey], after);
      const [revision, flat] = reply as [string | null, string[]];
      const documents = new Map(pairsOf(flat).map(([tenant, value]) => [tenant, documentOf(value)]));
      return { revision: Number(revision ?? 0), documents };
    },
    async read(tenant) {
      const value = (await command("hget", documentsKey, tenant)) as string | null;
      return value === null ? { version: 0, document: "" } : documentOf(value);
    },
    async replace(tenant, expectedVersion, { version, document }) {
      const keys: [string, ...string[]] = [documentsKey, revisionKey, changesKey];
      return Number(await run(replaceScript, keys, tenant, expectedVersion, version, document)) === 1;
    },
    async report(consumer, report, ttlMs) {
      await run(reportScript, [reportsKey], consumer, report, ttlMs);
    },
    async reports() {
      const flat = (await run(reportsScript, [reportsKey])) as string[];
      return pairsOf(flat)
        .map(reportOf)
        .sort((a, b) => compareUtf8(a.consumer, b.consumer));
    },
    async close() {},
  };
}

function pairsOf(flat: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let index = 0; index < flat.length; index += 2) pairs.push([flat[index] ?? "", flat[index + 1] ?? ""]);
  return pairs;
}

function documentOf(value: string): TenantDocument {
  const space = value.indexOf(" ");
  return { version: Number(value.slice(0, space)), document: value.slice(space + 1) };
}

function reportOf([consumer, value]: [string, string]): ConsumerReport {
  const [, atMs, report = ""] = /^(\d+) \d+ (.*)$/s.exec(value) ?? [];
  return { consumer, atMs: Number(atMs), report };
}
