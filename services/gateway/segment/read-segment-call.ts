import Type from "typebox";
import { Compile, type Validator } from "typebox/compile";
import { MAX_NAMES, Properties } from "../../../shared/domain/envelope.ts";
import { momentOf } from "../../../shared/domain/iso-time.ts";
import { appendPath, refuseBySchema } from "../../../shared/domain/refuse-by-schema.ts";
import { RefusedItem } from "../../../shared/http/json-body.ts";
import { MAX_SHARED_CONTEXT_BYTES } from "../limits.ts";
import {
  formsOf,
  isObject,
  type RequestRefusal,
  refuseIllFormed,
  refuseRequest,
  refuseUnkept,
} from "../request-refusal.ts";
import { ANONYMOUS, type CallType, callSchemas, callTypes, type SegmentCall } from "./segment-call.ts";
import { contextOf, propertiesOf, type TakenCall } from "./segment-updates.ts";

export type ReadCall = TakenCall | { refusal: RequestRefusal };

const validators = Object.fromEntries(
  Object.entries(callSchemas).map(([type, schema]) => [type, Compile(schema) as unknown as Validator]),
) as Record<CallType, Validator>;

/** What a batch says around its calls. */
const Shared = Type.Object({ context: Properties });
const shared = Compile(Shared);

/** The field in which a call tells by name; an alias has none, and what it has there is one of the unknown. */
const TOLD: Record<CallType, "properties" | "traits" | undefined> = {
  track: "properties",
  identify: "traits",
  page: "properties",
  screen: "properties",
  group: "traits",
  alias: undefined,
};

/**
 * Reads one call, or says the first thing that is wrong with it, with its path and value as the caller wrote them.
 * What is read always gives an update that the publisher takes, but for its length. Never throws.
 *
 * @param type of the route the call came by, which goes before its own; undefined in a batch.
 * @param path where the call stands in the request, such as `batch[3]`; empty for the whole body.
 */
export function readCall(value: unknown, type: CallType | undefined, path: string): ReadCall {
  if (value instanceof RefusedItem) return value;
  if (!isObject(value)) return { refusal: refuseRequest(path, value, "must be an object") };
  const known = callTypes.find((each) => each === (type ?? value.type));
  if (known === undefined) {
    const message = value.type == null ? "is required" : `must be one of ${callTypes.join(", ")}`;
    return { refusal: refuseRequest(appendPath(path, "type"), value.type, message) };
  }
  const present = withoutAbsent(value);
  const given = present.type === known ? present : { ...present, type: known };
  const validator = validators[known];
  if (!validator.Check(given)) {
    const [error] = validator.Errors(given);
    return { refusal: refuseBySchema("invalid_request", error, value, path, formsOf(callSchemas[known])) };
  }
  const call = given as unknown as SegmentCall;
  const times = { timestamp: momentOf(call.timestamp), originalTimestamp: momentOf(call.originalTimestamp) };
  const refusal = refuseUser(call, path) ?? refuseTimes(call, times, path) ?? refuseContents(call, path);
  return refusal ? { refusal } : { call, happenedAtMs: times.timestamp ?? times.originalTimestamp };
}

/**
 * Reads the body of `/v1/batch`: each call by itself, so that one that is wrong does not take the others with it.
 * The batch's context goes around each call's own, as Segment's does.
 */
export function readBatch(
  body: unknown,
): { calls: ReadCall[]; sentAtMs: number | undefined } | { refusal: RequestRefusal } {
  if (!isObject(body)) return { refusal: refuseRequest("", body, "must be an object with a batch") };
  const { batch, context, sentAt } = body;
  if (!Array.isArray(batch)) return { refusal: refuseRequest("batch", batch, "must be an array of calls") };
  const refusal = context == null ? undefined : refuseShared(context, batch.length);
  if (refusal) return { refusal };
  const calls = batch.map((item, index) =>
    readCall(isObject(context) ? inContext(item, context) : item, undefined, `batch[${index}]`),
  );
  return { calls, sentAtMs: typeof sentAt === "string" ? momentOf(sentAt) : undefined };
}

