/** Reads of users: whole profiles, single values, memberships, many at once. */
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import Type from "typebox";
import { Tenant, UserId } from "../../../shared/domain/envelope.ts";
import { readSecurity } from "../../../shared/http/access.ts";
import type { UserKey } from "../../../shared/ports/profile-store.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import { readProfile } from "../read-profile.ts";
import { addBatchRoute } from "./batch-route.ts";
import {
  asOfFields,
  MembershipsView,
  membershipsView,
  ofUser,
  ProfileView,
  profileView,
  valuesOf,
} from "./profile-view.ts";
import {
  After,
  definitionsFor,
  found,
  type ProfileRouteOptions,
  readingRoute,
  UserParams,
} from "./user-reads.ts";

const AttributeParams = Type.Object({ tenant: Tenant, userId: UserId, name: Type.String({ minLength: 1 }) });

const AttributeAnswer = Type.Object({
  ...ofUser,
  name: Type.String(),
  value: Type.Unknown({ description: "null where a calculated one has none" }),
  calculated: Type.Boolean({ description: "false for one of the profile's own" }),
  ...asOfFields,
});
const MembershipsQuery = Type.Object(
  {
    ...After.properties,
    all: Type.Optional(
      Type.Boolean({ default: false, description: "those that the user has left, too, and disabled ones" }),
    ),
  },
  { additionalProperties: false },
);

/** GET /v1/tenants/{tenant}/users/{userId}, its attributes and audiences, and users:batch. */
export function addProfileRoutes(server: FastifyInstance, options: ProfileRouteOptions): void {
  const { loader, watch, readers, now = Date.now } = options;
  const routes = server.withTypeProvider<TypeBoxTypeProvider>();
  const url = "/v1/tenants/:tenant/users/:userId";
  const common = readingRoute(options);
  const security = readSecurity(readers);

  routes.get(
    url,
    {
      schema: {
        summary: "A user's profile",
        params: UserParams,
        querystring: After,
        response: { 200: ProfileView },
        ...security,
      },
      ...common,
    },
    async ({ params, query }, reply) => {
      const read = readProfile(params, await found(loader, params, query, reply));
      return profileView(params, read, await definitionsFor(watch, params.tenant, [read.profile]), now());
    },
  );

  routes.get(
    `${url}/attributes/:name`,
    {
      schema: {
        summary: "One attribute, calculated or the profile's own",
        params: AttributeParams,
        querystring: After,
        response: { 200: AttributeAnswer },
        ...security,
      },
      ...common,
    },
    async ({ params, query }, reply) => {
      const { tenant, userId, name } = params;
      const record = await found(loader, params, query, reply);
      const { profile } = readProfile(params, record);
      const definitions = await definitionsFor(watch, tenant, [profile]);
      const { attributes, asOf, definitionsVersion } = valuesOf(profile, definitions, now());
      const calculated = definitions.attributeAt.has(name);
      if (!calculated && !Object.hasOwn(attributes, name)) throw noAttribute(params);
      const value = Object.hasOwn(attributes, name) ? attributes[name] : null;
      return { tenant, userId, name, value, calculated, asOf, definitionsVersion };
    },
  );

  routes.get(
    `${url}/audiences`,
    {
      schema: {
        summary: "The audiences that a user is in, with the number of the user's last change in each",
        params: UserParams,
        querystring: MembershipsQuery,
        response: { 200: MembershipsView },
        ...security,
      },
      ...common,
    },
    async ({ params, query }, reply) => {
      const record = await found(loader, params, query, reply);
      const { profile } = readProfile(params, record);
      const definitions = await definitionsFor(watch, params.tenant, [profile]);
      const { asOf, definitionsVersion } = valuesOf(profile, definitions, now());
      const audiences = membershipsView(profile, watch.document(params.tenant), query.all ?? false);
      return { ...params, audiences, asOf, definitionsVersion };
    },
  );

  addBatchRoute(server, { loader, watch, now, common, security });
}

function noAttribute({ tenant, userId, name }: UserKey & { name: string }): KeylineError {
  const message = `user ${JSON.stringify(userId)} has no attribute ${JSON.stringify(name)}, and tenant ${tenant} calculates none of that name`;
  return new KeylineError("attribute_not_found", message, { path: "name", value: name });
}
