/** Many users at once. */
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import Type from "typebox";
import { Check } from "typebox/value";
import { UserId } from "../../../shared/domain/envelope.ts";
import type { readSecurity } from "../../../shared/http/access.ts";
import type { ProfileRecord, UserKey } from "../../../shared/ports/profile-store.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import { type ReadProfile, readProfile } from "../read-profile.ts";
import { TenantParams } from "./definition-schema.ts";
import { ofUser, ProfileView, profileView } from "./profile-view.ts";
import { definitionsFor, existing, type ProfileRouteOptions, type readingRoute } from "./user-reads.ts";

const MAX_USERS = 100;

const Query = Type.Object(
  {
    ids: Type.Optional(Type.String({ description: "user ids, parted by commas" })),
    id: Type.Optional(
      Type.Union([Type.String(), Type.Array(Type.String())], {
        description: "a user id; again for more. For ids that hold a comma",
      }),
    ),
    after: Type.Optional(Type.String({ description: "is refused: an update is one user's" })),
  },
  { additionalProperties: false },
);

const NoProfile = Type.Object({
  ...ofUser,
  error: Type.Object({
    code: Type.Union([Type.Literal("user_not_found"), Type.Literal("profile_unreadable")]),
    message: Type.String(),
  }),
});
type NoProfile = Type.Static<typeof NoProfile>;
const Answer = Type.Object({
  users: Type.Array(Type.Union([ProfileView, NoProfile]), {
    description: "in the order in which they were asked for",
  }),
});

type BatchOptions = Pick<ProfileRouteOptions, "loader" | "watch"> & {
  now: () => number;
  common: ReturnType<typeof readingRoute>;
  security: ReturnType<typeof readSecurity>;
};

/** GET /v1/tenants/{tenant}/users:batch */
export function addBatchRoute(
  server: FastifyInstance,
  { loader, watch, now, common, security }: BatchOptions,
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
      const records = await Promise.all(userIds.map((userId) => loader.load({ tenant, userId })));
      const reads = records.map((record, index) => readOrError({ tenant, userId: userIds[index]! }, record));
      const profiles = reads.flatMap((read) => ("profile" in read ? [read.profile] : []));
      const definitions = await definitionsFor(watch, tenant, profiles);
      const nowMs = now();
      return {
        users: reads.map((read, index) =>
          "profile" in read
            ? profileView({ tenant, userId: userIds[index]! }, read, definitions, nowMs)
            : read,
        ),
      };
    },
  );
}

/** One user who can't be answered for keeps no other from an answer. */
function readOrError(user: UserKey, record: ProfileRecord | undefined): ReadProfile | NoProfile {
  try {
    return readProfile(user, existing(user, record));
  } catch (thrown) {
    const { code, message } = thrown as KeylineError;
    return { ...user, error: { code: code as NoProfile["error"]["code"], message } };
  }
}

function idsIn({ ids, id = [], after }: Type.Static<typeof Query>): string[] {
  if (after !== undefined) {
    const message =
      "after: an update is one user's, so that it can be waited for on a read of that user only";
    throw new KeylineError("invalid_request", message, { path: "after", value: after });
  }
  const found = [...(ids ?? "").split(",").filter((each) => each !== ""), ...(Array.isArray(id) ? id : [id])];
  const refused = (message: string, value: unknown) =>
    new KeylineError("invalid_request", `ids: ${message}`, { path: "ids", value });
  if (found.length === 0) throw refused("is required", ids);
  if (found.length > MAX_USERS) throw refused(`at most ${MAX_USERS} at once`, found.length);
  for (const each of found)
    if (!Check(UserId, each)) throw refused("each is 1 to 256 characters, no control characters", each);
  return found;
}
