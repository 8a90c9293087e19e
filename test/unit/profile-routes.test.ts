import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { Check } from "typebox/value";
import { afterEach, beforeEach, expect, test } from "vitest";
import { MembershipsView, ProfileView } from "../../services/audience-update/admin/profile-view.ts";
import { createProfileLoader } from "../../services/audience-update/read-your-write.ts";
import { createMemoryDocumentStore } from "../../shared/adapters/memory/memory-document-store.ts";
import { decodeProfile } from "../../shared/domain/profile-record.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";
import { type DefinitionServer, startDefinitionServer } from "../support/definition-server.ts";
import { order, profileAfter, type Said, saveProfile } from "../support/stored-profile.ts";
import { until } from "../support/until.ts";

const DAY_MS = 86_400_000;
const base = "/v1/tenants/shop";
const definitions = {
  attributes: {
    orders: { event: "order_completed", aggregate: "count" },
    recent: { event: "order_completed", aggregate: "count", window: "1d" },
    biggest: { event: "order_completed", aggregate: "max", of: "amount" },
    share: { derive: "orders == 0 ? 0.0 : double(recent) / double(orders)" },
  },
  audiences: { regulars: { rule: "orders >= 2 && 'vip' in tags" }, others: { rule: "orders < 2" } },
};

let shop: DefinitionServer;
/** Of the definitions. */
let version: number;
beforeEach(async () => {
  shop = await startDefinitionServer();
  ({ version } = (await shop.call("PUT", `${base}/definitions`, definitions)).body);
});
afterEach(() => shop.close());

/** Two orders, two days ago. */
async function saveAda(userId = "ada"): Promise<void> {
  const at = Date.now() - 2 * DAY_MS;
  const tagged: Said = { at, ops: [{ kind: "add", body: { tags: ["vip"] } }], id: "mine" };
  const profile = profileAfter(
    [tagged, { at, ops: [order()] }, { at, ops: [order()] }],
    shop.watch.of("shop"),
  );
  await saveProfile(shop.store, userId, profile);
}

test("a profile has its calculated attributes as of now, and its audiences", async () => {
  await saveAda();
  const { status, body } = await shop.call("GET", `${base}/users/ada`);
  expect(status).toBe(200);
  expect(body).toMatchObject({
    attributes: { orders: 2, recent: 0, tags: ["vip"] },
    ...{ audiences: ["regulars"], definitionsVersion: version, updates: 3 },
  });
  expect(Date.now() - Date.parse(body.asOf)).toBeLessThan(10_000);
  expect(Check(ProfileView, body)).toBe(true);
});

test("the audiences of a user, with all those that the user has left and those that are disabled", async () => {
  const compiled = shop.watch.of("shop");
  const at = Date.now();
  const turn: Said[] = [{ at, ops: [{ kind: "add", body: { tags: ["vip"] } }, order()] }];
  const profile = profileAfter(turn, compiled);
  const more = { profile, firstSeq: 2 };
  await saveProfile(shop.store, "ada", profileAfter([{ at, ops: [order()] }], compiled, more));
  const get = async (query = "") => (await shop.call("GET", `${base}/users/ada/audiences${query}`)).body;
  const body = await get();
  expect(body).toMatchObject({ userId: "ada", definitionsVersion: version });
  const regulars = { name: "regulars", member: true, number: 1, version, complete: false, enabled: true };
  expect(body.audiences).toMatchObject([regulars]);
  expect(Check(MembershipsView, body)).toBe(true);
  expect((await get("?all=true")).audiences).toMatchObject([
    { name: "others", member: false, number: 2 },
    regulars,
  ]);
  await shop.call("PUT", `${base}/audiences/regulars`, { ...definitions.audiences.regulars, enabled: false });
  expect((await get()).audiences).toEqual([]);
  expect((await get("?all=true")).audiences).toMatchObject([
    { name: "others" },
    { name: "regulars", member: false, number: 1, enabled: false },
  ]);
});

