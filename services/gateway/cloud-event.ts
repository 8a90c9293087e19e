import { createHash } from "node:crypto";
import Type from "typebox";
import { Compile, type Validator } from "typebox/compile";
import { MAX_NAMES, Properties, UserId } from "../../shared/domain/envelope.ts";
import { momentOf, RFC_3339 } from "../../shared/domain/iso-time.ts";
import { appendPath, refuseBySchema } from "../../shared/domain/refuse-by-schema.ts";
import { RefusedItem } from "../../shared/http/json-body.ts";
import type { UpdateInput } from "../../shared/publish/update-input.ts";
import {
  formsOf,
  isObject,
  type RequestRefusal,
  refuseIllFormed,
  refuseRequest,
  refuseUnkept,
} from "./request-refusal.ts";
import type { Arrival } from "./segment/segment-updates.ts";

/**
 * CloudEvents 1.0 in JSON: one in structured mode, or an array of them in batch mode. The user is the `subject`.
 *
 * Sources: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md and
 * https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
 */

/** The media types of the two modes. */
export const CLOUD_EVENT = "application/cloudevents+json";
export const CLOUD_EVENTS_BATCH = "application/cloudevents-batch+json";

const Text = Type.String({ minLength: 1, description: "a string, not empty" });
const Time = Type.String({ pattern: RFC_3339, description: "an RFC 3339 time" });

const attributes = {
  id: Text,
  source: Text,
  specversion: Type.Literal("1.0", { description: '"1.0"' }),
  type: Type.String({
    minLength: 1,
    maxLength: 128,
    pattern: "^[^$]",
    description: "a string of 1 to 128 characters, not starting with $",
  }),
  subject: UserId,
  time: Type.Optional(Time),
  datacontenttype: Type.Optional(Text),
  dataschema: Type.Optional(Text),
};

/** What an attribute that the specification does not name may be. */
const Extension = Type.Union([Type.String(), Type.Integer(), Type.Boolean()]);

/** Data that is an object is the event's properties. */
const WithProperties = Type.Object({ data: Properties });

export const CloudEvent = Type.Object({ ...attributes, data: Type.Optional(Type.Unknown()) });
export type CloudEvent = Type.Static<typeof CloudEvent>;

export type ReadCloudEvent = { event: CloudEvent } | { refusal: RequestRefusal };

const cloudEvent = Compile(CloudEvent);
const extension = Compile(Extension);
const withProperties = Compile(WithProperties);

/**
 * Reads one event, or says the first thing that is wrong with it, with its path and value as its sender wrote
 * them. What is read always gives an update that the publisher takes, but for its length. Never throws.
 *
 * @param path where the event stands in the request, such as `[3]`; empty for the whole body.
 */
export function readCloudEvent(value: unknown, path: string): ReadCloudEvent {
  if (value instanceof RefusedItem) return value;
  if (!isObject(value)) return { refusal: refuseRequest(path, value, "must be an object") };
  const given = withoutUnset(value);
  if (given.data_base64 !== undefined) {
    const message = "is not taken: an event's properties are JSON, in data";
    return { refusal: refuseRequest(appendPath(path, "data_base64"), given.data_base64, message) };
  }
  if (!cloudEvent.Check(given)) {
    const [error] = (cloudEvent as unknown as Validator).Errors(given);
    return { refusal: refuseBySchema("invalid_request", error, value, path, formsOf(CloudEvent)) };
  }
  const refusal = refuseAttributes(given, path) ?? refuseData(given.data, path);
  return refusal ? { refusal } : { event: given };
}

/** Reads a batch: each event by itself, so that one that is wrong does not take the others with it. */
export function readCloudEvents(body: unknown): { events: ReadCloudEvent[] } | { refusal: RequestRefusal } {
  if (!Array.isArray(body)) return { refusal: refuseRequest("", body, "must be an array of events") };
  return { events: body.map((event, index) => readCloudEvent(event, `[${index}]`)) };
}

/**
 * The update that an event becomes: an event of its type, of the user that is its subject, at its time, else when it
 * came. Its properties are its data, as `value` where that is no object (a list, a number, or text of another
 * `datacontenttype`). All other attributes are kept in the
 * context, so that the ledger has the whole event.
 */
export function updateOfCloudEvent(cloudEvent: CloudEvent, arrival: Omit<Arrival, "sentAtMs">): UpdateInput {
  const { type, subject, data, ...context } = cloudEvent;
  const { tenant, receivedAtMs } = arrival;
  const properties = isObject(data) ? data : { value: data };
  const body = { name: type, ...(data === undefined ? {} : { properties }), context };
  return {
    tenant,
    userId: subject,
    id: identityOf(cloudEvent),
    at: momentOf(cloudEvent.time) ?? receivedAtMs,
    ops: [{ kind: "event", body }],
  };
}

/**
 * `source` and `id` together name an event, so an update's id is both, `source|id`: a character that no URI holds,
 * so that no two events share it. Where that is not 1 to 128 printable characters, or the source is no URI and holds
 * one, the SHA-256 of both, which holds none, in hexadecimal.
 */
function identityOf({ source, id }: CloudEvent): string {
  const both = `${source}|${id}`;
  if (!source.includes("|") && /^[!-~]{1,128}$/.test(both)) return both;
  return createHash("sha256")
    .update(JSON.stringify([source, id]))
    .digest("hex");
}

/** Attributes that are null are unset (JSON format, 2.2); data that is null is data (3.1.1). */
function withoutUnset(value: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).filter(([name, member]) => member !== null || name === "data"),
  );
}

function refuseAttributes(given: CloudEvent, path: string): RequestRefusal | undefined {
  const { type: _, subject, data: __, ...context } = given;
  const illFormed = refuseIllFormed(subject, appendPath(path, "subject"));
  if (illFormed) return illFormed;
  if (given.time !== undefined && momentOf(given.time) === undefined)
    return refuseRequest(appendPath(path, "time"), given.time, "must be an RFC 3339 time");
  for (const [name, value] of Object.entries(context)) {
    if (Object.hasOwn(attributes, name)) continue;
    const at = appendPath(path, name);
    if (!/^[a-z0-9]{1,128}$/.test(name))
      return refuseRequest(at, value, "is no name of an attribute: 1 to 128 lower-case letters and digits");
    if (!extension.Check(value))
      return refuseRequest(at, value, "must be a string, a whole number or a boolean, as any attribute");
  }
  const count = Object.keys(context).length;
  if (count <= MAX_NAMES) return undefined;
  return refuseRequest(path, count, `must have at most ${MAX_NAMES} attributes besides type and subject`);
}

function refuseData(data: unknown, path: string): RequestRefusal | undefined {
  if (data === undefined) return undefined;
  const at = appendPath(path, "data");
  // The update, its operations, one of them and its body are around properties; around a single value they are too.
  if (!isObject(data)) return refuseUnkept(data, at, 5);
  if (withProperties.Check({ data })) return refuseUnkept(data, at, 4);
  const [error] = withProperties.Errors({ data });
  return refuseBySchema("invalid_request", error, { data }, path, formsOf(WithProperties));
}
