/** The routes of the audience-update service's admin endpoint, each with what it takes. */
import fc from "fast-check";
import { liveNames } from "../../services/audience-update/live-settings.ts";
import {
  ATTRIBUTE_NAMES,
  AUDIENCE_NAMES,
  arbitraryDefinition,
  arbitrarySet,
  arbitraryWholeSet,
  type Part,
} from "./arbitrary-definition-bodies.ts";
import type { WholeRequest } from "./arbitrary-faults.ts";

export const SERVICE_TENANTS = ["shop", "constructor", "x".repeat(64)] as const;
/** Those that have profiles, of each tenant. */
export const USERS = ["ann", "42", "ä b:c", "a/b,c"] as const;

export type ServiceCall = WholeRequest & {
  as: "operator" | "reader" | "nobody";
  /** Where nothing of it is broken it is taken, whatever came before. */
  sound?: true;
};

const [often, ...seldom] = SERVICE_TENANTS;
const tenant = fc.oneof({ arbitrary: fc.constant(often), weight: 6 }, fc.constantFrom(...seldom));
const user = fc.oneof(
  { arbitrary: fc.constantFrom(...USERS), weight: 8 },
  fc.constantFrom("nobody", "__proto__", "constructor", "x".repeat(256), "x".repeat(257), "\u0000", "😀"),
);
const nameOf = (part: Part) =>
  fc.oneof(
    { arbitrary: fc.constantFrom(...(part === "attributes" ? ATTRIBUTE_NAMES : AUDIENCE_NAMES)), weight: 6 },
    fc.constantFrom(
      "plan",
      "nothing",
      "__proto__",
      "toString",
      "Upper",
      "in",
      "a-b",
      "ä",
      "1",
      "x".repeat(65),
    ),
  );

/** Nobody waits for long. */
const after = fc
  .record({
    timeoutMs: fc.constantFrom("0", "1", "5", "-1", "1.5", "x", "30001", "1e400", "NaN", ""),
    id: fc.constantFrom(
      "seed",
      "u-1",
      "a-9999999999999999",
      "a-0",
      "",
      " ",
      "%00",
      "x".repeat(129),
      "%F0%9F%98%80",
    ),
  })
  .map(({ timeoutMs, id }) => `timeoutMs=${timeoutMs}&after=${id}`);
const cursor = fc
  .constantFrom<unknown>([1, "ann"], [1], [], {}, null, "x", [1, 2], ["1", "ann"], [1, "\u0000"], [-1, ""])
  .map((value) => `cursor=${Buffer.from(JSON.stringify(value)).toString("base64url")}`);
const limit = fc
  .constantFrom("1", "2", "1000", "0", "-1", "1001", "1.5", "x", "1e1", "Infinity", "")
  .map((value) => `limit=${value}`);
const flag = (name: string) =>
  fc.constantFrom("true", "false", "1", "0", "", "yes", "null").map((value) => `${name}=${value}`);

/** None, one or two of them. */
const queryOf = (...parts: fc.Arbitrary<string>[]) =>
  fc
    .array(fc.oneof(...parts), { maxLength: 2 })
    .map((chosen) => (chosen.length === 0 ? "" : `?${chosen.join("&")}`));

const get = (
  as: ServiceCall["as"],
  path: fc.Arbitrary<string>,
  query: fc.Arbitrary<string> = fc.constant(""),
) => fc.tuple(path, query).map(([at, asked]): ServiceCall => ({ method: "GET", path: at + asked, as }));

const ofTenant = (rest: fc.Arbitrary<string>) =>
  fc.tuple(tenant, rest).map(([name, end]) => `/v1/tenants/${name}/${end}`);
const ofUser = (rest: fc.Arbitrary<string>) =>
  ofTenant(fc.tuple(user, rest).map(([id, end]) => `users/${encodeURIComponent(id)}${end}`));
const ofPart = (part: Part) => ofTenant(nameOf(part).map((name) => `${part}/${encodeURIComponent(name)}`));

const manyIds = fc
  .array(user, { maxLength: 3 })
  .map((ids) => ids.map((id) => `id=${encodeURIComponent(id)}`).join("&"));
const listedIds = fc
  .constantFrom("", "ann", "ann,42", ",,", "ann,ann,nobody", `${"ann,".repeat(100)}42`, "%00", "%F0%9F%98%80")
  .map((ids) => `ids=${ids}`);

