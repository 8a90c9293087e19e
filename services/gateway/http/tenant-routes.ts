import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import Type from "typebox";
import { Tenant as TenantName } from "../../../shared/domain/envelope.ts";
import { operatorsOnly, WRITE_SECURITY } from "../../../shared/http/access.ts";
import type { Operators } from "../../../shared/http/operators.ts";
import { Quotas, type StoredTenant, TenantInput } from "../tenants/tenant.ts";
import type { TenantCatalog } from "../tenants/tenant-catalog.ts";
import type { TenantRegistry } from "../tenants/tenant-registry.ts";
import { auditOf } from "./audit.ts";

const Params = Type.Object({ tenant: TenantName });
const KeyParams = Type.Object({ tenant: TenantName, id: Type.String({ maxLength: 64 }) });

const View = Type.Object({
  tenant: Type.String(),
  writeKeys: Type.Array(
    Type.Object({
      id: Type.String({ description: "by which it is removed; the key itself is not kept" }),
      addedAt: Type.String({ description: "ISO 8601" }),
    }),
  ),
  quotas: Quotas,
  version: Type.Integer({ description: "greater with each change; for a PUT that is to change just this" }),
});
const NewKey = Type.Object({
  tenant: Type.String(),
  id: Type.String(),
  writeKey: Type.String({ description: "said this once" }),
});

const ERRORS = [400, 401, 404, 409, 503] as const;

/** Tenants for operators: each call needs a token of ADMIN_TOKEN, and is one line in the log. */
export function addTenantRoutes(
  server: FastifyInstance,
  options: {
    catalog: TenantCatalog;
    registry: Pick<TenantRegistry, "all">;
    operators: Operators;
  },
): void {
  const { catalog, registry, operators } = options;
  const routes = server.withTypeProvider<TypeBoxTypeProvider>();
  const guarded = { config: { errors: ERRORS }, onRequest: operatorsOnly(operators) };

  const audit = auditOf(operators);

  routes.get(
    "/admin/tenants",
    {
      ...guarded,
      schema: {
        summary: "All tenants",
        response: { 200: Type.Object({ tenants: Type.Array(View) }) },
        ...WRITE_SECURITY,
      },
    },
    () => ({
      tenants: registry
        .all()
        .map(viewOf)
        .toSorted((a, b) => (a.tenant < b.tenant ? -1 : 1)),
    }),
  );

  routes.get(
    "/admin/tenants/:tenant",
    {
      ...guarded,
      schema: { summary: "A tenant", params: Params, response: { 200: View }, ...WRITE_SECURITY },
    },
    async ({ params }) => viewOf(await catalog.read(params.tenant)),
  );

  routes.put(
    "/admin/tenants/:tenant",
    {
      ...guarded,
      schema: {
        summary: "Makes or changes a tenant; all gateways go by it within a second",
        params: Params,
        body: TenantInput,
        response: { 200: View },
        ...WRITE_SECURITY,
      },
    },
    async (request) => {
      const tenant = await catalog.put(request.params.tenant, request.body);
      const { quotas, writeKeys } = tenant;
      audit(request, "put", tenant.name, { quotas, writeKeys: writeKeys.map(({ id }) => id) });
      return viewOf(tenant);
    },
  );

  routes.delete(
    "/admin/tenants/:tenant",
    {
      ...guarded,
      schema: {
        summary: "Ends a tenant's keys; its profiles and its schema stay",
        params: Params,
        ...WRITE_SECURITY,
      },
    },
    async (request, reply) => {
      await catalog.remove(request.params.tenant);
      audit(request, "delete", request.params.tenant);
      return reply.code(204).send();
    },
  );

  routes.post(
    "/admin/tenants/:tenant/write-keys",
    {
      ...guarded,
      schema: {
        summary: "Makes one more write key: to rotate, make one, move the clients, remove the old one",
        params: Params,
        response: { 201: NewKey },
        ...WRITE_SECURITY,
      },
    },
    async (request, reply) => {
      const { tenant, id, writeKey } = await catalog.addKey(request.params.tenant);
      audit(request, "add key", tenant.name, { writeKey: id });
      return reply.code(201).send({ tenant: tenant.name, id, writeKey });
    },
  );

  routes.delete(
    "/admin/tenants/:tenant/write-keys/:id",
    {
      ...guarded,
      schema: {
        summary: "Removes a write key",
        params: KeyParams,
        response: { 200: View },
        ...WRITE_SECURITY,
      },
    },
    async (request) => {
      const { tenant, id } = request.params;
      const after = await catalog.removeKey(tenant, id);
      audit(request, "remove key", tenant, { writeKey: id });
      return viewOf(after);
    },
  );
}

function viewOf({ name, writeKeys, quotas, version }: StoredTenant): Type.Static<typeof View> {
  return {
    tenant: name,
    writeKeys: writeKeys.map(({ id, addedAtMs }) => ({ id, addedAt: new Date(addedAtMs).toISOString() })),
    quotas,
    version,
  };
}
