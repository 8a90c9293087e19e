/** What is wrong inside an update's operations, told by where it stands in the call or event that it was made of. */
import type { Operation } from "../../../shared/domain/envelope.ts";
import { appendPath } from "../../../shared/domain/refuse-by-schema.ts";
import { Refused } from "../../../shared/http/http-errors.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import type { Item, ItemResult } from "../accept.ts";
import type { CloudEvent } from "../cloud-event.ts";
import { isObject } from "../request-refusal.ts";
import type { SegmentCall } from "../segment/segment-call.ts";

/** @param place of the call in the request, such as `batch[3]`; empty for the whole body. */
export function toldByCall(result: ItemResult, item: Item, call: SegmentCall, place: string): ItemResult {
  return told(result, item, place, (op, inBody) =>
    op.kind === "event" ? partOfCall(call, inBody) : `traits${traitOf(op, inBody)}`,
  );
}

/** The same for an event. */
export function toldByCloudEvent(
  result: ItemResult,
  item: Item,
  { data }: CloudEvent,
  place: string,
): ItemResult {
  return told(result, item, place, (_, inBody) => {
    if (inBody === ".name") return "type";
    return isObject(data) ? `data${inBody.slice(PROPERTIES.length)}` : "data";
  });
}

const PROPERTIES = ".properties";

/** What is wrong with the update as a whole, its length, is so with all that its sender wrote. */
function told(
  result: ItemResult,
  item: Item,
  place: string,
  partOf: (op: Operation, inBody: string) => string,
): ItemResult {
  if (!(result instanceof KeylineError) || result.retryable || item instanceof Error) return result;
  const { code, message, path: inUpdate = "", value } = result;
  const [, index = "", inBody = ""] = /^ops\[(\d+)\]\.body([.[].*)$/s.exec(inUpdate) ?? [];
  const op = item.ops[Number(index)];
  if (inBody === "" || op === undefined) {
    const whole = place || "body";
    return new KeylineError(code, `${whole}: ${message}`, { path: whole, value });
  }
  const part = partOf(op, inBody);
  const path = place === "" ? part : `${place}.${part}`;
  return new Refused(code, `${path}${message.slice(inUpdate.length)}`, { path, value });
}

/** What the call says itself stands among the properties of its event. */
const OWN: Partial<Record<SegmentCall["type"], readonly string[]>> = {
  page: ["name", "category"],
  screen: ["name", "category"],
  group: ["groupId"],
  alias: ["previousId"],
};

function partOfCall(call: SegmentCall, inBody: string): string {
  if (inBody === ".name") return "event";
  const property = inBody.slice(PROPERTIES.length);
  const name = property.slice(1);
  if (OWN[call.type]?.includes(name) && Object.hasOwn(call, name)) return name;
  return `${call.type === "group" ? "traits" : "properties"}${property}`;
}

/** Traits that are null are unset, by a list of their names. */
function traitOf({ kind, body }: Operation, inBody: string): string {
  if (kind !== "unset") return inBody;
  return appendPath("traits", body[Number(inBody.slice(1, -1))] ?? "").slice("traits".length);
}
