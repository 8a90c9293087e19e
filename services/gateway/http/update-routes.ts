import type { FastifyInstance } from "fastify";
import Type from "typebox";
import { Compile } from "typebox/compile";
import { EpochMs, Operations, Priority, Trace, UpdateId, UserId } from "../../../shared/domain/envelope.ts";
import { momentOf, RFC_3339 } from "../../../shared/domain/iso-time.ts";
import { refuse } from "../../../shared/domain/refusal.ts";
import { uncheckedBody } from "../../../shared/http/http-errors.ts";
import type { UpdateInput } from "../../../shared/publish/update-input.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import { type Acceptor, errorOf, type Item, type ItemResult } from "../accept.ts";
import { MAX_UPDATES_PER_REQUEST } from "../limits.ts";
import type { Tenant } from "../tenants/tenant.ts";
import type { TenantRegistry } from "../tenants/tenant-registry.ts";
import { Answer, answer } from "./answer.ts";
import { authenticate, knownOnly } from "./authenticate.ts";

/** An update as a caller says it; the tenant is the write key's. */
const NativeUpdate = Type.Object(
  {
    userId: UserId,
    ops: Operations,
    id: Type.Optional(UpdateId),
    at: Type.Optional(Type.Union([EpochMs, Type.String({ format: "date-time", description: "RFC 3339" })])),
    priority: Type.Optional(Priority),
    trace: Type.Optional(Trace),
  },
  { additionalProperties: false },
);

const Body = Type.Object(
  { updates: Type.Array(NativeUpdate, { minItems: 1, maxItems: MAX_UPDATES_PER_REQUEST }) },
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
      config: { errors: ERRORS },
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
  const message = `body: must be {"updates":[...]} with 1 to ${MAX_UPDATES_PER_REQUEST} of them`;
  throw new KeylineError("invalid_request", message, { path: "body", value: body });
}

const isRfc3339 = new RegExp(RFC_3339);
const NAMES = new Set(Object.keys(NativeUpdate.properties));

/** What is refused where it is published is told with its place in the request, as what is refused before. */
function withPlace(result: ItemResult, index: number): ItemResult {
  const place = `updates[${index}]`;
  if (!(result instanceof KeylineError) || result.retryable || result.path?.startsWith(place)) return result;
  const { code, message, path, value } = result;
  const where = path ? `${place}.${path}` : place;
  return new KeylineError(code, `${place}: ${message}`, { path: where, value });
}

/**
 * An update as a caller says it; the rest is checked where it is published.
 * @param path where it stands in the request
 */
export function itemOf(tenant: Tenant, update: unknown, path: string): Item {
  if (typeof update !== "object" || update === null || Array.isArray(update))
    return refused(path, update, "must be an object");
  const unknown = Object.keys(update).find((name) => !NAMES.has(name));
  if (unknown !== undefined)
    return refused(`${path}.${unknown}`, update[unknown as keyof typeof update], "is not known here");
  const { ops } = update as { ops?: unknown };
  const tick = Array.isArray(ops) ? ops.findIndex((op) => op?.kind === "tick") : -1;
  if (tick >= 0) return refused(`${path}.ops[${tick}].kind`, "tick", "is the sweeper's own");
  const { at, ...rest } = update as Omit<UpdateInput, "tenant" | "at"> & { at?: unknown };
  if (typeof at !== "string")
    return { ...rest, ...(at === undefined ? {} : { at: at as number }), tenant: tenant.name };
  const moment = isRfc3339.test(at) ? momentOf(at) : undefined;
  if (moment !== undefined) return { ...rest, at: moment, tenant: tenant.name };
  return refused(`${path}.at`, at, "must be RFC 3339 or milliseconds since the epoch");
}

function refused(path: string, value: unknown, message: string): KeylineError {
  return errorOf(refuse("invalid_update", path, value, message));
}
