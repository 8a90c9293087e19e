import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import Type from "typebox";
import { Tenant as TenantName } from "../../../shared/domain/envelope.ts";
import { operatorsOnly, WRITE_SECURITY } from "../../../shared/http/access.ts";
import type { Operators } from "../../../shared/http/operators.ts";
import type { SchemaCatalog } from "../schemas/schema-catalog.ts";
import type { SchemaCheck } from "../schemas/schema-check.ts";
import { DeclaredSchema, declareSchema, documentOf, SchemaDocument } from "../schemas/schema-document.ts";
import type { SchemaRegistry } from "../schemas/schema-registry.ts";
import { createSchema, type TenantSchema } from "../schemas/tenant-schema.ts";
import type { TenantCatalog } from "../tenants/tenant-catalog.ts";
import { auditOf } from "./audit.ts";

const Params = Type.Object({ tenant: TenantName });

const View = Type.Object({
  tenant: Type.String(),
  ...SchemaDocument.properties,
  problems: Type.Object(
    {
      warned: Type.Integer({ description: "values and names that were taken all the same" }),
      dropped: Type.Integer({ description: "values and names that were left out" }),
      rejected: Type.Integer({ description: "updates" }),
      overQuota: Type.Integer({ description: "updates" }),
    },
    { description: "by the gateway that answers, since it started" },
  ),
});

/** All names that a schema may have, each as long as it may be and with what is said of it. */
const SCHEMA_LIMIT_BYTES = 8_388_608;

/** A tenant's schema for operators: each call needs a token of ADMIN_TOKEN, and a change is one line in the log. */
export function addSchemaRoutes(
  server: FastifyInstance,
  options: {
    tenants: Pick<TenantCatalog, "read">;
    catalog: SchemaCatalog;
    registry: Pick<SchemaRegistry, "of" | "refresh">;
    problemsOf: SchemaCheck["problemsOf"];
    operators: Operators;
  },
): void {
  const { tenants, catalog, registry, operators } = options;
  const routes = server.withTypeProvider<TypeBoxTypeProvider>();
  const guarded = {
    config: { errors: [400, 401, 404, 413, 503] as const },
    onRequest: operatorsOnly(operators),
  };
  const audit = auditOf(operators);
  const url = "/admin/tenants/:tenant/schema";

  function viewOf(tenant: string, schema: TenantSchema): Type.Static<typeof View> {
    return { tenant, ...documentOf(schema, { builtIn: true }), problems: options.problemsOf(tenant) };
  }

  routes.get(
    url,
    {
      ...guarded,
      schema: {
        summary: "A tenant's events and attributes, declared and learned",
        params: Params,
        response: { 200: View },
        ...WRITE_SECURITY,
      },
    },
    async ({ params: { tenant } }) => {
      await tenants.read(tenant);
      await registry.refresh();
      return viewOf(tenant, registry.of(tenant));
    },
  );

  routes.put(
    url,
    {
      ...guarded,
      schema: {
        summary:
          "Says all that is declared of a tenant's events and attributes; all gateways go by it within a second",
        params: Params,
        body: DeclaredSchema,
        response: { 200: View },
        ...WRITE_SECURITY,
      },
      bodyLimit: SCHEMA_LIMIT_BYTES,
    },
    async (request) => {
      const { tenant } = request.params;
      const { mode, unknown, learned, events = {}, attributes = {} } = request.body;
      await tenants.read(tenant);
      let schema = createSchema();
      await catalog.change(tenant, (stored, version) => {
        schema = declareSchema(stored, request.body, version);
        return schema;
      });
      // Where this fails the change is made all the same, and known within a second as everywhere.
      await registry.refresh().catch(() => {});
      const counts = { events: Object.keys(events).length, attributes: Object.keys(attributes).length };
      audit(request, "put schema", tenant, { mode, unknown, learned, ...counts });
      return viewOf(tenant, schema);
    },
  );

  routes.delete(
    url,
    {
      ...guarded,
      schema: {
        summary: "Forgets a tenant's schema, declared and learned; it is learned anew, and refuses nothing",
        params: Params,
        ...WRITE_SECURITY,
      },
    },
    async (request, reply) => {
      const { tenant } = request.params;
      await tenants.read(tenant);
      await catalog.change(tenant, (_, forgottenAt) => ({ ...createSchema(), forgottenAt }));
      await registry.refresh().catch(() => {});
      audit(request, "delete schema", tenant);
      return reply.code(204).send();
    },
  );
}
