import Type from "typebox";

/**
 * The wire schema. One update is one envelope: what happened to one user, as one or more operations that
 * count together. The TypeScript types below are inferred from it, and the HTTP API and the tests'
 * generators use the same schema.
 */

/** Names of attributes. `$` is kept for the machinery beside them in the store. */
export const FieldName = Type.String({
  pattern: "^[^$\\u0000-\\u001f\\u007f][^\\u0000-\\u001f\\u007f]{0,127}$",
  description: "1 to 128 characters, no control characters, not starting with $",
});

/** A member of a set. */
export const Member = Type.Union([Type.String({ maxLength: 256 }), Type.Number(), Type.Boolean()]);

/** Of an amount's size, where it is not 0. */
export const MIN_AMOUNT = 1e-12;
export const MAX_AMOUNT = 1e15;

/** Amounts are summed exactly as decimals, so their number of digits is bounded. */
export const Amount = Type.Union([
  Type.Literal(0),
  Type.Number({ minimum: MIN_AMOUNT, maximum: MAX_AMOUNT }),
  Type.Number({ minimum: -MAX_AMOUNT, maximum: -MIN_AMOUNT }),
]);

/** In one body: of attributes, of an event's properties, of its context. */
export const MAX_NAMES = 256;

export const EpochMs = Type.Integer({
  minimum: -8.64e15,
  maximum: 8.64e15,
  description: "ms since the epoch",
});

const fieldsOf = <T extends Type.TSchema>(value: T, description: string) =>
  Type.Record(FieldName, value, {
    additionalProperties: false,
    minProperties: 1,
    maxProperties: MAX_NAMES,
    description,
  });

const operation = <K extends string, B extends Type.TSchema>(kind: K, body: B) =>
  Type.Object({ kind: Type.Literal(kind), body }, { additionalProperties: false });

const members = Type.Array(Member, { minItems: 1, maxItems: 1024 });

/** What is told of an event, by name. A pattern: of a key's schema nothing else is checked. */
export const Properties = Type.Record(Type.String({ pattern: "^[\\s\\S]{0,128}$" }), Type.Unknown(), {
  additionalProperties: false,
  maxProperties: MAX_NAMES,
  description: "an object of at most 256 names, each of at most 128 characters, and any JSON values",
});

export const Event = Type.Object(
  {
    name: Type.String({
      minLength: 1,
      maxLength: 128,
      description: "what happened, such as order_completed",
    }),
    properties: Type.Optional(Properties),
    /** What a client says around it: library, ip, page, ... Kept in the ledger; profiles and conditions pass it over. */
    context: Type.Optional(Properties),
  },
  { additionalProperties: false },
);

/** Says only that a moment has come; alone in its update. Made by the sweeper. */
export const Tick = Type.Object({ due: EpochMs }, { additionalProperties: false });

/** Each kind of operation with its schema, so that a refused one can be explained by its own kind. */
export const operationSchemas = {
  set: operation("set", fieldsOf(Type.Unknown(), "any JSON value; the latest by stamp wins")),
  unset: operation("unset", Type.Array(FieldName, { minItems: 1, maxItems: MAX_NAMES })),
  add: operation("add", fieldsOf(members, "members to add to each set")),
  remove: operation("remove", fieldsOf(members, "members to remove from each set")),
  increment: operation("increment", fieldsOf(Amount, "what to add to each counter")),
  event: operation("event", Event),
  tick: operation("tick", Tick),
} as const;

export const Operation = Type.Union([
  operationSchemas.set,
  operationSchemas.unset,
  operationSchemas.add,
  operationSchemas.remove,
  operationSchemas.increment,
  operationSchemas.event,
  operationSchemas.tick,
]);
const howMany = { minItems: 1, maxItems: 64 };
export const Operations = Type.Array(Operation, howMany);
/** As many, of any form; to check each by its own kind, where a union would try every kind on every one. */
export const UncheckedOperations = Type.Array(Type.Unknown(), howMany);

export const Tenant = Type.String({
  pattern: "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
  description: "1 to 64 letters, digits, _ or -, starting with a letter or digit",
});
export const UserId = Type.String({
  pattern: "^[^\\u0000-\\u001f\\u007f]{1,256}$",
  description: "a string of 1 to 256 characters, no control characters",
});
export const UpdateId = Type.String({
  pattern: "^[\\u0021-\\u007e]{1,128}$",
  description: "a string of 1 to 128 printable ASCII characters without spaces",
});
export const Priority = Type.Enum(["live", "bulk"]);
export const Trace = Type.String({ maxLength: 128, description: "W3C traceparent" });

export const ENVELOPE_VERSION = 1;

export const Envelope = Type.Object(
  {
    v: Type.Literal(ENVELOPE_VERSION),
    tenant: Tenant,
    userId: UserId,
    /** The caller's idempotency key. Without one, `src` and `seq` are the identity. */
    id: Type.Optional(UpdateId),
    /** The publisher's incarnation. */
    src: Type.String({ pattern: "^[\\u0021-\\u007e]{1,64}$" }),
    /** Dense per (user, src), starting at 1. */
    seq: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
    /** Hybrid logical clock; see stamp.ts. Order is by stamp. */
    stamp: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
    /** When it happened. */
    at: EpochMs,
    priority: Type.Optional(Priority),
    ops: Operations,
    trace: Type.Optional(Trace),
  },
  { additionalProperties: false },
);

/**
 * What any program may put on the topic with its own Pulsar client. What an envelope has more is filled in
 * from the broker's message id and publish time.
 */
export const RawMessage = Type.Object(
  {
    tenantId: Tenant,
    userId: UserId,
    id: Type.Optional(UpdateId),
    at: Type.Optional(Type.Union([EpochMs, Type.String({ maxLength: 40, description: "ISO 8601" })])),
    ops: Type.Optional(Operations),
    event: Type.Optional(Event),
    trace: Type.Optional(Trace),
  },
  { additionalProperties: false },
);

export type Operation = Type.Static<typeof Operation>;
export type Update = Type.Static<typeof Envelope>;
export type RawMessage = Type.Static<typeof RawMessage>;
export type Priority = Type.Static<typeof Priority>;

/** The name by which callers know an update: their own id, or `src-seq`. */
export function updateId(update: Pick<Update, "id" | "src" | "seq">): string {
  return update.id ?? `${update.src}-${update.seq}`;
}

/** The ordering key of a user on every broker. A tenant holds no colon, so that two users never share it. */
export function userKey(tenant: string, userId: string): string {
  return `${tenant}:${userId}`;
}
