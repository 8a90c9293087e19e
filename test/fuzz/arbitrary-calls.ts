/** The routes of the gateway, each with bodies that it takes. */
import fc from "fast-check";
import { arbitraryUpload } from "./arbitrary-upload.ts";
import { RawJson } from "./json-text.ts";

export const OPERATOR_TOKEN = "operators-token";
export const TENANTS = [
  { name: "shop", writeKey: "a-key-of-the-shop", quotas: {} },
  {
    name: "metered",
    writeKey: "a-key-of-the-metered",
    quotas: { updatesPerSecond: 50, maxUpdateBytes: 300 },
  },
  {
    name: "strict",
    writeKey: "a-key-of-the-strict",
    quotas: { maxAttributes: 4, maxEventNames: 3, maxPropertiesPerEvent: 5 },
    schema: {
      mode: "drop",
      events: {
        seen: { mode: "reject", properties: { plan: { type: "string" } } },
        order_completed: { properties: { amount: { type: "number" }, tags: { type: "array" } } },
      },
      attributes: { plan: { kind: "register", type: "string" }, points: { kind: "counter" } },
    },
  },
] as const;

/** A request that nothing is wrong with yet. */
export type Call = {
  method: string;
  path: string;
  /** Who sends it: a tenant, an operator, or nobody. */
  as: "tenant" | "operator" | "nobody";
  contentType?: string;
  body?: unknown;
};

const user = fc.constantFrom("ann", "42", "jen@email.com", "ä b:c");
const time = fc.constantFrom("2026-11-28T10:00:00Z", "2026-11-28T10:00:00.123+01:00");
const fields = fc.dictionary(
  fc.constantFrom("plan", "amount", "tags", "name"),
  fc.jsonValue({ maxDepth: 1 }),
  {
    maxKeys: 3,
  },
);
const withUser = {
  userId: user,
  messageId: fc.constantFrom("m-1", "m-2"),
  timestamp: time,
  sentAt: time,
  context: fields,
};

const segment = (type: string, own: Record<string, fc.Arbitrary<unknown>>, required: string[]) =>
  fc.record({ type: fc.constant(type), ...withUser, ...own } as Record<string, fc.Arbitrary<unknown>>, {
    requiredKeys: ["type", "userId", ...required],
  });

const segmentCalls: Record<string, fc.Arbitrary<unknown>> = {
  track: segment("track", { event: fc.constantFrom("order_completed", "seen"), properties: fields }, [
    "event",
  ]),
  identify: segment("identify", { traits: fields, anonymousId: user }, []),
  page: segment("page", { name: fc.constant("Home"), properties: fields }, []),
  screen: segment("screen", { category: fc.constant("Start"), properties: fields }, []),
  group: segment("group", { groupId: fc.constant("g-1"), traits: fields }, ["groupId"]),
  alias: segment("alias", { previousId: fc.constant("before") }, ["previousId"]),
};

