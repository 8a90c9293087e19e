/** Who is in an audience. */
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import Type from "typebox";
import type { Audience } from "../../../shared/domain/definitions/definition.ts";
import type { Stored } from "../../../shared/domain/definitions/tenant-definitions.ts";
import { Tenant } from "../../../shared/domain/envelope.ts";
import { readersOnly, readSecurity } from "../../../shared/http/access.ts";
import type { Operators } from "../../../shared/http/operators.ts";
import type { MemberStore } from "../../../shared/ports/member-store.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import { storedUnder } from "../definition-diff.ts";
import type { DefinitionWatch } from "../definition-watch.ts";
import { NameParams, Nullable, standingFields } from "./definition-schema.ts";
import { standingView } from "./definition-view.ts";

const MAX_PAGE = 1_000;
const DEFAULT_PAGE = 100;

const PageQuery = Type.Object(
  {
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_PAGE, default: DEFAULT_PAGE })),
    cursor: Type.Optional(Type.String({ description: "`next` of the page before" })),
  },
  { additionalProperties: false },
);

const ofAudience = { tenant: Tenant, audience: Type.String(), ...standingFields };
const Members = Type.Object({
  ...ofAudience,
  members: Type.Array(Type.String(), { description: "user ids, in the order of their UTF-8 bytes" }),
  next: Nullable(Type.String({ description: "the cursor of the next page; null on the last one" })),
});
const Count = Type.Object({ ...ofAudience, count: Type.Integer() });

export type MemberRouteOptions = {
  memberStore: Pick<MemberStore, "count" | "page">;
  watch: Pick<DefinitionWatch, "of" | "document" | "refresh">;
  readers: Operators | undefined;
  operators: Operators;
};

/** GET /v1/tenants/{tenant}/audiences/{name}/members and /count: of the definition's present version. */
export function addMemberRoutes(server: FastifyInstance, options: MemberRouteOptions): void {
  const { memberStore, watch, readers, operators } = options;
  const routes = server.withTypeProvider<TypeBoxTypeProvider>();
  const url = "/v1/tenants/:tenant/audiences/:name";
  const common = {
    config: { errors: [400, 401, 404, 503] as const },
    onRequest: readersOnly(readers, operators),
  };

  routes.get(
    `${url}/members`,
    {
      schema: {
        summary: "The members of an audience, by pages",
        params: NameParams,
        querystring: PageQuery,
        response: { 200: Members },
        ...readSecurity(readers),
      },
      ...common,
    },
    async ({ params: { tenant, name }, query: { limit = DEFAULT_PAGE, cursor } }) => {
      const standing = await audienceStanding(watch, tenant, name);
      const { version } = standing;
      const after = cursor === undefined ? undefined : userIdIn(cursor, version);
      const page = await memberStore.page({ tenant, audience: name, version }, after, limit);
      const next = page.next === undefined ? null : cursorOf(version, page.next);
      return { tenant, audience: name, ...standing, members: page.userIds, next };
    },
  );

  routes.get(
    `${url}/count`,
    {
      schema: {
        summary: "How many are in an audience",
        params: NameParams,
        response: { 200: Count },
        ...readSecurity(readers),
      },
      ...common,
    },
    async ({ params: { tenant, name } }) => {
      const standing = await audienceStanding(watch, tenant, name);
      const count = await memberStore.count({ tenant, audience: name, version: standing.version });
      return { tenant, audience: name, ...standing, count };
    },
  );
}

/** @throws KeylineError `audience_not_found` */
async function audienceStanding(watch: MemberRouteOptions["watch"], tenant: string, name: string) {
  const { standing, definition } = await definedAudience(watch, tenant, name, "name");
  return standingView(standing, definition);
}

/**
 * Where there is none it looks once more: another process may have saved it a moment ago.
 * @throws KeylineError `audience_not_found`, `definitions_not_loaded`, `definitions_unreadable`
 */
export async function definedAudience(
  { of, document, refresh }: MemberRouteOptions["watch"],
  tenant: string,
  name: string,
  path: string,
): Promise<Stored<Audience>> {
  const stored = () => storedUnder(document(tenant).audiences, name);
  if (!stored()) await refresh().catch(() => {});
  // Throws where what is defined is not known.
  of(tenant);
  const found = stored();
  if (found) return found;
  throw audienceNotFound(tenant, name, path);
}

export function audienceNotFound(tenant: string, name: string, path: string): KeylineError {
  const message = `tenant ${tenant} has no audience ${JSON.stringify(name)}`;
  return new KeylineError("audience_not_found", message, { path, value: name });
}

/** Bound to the version: pages of two versions don't make one list. */
function cursorOf(version: number, userId: string): string {
  return Buffer.from(JSON.stringify([version, userId])).toString("base64url");
}

function userIdIn(cursor: string, version: number): string {
  const refused = (message: string) =>
    new KeylineError("invalid_request", `cursor: ${message}`, { path: "cursor", value: cursor });
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(cursor, "base64url").toString());
  } catch {
    throw refused("is none of these pages");
  }
  const [of, userId] = Array.isArray(parsed) ? (parsed as unknown[]) : [];
  if (typeof userId !== "string") throw refused("is none of these pages");
  if (of !== version)
    throw refused(`is of version ${String(of)}, and the audience is of version ${version} now`);
  return userId;
}