const reads = fc.oneof(
  get("reader", ofUser(fc.constant("")), queryOf(after)),
  get(
    "reader",
    ofUser(nameOf("attributes").map((name) => `/attributes/${encodeURIComponent(name)}`)),
    queryOf(after),
  ),
  get("reader", ofUser(fc.constant("/audiences")), queryOf(after, flag("all"))),
  {
    arbitrary: get(
      "reader",
      ofUser(nameOf("audiences").map((name) => `/explain?audience=${encodeURIComponent(name)}`)),
      fc.oneof(
        fc.constant(""),
        after.map((query) => `&${query}`),
      ),
    ),
    weight: 3,
  },
  get("reader", ofTenant(fc.constant("users:batch")), queryOf(manyIds, listedIds, after)),
  ...(["attributes", "audiences"] as const).flatMap((part) => [
    get("reader", ofTenant(fc.constant(part))),
    get("reader", ofPart(part)),
  ]),
  get("reader", ofTenant(fc.constant("definitions"))),
  {
    arbitrary: get(
      "reader",
      ofPart("audiences").map((path) => `${path}/members`),
      queryOf(limit, cursor),
    ),
    weight: 4,
  },
  get(
    "reader",
    ofPart("audiences").map((path) => `${path}/count`),
  ),
  get("reader", fc.constant("/admin/hot-users")),
  get("nobody", fc.constant("/admin/audit"), queryOf(limit)),
  get(
    "nobody",
    fc.constantFrom("/admin/breaker", "/admin/settings", "/livez", "/readyz", "/metrics", "/openapi.json"),
  ),
);

const put = (path: string, body: object, sound?: true): ServiceCall => ({
  ...{ method: "PUT", path, as: "operator", contentType: "application/json", body },
  ...(sound && { sound }),
});

const writesOfDefinitions = fc.oneof(
  {
    arbitrary: fc
      .tuple(tenant, arbitraryDefinition)
      .map(([of, { part, name, definition }]) => put(`/v1/tenants/${of}/${part}/${name}`, definition)),
    weight: 6,
  },
  {
    arbitrary: fc
      .tuple(tenant, arbitraryWholeSet, fc.oneof({ arbitrary: fc.constant(""), weight: 2 }, flag("?dryRun")))
      .map(([of, set, query]) => put(`/v1/tenants/${of}/definitions${query}`, set)),
    weight: 2,
  },
  {
    arbitrary: fc
      .tuple(tenant, arbitrarySet)
      .map(([of, set]) => put(`/v1/tenants/${of}/definitions`, set, true)),
    weight: 2,
  },
  {
    arbitrary: fc
      .oneof(ofPart("attributes"), ofPart("audiences"))
      .map((path): ServiceCall => ({ method: "DELETE", path, as: "operator" })),
    weight: 2,
  },
);

const reason = fc.constantFrom("because", "ä😀", "x".repeat(500));
const name = fc.constantFrom("eve", "ä", "x".repeat(64));
const setting = fc.constantFrom(...liveNames);
/** In the bounds of all of them but for shares, some of which are then not. */
const amount = fc.constantFrom(1, 2, 50, 100, 256, 2_000, 1_000_000, 67_108_864, 0, -1, 1.5, 1e15, 1e21);
const change = fc.record(
  {
    settings: fc.dictionary(setting, fc.oneof(amount, fc.constant(null)), { minKeys: 1, maxKeys: 2 }),
    reason,
    name,
  },
  { requiredKeys: ["settings", "reason"] },
);
const soundChange = fc.record(
  {
    settings: fc.record(
      {
        maxRounds: fc.constantFrom(1, 256, null),
        maxUserSharePercent: fc.constantFrom(1, 100),
        maxCacheBytes: fc.constant(1_000_000),
      },
      { requiredKeys: ["maxRounds"] },
    ),
    reason,
    name,
  },
  { requiredKeys: ["settings", "reason"] },
);
const toggle = fc.record(
  {
    route: fc.constantFrom("pulsar", "sqs", "auto", "both"),
    reason: fc.oneof({ arbitrary: reason, weight: 3 }, fc.constantFrom("", " ", "x".repeat(501))),
    expiresInSeconds: fc.constantFrom(5, 60, 86_400, 0, 86_401, 1.5, -1),
    name,
  },
  { requiredKeys: ["route", "reason"] },
);
const soundToggle = fc.record(
  {
    route: fc.constantFrom("pulsar", "sqs"),
    reason,
    expiresInSeconds: fc.constantFrom(60, 86_400),
    name,
  },
  { requiredKeys: ["route", "reason", "expiresInSeconds"] },
);

export const arbitraryServiceCall: fc.Arbitrary<ServiceCall> = fc.oneof(
  { arbitrary: reads, weight: 9 },
  { arbitrary: writesOfDefinitions, weight: 12 },
  { arbitrary: change.map((body) => put("/admin/settings", body)), weight: 2 },
  { arbitrary: soundChange.map((body) => put("/admin/settings", body, true)), weight: 1 },
  { arbitrary: toggle.map((body) => put("/admin/breaker", body)), weight: 2 },
  { arbitrary: soundToggle.map((body) => put("/admin/breaker", body, true)), weight: 1 },
);
