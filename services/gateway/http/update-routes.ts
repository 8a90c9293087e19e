import type { FastifyInstance } from "fastify";
import Type from "typebox";
import { Compile } from "typebox/compile";
import { uncheckedBody } from "../../../shared/http/http-errors.ts";
import { RefusedItem } from "../../../shared/http/json-body.ts";
import { readUpdate, ToldUpdate } from "../../../shared/publish/read-update.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import { type Acceptor, errorOf, type Item, type ItemResult } from "../accept.ts";
import { MAX_UPDATES_PER_REQUEST } from "../limits.ts";
import type { Tenant } from "../tenants/tenant.ts";
import type { TenantRegistry } from "../tenants/tenant-registry.ts";
import { Answer, answer } from "./answer.ts";
import { authenticate, knownOnly } from "./authenticate.ts";

const Body = Type.Object(
  { updates: Type.Array(ToldUpdate, { minItems: 1, maxItems: MAX_UPDATES_PER_REQUEST }) },
  { additionalProperties: false },
);

/** Each update is checked by itself, so that one that is wrong costs no other. */
const updatesOnly = Compile(
  Type.Object(
    { updates: Type.Array(Type.Unknown(), { minItems: 1, maxItems: MAX_UPDATES_PER_REQUEST }) },
    { additionalProperties: false },
  ),
);

const ERRORS = [400, 401, 413, 415, 429, 503] as const;

/** POST /v1/updates: exact operations. */
export function addUpdateRoutes(
  server: FastifyInstance,
  { registry, acceptor }: { registry: Pick<TenantRegistry, "byWriteKey">; acceptor: Acceptor },
): void {
  server.post(
    "/v1/updates",
    {
      schema: {
        summary: "Updates of users, as exact operations; answered once a path has each durably",
        body: Body,
        response: { 200: Answer },
        security: [{ writeKey: [] }],
      },
      validatorCompiler: uncheckedBody,
      onRequest: knownOnly(registry, { mayBeInBody: false }),
      config: { errors: ERRORS, itemsIn: "updates" },
    },
    async (request, reply) => {
      const tenant = authenticate(request, registry);
      const updates = updatesIn(request.body);
      acceptor.refuseKnownSurplus(tenant, updates.length);
      const items = updates.map((update, index) => itemOf(tenant, update, `updates[${index}]`));
      const results = await acceptor.accept(tenant, items);
      return answer(reply, results.map(withPlace));
    },
  );
}

/** @throws KeylineError `invalid_request` */
function updatesIn(body: unknown): readonly unknown[] {
  if (updatesOnly.Check(body)) return body.updates;
  const unknown = Object.keys(Object(body)).find((name) => name !== "updates");
  if (!Array.isArray(body) && typeof body === "object" && unknown !== undefined)
    throw new KeylineError("invalid_request", `${unknown}: is not known here; known: updates`, {
      path: unknown,
      value: (body as Record<string, unknown>)[unknown],
    });
  const message = `body: must be {"updates":[...]} with 1 to ${MAX_UPDATES_PER_REQUEST} of them`;
  throw new KeylineError("invalid_request", message, { path: "body", value: body });
}

/** What is refused where it is published is told with its place in the request, as what is refused before. */
function withPlace(result: ItemResult, index: number): ItemResult {
  const place = `updates[${index}]`;
  if (!(result instanceof KeylineError) || result.retryable || result.path?.startsWith(place)) return result;
  const { code, message, path, value } = result;
  const where = path ? `${place}.${path}` : place;
  return new KeylineError(code, `${place}: ${message}`, { path: where, value });
}

/** @param path where it stands in the request */
export function itemOf(tenant: Tenant, update: unknown, path: string): Item {
  const read = update instanceof RefusedItem ? update : readUpdate(tenant.name, update, path);
  return "refusal" in read ? errorOf(read.refusal) : read.update;
}