test("reads are charged to no definition", async () => {
  await saveAda();
  const costs = () => shop.watch.of("shop").attributes.map(({ cost }) => ({ ...cost }));
  const before = costs();
  await shop.call("GET", `${base}/users/ada`);
  await shop.call("GET", `${base}/users/ada/explain?audience=regulars`);
  expect(costs()).toEqual(before);
});

test("one attribute: calculated, without a value, the profile's own, and none at all", async () => {
  await saveAda();
  const get = async (name: string) => (await shop.call("GET", `${base}/users/ada/attributes/${name}`)).body;
  expect(await get("orders")).toMatchObject({ value: 2, calculated: true });
  expect(await get("biggest")).toMatchObject({ value: null, calculated: true });
  expect(await get("tags")).toMatchObject({ value: ["vip"], calculated: false });
  expect(await get("nothing")).toMatchObject({ error: { code: "attribute_not_found", path: "name" } });
});

test("many users at once, with the unknown and the unreadable ones in place", async () => {
  await saveAda();
  await saveAda("a,b");
  const later = { tenant: "shop", userId: "later" };
  const plain = { setAttributes: [], removeAttributes: [] };
  await shop.store.save([
    { user: later, expectedVersion: undefined, version: "1-x", machinery: "[99]", ...plain },
  ]);
  const { body } = await shop.call("GET", `${base}/users:batch?ids=ada,nobody,later&id=a%2Cb`);
  expect(
    body.users.map(({ userId, error }: { userId: string; error?: { code: string } }) => [
      userId,
      error?.code,
    ]),
  ).toEqual([
    ["ada", undefined],
    ["nobody", "user_not_found"],
    ["later", "profile_unreadable"],
    ["a,b", undefined],
  ]);
  expect(await shop.call("GET", `${base}/users/later`)).toMatchObject({
    status: 503,
    body: { error: { code: "profile_unreadable", path: "userId", retryable: true } },
  });
  const many = Array.from({ length: 101 }, (_, index) => `u${index}`).join(",");
  expect((await shop.call("GET", `${base}/users:batch?ids=${many}`)).status).toBe(400);
  expect((await shop.call("GET", `${base}/users:batch`)).body.error.path).toBe("ids");
});

test.each(["s-3", "mine"])("a read after update %s waits until it is counted", async (after) => {
  const reading = shop.call("GET", `${base}/users/ada?after=${after}`);
  await sleep(60);
  await saveAda();
  expect(await reading).toMatchObject({ status: 200, body: { updates: 3 } });
});

test("every read of one user waits for an update; one of many users says that it can't", async () => {
  const urls = ["/attributes/orders?", "/audiences?", "/explain?audience=regulars&"];
  const reading = Promise.all(
    urls.map((url) => shop.call("GET", `${base}/users/ada${url}after=s-3&timeoutMs=5000`)),
  );
  await sleep(60);
  await saveAda();
  expect((await reading).map(({ body }) => body)).toMatchObject([
    { value: 2 },
    { audiences: [{ name: "regulars" }] },
    { member: true },
  ]);
  const many = await shop.call("GET", `${base}/users:batch?ids=ada&after=s-3`);
  expect([many.status, many.body.error]).toMatchObject([
    400,
    { code: "invalid_request", path: "after", message: expect.stringContaining("one user's") },
  ]);
});

test.each([
  ["GET", `${base}/users/ada?afer=s-3`, "afer", "s-3", "after, timeoutMs"],
  ["GET", `${base}/audiences/regulars/count?after=s-3`, "after", "s-3", "none"],
  ["GET", `${base}/definitions?after=s-3`, "after", "s-3", "none"],
  ["PUT", `${base}/definitions?dry=true`, "dry", "true", "dryRun"],
  ["PUT", `${base}/audiences/regulars?dryRun=true`, "dryRun", "true", "none"],
  ["DELETE", `${base}/audiences/regulars?dryRun=true`, "dryRun", "true", "none"],
] as const)("%s %s: a parameter that is not known is refused", async (method, url, path, value, known) => {
  const { status, body } = await shop.call(method, url, method === "PUT" ? { rule: "true" } : undefined);
  const message = `${path}: is not known here; known: ${known}`;
  expect([status, body.error]).toEqual([
    400,
    { code: "invalid_request", message, path, value: JSON.stringify(value) },
  ]);
  expect((await shop.definitionStore.read("shop")).version).toBe(version);
});

