/** What the routes of definitions take and answer. */
import Type from "typebox";
import { Audience, DerivedAttribute, EventAttribute } from "../../../shared/domain/definitions/definition.ts";
import { Tenant } from "../../../shared/domain/envelope.ts";

export const Nullable = <S extends Type.TSchema>(schema: S) => Type.Union([schema, Type.Null()]);
export const Iso = (description: string) => Type.String({ description: `ISO 8601: ${description}` });

export const TenantParams = Type.Object({ tenant: Tenant });
/** Whether it can be a name is said with the definition. */
export const NameParams = Type.Object({ tenant: Tenant, name: Type.String({ minLength: 1 }) });

/** What every answer about one definition says of how far it is. */
export const standingFields = {
  generation: Type.Integer({ description: "the version of the tenant's definitions that it was created in" }),
  version: Type.Integer({ description: "the version in which it became what it is" }),
  since: Iso("every update applied after this moment is counted"),
  complete: Type.Literal(false, { description: "history before `since` is not computed yet" }),
  enabled: Type.Boolean(),
};

export const Attribute = Type.Union([EventAttribute, DerivedAttribute]);

const Cost = Type.Object(
  {
    evaluationsPerSecond: Type.Number(),
    busyMsPerSecond: Type.Number({ description: "milliseconds of computing in each second, about" }),
    failures: Type.Integer({ description: "could not be computed though nothing was missing" }),
    late: Type.Integer({ description: "events that came after their window had passed" }),
    skipped: Type.Integer({ description: "values of the wrong kind, or too long" }),
    lastError: Type.Optional(Type.String()),
  },
  { description: "summed over the consumers that report" },
);

const viewOf = <K extends string, D extends Type.TSchema>(kind: K, definition: D) =>
  Type.Object({
    name: Type.String(),
    kind: Type.Literal(kind),
    definition,
    ...standingFields,
    type: Nullable(Type.String({ description: "in expressions; null while it is disabled" })),
    reads: Type.Object(
      {
        calculated: Type.Array(Type.String()),
        audiences: Type.Array(Type.String()),
        profile: Type.Array(Type.String(), { description: "no definitions: the profile's own attributes" }),
      },
      { description: "the names that it reads" },
    ),
    cost: Cost,
  });

export const AttributeView = viewOf("attribute", Attribute);
export const AudienceView = viewOf("audience", Audience);
export type DefinitionView = Type.Static<typeof AttributeView> | Type.Static<typeof AudienceView>;

const common = {
  tenant: Tenant,
  version: Type.Integer({
    description: "of the tenant's definitions: milliseconds since the epoch, greater with each change",
  }),
};

export const listOf = {
  attributes: Type.Object({ ...common, attributes: Type.Array(AttributeView) }),
  audiences: Type.Object({ ...common, audiences: Type.Array(AudienceView) }),
};

const Consumer = Type.Object({
  name: Type.String(),
  version: Type.Integer(),
  upToDate: Type.Boolean(),
});

export const AllDefinitions = Type.Object({
  ...common,
  attributes: Type.Array(AttributeView),
  audiences: Type.Array(AudienceView),
  consumers: Type.Array(Consumer, { description: "as they said within the last 6 s" }),
});

/** All of a tenant's definitions, as they are written; both are there, so that deleting all is written out. */
export const WholeSet = Type.Object(
  {
    attributes: Type.Record(Type.String(), Attribute),
    audiences: Type.Record(Type.String(), Audience),
  },
  { additionalProperties: false },
);

export const DryRun = Type.Object(
  { dryRun: Type.Optional(Type.Boolean({ default: false, description: "only says what would change" })) },
  { additionalProperties: false },
);

const Paths = Type.Array(Type.String(), { description: "such as `audiences.regulars`" });
export const DefinitionChange = Type.Object({
  ...common,
  dryRun: Type.Boolean(),
  added: Paths,
  changed: Paths,
  removed: Paths,
});

export const Removed = Type.Object(common);
