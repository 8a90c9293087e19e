/** A tenant's schema as JSON: as it is kept and shown, and what operators declare of it. */
import Type from "typebox";
import { Compile } from "typebox/compile";
import { FieldName } from "../../../shared/domain/envelope.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import { MAX_ATTRIBUTES, MAX_EVENT_NAMES, MAX_PROPERTIES_PER_EVENT, MAX_SCHEMA_NAMES } from "../limits.ts";
import {
  type Attribute,
  attributeKinds,
  createSchema,
  type DeclaredType,
  declaredTypes,
  type EventSchema,
  modes,
  origins,
  type Property,
  type TenantSchema,
  unknownModes,
} from "./tenant-schema.ts";

const EventName = Type.String({ pattern: "^[\\s\\S]{1,128}$" });
const PropertyName = Type.String({ pattern: "^[\\s\\S]{0,128}$" });
const ValueType = Type.Enum([...declaredTypes], {
  description: "any: whatever it is; null fits every type",
});
const Mode = Type.Enum([...modes], {
  description:
    "what becomes of a value that is of another type or kind: allow takes it, warn takes and counts it, reject refuses its update, drop takes the update without it",
});
const UnknownMode = Type.Enum([...unknownModes], {
  description: "what becomes of a name that the schema does not have; learn takes it into the schema",
});
const Kind = Type.Enum([...attributeKinds], {
  description: "register: by set and unset; set: by add and remove; counter: by increment",
});
const Origin = Type.Enum([...origins], { description: "built-in: made by the gateway" });

const recordOf = <T extends Type.TSchema>(key: Type.TString, value: T, maxProperties: number) =>
  Type.Record(key, value, { additionalProperties: false, maxProperties });
const strict = { additionalProperties: false };

/** What an operator says: all that is declared from then on. */
export const DeclaredSchema = Type.Object(
  {
    mode: Type.Optional(Mode),
    unknown: Type.Optional(UnknownMode),
    learned: Type.Optional(
      Type.Enum(["keep", "forget"], { description: "what becomes of learned names that are not named here" }),
    ),
    events: Type.Optional(
      recordOf(
        EventName,
        Type.Object(
          {
            mode: Type.Optional(Mode),
            properties: Type.Optional(
              recordOf(PropertyName, Type.Object({ type: ValueType }, strict), MAX_PROPERTIES_PER_EVENT),
            ),
          },
          strict,
        ),
        MAX_EVENT_NAMES,
      ),
    ),
    attributes: Type.Optional(
      recordOf(
        FieldName,
        Type.Object({ kind: Kind, type: Type.Optional(ValueType) }, strict),
        MAX_ATTRIBUTES,
      ),
    ),
  },
  strict,
);
export type DeclaredSchema = Type.Static<typeof DeclaredSchema>;

/** As it is shown. */
export const SchemaDocument = Type.Object({
  mode: Mode,
  unknown: UnknownMode,
  events: Type.Record(
    Type.String(),
    Type.Object({
      origin: Origin,
      mode: Type.Optional(Mode),
      properties: Type.Record(Type.String(), Type.Object({ type: ValueType, origin: Origin })),
    }),
  ),
  attributes: Type.Record(
    Type.String(),
    Type.Object({ kind: Kind, type: Type.Optional(ValueType), origin: Origin }),
  ),
});
export type SchemaDocument = Type.Static<typeof SchemaDocument>;

/** As it is kept. */
const KeptSchema = Type.Object({
  ...SchemaDocument.properties,
  forgottenAt: Type.Optional(Type.Integer({ minimum: 0 })),
});
type KeptSchema = Type.Static<typeof KeptSchema>;

const keptSchema = Compile(KeptSchema);

/** All of a schema, or what is not built in. */
export function documentOf(schema: TenantSchema, { builtIn }: { builtIn: boolean }): SchemaDocument {
  const { mode, unknown, events, attributes } = schema;
  const shown = [...events].filter(([, event]) => builtIn || isOwn(event));
  return {
    ...{ mode, unknown },
    events: Object.fromEntries(
      shown.map(([name, event]) => {
        const properties = [...event.properties].filter(([, { origin }]) => builtIn || origin !== "built-in");
        return [name, { ...event, properties: Object.fromEntries(properties) }];
      }),
    ),
    attributes: Object.fromEntries(attributes),
  };
}

/** Something of it is the tenant's. */
function isOwn({ origin, properties }: EventSchema): boolean {
  return origin !== "built-in" || properties.values().some((property) => property.origin !== "built-in");
}

