import fc from "fast-check";
import { expect, test } from "vitest";
import { checkUpdate } from "../../services/gateway/schemas/check-update.ts";
import {
  declareSchema,
  documentOf,
  readSchema,
  writeSchema,
} from "../../services/gateway/schemas/schema-document.ts";
import {
  createSchema,
  learn,
  type SchemaLimits,
  type TenantSchema,
} from "../../services/gateway/schemas/tenant-schema.ts";
import type { Operation } from "../../shared/domain/envelope.ts";
import { envelopeOf } from "../../shared/publish/update-input.ts";
import { arbitraryDeclared, arbitraryOperations, arbitrarySchema } from "../support/arbitrary-schemas.ts";

const arbitraryUpdates = fc.array(arbitraryOperations, { maxLength: 8 });
const copyOf = (schema: TenantSchema) => readSchema(writeSchema(schema))!;
const shown = (schema: TenantSchema) => documentOf(schema, { builtIn: true });

/** Each name with its value that an operation has, and where the schema should have it. */
type Named = { event?: string; name: string; kind?: string; value: unknown };

function namesIn(op: Operation): Named[] {
  const kinds = { set: "register", unset: "register", add: "set", remove: "set", increment: "counter" };
  if (op.kind === "event")
    return Object.entries(op.body.properties ?? {}).map(([name, value]) => ({
      ...{ event: op.body.name, name, value },
    }));
  if (op.kind === "tick") return [];
  const kind = kinds[op.kind];
  if (op.kind === "unset") return op.body.map((name) => ({ kind, name, value: null }));
  return Object.entries(op.body).map(([name, value]) => ({ kind, name, value }));
}

const typeOf = (value: unknown) => (Array.isArray(value) ? "array" : typeof value);

/** Looks at the document, as an operator would. */
function fits(schema: TenantSchema, { event, name, kind, value }: Named): "fits" | "differs" | "unknown" {
  const { events, attributes } = shown(schema);
  const places: Record<string, { type?: string; kind?: string }> =
    event === undefined ? attributes : events[event]!.properties;
  if (!Object.hasOwn(places, name)) return "unknown";
  const known = places[name]!;
  if (known.kind !== kind) return "differs";
  const isAny = value === null || known.type === undefined || known.type === "any";
  return isAny || known.type === typeOf(value) ? "fits" : "differs";
}

/** Whether everything in an update is as a schema that learns nothing says. */
function isAsDeclared(schema: TenantSchema, ops: readonly Operation[]): boolean {
  const { mode, unknown, events } = shown(schema);
  return ops.every((op) => {
    const event = op.kind === "event" ? op.body.name : undefined;
    if (event !== undefined && !Object.hasOwn(events, event)) return unknown !== "reject";
    const strict = (event !== undefined && events[event]?.mode) || mode;
    return namesIn(op).every((named) => {
      const verdict = fits(schema, named);
      if (verdict === "unknown") return unknown !== "reject";
      return verdict === "fits" || strict !== "reject";
    });
  });
}

test("an update is refused just where something in it is not as the schema says", () => {
  fc.assert(
    fc.property(
      arbitrarySchema,
      fc.constantFrom("warn" as const, "reject" as const),
      arbitraryOperations,
      (schema, unknown, ops) => {
        const findings = checkUpdate({ ...schema, unknown }, ops, {});
        expect(findings?.refused === undefined).toBe(isAsDeclared({ ...schema, unknown }, ops));
      },
    ),
    { numRuns: 2_000 },
  );
});

test("what is left after dropping is as the schema says, and nothing else is dropped", () => {
  fc.assert(
    fc.property(arbitrarySchema, arbitraryOperations, (given, ops) => {
      const schema: TenantSchema = { ...given, mode: "drop", unknown: "drop", events: new Map(given.events) };
      for (const [name, { mode: _, ...event }] of schema.events) schema.events.set(name, event);
      const left = checkUpdate(schema, ops, {})?.ops ?? ops;
      if (left.length > 0) envelopeOf({ tenant: "shop", userId: "ann", ops: [...left] }, 0);
      expect(isAsDeclared({ ...schema, mode: "reject", unknown: "reject" }, left)).toBe(true);
      const kept = (all: readonly Operation[]) =>
        all
          .filter((op) => op.kind !== "event" || schema.events.has(op.body.name))
          .flatMap(namesIn)
          .filter((named) => fits(schema, named) === "fits");
      expect(left.flatMap(namesIn)).toEqual(kept(ops));
    }),
    { numRuns: 2_000 },
  );
});

