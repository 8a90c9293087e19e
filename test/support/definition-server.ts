/** The routes of definitions, reads and members on stores in memory, with one watch. */
import type { FastifyInstance } from "fastify";
import { addDefinitionRoutes } from "../../services/audience-update/admin/definition-routes.ts";
import { addExplainRoutes } from "../../services/audience-update/admin/explain-routes.ts";
import { addMemberRoutes } from "../../services/audience-update/admin/member-routes.ts";
import { addProfileRoutes } from "../../services/audience-update/admin/profile-routes.ts";
import { createDefinitionCatalog } from "../../services/audience-update/definition-catalog.ts";
import {
  type DefinitionWatch,
  startDefinitionWatch,
} from "../../services/audience-update/definition-watch.ts";
import { createProfileLoader } from "../../services/audience-update/read-your-write.ts";
import { createMemoryDocumentStore } from "../../shared/adapters/memory/memory-document-store.ts";
import { createMemoryMemberStore } from "../../shared/adapters/memory/memory-member-store.ts";
import { createMemoryProfileStore } from "../../shared/adapters/memory/memory-profile-store.ts";
import { createHttpServer } from "../../shared/http/http-server.ts";
import { createOperators } from "../../shared/http/operators.ts";
import type { DocumentStore } from "../../shared/ports/document-store.ts";
import type { MemberStore } from "../../shared/ports/member-store.ts";
import type { ProfileStore } from "../../shared/ports/profile-store.ts";
import { createLog, type Log } from "../../shared/runtime/log.ts";

export const ADMIN = "Bearer admin-token";
export const READER = "Bearer read-token";
const MAX_ENTRIES = 10_000;

export type DefinitionServer = {
  server: FastifyInstance;
  watch: DefinitionWatch;
  definitionStore: DocumentStore;
  memberStore: MemberStore;
  store: ProfileStore;
  /** As an operator. */
  call(method: "GET" | "PUT" | "DELETE", url: string, payload?: unknown): Promise<Answer>;
  close(): Promise<void>;
};

// biome-ignore lint/suspicious/noExplicitAny: what a test looks for in an answer is up to it
export type Answer = { status: number; body: any };

export async function startDefinitionServer({
  log = createLog("test", "fatal"),
  maxStateLength = 500_000,
  definitionStore = createMemoryDocumentStore({ maxEntries: MAX_ENTRIES }),
}: {
  log?: Log;
  maxStateLength?: number;
  definitionStore?: DocumentStore;
} = {}): Promise<DefinitionServer> {
  const memberStore = createMemoryMemberStore({ maxEntries: MAX_ENTRIES });
  const store = createMemoryProfileStore({ maxProfiles: MAX_ENTRIES });
  const server = await createHttpServer({ log, title: "test", part: "admin" });
  const watch = startDefinitionWatch({
    store: definitionStore,
    consumer: "c1",
    onChange() {},
    onError() {},
  });
  const catalog = createDefinitionCatalog({
    store: definitionStore,
    members: memberStore,
    compiledBefore: watch.readable,
    maxStateLength,
    now: Date.now,
    onError() {},
    dropAfterMs: 1,
  });
  const access = {
    operators: createOperators("ada=admin-token,bob=another-token"),
    readers: createOperators("read-token"),
  };
  addDefinitionRoutes(server, { ...access, catalog, definitionStore, watch });
  const loader = createProfileLoader(store);
  addProfileRoutes(server, { ...access, loader, watch });
  addExplainRoutes(server, { ...access, loader, watch });
  addMemberRoutes(server, { ...access, memberStore, watch });
  return {
    ...{ server, watch, definitionStore, memberStore, store },
    async call(method, url, payload) {
      const response = await server.inject({
        method,
        url,
        headers: { authorization: ADMIN },
        ...(payload === undefined ? {} : { payload: payload as object }),
      });
      return { status: response.statusCode, body: response.json() };
    },
    async close() {
      await server.close();
      await watch.close();
      await catalog.close();
      await Promise.all([definitionStore.close(), memberStore.close(), store.close()]);
    },
  };
}
