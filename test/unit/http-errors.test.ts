import { connect } from "node:net";
import { setImmediate } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import type { FastifyInstance } from "fastify";
import { afterEach, beforeEach, expect, test } from "vitest";
import { addBreakerRoutes } from "../../services/audience-update/admin/breaker-routes.ts";
import { createMemoryBroker } from "../../shared/adapters/memory/memory-broker.ts";
import { createMemoryRouteStore } from "../../shared/adapters/memory/memory-route-store.ts";
import { Refused, Throttled } from "../../shared/http/http-errors.ts";
import { createHttpServer } from "../../shared/http/http-server.ts";
import { createOperators } from "../../shared/http/operators.ts";
import { type Routing, startRouting } from "../../shared/routing/start-routing.ts";
import { breakerSettings } from "../../shared/runtime/connection-settings.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";
import { createLog } from "../../shared/runtime/log.ts";
import { readSettings } from "../../shared/runtime/settings.ts";

const log = createLog("test", "fatal");
let server: FastifyInstance;
let routing: Routing;
const routeStore = createMemoryRouteStore();

beforeEach(async () => {
  const settings = readSettings(breakerSettings, {});
  const canaryTopic = "persistent://public/health/canary";
  routing = startRouting({
    primary: createMemoryBroker(),
    canaryTopic,
    routeStore,
    settings,
    log,
    now: Date.now,
  });
  server = await createHttpServer({ log, title: "test", part: "admin" });
  const operators = createOperators("secret-token");
  addBreakerRoutes(server, { routing, routeStore, operators, counters: () => ({}) });
});

afterEach(async () => {
  await server.close();
  await routing.close();
});

const authorization = "Bearer secret-token";
const valid = { route: "sqs", reason: "a test", expiresInSeconds: 60 };

test.each([
  [
    "an unknown route",
    { ...valid, route: "kafka" },
    { path: "route", value: '"kafka"', message: "route: must be one of pulsar, sqs, auto" },
  ],
  ["no reason", { route: "sqs", expiresInSeconds: 60 }, { path: "reason", message: "reason: is required" }],
  ["no expiry", { route: "sqs", reason: "a test" }, { path: "expiresInSeconds" }],
  ["a negative expiry", { ...valid, expiresInSeconds: -1 }, { path: "expiresInSeconds", value: "-1" }],
  ["no object", "[]", { path: "body" }],
  ["no JSON", "{", { path: "body" }],
  ["a name that could reach into a prototype", '{"a":{"__proto__":1}}', { path: "a.__proto__", value: "1" }],
])("a toggle with %s is refused with path and value, and changes nothing", async (_, payload, error) => {
  const headers = { authorization, "content-type": "application/json" };
  const response = await server.inject({ method: "PUT", url: "/admin/breaker", headers, payload });
  expect([response.statusCode, response.json()]).toMatchObject([
    400,
    { error: { code: "invalid_request", ...error } },
  ]);
  expect(await routeStore.audit(10)).toEqual([]);
});

test("what is no JSON by its type, or too long, is said in our words", async () => {
  const put = (headers: Record<string, string>, payload: string) =>
    server.inject({ method: "PUT", url: "/admin/breaker", headers: { authorization, ...headers }, payload });
  const text = await put({ "content-type": "text/plain" }, "route=sqs");
  expect([text.statusCode, text.json()]).toMatchObject([
    415,
    { error: { code: "unsupported_media_type", path: "content-type", value: '"text/plain"' } },
  ]);
  const long = await put({ "content-type": "application/json" }, JSON.stringify("x".repeat(70_000)));
  expect([long.statusCode, long.json()]).toMatchObject([413, { error: { code: "too_large", path: "body" } }]);
});

test("a packed body is refused and not read as what it is not", async () => {
  const put = (payload: Buffer | object, headers: Record<string, string>) =>
    server.inject({
      ...{ method: "PUT", url: "/admin/breaker", payload },
      headers: { authorization, "content-type": "application/json", ...headers },
    });
  for (const payload of [gzipSync(JSON.stringify(valid)), valid])
    for (const encoding of ["gzip", "br", "gzip, gzip"]) {
      const { statusCode, json } = await put(payload, { "content-encoding": encoding });
      expect([statusCode, json()]).toMatchObject([
        415,
        {
          error: {
            code: "unsupported_media_type",
            path: "content-encoding",
            value: JSON.stringify(encoding),
          },
        },
      ]);
    }
  const nobody = await put(valid, { "content-encoding": "gzip", authorization: "Bearer nobody" });
  expect(nobody.statusCode).toBe(401);
  expect(await routeStore.audit(10)).toEqual([]);
  const plain = await put({ ...valid, route: "kafka" }, { "content-encoding": "identity" });
  expect(plain.json()).toMatchObject({ error: { path: "route" } });
});

test("what is no HTTP gets an answer of the same shape", async () => {
  server.get("/slow", () => setImmediate("answered"));
  const { port } = new URL(await server.listen({ host: "127.0.0.1", port: 0 }));
  const answerTo = (text: string) =>
    new Promise<string>((resolve, reject) => {
      let answer = "";
      const socket = connect(Number(port), "127.0.0.1", () => socket.write(text));
      socket.on("data", (data) => {
        answer += data;
      });
      socket.on("error", reject);
      socket.on("close", () => resolve(answer));
    });
  expect(await answerTo("nonsense\r\n\r\n")).toMatch(
    /^HTTP\/1.1 400 .*\{"error":\{"code":"invalid_request"/s,
  );
  const headers = `X-Long: ${"x".repeat(20_000)}`;
  expect(await answerTo(`GET /livez HTTP/1.1\r\nHost: a\r\n${headers}\r\n\r\n`)).toMatch(
    /^HTTP\/1.1 431 .*\{"error":\{"code":"too_large"/s,
  );
  expect(await answerTo("GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n")).toMatch(
    /^HTTP\/1.1 400 .*\{"error":\{"code":"invalid_request".*"path":"host"/s,
  );
  expect(await answerTo("GET /livez HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n")).toMatch(
    /^HTTP\/1.1 417 .*\{"error":\{"code":"invalid_request".*"path":"expect"/s,
  );
  const slowly = "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n";
  expect(await answerTo(`${slowly}nonsense\r\n\r\n`)).toMatch(/^HTTP\/1.1 200 .*HTTP\/1.1 400 /s);
});

test("OpenAPI tells what each route answers, errors included", async () => {
  const { paths } = (await server.inject("/openapi.json")).json();
  expect(Object.keys(paths["/admin/breaker"].put.responses)).toEqual([
    ...["200", "400", "401", "413", "415", "503"],
  ]);
  expect(Object.keys(paths["/admin/audit"].get.responses)).toEqual(["200", "400", "503"]);
});

test("a part of a request that is refused, and what is throttled, have no stack; other errors have theirs", () => {
  const wrong = [
    new Refused("invalid_request", "no"),
    new Throttled("too much", { retryAfterMs: 1, path: "quotas", value: 1 }),
  ];
  expect(wrong.map(({ stack }) => stack)).toEqual(["KeylineError: no", "KeylineError: too much"]);
  expect(new KeylineError("internal", "no").stack).toContain(`at ${import.meta.filename}`.slice(3));
});
