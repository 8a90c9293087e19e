import type { FastifyInstance } from "fastify";
import Type from "typebox";
import { uncheckedBody } from "../../../shared/http/http-errors.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import { type Acceptor, errorOf, type Item } from "../accept.ts";
import { MAX_UPDATES_PER_REQUEST } from "../limits.ts";
import { type ReadCall, readBatch, readCall } from "../segment/read-segment-call.ts";
import { callSchemas, callTypes } from "../segment/segment-call.ts";
import { type Arrival, updateOf } from "../segment/segment-updates.ts";
import type { TenantRegistry } from "../tenants/tenant-registry.ts";
import { Answer, answer } from "./answer.ts";
import { authenticate, knownOnly } from "./authenticate.ts";

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
        const item = itemOf(readCall(request.body, type, ""), { tenant: tenant.name, receivedAtMs: now() });
        return answer(reply, await acceptor.accept(tenant, [item], "checked"));
      },
    );

  const batch = {
    ...route,
    onRequest,
    schema: { summary: "Segment's batch: any calls, each with its type", body: Batch, ...common },
  };
  for (const url of ["/v1/batch", "/v1/import"])
    server.post(url, batch, async (request, reply) => {
      const tenant = authenticate(request, registry, fieldOf(request.body, "writeKey"));
      const { calls, sentAtMs } = batchIn(request.body);
      const arrival = { tenant: tenant.name, receivedAtMs: now(), sentAtMs };
      const items = calls.map((call) => itemOf(call, arrival));
      return answer(reply, await acceptor.accept(tenant, items, "checked"));
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

function itemOf(read: ReadCall, arrival: Arrival): Item {
  return "refusal" in read ? errorOf(read.refusal) : updateOf(read, arrival);
}

/** @throws KeylineError `invalid_request` */
function batchIn(body: unknown): Exclude<ReturnType<typeof readBatch>, { refusal: unknown }> {
  const batch = fieldOf(body, "batch");
  if (Array.isArray(batch) && (batch.length === 0 || batch.length > MAX_UPDATES_PER_REQUEST)) {
    const message = `batch: must be 1 to ${MAX_UPDATES_PER_REQUEST} calls`;
    throw new KeylineError("invalid_request", message, { path: "batch", value: batch.length });
  }
  const read = readBatch(body);
  if ("refusal" in read) throw errorOf(read.refusal);
  return read;
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;
}
