import { pino } from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import { addSettingsRoutes } from "../../services/audience-update/admin/settings-routes.ts";
import {
  type LiveSettings,
  type LiveValues,
  startLiveSettings,
} from "../../services/audience-update/live-settings.ts";
import { consumerSettings } from "../../services/audience-update/settings.ts";
import { createMemoryDocumentStore } from "../../shared/adapters/memory/memory-document-store.ts";
import { createHttpServer } from "../../shared/http/http-server.ts";
import { createOperators } from "../../shared/http/operators.ts";
import type { DocumentStore } from "../../shared/ports/document-store.ts";
import { publisherSettings } from "../../shared/runtime/publisher-settings.ts";
import { readSettings } from "../../shared/runtime/settings.ts";
import { until } from "../support/until.ts";

const started = readSettings({ ...consumerSettings, ...publisherSettings }, { MAX_ROUNDS: "4" });

/** One consumer's, with its admin route. */
async function startOne(store: DocumentStore) {
  const tuned: LiveValues[] = [];
  const live: LiveSettings = startLiveSettings({
    ...{ store, started, now: Date.now },
    onChange: (values) => tuned.push(values),
    onError() {},
  });
  const log: string[] = [];
  const server = await createHttpServer({
    log: pino({ level: "warn" }, { write: (line: string) => void log.push(line) }),
    ...{ title: "test", part: "admin" },
  });
  addSettingsRoutes(server, { live, operators: createOperators("ada=ada-token,carl=carl-token") });
  const put = async (payload: unknown, token = "ada-token") => {
    const response = await server.inject({
      ...{ method: "PUT", url: "/admin/settings", payload: payload as object },
      headers: { authorization: `Bearer ${token}` },
    });
    return { status: response.statusCode, body: response.json() };
  };
  const get = async () => (await server.inject("/admin/settings")).json();
  const close = async () => {
    await server.close();
    await live.close();
  };
  return { live, tuned, put, get, log, close };
}

type One = Awaited<ReturnType<typeof startOne>>;
let store: DocumentStore;
let one: One;
let other: One;
beforeEach(async () => {
  store = createMemoryDocumentStore({ maxEntries: 10 });
  [one, other] = [await startOne(store), await startOne(store)];
});
afterEach(async () => {
  await one.close();
  await other.close();
});

// biome-ignore lint/suspicious/noExplicitAny: what a test looks for in an answer is up to it
const settingOf = (body: any, name: string) => body.settings.find((each: any) => each.name === name).value;

test("a change is in force where it was made at once, and everywhere soon, with who made it and why", async () => {
  const { status, body } = await one.put({ settings: { maxRounds: 9 }, reason: "catching up" });
  expect(status).toBe(200);
  expect(settingOf(body, "maxRounds")).toBe(9);
  expect(one.tuned.at(-1)).toEqual({ ...one.live.started, maxRounds: 9 });
  await until("the other has it", () => other.live.values().maxRounds === 9);
  expect((await other.get()).changes).toMatchObject([
    { name: "ada", reason: "catching up", settings: { maxRounds: 9 } },
  ]);
  expect(one.log.join("")).toContain('"audit":"settings"');
});

test("null goes back to what each process was started with, others stay", async () => {
  await one.put({ settings: { maxRounds: 9, bulkDelayMs: 50 }, reason: "a" });
  const { body } = await one.put({ settings: { maxRounds: null }, reason: "b" }, "carl-token");
  expect([settingOf(body, "maxRounds"), settingOf(body, "bulkDelayMs")]).toEqual([4, 50]);
  // biome-ignore lint/suspicious/noExplicitAny: as above
  expect(body.changes.map((each: any) => each.name)).toEqual(["carl", "ada"]);
});

test.each([
  [{ maxRounds: 0 }, "settings.maxRounds", "0", "is not from 1 to 256"],
  [{ maxRounds: 1, horizonDays: 40 }, "settings.horizonDays", "40", "can't be changed while consumers run"],
  [{ maxRounds: 1.5 }, "settings.maxRounds", "1.5", ""],
  [{}, "settings", "{}", ""],
])(
  "%j is refused, with path and value, and nothing of it is done",
  async (settings, path, value, message) => {
    const { status, body } = await one.put({ settings, reason: "oops" });
    expect(status).toBe(400);
    expect(body.error).toMatchObject({
      code: "invalid_request",
      path,
      message: expect.stringContaining(message),
    });
    expect(JSON.stringify(body.error.value)).toContain(value);
    expect(one.live.values()).toEqual(one.live.started);
  },
);

test("without a token of an operator nothing changes, and a reason is required", async () => {
  expect((await one.put({ settings: { maxRounds: 9 }, reason: "x" }, "eve")).status).toBe(401);
  expect((await one.put({ settings: { maxRounds: 9 } })).body.error).toMatchObject({ path: "reason" });
  expect((await one.get()).version).toBe(0);
});

test("where others change them all the time the caller is told to come again", async () => {
  const late = await startOne({ ...store, replace: async () => false });
  const { status, body } = await late.put({ settings: { maxRounds: 9 }, reason: "too late" });
  await late.close();
  expect([status, body.error]).toMatchObject([503, { code: "settings_busy", retryable: true }]);
});

test("what another build may have written is passed over where it is not known here", async () => {
  const document = { settings: { maxRounds: 7, maxUsersPerRound: -1, someday: 3 }, changes: [] };
  await store.replace("consumers", 0, { version: 5, document: JSON.stringify(document) });
  await until("it is read", () => one.live.values().maxRounds === 7);
  expect(one.live.values()).toEqual({ ...one.live.started, maxRounds: 7 });
});
