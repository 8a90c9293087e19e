import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import Type from "typebox";
import { Tenant, UserId } from "../../../shared/domain/envelope.ts";
import { attributes } from "../../../shared/domain/profile.ts";
import { decodeProfile } from "../../../shared/domain/profile-record.ts";
import type { ProfileRecord, ProfileStore, UserKey } from "../../../shared/ports/profile-store.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import { versionNumber } from "../profile-version.ts";
import { isoTime } from "./iso-time.ts";
import type { Operators } from "./operators.ts";

const Params = Type.Object({ tenant: Tenant, userId: UserId });

/** Reads profiles: GET /v1/tenants/{tenant}/users/{userId}. `readers` undefined lets everyone read. */
export function addProfileRoutes(
  server: FastifyInstance,
  { store, readers }: { store: ProfileStore; readers: Operators | undefined },
): void {
  server.withTypeProvider<TypeBoxTypeProvider>().get(
    "/v1/tenants/:tenant/users/:userId",
    {
      schema: {
        summary: "A user's profile",
        params: Params,
        ...(readers ? { security: [{ bearer: [] }] } : {}),
      },
      config: { errors: [400, 401, 404, 503] },
      onRequest: async (request, reply) => {
        if (!readers || readers.authenticate(request.headers.authorization)) return;
        reply.header("www-authenticate", "Bearer");
        throw new KeylineError("unauthorised", "the bearer token of READ_TOKEN is required");
      },
    },
    async ({ params }) => {
      const record = await store.load(params);
      if (record) return profileView(params, record);
      const message = `no update of user ${JSON.stringify(params.userId)} of tenant ${params.tenant} was applied`;
      throw new KeylineError("user_not_found", message, { path: "userId", value: params.userId });
    },
  );
}

/** A profile as readers get it. Times are ISO 8601, durations milliseconds. */
export function profileView({ tenant, userId }: UserKey, record: ProfileRecord) {
  const { profile, lastUpdate } = decodeProfile(record.machinery);
  const events = [...profile.events].map(([name, { count, firstAt, lastAt }]) => [
    name,
    { count, firstAt: isoTime(firstAt), lastAt: isoTime(lastAt) },
  ]);
  const { id, at, path, appliedAtMs, lagMs } = lastUpdate;
  return {
    tenant,
    userId,
    attributes: attributes(profile),
    events: Object.fromEntries(events) as Record<string, { count: number; firstAt: string; lastAt: string }>,
    eventsSeen: [...profile.events.values()].reduce((sum, { count }) => sum + count, 0),
    updates: profile.updates,
    version: versionNumber(record.version),
    lastUpdate: { id, at: isoTime(at), path, appliedAt: isoTime(appliedAtMs) },
    /** From the stamp of the last update to its appearance here. */
    lagMs,
  };
}
