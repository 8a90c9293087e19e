/** Schemas and the operations that are checked by them: few names, so that they meet. */
import fc from "fast-check";
import { type DeclaredSchema, declareSchema } from "../../services/gateway/schemas/schema-document.ts";
import {
  attributeKinds,
  declaredTypes,
  modes,
  type TenantSchema,
  unknownModes,
} from "../../services/gateway/schemas/tenant-schema.ts";
import type { Operation } from "../../shared/domain/envelope.ts";

const eventName = fc.constantFrom("seen", "ordered", "$page", "constructor");
const property = fc.constantFrom("a", "b", "name", "toString");
const attribute = fc.constantFrom("plan", "points", "tags", "7");
const value = fc.constantFrom<unknown[]>("x", "", 1, -0.5, true, false, null, [], [1], {}, { a: 1 });

export const arbitraryDeclared: fc.Arbitrary<DeclaredSchema> = fc.record(
  {
    mode: fc.constantFrom(...modes),
    unknown: fc.constantFrom(...unknownModes),
    events: fc.dictionary(
      eventName,
      fc.record(
        {
          mode: fc.constantFrom(...modes),
          properties: fc.dictionary(property, fc.record({ type: fc.constantFrom(...declaredTypes) }), {
            maxKeys: 3,
          }),
        },
        { requiredKeys: [] },
      ),
      { maxKeys: 3 },
    ),
    attributes: fc.dictionary(
      attribute,
      fc.oneof(
        fc.record({ kind: fc.constantFrom(...attributeKinds) }),
        fc.record({ kind: fc.constant("register" as const), type: fc.constantFrom(...declaredTypes) }),
      ),
      { maxKeys: 3 },
    ),
  },
  { requiredKeys: [] },
);

export const arbitrarySchema: fc.Arbitrary<TenantSchema> = arbitraryDeclared.map((declared) =>
  declareSchema(undefined, declared, 1),
);

const members = fc.array(fc.constantFrom("a", 1, true), { minLength: 1, maxLength: 2 });
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({
    kind: fc.constant("event" as const),
    body: fc.record(
      { name: eventName, properties: fc.dictionary(property, value, { maxKeys: 3 }) },
      { requiredKeys: ["name"] },
    ),
  }),
  fc.record({ kind: fc.constant("set" as const), body: fc.dictionary(attribute, value, { minKeys: 1 }) }),
  fc.record({
    kind: fc.constant("unset" as const),
    body: fc.array(attribute, { minLength: 1, maxLength: 3 }),
  }),
  fc.record({
    kind: fc.constantFrom("add" as const, "remove" as const),
    body: fc.dictionary(attribute, members, { minKeys: 1, maxKeys: 2 }),
  }),
  fc.record({
    kind: fc.constant("increment" as const),
    body: fc.dictionary(attribute, fc.constantFrom(1, -2.5), { minKeys: 1, maxKeys: 2 }),
  }),
) as fc.Arbitrary<Operation>;

export const arbitraryOperations: fc.Arbitrary<Operation[]> = fc.array(operation, {
  minLength: 1,
  maxLength: 4,
});