const attribute = fc.constantFrom("plan", "points", "tags");
const members = fc.array(fc.constantFrom("a", 1, true), { minLength: 1, maxLength: 3 });
const operation = fc.oneof(
  fc.record({
    kind: fc.constant("set"),
    body: fc.dictionary(attribute, fc.jsonValue({ maxDepth: 1 }), { minKeys: 1 }),
  }),
  fc.record({ kind: fc.constant("unset"), body: fc.array(attribute, { minLength: 1, maxLength: 3 }) }),
  fc.record({
    kind: fc.constantFrom("add", "remove"),
    body: fc.dictionary(attribute, members, { minKeys: 1 }),
  }),
  fc.record({
    kind: fc.constant("increment"),
    body: fc.dictionary(attribute, fc.constantFrom(1, -2.5, 1e15, 0), { minKeys: 1 }),
  }),
  fc.record({
    kind: fc.constant("event"),
    body: fc.record({ name: fc.constant("seen"), properties: fields }),
  }),
);
const update = fc.record(
  {
    userId: user,
    ops: fc.array(operation, { minLength: 1, maxLength: 3 }),
    id: fc.constantFrom("u-1", "u-2"),
    at: fc.oneof(time, fc.constantFrom(0, 1_795_860_000_000)),
    priority: fc.constantFrom("live", "bulk"),
    trace: fc.constant("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
  },
  { requiredKeys: ["userId", "ops"] },
);
const cloudEvent = fc.record(
  {
    specversion: fc.constant("1.0"),
    id: fc.constantFrom("1", "2"),
    source: fc.constantFrom("/shop", "urn:a|b"),
    type: fc.constant("order"),
    subject: user,
    time,
    datacontenttype: fc.constant("application/json"),
    region: fc.constantFrom("eu", 7, true),
    data: fc.oneof(fields, fc.constantFrom([1], "text", 3)),
  },
  { requiredKeys: ["specversion", "id", "source", "type", "subject"] },
);

/** A few, so that what the gateway keeps of tenants has a bound; none of those that send. */
const administered = fc.constantFrom("t1", "t2", "constructor", "toString", "hasOwnProperty", "x".repeat(64));
const settings = fc.record(
  {
    writeKeys: fc.uniqueArray(fc.constantFrom("a-key-of-nobody-1", "a-key-of-nobody-2", "a-key-of-nobody-3")),
    quotas: fc.record(
      {
        updatesPerSecond: fc.constantFrom(1, 10_000_000),
        burst: fc.constantFrom(1_000, 100_000_000),
        maxUpdateBytes: fc.constantFrom(256, 1_048_576),
        maxAttributes: fc.constantFrom(1, 2_000),
      },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: [] },
);

const schema = fc.record(
  {
    mode: fc.constantFrom("allow", "warn", "reject", "drop"),
    unknown: fc.constantFrom("learn", "warn", "reject", "drop"),
    learned: fc.constantFrom("keep", "forget"),
    events: fc.dictionary(
      fc.constantFrom("seen", "$page", "constructor"),
      fc.record({
        properties: fc.dictionary(attribute, fc.constantFrom({ type: "string" }, { type: "any" })),
      }),
    ),
    attributes: fc.dictionary(
      attribute,
      fc.constantFrom({ kind: "register", type: "number" }, { kind: "set" }, { kind: "counter" }),
    ),
  },
  { requiredKeys: [] },
);

/** Each of its calls has its context: what is short as a request is long as updates. */
const crowdedBatch = fc
  .record({
    calls: fc.constantFrom(2, 300),
    length: fc.constantFrom(10, 100_000),
    names: fc.constantFrom(1, 3_000),
  })
  .map(({ calls, length, names }) => ({
    context: Object.fromEntries(
      Array.from({ length: names }, (_, index) => [`f${index}`, "x".repeat(length / names)]),
    ),
    batch: Array.from({ length: calls }, () => new RawJson('{"type":"page","userId":"ann"}')),
  }));

const posted = (path: string, body: fc.Arbitrary<unknown>, contentType = "application/json") =>
  body.map((value): Call => ({ method: "POST", path, as: "tenant", contentType, body: value }));
const smallBatch = fc.record(
  {
    batch: fc.array(fc.oneof(...Object.values(segmentCalls)), { minLength: 1, maxLength: 4 }),
    context: fields,
    sentAt: time,
  },
  { requiredKeys: ["batch"] },
);
const batched = (path: string) =>
  posted(
    path,
    fc.oneof(
      { arbitrary: smallBatch as fc.Arbitrary<unknown>, weight: 100 },
      { arbitrary: crowdedBatch, weight: 1 },
    ),
  );
const asOperator = (method: string, path: fc.Arbitrary<string>, body?: fc.Arbitrary<unknown>) =>
  fc.tuple(path, body ?? fc.constant(undefined)).map(
    ([at, value]): Call => ({
      ...{ method, path: at, as: "operator" },
      ...(value === undefined ? {} : { contentType: "application/json", body: value }),
    }),
  );
const tenantPath = administered.map((name) => `/admin/tenants/${name}`);
const schemaPath = tenantPath.map((path) => `${path}/schema`);
/** One of them is never put again, so that its keys only become more. */
const rotated = fc.oneof(administered, fc.constant(TENANTS[1].name));
const keyPath = fc
  .tuple(administered, fc.constantFrom("0123456789ab", "x"))
  .map(([name, id]) => `/admin/tenants/${name}/write-keys/${id}`);

export const arbitraryCall: fc.Arbitrary<Call> = fc.oneof(
  { arbitrary: arbitraryUpload, weight: 4 },
  ...["/v1/batch", "/v1/import"].map((path) => ({ arbitrary: batched(path), weight: 4 })),
  ...Object.entries(segmentCalls).map(([type, body]) => ({
    arbitrary: posted(`/v1/${type}`, body),
    weight: 2,
  })),
  {
    arbitrary: posted(
      "/v1/updates",
      fc.record({ updates: fc.array(update, { minLength: 1, maxLength: 4 }) }),
    ),
    weight: 8,
  },
  { arbitrary: posted("/v1/events", cloudEvent, "application/cloudevents+json"), weight: 3 },
  {
    arbitrary: posted(
      "/v1/events",
      fc.array(cloudEvent, { minLength: 1, maxLength: 3 }),
      "application/cloudevents-batch+json",
    ),
    weight: 3,
  },
  { arbitrary: asOperator("PUT", tenantPath, settings), weight: 4 },
  asOperator("GET", tenantPath),
  asOperator("GET", fc.constant("/admin/tenants")),
  asOperator("DELETE", tenantPath),
  { arbitrary: asOperator("PUT", schemaPath, schema), weight: 4 },
  asOperator("GET", schemaPath),
  asOperator("DELETE", schemaPath),
  asOperator(
    "POST",
    rotated.map((name) => `/admin/tenants/${name}/write-keys`),
  ),
  asOperator("DELETE", keyPath),
  fc
    .constantFrom("/livez", "/readyz", "/metrics", "/openapi.json")
    .map((path): Call => ({ method: "GET", path, as: "nobody" })),
);
