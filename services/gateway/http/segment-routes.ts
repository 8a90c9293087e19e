import type { FastifyInstance } from "fastify";
import Type from "typebox";
import { uncheckedBody } from "../../../shared/http/http-errors.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import { type Acceptor, errorOf, type Item, type ItemResult } from "../accept.ts";
import { MAX_UPDATES_PER_REQUEST } from "../limits.ts";
import { type ReadCall, readBatch, readCall } from "../segment/read-segment-call.ts";
import { callSchemas, callTypes } from "../segment/segment-call.ts";
import { type Arrival, updateOf } from "../segment/segment-updates.ts";
import type { Tenant } from "../tenants/tenant.ts";
import type { TenantRegistry } from "../tenants/tenant-registry.ts";
import { Answer, answer } from "./answer.ts";
import { authenticate, knownOnly } from "./authenticate.ts";
import { toldByCall } from "./item-places.ts";

export type SegmentRouteOptions = {
  registry: Pick<TenantRegistry, "byWriteKey">;
  acceptor: Acceptor;
  /** Milliseconds since the epoch. */
  now(): number;
};

const route = {
  validatorCompiler: uncheckedBody,
  config: { errors: [400, 401, 413, 415, 429, 503] as const },
};

/**
 * Segment's HTTP tracking API (https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/), for
 * clients that are made for it: they work by changing their host.
 */
export function addSegmentRoutes(server: FastifyInstance, options: SegmentRouteOptions): void {
  const { registry, acceptor, now } = options;
  const onRequest = knownOnly(registry, { mayBeInBody: true });
  const common = { response: { 200: Answer }, security: [{ writeKey: [] }] };

  for (const type of callTypes)
    server.post(
      `/v1/${type}`,
      {
        ...route,
        onRequest,
        schema: { summary: `Segment's ${type}`, body: Type.Omit(callSchemas[type], ["type"]), ...common },
      },
      async (request, reply) => {
        const tenant = authenticate(request, registry, fieldOf(request.body, "writeKey"));
        const arrival = { tenant: tenant.name, receivedAtMs: now() };
        acceptor.refuseKnownSurplus(tenant, 1);
        const results = await take(acceptor, tenant, [readCall(request.body, type, "")], arrival, () => "");
        return answer(reply, results);
      },
    );

  const batch = {
    ...route,
    config: { ...route.config, itemsIn: "batch" },
    onRequest,
    schema: { summary: "Segment's batch: any calls, each with its type", body: Batch, ...common },
  };
  for (const url of ["/v1/batch", "/v1/import"])
    server.post(url, batch, async (request, reply) => {
      const tenant = authenticate(request, registry, fieldOf(request.body, "writeKey"));
      acceptor.refuseKnownSurplus(tenant, countIn(request.body));
      const { calls, sentAtMs } = batchIn(request.body);
      const arrival = { tenant: tenant.name, receivedAtMs: now(), sentAtMs };
      const placeOf = (index: number) => `batch[${index}]`;
      return answer(reply, await take(acceptor, tenant, calls, arrival, placeOf));
    });
}

const Batch = Type.Object({
  batch: Type.Array(Type.Unsafe<object>({ type: "object", description: "a call with its type" }), {
    minItems: 1,
    maxItems: MAX_UPDATES_PER_REQUEST,
  }),
  sentAt: Type.Optional(Type.String({ format: "date-time", description: "by the client's clock" })),
  writeKey: Type.Optional(Type.String({ description: "where headers can't be set" })),
});

/** What is refused on the way is told as the caller wrote it. */
async function take(
  acceptor: Acceptor,
  tenant: Tenant,
  calls: readonly ReadCall[],
  arrival: Arrival,
  placeOf: (index: number) => string,
): Promise<ItemResult[]> {
  const items = calls.map((call) => itemOf(call, arrival));
  const results = await acceptor.accept(tenant, items, "checked");
  return results.map((result, index) => {
    const read = calls[index]!;
    return "call" in read && result instanceof KeylineError
      ? toldByCall(result, items[index]!, read.call, placeOf(index))
      : result;
  });
}

function itemOf(read: ReadCall, arrival: Arrival): Item {
  return "refusal" in read ? errorOf(read.refusal) : updateOf(read, arrival);
}

/**
 * Calls in a batch; 0 for what is none, as `batchIn` tells.
 * @throws KeylineError `invalid_request`
 */
function countIn(body: unknown): number {
  const batch = fieldOf(body, "batch");
  if (!Array.isArray(batch)) return 0;
  if (batch.length > 0 && batch.length <= MAX_UPDATES_PER_REQUEST) return batch.length;
  const message = `batch: must be 1 to ${MAX_UPDATES_PER_REQUEST} calls`;
  throw new KeylineError("invalid_request", message, { path: "batch", value: batch.length });
}

/** @throws KeylineError `invalid_request` */
function batchIn(body: unknown): Exclude<ReturnType<typeof readBatch>, { refusal: unknown }> {
  const read = readBatch(body);
  if ("refusal" in read) throw errorOf(read.refusal);
  return read;
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;
}