test("what a schema has learned of an update it has nothing more to say about, and what it knew stays", () => {
  fc.assert(
    fc.property(arbitrarySchema, arbitraryOperations, (given, ops) => {
      const schema: TenantSchema = { ...given, mode: "allow", unknown: "learn" };
      for (const event of schema.events.values()) delete event.mode;
      const before = shown(copyOf(schema));
      const findings = checkUpdate(schema, ops, {});
      expect(findings?.ops ?? ops, "nothing is dropped").toBe(ops);
      if (findings) expect(learn(schema, findings.learned, {}), "something was new").toBe(true);
      expect(shown(schema)).toMatchObject(before);
      expect(checkUpdate(schema, ops, {})).toBeUndefined();
    }),
    { numRuns: 1_000 },
  );
});

/** What a gateway that learns by itself has learned of some updates. */
function learnedOf(base: TenantSchema, updates: readonly Operation[][], limits: SchemaLimits): TenantSchema {
  const schema = copyOf(base);
  for (const ops of updates) {
    const findings = checkUpdate(schema, ops, limits);
    if (findings && !findings.refused) learn(schema, findings.learned, limits);
  }
  return schema;
}

const namesOf = (schema: TenantSchema) => [
  ...[...schema.events].flatMap(([event, { properties }]) =>
    [...properties.keys()].map((name) => `${event}.${name}`),
  ),
  ...schema.events.keys(),
  ...schema.attributes.keys(),
];

test("two gateways that learn at once end with every name of both, each of one type, whoever is first", () => {
  fc.assert(
    fc.property(arbitrarySchema, arbitraryUpdates, arbitraryUpdates, (given, ones, others) => {
      const base: TenantSchema = { ...given, mode: "allow", unknown: "learn" };
      const [one, other] = [learnedOf(base, ones, {}), learnedOf(base, others, {})];
      const merged = [
        [one, other],
        [other, one],
      ].map(([first, second]) => {
        const schema = copyOf(base);
        learn(schema, first!, {});
        learn(schema, second!, {});
        return { schema, first: first! };
      });
      for (const { schema, first } of merged) {
        expect(new Set(namesOf(schema))).toEqual(new Set([...namesOf(one), ...namesOf(other)]));
        // The first to write says what it is; what is declared stays as it was.
        expect(shown(schema)).toMatchObject(shown(first));
        expect(shown(schema)).toMatchObject(shown(base));
        expect(schema.names).toBe(copyOf(schema).names);
      }
    }),
    { numRuns: 1_000 },
  );
});

test("no quota is passed by what is learned, also where two gateways learn", () => {
  const limits = { maxAttributes: 2, maxEventNames: 1, maxPropertiesPerEvent: 2 };
  fc.assert(
    fc.property(arbitraryUpdates, arbitraryUpdates, (ones, others) => {
      const schema = learnedOf(createSchema(), ones, limits);
      learn(schema, learnedOf(createSchema(), others, limits), limits);
      const { events, attributes } = documentOf(schema, { builtIn: false });
      expect(Object.keys(attributes).length).toBeLessThanOrEqual(2);
      expect(Object.keys(events).filter((name) => !name.startsWith("$")).length).toBeLessThanOrEqual(1);
      for (const { properties } of schema.events.values()) expect(properties.size).toBeLessThanOrEqual(2);
    }),
    { numRuns: 1_000 },
  );
});

test("what is declared is as it was said, beside what was learned, and is counted once", () => {
  fc.assert(
    fc.property(arbitrarySchema, arbitraryUpdates, arbitraryDeclared, (given, updates, declared) => {
      const before = learnedOf({ ...given, mode: "allow", unknown: "learn" }, updates, {});
      const schema = declareSchema(before, declared, 1);
      const alone = declareSchema(undefined, declared, 1);
      expect(shown(schema)).toMatchObject(shown(alone));
      expect(schema.names).toBe(copyOf(schema).names);
      const learned = [...before.attributes].filter(([, { origin }]) => origin === "learned");
      expect([...schema.attributes.keys()].toSorted()).toEqual(
        [...new Set([...alone.attributes.keys(), ...learned.map(([name]) => name)])].toSorted(),
      );
    }),
  );
});

test("a schema is read as it was written", () => {
  fc.assert(
    fc.property(arbitrarySchema, arbitraryUpdates, (given, updates) => {
      const schema = learnedOf({ ...given, unknown: "learn", forgottenAt: 7 }, updates, {});
      expect(readSchema(writeSchema(schema))).toEqual(schema);
    }),
  );
});

test("whatever is no update is passed over", () => {
  fc.assert(
    fc.property(fc.anything(), arbitrarySchema, (anything, schema) => {
      const ops = ["event", "set", "unset", "add", "increment"].map((kind) => ({ kind, body: anything }));
      checkUpdate(schema, ops, {});
      checkUpdate(schema, anything as unknown[], {});
      checkUpdate(schema, [anything, { kind: "event", body: { name: "seen", properties: anything } }], {});
    }),
  );
});