/** @returns undefined for what another version of the gateway may have written */
export function readSchema(text: string): TenantSchema | undefined {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    return undefined;
  }
  return keptSchema.Check(document) ? schemaOf(document) : undefined;
}

export function writeSchema(schema: TenantSchema): string {
  const { forgottenAt } = schema;
  const kept: KeptSchema = { ...documentOf(schema, { builtIn: false }), forgottenAt };
  return JSON.stringify(kept);
}

function schemaOf({ mode, unknown, events, attributes, forgottenAt = 0 }: KeptSchema): TenantSchema {
  const schema = { ...createSchema(mode, unknown), forgottenAt };
  for (const [name, { properties, ...event }] of Object.entries(events)) {
    putEvent(schema, name, event);
    for (const [property, each] of Object.entries(properties)) putProperty(schema, name, property, each);
  }
  for (const [name, { kind, type, origin }] of Object.entries(attributes))
    putAttribute(schema, name, attributeOf(kind, type, origin));
  return schema;
}

/**
 * The schema after what an operator said. What was learned before and is not named stays, unless it is to be forgotten.
 * @param version of the document that it will be.
 * @throws KeylineError `invalid_request`, `schema_too_large`
 */
export function declareSchema(
  before: TenantSchema | undefined,
  declared: DeclaredSchema,
  version: number,
): TenantSchema {
  const isForgotten = declared.learned === "forget";
  const schema = createSchema(declared.mode, declared.unknown);
  schema.forgottenAt = isForgotten ? version : (before?.forgottenAt ?? 0);
  if (before !== undefined && !isForgotten) putLearned(schema, before);
  for (const [name, { mode, properties = {} }] of Object.entries(declared.events ?? {})) {
    putEvent(schema, name, { origin: "declared", ...(mode && { mode }) });
    for (const [property, { type }] of Object.entries(properties))
      putProperty(schema, name, property, { type, origin: "declared" });
  }
  for (const [name, { kind, type }] of Object.entries(declared.attributes ?? {})) {
    if (kind !== "register" && type !== undefined) {
      const path = `attributes.${name}.type`;
      const message = `${path}: is a register's; of a ${kind} there is nothing to say`;
      throw new KeylineError("invalid_request", message, { path, value: type });
    }
    putAttribute(schema, name, attributeOf(kind, type, "declared"));
  }
  if (schema.names <= MAX_SCHEMA_NAMES) return schema;
  const message = `the schema would have ${schema.names} names, more than ${MAX_SCHEMA_NAMES}; "learned": "forget" makes room`;
  throw new KeylineError("schema_too_large", message, { path: "body", value: schema.names });
}

function putLearned(schema: TenantSchema, { events, attributes }: TenantSchema): void {
  for (const [name, { origin, properties }] of events) {
    const learned = [...properties].filter(([, property]) => property.origin === "learned");
    if (origin === "learned" || learned.length > 0) putEvent(schema, name, { origin: "learned" });
    for (const [property, each] of learned) putProperty(schema, name, property, each);
  }
  for (const [name, attribute] of attributes)
    if (attribute.origin === "learned") putAttribute(schema, name, attribute);
}

/** An event that is there keeps its properties; one that is built in stays so until it is declared. */
function putEvent(
  schema: TenantSchema,
  name: string,
  { origin, mode }: Omit<EventSchema, "properties">,
): void {
  const known = schema.events.get(name);
  const isBuiltIn = known?.origin === "built-in" && origin === "learned";
  schema.events.set(name, {
    origin: isBuiltIn ? "built-in" : origin,
    ...(mode && { mode }),
    properties: known?.properties ?? new Map(),
  });
  if (known === undefined) schema.names += 1;
}

function putProperty(schema: TenantSchema, event: string, name: string, property: Property): void {
  const { properties } = schema.events.get(event)!;
  const before = properties.get(name)?.origin;
  if (before === undefined || before === "built-in") schema.names += 1;
  properties.set(name, property);
}

function putAttribute(schema: TenantSchema, name: string, attribute: Attribute): void {
  if (!schema.attributes.has(name)) schema.names += 1;
  schema.attributes.set(name, attribute);
}

function attributeOf(
  kind: Attribute["kind"],
  type: DeclaredType = "any",
  origin: Attribute["origin"],
): Attribute {
  return kind === "register" ? { kind, type, origin } : { kind, origin };
}
