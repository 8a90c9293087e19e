/** What is found of an update that its tenant's schema has something to say about, gathered name by name. */
import type { Operation } from "../../../shared/domain/envelope.ts";
import { type Refusal, refuse } from "../../../shared/domain/refusal.ts";
import { type Dropped, withoutDropped } from "./drop-names.ts";
import type {
  Attribute,
  Counts,
  EventSchema,
  Learned,
  Mode,
  Property,
  Room,
  SchemaLimits,
  TenantSchema,
} from "./tenant-schema.ts";

/**
 * - `schema_mismatch` a value is of another type, or an operation of another kind, than the schema says
 * - `not_in_schema` the schema does not have the name
 * - `quota_exceeded` the name is new, and the tenant has as many as it may
 */
export type SchemaProblem = Refusal<"schema_mismatch" | "not_in_schema" | "quota_exceeded">;

export type Findings = {
  /** The update is not taken, for the first thing that forbids it; nothing else counts then. */
  refused?: SchemaProblem;
  warned: SchemaProblem[];
  dropped: SchemaProblem[];
  /** The operations that are left; those that came where nothing is dropped. */
  ops: readonly Operation[];
  learned: Learned;
};

/** Where a name stands: the operation, and the name inside it; without one, the event as a whole. */
export type Place = { index: number; name?: string; path: string };

export type Gathering = {
  isRefused(): boolean;
  /** New names that were found so far. */
  counts(): Counts;
  learnedEvent(name: string): EventSchema | undefined;
  learnedAttribute(name: string): Attribute | undefined;
  mismatch(mode: Exclude<Mode, "allow">, place: Place, value: unknown, message: string): void;
  /** A name that nobody knows. @returns whether it is to be learned */
  meet(place: Place, value: unknown, message: string, room: Room): boolean;
  learnEvent(name: string): EventSchema;
  learnProperty(event: string, name: string, property: Property): void;
  learnAttribute(name: string, attribute: Attribute): void;
  /** What is to be said of these operations. */
  findings(ops: readonly Operation[]): Findings;
};

export function gatherFindings(schema: TenantSchema, limits: SchemaLimits): Gathering {
  const learned: Learned = { events: new Map(), attributes: new Map() };
  const counts: Counts = { events: 0, attributes: 0, names: 0 };
  const warned: SchemaProblem[] = [];
  const dropped: SchemaProblem[] = [];
  const drops = new Map<number, Dropped>();
  let refused: SchemaProblem | undefined;

  function forbid(problem: SchemaProblem): void {
    refused ??= problem;
  }

  function drop({ index, name }: Place, problem: SchemaProblem): void {
    dropped.push(problem);
    const before = drops.get(index);
    if (name === undefined) drops.set(index, "whole");
    else if (before instanceof Set) before.add(name);
    else drops.set(index, new Set([name]));
  }

  function learnEvent(name: string): EventSchema {
    const known = learned.events.get(name);
    if (known) return known;
    const event: EventSchema = { origin: "learned", properties: new Map() };
    learned.events.set(name, event);
    if (schema.events.has(name)) return event;
    counts.events += 1;
    counts.names += 1;
    return event;
  }

  return {
    isRefused: () => refused !== undefined,
    counts: () => counts,
    learnedEvent: (name) => learned.events.get(name),
    learnedAttribute: (name) => learned.attributes.get(name),
    mismatch(mode, place, value, message) {
      const problem = refuse<SchemaProblem["code"]>("schema_mismatch", place.path, value, message);
      if (mode === "reject") forbid(problem);
      else if (mode === "drop") drop(place, problem);
      else warned.push(problem);
    },
    meet(place, value, message, room) {
      const { unknown } = schema;
      const problem = refuse<SchemaProblem["code"]>("not_in_schema", place.path, value, message);
      if (unknown === "reject") forbid(problem);
      else if (unknown === "drop") drop(place, problem);
      else if (room !== "room" && room !== "full") {
        const text = `is new, and one more than the tenant's quota ${room}, ${limits[room]}, allows`;
        forbid(refuse<SchemaProblem["code"]>("quota_exceeded", place.path, value, text));
      } else if (unknown === "warn") warned.push(problem);
      else return room === "room";
      return false;
    },
    learnEvent,
    learnProperty(event, name, property) {
      learnEvent(event).properties.set(name, property);
      counts.names += 1;
    },
    learnAttribute(name, attribute) {
      learned.attributes.set(name, attribute);
      counts.attributes += 1;
      counts.names += 1;
    },
    findings: (ops) => ({
      ...(refused && { refused }),
      ...{ warned, dropped, learned },
      ops: drops.size === 0 ? ops : withoutDropped(ops, drops),
    }),
  };
}
