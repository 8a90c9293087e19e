/**
 * What a tenant sends: its events with their properties, and its attributes, each with what it is. Names are declared
 * by operators, or learned from what comes; what is known first stays.
 */
import { MAX_ATTRIBUTES, MAX_EVENT_NAMES, MAX_PROPERTIES_PER_EVENT, MAX_SCHEMA_NAMES } from "../limits.ts";
import type { Quotas } from "../tenants/tenant.ts";

export const valueTypes = ["string", "number", "boolean", "object", "array"] as const;
export type ValueType = (typeof valueTypes)[number];
/** Of what is declared: any value will do. */
export const declaredTypes = [...valueTypes, "any"] as const;
export type DeclaredType = (typeof declaredTypes)[number];

/** What becomes of a value that is of another type or kind than the schema says. */
export const modes = ["allow", "warn", "reject", "drop"] as const;
export type Mode = (typeof modes)[number];

/** What becomes of a name that the schema does not have. */
export const unknownModes = ["learn", "warn", "reject", "drop"] as const;
export type UnknownMode = (typeof unknownModes)[number];

/** `built-in`: the gateway makes it of a call by itself. */
export const origins = ["declared", "learned", "built-in"] as const;
export type Origin = (typeof origins)[number];

export type Property = { type: DeclaredType; origin: Origin };

export type EventSchema = {
  origin: Origin;
  /** In the place of the tenant's. */
  mode?: Mode;
  properties: Map<string, Property>;
};

export const attributeKinds = ["register", "set", "counter"] as const;
export type AttributeKind = (typeof attributeKinds)[number];

export type Attribute = { origin: Origin } & (
  | { kind: "register"; type: DeclaredType }
  | { kind: "set" | "counter" }
);

export type TenantSchema = {
  mode: Mode;
  unknown: UnknownMode;
  events: Map<string, EventSchema>;
  attributes: Map<string, Attribute>;
  /** How many names it holds in all; those that are built in don't count. */
  names: number;
  /** The version of its document by which what had been learned was forgotten last; 0 for never. */
  forgottenAt: number;
};

/** Names that came and are not known yet. An event that is known has here what is new of it. */
export type Learned = Pick<TenantSchema, "events" | "attributes">;

/** How many names may be learned. */
export type SchemaLimits = Pick<Quotas, "maxAttributes" | "maxEventNames" | "maxPropertiesPerEvent">;

/** What the gateway says itself of Segment's calls. */
const BUILT_IN: Record<string, readonly string[]> = {
  $identify: [],
  $page: ["name", "category"],
  $screen: ["name", "category"],
  $group: ["groupId"],
  $alias: ["previousId"],
};
const BUILT_IN_EVENTS = Object.keys(BUILT_IN).length;

/** A schema that knows what is built in, and by default refuses nothing. */
export function createSchema(mode: Mode = "allow", unknown: UnknownMode = "learn"): TenantSchema {
  const events = Object.entries(BUILT_IN).map(([name, properties]): [string, EventSchema] => {
    const property: Property = { type: "string", origin: "built-in" };
    return [name, { origin: "built-in", properties: new Map(properties.map((each) => [each, property])) }];
  });
  return { mode, unknown, events: new Map(events), attributes: new Map(), names: 0, forgottenAt: 0 };
}

/** Whether one more name may be learned: `full` is the schema's own bound, the others are quotas of the tenant. */
export type Room = "room" | "full" | keyof SchemaLimits;

/** @param learned names that are not in the schema yet */
export function roomForEvent(schema: TenantSchema, learned: Counts, { maxEventNames }: SchemaLimits): Room {
  const count = schema.events.size - BUILT_IN_EVENTS + learned.events;
  if (maxEventNames !== undefined && count >= maxEventNames) return "maxEventNames";
  return isFull(schema, learned) || count >= MAX_EVENT_NAMES ? "full" : "room";
}

/** @param properties that the event has, with those that are learned */
export function roomForProperty(
  schema: TenantSchema,
  learned: Counts,
  { maxPropertiesPerEvent }: SchemaLimits,
  properties: number,
): Room {
  if (maxPropertiesPerEvent !== undefined && properties >= maxPropertiesPerEvent)
    return "maxPropertiesPerEvent";
  return isFull(schema, learned) || properties >= MAX_PROPERTIES_PER_EVENT ? "full" : "room";
}

export function roomForAttribute(
  schema: TenantSchema,
  learned: Counts,
  { maxAttributes }: SchemaLimits,
): Room {
  const count = schema.attributes.size + learned.attributes;
  if (maxAttributes !== undefined && count >= maxAttributes) return "maxAttributes";
  return isFull(schema, learned) || count >= MAX_ATTRIBUTES ? "full" : "room";
}

/** How many names are new; `names` are all of them. */
export type Counts = { events: number; attributes: number; names: number };

export const NO_NAMES: Counts = { events: 0, attributes: 0, names: 0 };

function isFull({ names }: TenantSchema, learned: Counts): boolean {
  return names + learned.names >= MAX_SCHEMA_NAMES;
}

/**
 * Adds to a schema what it does not know and has room for, and changes nothing that it knows: what was first stays.
 * Changes the schema in place, since names come one by one and there may be thousands.
 *
 * @returns whether anything was new.
 */
export function learn(schema: TenantSchema, learned: Learned, limits: SchemaLimits): boolean {
  const before = schema.names;
  for (const [name, { properties }] of learned.events) {
    const event = schema.events.get(name) ?? addEvent(schema, name, limits);
    if (event === undefined) continue;
    for (const [property, { type }] of properties) {
      if (event.properties.has(property)) continue;
      if (roomForProperty(schema, NO_NAMES, limits, event.properties.size) !== "room") break;
      event.properties.set(property, { type, origin: "learned" });
      schema.names += 1;
    }
  }
  for (const [name, attribute] of learned.attributes) {
    if (schema.attributes.has(name)) continue;
    if (roomForAttribute(schema, NO_NAMES, limits) !== "room") break;
    schema.attributes.set(name, { ...attribute, origin: "learned" });
    schema.names += 1;
  }
  return schema.names > before;
}

function addEvent(schema: TenantSchema, name: string, limits: SchemaLimits): EventSchema | undefined {
  if (roomForEvent(schema, NO_NAMES, limits) !== "room") return undefined;
  const event: EventSchema = { origin: "learned", properties: new Map() };
  schema.events.set(name, event);
  schema.names += 1;
  return event;
}