test.each([
  ["audiences/regulars/members?limit=100000", "limit", "100000", "must be <= 1000"],
  ["audiences/regulars/members?limit=1&limit=2", "limit", '["1","2"]', "is given twice"],
  ["users/ada?timeoutMs=99999", "timeoutMs", "99999", "must be <= 30000"],
  ["users/ada?after=a%20b", "after", '"a b"', expect.any(String)],
  ["users/ada?after=a&after=b", "after", '["a","b"]', "is given twice"],
  ["users/ada/audiences?all=maybe", "all", '"maybe"', "must be boolean"],
  ["users:batch?ids=a&ids=b", "ids", '["a","b"]', "is given twice"],
])("GET %s: a bad parameter is refused with its path and value", async (url, path, value, message) => {
  const { status, body } = await shop.call("GET", `${base}/${url}`);
  expect([status, body.error]).toMatchObject([400, { code: "invalid_request", path, value }]);
  expect(body.error.message.slice(`${path}: `.length)).toEqual(message);
});

test("an update that does not come in time is a retryable 504", async () => {
  await saveAda();
  const { status, body } = await shop.call("GET", `${base}/users/ada?after=s-4&timeoutMs=30`);
  expect([status, body.error]).toMatchObject([504, { code: "update_not_visible", retryable: true }]);
  expect((await shop.call("GET", `${base}/users/ada?after=s-4&timeoutMs=30001`)).status).toBe(400);
});

test("who waits and leaves, or waits in vain, is no line in the log", async () => {
  const lines: string[] = [];
  const other = await startDefinitionServer({
    log: pino({ level: "warn" }, { write: (line) => lines.push(line) }),
  });
  let loads = 0;
  const load = other.store.load;
  other.store.load = (user) => {
    loads += 1;
    return load(user);
  };
  const address = await other.server.listen({ host: "127.0.0.1", port: 0 });
  const headers = { authorization: "Bearer read-token" };
  const url = `${address}${base}/users/ada?after=s-1`;
  expect((await fetch(`${url}&timeoutMs=10`, { headers })).status).toBe(504);
  const leaving = new AbortController();
  const waiting = fetch(`${url}&timeoutMs=30000`, { headers, signal: leaving.signal });
  await until("it is waited for", () => loads > 3);
  leaving.abort();
  await expect(waiting).rejects.toThrow();
  const waitingNow = async () => {
    const before = loads;
    await sleep(250);
    return loads > before;
  };
  await until("nobody asks the store any more", async () => !(await waitingNow()));
  await other.close();
  expect(lines).toEqual([]);
});

test("what another process has just saved is looked for before a 404", async () => {
  const { watch, definitionStore } = shop;
  const { document } = await definitionStore.read("shop");
  const changed = JSON.parse(document);
  changed.audiences.fresh = {
    definition: { rule: "true" },
    standing: { ...changed.audiences.others.standing, slot: 99 },
  };
  await definitionStore.replace("shop", version, {
    version: version + 1,
    document: JSON.stringify(changed),
  });
  expect(watch.document("shop").version).toBe(version);
  expect((await shop.call("GET", `${base}/audiences/fresh/count`)).status).toBe(200);
});

