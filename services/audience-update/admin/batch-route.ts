/** Many users at once. */
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import Type from "typebox";
import { Check } from "typebox/value";
import { UserId } from "../../../shared/domain/envelope.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import type { readSecurity } from "./access.ts";
import { TenantParams } from "./definition-schema.ts";
import { ofUser, ProfileView, profileView, readProfile } from "./profile-view.ts";
import { definitionsFor, type ProfileRouteOptions, type readingRoute, unknownUser } from "./user-reads.ts";

const MAX_USERS = 100;

const Query = Type.Object(
  {
    ids: Type.Optional(Type.String({ description: "user ids, parted by commas" })),
    id: Type.Optional(
      Type.Union([Type.String(), Type.Array(Type.String())], {
        description: "a user id; again for more. For ids that hold a comma",
      }),
    ),
  },
  { additionalProperties: false },
);

const Unknown = Type.Object({
  ...ofUser,
  error: Type.Object({ code: Type.String(), message: Type.String() }),
});
const Answer = Type.Object({
  users: Type.Array(Type.Union([ProfileView, Unknown]), {
    description: "in the order in which they were asked for",
  }),
});

type BatchOptions = Pick<ProfileRouteOptions, "store" | "watch"> & {
  now: () => number;
  common: ReturnType<typeof readingRoute>;
  security: ReturnType<typeof readSecurity>;
};

/** GET /v1/tenants/{tenant}/users:batch */
export function addBatchRoute(
  server: FastifyInstance,
  { store, watch, now, common, security }: BatchOptions,
): void {
  server.withTypeProvider<TypeBoxTypeProvider>().get(
    "/v1/tenants/:tenant/users::batch",
    {
      schema: {
        summary: `The profiles of up to ${MAX_USERS} users`,
        params: TenantParams,
        querystring: Query,
        response: { 200: Answer },
        ...security,
      },
      ...common,
    },
    async ({ params: { tenant }, query }) => {
      const userIds = idsIn(query);
      const records = await Promise.all(userIds.map((userId) => store.load({ tenant, userId })));
      const reads = records.map((record) => record && readProfile(record));
      const profiles = reads.flatMap((read) => (read ? [read.profile] : []));
      const definitions = await definitionsFor(watch, tenant, profiles);
      const nowMs = now();
      return {
        users: reads.map((read, index) => {
          const user = { tenant, userId: userIds[index]! };
          if (read) return profileView(user, read, definitions, nowMs);
          const { code, message } = unknownUser(user);
          return { ...user, error: { code, message } };
        }),
      };
    },
  );
}

function idsIn({ ids = "", id = [] }: Type.Static<typeof Query>): string[] {
  const found = [...ids.split(",").filter((each) => each !== ""), ...(Array.isArray(id) ? id : [id])];
  const refused = (message: string, value: unknown) =>
    new KeylineError("invalid_request", `ids: ${message}`, { path: "ids", value });
  if (found.length === 0) throw refused("is required", ids);
  if (found.length > MAX_USERS) throw refused(`at most ${MAX_USERS} at once`, found.length);
  for (const each of found)
    if (!Check(UserId, each)) throw refused("each is 1 to 256 characters, no control characters", each);
  return found;
}
