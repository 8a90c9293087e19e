/** Writes and shows what a tenant defines: one by one under `attributes` and `audiences`, or all at once. */
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import { Audience } from "../../../shared/domain/definitions/definition.ts";
import { operatorsOnly, readersOnly, readSecurity, WRITE_SECURITY } from "../../../shared/http/access.ts";
import { uncheckedBody } from "../../../shared/http/http-errors.ts";
import {
  createDefinitionReader,
  type DefinitionReader,
  type DefinitionRouteOptions,
  KIND,
  notDefined,
  type Part,
  READ_ERRORS,
  save,
  WRITE_ERRORS,
} from "./definition-reader.ts";
import * as schema from "./definition-schema.ts";
import { addWholeSetRoutes } from "./definition-set-routes.ts";

const VIEW = { attributes: schema.AttributeView, audiences: schema.AudienceView };
const BODY = { attributes: schema.Attribute, audiences: Audience };

export function addDefinitionRoutes(server: FastifyInstance, options: DefinitionRouteOptions): void {
  const definitions = createDefinitionReader(options);
  for (const part of ["attributes", "audiences"] as const) {
    addReadingRoutes(server, part, options, definitions);
    addWritingRoutes(server, part, options, definitions);
  }
  addWholeSetRoutes(server, options, definitions);
}

function addReadingRoutes(
  server: FastifyInstance,
  part: Part,
  { readers, operators }: DefinitionRouteOptions,
  definitions: DefinitionReader,
): void {
  const routes = server.withTypeProvider<TypeBoxTypeProvider>();
  const common = {
    config: { errors: READ_ERRORS },
    onRequest: readersOnly(readers, operators),
  };

  routes.get(
    `/v1/tenants/:tenant/${part}`,
    {
      schema: {
        summary: `All ${part} of a tenant, with what they cost`,
        params: schema.TenantParams,
        response: { 200: schema.listOf[part] },
        ...readSecurity(readers),
      },
      ...common,
    },
    async ({ params: { tenant } }) => {
      const [document, reported] = await Promise.all([
        definitions.document(tenant),
        definitions.reported(tenant),
      ]);
      return {
        tenant,
        version: document.version,
        [part]: definitions.views(tenant, document, reported)[part](),
      } as never;
    },
  );

  routes.get(
    `/v1/tenants/:tenant/${part}/:name`,
    {
      schema: {
        summary: `One ${KIND[part]}, with what it reads and costs`,
        params: schema.NameParams,
        response: { 200: VIEW[part] },
        ...readSecurity(readers),
      },
      ...common,
    },
    async ({ params: { tenant, name } }) => {
      const [document, reported] = await Promise.all([
        definitions.document(tenant),
        definitions.reported(tenant),
      ]);
      return definitions.one(part, name, tenant, document, reported) as never;
    },
  );
}

function addWritingRoutes(
  server: FastifyInstance,
  part: Part,
  options: DefinitionRouteOptions,
  definitions: DefinitionReader,
): void {
  const routes = server.withTypeProvider<TypeBoxTypeProvider>();
  const common = { config: { errors: WRITE_ERRORS }, onRequest: operatorsOnly(options.operators) };

  routes.put(
    `/v1/tenants/:tenant/${part}/:name`,
    {
      schema: {
        summary: `Defines an ${KIND[part]}, or changes it`,
        params: schema.NameParams,
        body: BODY[part],
        response: { 200: VIEW[part], 201: VIEW[part] },
        ...WRITE_SECURITY,
      },
      validatorCompiler: uncheckedBody,
      ...common,
    },
    async (request, reply) => {
      const { tenant, name } = request.params;
      const definition: unknown = request.body;
      const { document, diff } = await save(options, request, tenant, (set) => ({
        ...set,
        [part]: { ...set[part], [name]: definition },
      }));
      const reported = await definitions.reported(tenant);
      reply.code(diff.added.length > 0 ? 201 : 200);
      return definitions.one(part, name, tenant, document, reported) as never;
    },
  );

  routes.delete(
    `/v1/tenants/:tenant/${part}/:name`,
    {
      schema: {
        summary: `Deletes an ${KIND[part]} that no other definition reads`,
        params: schema.NameParams,
        response: { 200: schema.Removed },
        ...WRITE_SECURITY,
      },
      ...common,
    },
    async (request) => {
      const { tenant, name } = request.params;
      const { version } = await save(options, request, tenant, (set) => {
        if (!Object.hasOwn(set[part], name)) throw notDefined(part, name, tenant);
        const { [name]: _, ...others } = set[part] as Record<string, object>;
        return { ...set, [part]: others };
      });
      return { tenant, version };
    },
  );
}
