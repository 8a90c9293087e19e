import Type from "typebox";

const Nullable = <S extends Type.TSchema>(schema: S) => Type.Union([schema, Type.Null()]);

const SignalReading = Type.Object({
  name: Type.Union(
    [
      Type.Literal("send_failures"),
      Type.Literal("send_latency_p99"),
      Type.Literal("canary"),
      Type.Literal("oldest_unacknowledged"),
      Type.Literal("subscription_stalled"),
    ],
    { description: "the health signal" },
  ),
  partition: Type.Optional(Type.Integer({ description: "of the canary topic; each has a canary signal" })),
  value: Nullable(Type.Number({ description: "the last reading; null when there was nothing to measure" })),
  unit: Type.Union([Type.Literal("ms"), Type.Literal("%")]),
  limit: Nullable(Type.Number({ description: "a value above it is bad; null while there is none" })),
  verdict: Type.Union([Type.Literal("good"), Type.Literal("bad"), Type.Literal("unknown")], {
    description: "bad SIGNAL_BAD_READINGS times in a row opens the breaker; unknown never does",
  }),
  why: Type.String(),
});

/** What `GET /admin/breaker` answers. */
export const BreakerStatus = Type.Object(
  {
    route: Type.Union([Type.Literal("pulsar"), Type.Literal("sqs")], {
      description: "where this process sends",
    }),
    by: Type.Union([Type.Literal("override"), Type.Literal("fleet"), Type.Literal("local")]),
    why: Type.String(),
    since: Type.String({ description: "ISO 8601" }),
    signals: Type.Array(SignalReading, { description: "the health of Pulsar as this process sees it" }),
  },
  { additionalProperties: true },
);

const Path = [Type.Literal("pulsar"), Type.Literal("sqs")];

const AuditLine = Type.Object({
  at: Type.String({ description: "ISO 8601" }),
  action: Type.Union(
    [Type.Literal("fleet"), Type.Literal("override"), Type.Literal("clear"), Type.Literal("expire")],
    { description: "the votes moved the route; an operator forced one, or ended that; it ended by itself" },
  ),
  route: Type.Union([...Path, Type.Literal("auto")]),
  name: Type.String({ description: "who: an operator, or `fleet`" }),
  reason: Type.String(),
  expiresAt: Type.Optional(Type.String({ description: "ISO 8601: when the override ends" })),
});
export type AuditLine = Type.Static<typeof AuditLine>;

/** What `GET /admin/audit` answers. */
export const Audit = Type.Object({ lines: Type.Array(AuditLine) });
