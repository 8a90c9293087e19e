import type { FastifyInstance } from "fastify";
import Type from "typebox";
import { uncheckedBody } from "../../../shared/http/http-errors.ts";
import { readJsonBodies } from "../../../shared/http/json-body.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import { type Acceptor, errorOf, type Item } from "../accept.ts";
import {
  CLOUD_EVENT,
  CLOUD_EVENTS_BATCH,
  CloudEvent,
  type ReadCloudEvent,
  readCloudEvent,
  readCloudEvents,
  updateOfCloudEvent,
} from "../cloud-event.ts";
import { MAX_UPDATES_PER_REQUEST } from "../limits.ts";
import type { Arrival } from "../segment/segment-updates.ts";
import type { TenantRegistry } from "../tenants/tenant-registry.ts";
import { Answer, answer } from "./answer.ts";
import { authenticate, knownOnly } from "./authenticate.ts";
import { toldByCloudEvent } from "./item-places.ts";

/** POST /v1/events: CloudEvents in structured mode or, as an array, in batch mode. */
export function addCloudEventRoutes(
  server: FastifyInstance,
  options: {
    registry: Pick<TenantRegistry, "byWriteKey">;
    acceptor: Acceptor;
    /** Milliseconds since the epoch. */
    now(): number;
  },
): void {
  const { registry, acceptor, now } = options;
  readJsonBodies(server, [CLOUD_EVENT, CLOUD_EVENTS_BATCH]);
  server.post(
    "/v1/events",
    {
      schema: {
        summary: "CloudEvents 1.0; the user is the subject",
        body: {
          content: {
            [CLOUD_EVENT]: { schema: CloudEvent },
            [CLOUD_EVENTS_BATCH]: { schema: Type.Array(CloudEvent, { maxItems: MAX_UPDATES_PER_REQUEST }) },
          },
        },
        response: { 200: Answer },
        security: [{ writeKey: [] }],
      },
      validatorCompiler: uncheckedBody,
      onRequest: knownOnly(registry, { mayBeInBody: false }),
      config: { errors: [400, 401, 413, 415, 429, 503], itemsIn: "" },
    },
    async (request, reply) => {
      const tenant = authenticate(request, registry);
      const arrival = { tenant: tenant.name, receivedAtMs: now() };
      acceptor.refuseKnownSurplus(tenant, countIn(request.body));
      const events = eventsIn(request.body);
      const items = events.map((event) => itemOf(event, arrival));
      const results = await acceptor.accept(tenant, items, "checked");
      const isBatch = Array.isArray(request.body);
      return answer(
        reply,
        results.map((result, index) => {
          const read = events[index]!;
          const place = isBatch ? `[${index}]` : "";
          return "event" in read ? toldByCloudEvent(result, items[index]!, read.event, place) : result;
        }),
      );
    },
  );
}

/**
 * By its form: a batch is an array, whatever its type says.
 * @throws KeylineError `invalid_request`
 */
function countIn(body: unknown): number {
  if (!Array.isArray(body)) return 1;
  if (body.length > 0 && body.length <= MAX_UPDATES_PER_REQUEST) return body.length;
  const message = `body: must be 1 to ${MAX_UPDATES_PER_REQUEST} events`;
  throw new KeylineError("invalid_request", message, { path: "body", value: body.length });
}

function eventsIn(body: unknown): readonly ReadCloudEvent[] {
  if (!Array.isArray(body)) return [readCloudEvent(body, "")];
  const read = readCloudEvents(body);
  if ("refusal" in read) throw errorOf(read.refusal);
  return read.events;
}

function itemOf(read: ReadCloudEvent, arrival: Arrival): Item {
  return "refusal" in read ? errorOf(read.refusal) : updateOfCloudEvent(read.event, arrival);
}
