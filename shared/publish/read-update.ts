import Type from "typebox";
import { EpochMs, Operations, Priority, Trace, UpdateId, UserId } from "../domain/envelope.ts";
import { momentOf, RFC_3339 } from "../domain/iso-time.ts";
import { type Refusal, refuse } from "../domain/refusal.ts";
import { appendPath } from "../domain/refuse-by-schema.ts";
import type { UpdateInput } from "./update-input.ts";

/** An update as a caller of the gateway says it, and as a line of a file does; the tenant is the write key's. */
export const ToldUpdate = Type.Object(
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

const isRfc3339 = new RegExp(RFC_3339);
const NAMES = new Set(Object.keys(ToldUpdate.properties));

/**
 * Reads what is not as a publisher takes it, and refuses what is not for callers; the rest is checked where it is
 * published.
 * @param path where it stands in the request; empty where it stands by itself
 */
export function readUpdate(
  tenant: string,
  update: unknown,
  path: string,
): { update: UpdateInput } | { refusal: Refusal<string> } {
  if (typeof update !== "object" || update === null || Array.isArray(update))
    return refused(path, update, "must be an object");
  const unknown = Object.keys(update).find((name) => !NAMES.has(name));
  if (unknown !== undefined)
    return refused(appendPath(path, unknown), update[unknown as keyof typeof update], "is not known here");
  const { at, ...rest } = update as Omit<UpdateInput, "tenant" | "at"> & { at?: unknown };
  const { ops } = rest as { ops?: unknown };
  const tick = Array.isArray(ops) ? ops.findIndex((op) => op?.kind === "tick") : -1;
  if (tick >= 0) return refused(appendPath(path, `ops[${tick}].kind`), "tick", "is the sweeper's own");
  if (at === undefined) return { update: { ...rest, tenant } };
  if (typeof at === "number") return { update: { ...rest, at, tenant } };
  const moment = typeof at === "string" && isRfc3339.test(at) ? momentOf(at) : undefined;
  if (moment !== undefined) return { update: { ...rest, at: moment, tenant } };
  return refused(appendPath(path, "at"), at, "must be RFC 3339 or milliseconds since the epoch");
}

function refused(path: string, value: unknown, message: string): { refusal: Refusal<string> } {
  return { refusal: refuse("invalid_update", path, value, message) };
}
