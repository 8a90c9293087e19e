/** Whether an update is as its tenant's schema says: pure, and one look into a map for each name where it is. */
import type { Operation } from "../../../shared/domain/envelope.ts";
import { appendPath } from "../../../shared/domain/refuse-by-schema.ts";
import { isObject } from "../request-refusal.ts";
import { type Findings, type Gathering, gatherFindings, type Place } from "./findings.ts";
import {
  type Attribute,
  type AttributeKind,
  type EventSchema,
  NO_NAMES,
  roomForAttribute,
  roomForEvent,
  roomForProperty,
  type SchemaLimits,
  type TenantSchema,
  type ValueType,
} from "./tenant-schema.ts";

type Check = {
  schema: TenantSchema;
  limits: SchemaLimits;
  /** Made with the first thing that there is to say. */
  found: Gathering | undefined;
};

/**
 * What is to be said of an update, undefined where it is as the schema says. What is no update's form is passed over:
 * it is for the publisher to refuse.
 */
export function checkUpdate(
  schema: TenantSchema,
  ops: readonly unknown[],
  limits: SchemaLimits,
): Findings | undefined {
  const check: Check = { schema, limits, found: undefined };
  if (!Array.isArray(ops)) return undefined;
  for (let index = 0; index < ops.length && !check.found?.isRefused(); index += 1) {
    const op: unknown = ops[index];
    if (isObject(op)) checkOperation(check, op.kind, op.body, index);
  }
  return check.found?.findings(ops as readonly Operation[]);
}

function checkOperation(check: Check, kind: unknown, body: unknown, index: number): void {
  switch (kind) {
    case "event":
      if (isObject(body) && typeof body.name === "string")
        checkEvent(check, body.name, body.properties, index);
      break;
    case "set":
      checkFields(check, "register", body, index);
      break;
    case "add":
    case "remove":
      checkFields(check, "set", body, index);
      break;
    case "increment":
      checkFields(check, "counter", body, index);
      break;
    case "unset":
      if (Array.isArray(body)) checkUnset(check, body, index);
  }
}

function checkEvent(check: Check, name: string, properties: unknown, index: number): void {
  const event =
    check.schema.events.get(name) ?? check.found?.learnedEvent(name) ?? meetEvent(check, name, index);
  if (event === undefined || !isObject(properties)) return;
  const mode = event.mode ?? check.schema.mode;
  for (const key of Object.keys(properties)) {
    const value = properties[key];
    const known = event.properties.get(key) ?? check.found?.learnedEvent(name)?.properties.get(key);
    if (known === undefined) meetProperty(check, name, event, key, value, index);
    else if (mode !== "allow" && known.type !== "any") {
      const type = typeOf(value);
      if (type === undefined || type === known.type) continue;
      const message = `is ${a(type)}, but ${key} of ${name} is ${a(known.type)}`;
      gathering(check).mismatch(mode, propertyAt(index, key), value, message);
    }
  }
}

function checkFields(check: Check, kind: AttributeKind, body: unknown, index: number): void {
  if (!isObject(body)) return;
  for (const name of Object.keys(body)) checkAttribute(check, kind, name, body[name], index, undefined);
}

function checkUnset(check: Check, names: readonly unknown[], index: number): void {
  for (const [position, name] of names.entries())
    if (typeof name === "string") checkAttribute(check, "register", name, null, index, position);
}

/** @param position in the list, where the operation's body is one */
function checkAttribute(
  check: Check,
  kind: AttributeKind,
  name: string,
  value: unknown,
  index: number,
  position: number | undefined,
): void {
  const known = check.schema.attributes.get(name) ?? check.found?.learnedAttribute(name);
  if (known === undefined) {
    meetAttribute(check, kind, name, value, attributeAt(index, name, position));
    return;
  }
  const { mode } = check.schema;
  if (mode === "allow") return;
  const text = clashOf(known, kind, name, value);
  if (text === undefined) return;
  gathering(check).mismatch(mode, attributeAt(index, name, position), value, text);
}

/** How a value is none for the attribute, undefined where it is. */
function clashOf(known: Attribute, kind: AttributeKind, name: string, value: unknown): string | undefined {
  if (known.kind !== kind) return `is a ${kind} here, but ${name} is a ${known.kind}`;
  if (known.kind !== "register" || known.type === "any") return undefined;
  const type = typeOf(value);
  if (type === undefined || type === known.type) return undefined;
  return `is ${a(type)}, but ${name} is ${a(known.type)}`;
}

/** An event that nobody knows yet: what is learned of it, undefined where that is nothing. */
function meetEvent(check: Check, name: string, index: number): EventSchema | undefined {
  const room = roomForEvent(check.schema, newNames(check), check.limits);
  if (room === "full" && check.schema.unknown === "learn") return undefined;
  const place = { index, path: `ops[${index}].body.name` };
  const found = gathering(check);
  return found.meet(place, name, "is no event of the schema", room) ? found.learnEvent(name) : undefined;
}

function meetProperty(
  check: Check,
  name: string,
  event: EventSchema,
  key: string,
  value: unknown,
  index: number,
): void {
  const { unknown } = check.schema;
  const type = typeOf(value);
  const learned = check.found?.learnedEvent(name);
  const more = learned === undefined || learned === event ? 0 : learned.properties.size;
  const room = roomForProperty(check.schema, newNames(check), check.limits, event.properties.size + more);
  if (unknown === "learn" && (type === undefined || room === "full")) return;
  const message = `is no property of ${name} in the schema`;
  const found = gathering(check);
  if (found.meet(propertyAt(index, key), value, message, room) && type !== undefined)
    found.learnProperty(name, key, { type, origin: "learned" });
}

function meetAttribute(check: Check, kind: AttributeKind, name: string, value: unknown, place: Place): void {
  const { unknown } = check.schema;
  const attribute = attributeOf(kind, value);
  const room = roomForAttribute(check.schema, newNames(check), check.limits);
  if (unknown === "learn" && (attribute === undefined || room === "full")) return;
  const found = gathering(check);
  if (found.meet(place, value, "is no attribute of the schema", room) && attribute !== undefined)
    found.learnAttribute(name, attribute);
}

function gathering(check: Check): Gathering {
  check.found ??= gatherFindings(check.schema, check.limits);
  return check.found;
}

function newNames(check: Check) {
  return check.found?.counts() ?? NO_NAMES;
}

/** Undefined where the value tells nothing: null fits every type. */
function attributeOf(kind: AttributeKind, value: unknown): Attribute | undefined {
  if (kind !== "register") return { kind, origin: "learned" };
  const type = typeOf(value);
  return type && { kind, type, origin: "learned" };
}

/** Of a value of JSON; undefined of null, and of what is none. */
function typeOf(value: unknown): ValueType | undefined {
  if (value === null) return undefined;
  if (Array.isArray(value)) return "array";
  const type = typeof value;
  return type === "string" || type === "number" || type === "boolean" || type === "object" ? type : undefined;
}

function attributeAt(index: number, name: string, position: number | undefined): Place {
  const body = `ops[${index}].body`;
  return { index, name, path: position === undefined ? appendPath(body, name) : `${body}[${position}]` };
}

function propertyAt(index: number, name: string): Place {
  return { index, name, path: appendPath(`ops[${index}].body.properties`, name) };
}

function a(type: string): string {
  return type === "object" || type === "array" ? `an ${type}` : `a ${type}`;
}
