/** All that a tenant defines, at once. */
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import { operatorsOnly, readersOnly, readSecurity, WRITE_SECURITY } from "../../../shared/http/access.ts";
import { uncheckedBody } from "../../../shared/http/http-errors.ts";
import {
  type DefinitionReader,
  type DefinitionRouteOptions,
  READ_ERRORS,
  save,
  WRITE_ERRORS,
} from "./definition-reader.ts";
import * as schema from "./definition-schema.ts";

/** 2,000 audiences with the longest rules and descriptions, and room. */
const WHOLE_SET_LIMIT_BYTES = 16_777_216;

export function addWholeSetRoutes(
  server: FastifyInstance,
  options: DefinitionRouteOptions,
  definitions: DefinitionReader,
): void {
  const { readers, operators } = options;
  const routes = server.withTypeProvider<TypeBoxTypeProvider>();
  const url = "/v1/tenants/:tenant/definitions";

  routes.get(
    url,
    {
      schema: {
        summary: "All that a tenant defines, and which consumers have it",
        params: schema.TenantParams,
        response: { 200: schema.AllDefinitions },
        ...readSecurity(readers),
      },
      config: { errors: READ_ERRORS },
      onRequest: readersOnly(readers, operators),
    },
    async ({ params: { tenant } }) => {
      const [document, reported] = await Promise.all([
        definitions.document(tenant),
        definitions.reported(tenant),
      ]);
      const views = definitions.views(tenant, document, reported);
      const consumers = reported.versions.map((each) => ({
        ...each,
        upToDate: each.version >= document.version,
      }));
      return {
        tenant,
        version: document.version,
        attributes: views.attributes(),
        audiences: views.audiences(),
        consumers,
      } as never;
    },
  );

  routes.put(
    url,
    {
      schema: {
        summary: "Puts a whole set in the place of all definitions, in one step",
        params: schema.TenantParams,
        querystring: schema.DryRun,
        body: schema.WholeSet,
        response: { 200: schema.DefinitionChange },
        ...WRITE_SECURITY,
      },
      bodyLimit: WHOLE_SET_LIMIT_BYTES,
      validatorCompiler: uncheckedBody,
      config: { errors: WRITE_ERRORS },
      onRequest: operatorsOnly(operators),
    },
    async (request) => {
      const { tenant } = request.params;
      const { dryRun = false } = request.query;
      const set: unknown = request.body;
      const { version, diff } = await save(options, request, tenant, () => set, dryRun);
      return { tenant, version, dryRun, ...diff };
    },
  );
}