/** Once for all calls: a context that is too wide or too long costs as many times as there are calls. */
function refuseShared(context: unknown, calls: number): RequestRefusal | undefined {
  if (!isObject(context)) return refuseRequest("context", context, "must be an object");
  if (!shared.Check({ context })) {
    const [error] = shared.Errors({ context });
    return refuseBySchema("invalid_request", error, { context }, "", formsOf(Shared));
  }
  const refusal = refuseUnkept(context, "context", 4);
  if (refusal) return refusal;
  const bytes = calls * Buffer.byteLength(JSON.stringify(context));
  if (bytes <= MAX_SHARED_CONTEXT_BYTES) return undefined;
  const message = `is ${bytes} bytes long with all calls, more than ${MAX_SHARED_CONTEXT_BYTES}; send fewer calls`;
  return refuseRequest("context", context, message);
}

function inContext(item: unknown, context: object): unknown {
  if (!isObject(item) || item instanceof RefusedItem) return item;
  if (item.context != null && !isObject(item.context)) return item;
  return { ...item, context: { ...context, ...item.context } };
}

/** Clients write what they don't have as null, and some of them no user as an empty text. */
function isAbsent(name: string, field: unknown): boolean {
  return field === null || (field === "" && (name === "userId" || name === "anonymousId"));
}

/** As it came, where nothing is to be left out. */
function withoutAbsent(value: Record<string, unknown>): Record<string, unknown> {
  for (const name of Object.keys(value))
    if (isAbsent(name, value[name]))
      return Object.fromEntries(Object.entries(value).filter(([key, field]) => !isAbsent(key, field)));
  return value;
}

function refuseUser({ userId, anonymousId }: SegmentCall, path: string): RequestRefusal | undefined {
  const at = appendPath(path, "userId");
  if (userId === undefined && anonymousId === undefined)
    return refuseRequest(at, userId, "is required where there is no anonymousId");
  if (userId?.startsWith(ANONYMOUS))
    return refuseRequest(at, userId, `must not start with ${ANONYMOUS}, which is kept for anonymousId`);
  return refuseIllFormed(userId, at) ?? refuseIllFormed(anonymousId, appendPath(path, "anonymousId"));
}

type Times = Record<"timestamp" | "originalTimestamp", number | undefined>;

function refuseTimes(call: SegmentCall, times: Times, path: string): RequestRefusal | undefined {
  for (const field of ["timestamp", "originalTimestamp"] as const)
    if (call[field] !== undefined && times[field] === undefined)
      return refuseRequest(appendPath(path, field), call[field], "must be an ISO 8601 time");
  return undefined;
}

/** What the schema can't say: how deep it may be, and that names are kept among those the caller gives. */
function refuseContents(call: SegmentCall, path: string): RequestRefusal | undefined {
  const { [call.type]: told } = TOLD;
  const value = told && (call as { properties?: object; traits?: object })[told];
  // The update, its operations, one of them and its body are around properties; traits that are set are a body.
  const around = call.type === "identify" ? 3 : 4;
  return (
    (told && value && refuseUnkept(value, appendPath(path, told), around)) ??
    (call.context && refuseUnkept(call.context, appendPath(path, "context"), 4)) ??
    (told && refuseFull(value, propertiesOf(call), appendPath(path, told))) ??
    refuseFull(call.context, contextOf(call), appendPath(path, "context"))
  );
}

function refuseFull(given: object = {}, kept: object = {}, path: string): RequestRefusal | undefined {
  const names = Object.keys(kept);
  if (names.length <= MAX_NAMES) return undefined;
  const added = names.filter((name) => !Object.hasOwn(given, name)).join(" and ");
  const message = `has too many names: at most ${MAX_NAMES}, with ${added} of the call, kept among them`;
  return refuseRequest(path, given, message);
}