test("until the definitions are loaded, what depends on them is a retryable 503", async () => {
  const inner = createMemoryDocumentStore({ maxEntries: 10 });
  const hidden = { away: true };
  const revision = () =>
    hidden.away ? Promise.reject(new KeylineError("store_unavailable", "away")) : inner.revision();
  const starting = await startDefinitionServer({ definitionStore: { ...inner, revision } });
  await saveProfile(starting.store, "ada", profileAfter([{ at: 0, ops: [order()] }], shop.watch.of("shop")));
  const reads = ["", "/attributes/orders", "/audiences", "/explain?audience=regulars"].map(
    (rest) => `${base}/users/ada${rest}`,
  );
  reads.push(`${base}/users:batch?ids=ada`, `${base}/audiences/regulars/count`);
  reads.push(`${base}/audiences/regulars/members`);
  const answers = () => Promise.all(reads.map((url) => starting.call("GET", url)));
  for (const { status, body } of await answers())
    expect([status, body.error]).toMatchObject([503, { code: "definitions_not_loaded", retryable: true }]);
  hidden.away = false;
  await starting.call("PUT", `${base}/definitions`, definitions);
  expect((await answers()).map(({ status }) => status)).toEqual(reads.map(() => 200));
  await starting.close();
});

test("a profile of newer definitions is read with them", async () => {
  const { watch, definitionStore } = shop;
  await saveAda();
  const { document } = await definitionStore.read("shop");
  const changed = JSON.parse(document);
  changed.attributes.buys = { ...changed.attributes.orders };
  delete changed.attributes.orders;
  changed.audiences = {};
  const [record] = [await shop.store.load({ tenant: "shop", userId: "ada" })];
  const { profile } = decodeProfile(record!.machinery);
  const newer = { ...profile, calculated: { ...profile.calculated!, version: version + 1 } };
  await saveProfile(shop.store, "ada", newer);
  await definitionStore.replace("shop", version, {
    version: version + 1,
    document: JSON.stringify(changed),
  });
  expect(watch.document("shop").version).toBe(version);
  expect((await shop.call("GET", `${base}/users/ada`)).body.attributes).toMatchObject({ buys: 2 });
});

test("no more than so many wait at once", async () => {
  const loader = createProfileLoader(shop.store, { maxWaiting: 1 });
  const user = { tenant: "shop", userId: "ada" };
  const wait = { after: "s-1", timeoutMs: 50, signal: new AbortController().signal };
  const [first, second] = await Promise.allSettled([loader.load(user, wait), loader.load(user, wait)]);
  expect(first).toMatchObject({ reason: { code: "update_not_visible" } });
  expect(second).toMatchObject({ reason: { code: "too_many_waiting", retryable: true } });
});

test("members come by pages of one version, and are counted", async () => {
  const of = { tenant: "shop", audience: "regulars", version };
  await shop.memberStore.record(["a", "b", "c"].map((userId) => ({ ...of, userId, number: 1 })));
  const url = `${base}/audiences/regulars`;
  const first = (await shop.call("GET", `${url}/members?limit=2`)).body;
  expect(first).toMatchObject({ members: ["a", "b"], version, complete: false, enabled: true });
  const next = `${url}/members?limit=2&cursor=${first.next}`;
  expect((await shop.call("GET", next)).body).toMatchObject({ members: ["c"], next: null });
  expect((await shop.call("GET", `${url}/count`)).body).toMatchObject({ count: 3, version });
  const changed = (await shop.call("PUT", url, { rule: "orders >= 3" })).body;
  expect((await shop.call("GET", next)).body.error).toMatchObject({ path: "cursor" });
  expect((await shop.call("GET", `${url}/count`)).body).toMatchObject({ count: 0, version: changed.version });
  expect((await shop.call("GET", `${base}/audiences/none/members`)).status).toBe(404);
  expect((await shop.call("GET", `${base}/audiences/none/count`)).body.error.code).toBe("audience_not_found");
});

test("OpenAPI has all of these routes", async () => {
  const { body } = await shop.call("GET", "/openapi.json");
  expect(Object.keys(body.paths)).toEqual(
    expect.arrayContaining([
      "/v1/tenants/{tenant}/users:batch",
      "/v1/tenants/{tenant}/users/{userId}/attributes/{name}",
      "/v1/tenants/{tenant}/audiences/{name}/members",
    ]),
  );
});
