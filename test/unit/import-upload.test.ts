import { request } from "node:http";
import { gzipSync } from "node:zlib";
import { pino } from "pino";
import { afterEach, expect, test } from "vitest";
import { createMemoryRateStore } from "../../shared/adapters/memory/memory-rate-store.ts";
import { createHttpServer } from "../../shared/http/http-server.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";
import { type MemoryGateway, startMemoryGateway } from "../support/memory-gateway.ts";
import { until } from "../support/until.ts";

const TOKEN = "operators-token";
const WRITE_KEY = "a-write-key-of-the-shop";
const MAPPING = "userId: user\nset: {plan: plan}\nincrement: {points: points}\n";
const HEADER = "user,plan,points\n";

let gateway: MemoryGateway;
afterEach(() => gateway?.close());

async function start(quotas: object = {}, maxImportBytes?: number): Promise<void> {
  gateway = await startMemoryGateway({
    ...{ adminToken: TOKEN, nowMs: Date.UTC(2026, 10, 29) },
    ...(maxImportBytes !== undefined && { maxImportBytes }),
    rateStore: createMemoryRateStore({ maxBuckets: 10 }),
  });
  await fetch(`${gateway.url}/admin/tenants/shop`, {
    method: "PUT",
    headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
    body: JSON.stringify({ writeKeys: [WRITE_KEY], quotas }),
  });
}

type Refused = { line: number; code: string; path?: string; value?: string; message: string };
type Answer = {
  success: boolean;
  lines: number;
  accepted: number;
  refused: number;
  report: Refused[];
  nextLine: number;
  error: { code: string; path?: string; value?: string };
};

async function upload(
  parts: Record<string, string | [name: string, content: string | Buffer]>,
  { query = "importId=one", key = WRITE_KEY, encoding = "identity" } = {},
): Promise<{ status: number; body: Answer; headers: Headers }> {
  const form = new FormData();
  for (const [name, part] of Object.entries(parts)) {
    if (typeof part === "string") form.append(name, part);
    else form.append(name, new Blob([new Uint8Array(Buffer.from(part[1]))]), part[0]);
  }
  const response = await fetch(`${gateway.url}/v1/imports?${query}`, {
    ...{ method: "POST", body: form },
    headers: {
      authorization: `Basic ${Buffer.from(`${key}:`).toString("base64")}`,
      "content-encoding": encoding,
    },
  });
  return { status: response.status, body: (await response.json()) as Answer, headers: response.headers };
}

const rows = (count: number) => Array.from({ length: count }, (_, index) => `u${index % 7},p${index},1\n`);
const plans = () => gateway.published.map(({ ops }) => (ops[0]!.body as { plan: string }).plan);
const unavailable = new KeylineError("publish_failed", "neither path", { retryable: true });

test("a file is uploaded with its mapping: rows become updates, in order, and what is none is told", async () => {
  await start();
  const file = `${HEADER}ann,a,1\nbob,b,many\n"x"y,c,1\n${"u".repeat(257)},d,1\ncid,e,2\n`;
  const { status, body } = await upload({ mapping: ["m.yaml", MAPPING], file: ["f.csv.gz", gzipSync(file)] });
  expect(status).toBe(200);
  expect(body).toEqual({
    ...{ success: false, lines: 6, accepted: 2, refused: 3, nextLine: 7 },
    report: [
      expect.objectContaining({ line: 3, code: "invalid_value", path: "points", value: '"many"' }),
      expect.objectContaining({ line: 4, code: "broken_quotes" }),
      expect.objectContaining({ line: 5, code: "invalid_update", path: "userId" }),
    ],
  });
  expect(gateway.published).toMatchObject([
    { tenant: "shop", userId: "ann", priority: "bulk", id: expect.stringMatching(/-2$/) },
    { userId: "cid", priority: "bulk", id: expect.stringMatching(/-6$/) },
  ]);
});

test("NDJSON may hold updates as they are, which are checked as those of a request", async () => {
  await start();
  const lines = [
    { userId: "ann", ops: [{ kind: "increment", body: { points: 1 } }], at: "2026-01-01T00:00:00Z" },
    { userId: "ann", ops: [{ kind: "tick", body: { due: 1 } }] },
    { userId: "ann", ops: [{ kind: "set", body: { a: 1 } }], at: "yesterday" },
    { userId: "ann", ops: [{ kind: "set", body: { a: 1 } }], tenant: "other" },
  ];
  const { body } = await upload({ file: ["f.ndjson", lines.map((line) => JSON.stringify(line)).join("\n")] });
  expect(body).toMatchObject({ accepted: 1, refused: 3 });
  expect(body.report.map(({ line, path, message }) => [line, path, message])).toEqual([
    [2, "ops[0].kind", "ops[0].kind: is the sweeper's own"],
    [3, "at", "at: must be RFC 3339 or milliseconds since the epoch"],
    [4, "tenant", "tenant: is not known here"],
  ]);
});

test("lines name no priority but bulk", async () => {
  await start();
  const set = [{ kind: "set", body: { a: 1 } }];
  const lines = [
    { userId: "ann", ops: set, priority: "bulk" },
    { userId: "ann", ops: set, priority: "live" },
  ];
  const { body } = await upload({ file: ["f.ndjson", lines.map((line) => JSON.stringify(line)).join("\n")] });
  expect(body.report.map(({ line, path, value }) => [line, path, value])).toEqual([
    [2, "priority", '"live"'],
  ]);
});

test("what comes behind the file, and a line behind its end, is refused and not passed over", async () => {
  await start();
  const file: [string, string] = ["f.csv", HEADER + rows(3).join("")];
  const second = await upload({ mapping: MAPPING, file, more: file });
  expect(second).toMatchObject({
    status: 400,
    body: { accepted: 3, nextLine: 5, error: { code: "invalid_request", path: "more" } },
  });
  for (const mapping of [MAPPING, ["m.yaml", MAPPING] as [string, string]])
    for (const more of ["a field", file])
      expect(await upload({ mapping, file, more })).toMatchObject({
        status: 400,
        body: { accepted: 3, nextLine: 5, error: { code: "invalid_request", path: "more" } },
      });
  const late = await upload({ file, mapping: MAPPING });
  expect(late).toMatchObject({ status: 400, body: { error: { code: "no_mapping", path: "mapping" } } });
  const atEnd = await upload({ mapping: MAPPING, file }, { query: "importId=one&fromLine=5" });
  expect(atEnd).toMatchObject({ status: 200, body: { success: true, accepted: 0, nextLine: 5 } });
  const behind = await upload({ mapping: MAPPING, file }, { query: "importId=one&fromLine=6" });
  expect(behind).toMatchObject({ status: 400, body: { lines: 4, nextLine: 5, error: { path: "fromLine" } } });
  const padded: [string, string] = ["f.csv", `${HEADER}${rows(3).join("")}\r\n\n`];
  for (const line of [6, 7])
    expect(
      await upload({ mapping: MAPPING, file: padded }, { query: `importId=one&fromLine=${line}` }),
    ).toMatchObject({ status: 200, body: { success: true, accepted: 0, nextLine: line } });
  const farBehind = await upload({ mapping: MAPPING, file: padded }, { query: "importId=one&fromLine=8" });
  expect(farBehind).toMatchObject({ status: 400, body: { nextLine: 7, error: { path: "fromLine" } } });
  const half = await upload({ mapping: MAPPING, file }, { query: "importId=one&fromLine=1.5" });
  expect(half).toMatchObject({ status: 400, body: { error: { path: "fromLine", value: "1.5" } } });
});

test("the same upload has the same ids, and another import, or another row at the line, has others", async () => {
  await start();
  const send = (id: string, content: string) =>
    upload({ mapping: MAPPING, file: ["f.csv", HEADER + content] }, { query: `importId=${id}` });
  await send("one", "ann,a,1\n");
  await send("one", "ann,a,1\n");
  await send("two", "ann,a,1\n");
  await send("one", "ann,b,1\n");
  const [first, again, second, changed] = gateway.published.map(({ id }) => id);
  expect(again).toBe(first);
  expect(new Set([first, second, changed]).size).toBe(3);
});

test("an upload goes on from a line", async () => {
  await start();
  const file: [string, string] = ["f.csv", HEADER + rows(10).join("")];
  const { body } = await upload({ mapping: MAPPING, file }, { query: "importId=one&fromLine=7" });
  expect(body).toMatchObject({ success: true, lines: 11, accepted: 5, nextLine: 12 });
  expect(plans()).toEqual(["p5", "p6", "p7", "p8", "p9"]);
});

test("an upload waits while nothing is taken, and for a quota", async () => {
  await start({ updatesPerSecond: 4_000, burst: 1_000 });
  gateway.failWith(unavailable);
  const uploading = upload({ mapping: MAPPING, file: ["f.csv", HEADER + rows(3_000).join("")] });
  await until("it has tried", () => gateway.refused() > 0, { everyMs: 5 });
  gateway.failWith(undefined);
  expect((await uploading).body).toMatchObject({ success: true, accepted: 3_000 });
  expect(plans()).toEqual(Array.from({ length: 3_000 }, (_, index) => `p${index}`));
});

test("no more of a file is read than can be taken", async () => {
  await start();
  const durable = Promise.withResolvers<void>();
  gateway.answerAfter(durable.promise);
  const sender = sendSlowly();
  let sent = 0;
  const chunk = `ann,${"p".repeat(9_990)},1\n`.repeat(10);
  await until(
    "the gateway reads no more",
    () => {
      if (sender.raw.writableNeedDrain) return true;
      sender.raw.write(chunk);
      sent += chunk.length;
      return false;
    },
    { everyMs: 1 },
  );
  expect(gateway.published.length).toBeLessThanOrEqual(500);
  gateway.answerAfter(Promise.resolve());
  durable.resolve();
  sender.end();
  const { status, body } = await sender.answered;
  expect([status, body.accepted]).toEqual([200, (sent / chunk.length) * 10]);
});

test("no more rows of a user are under way than a profile remembers: they may have to be sent again", async () => {
  await start();
  const durable = Promise.withResolvers<void>();
  gateway.answerAfter(durable.promise);
  const file = HEADER + rows(700).join("");
  const uploading = upload({ mapping: MAPPING, file: ["f.csv", file.replace(/^u\d/gm, "ann")] });
  await until("some are under way", () => gateway.published.length > 0, { everyMs: 5 });
  expect(gateway.published).toHaveLength(32);
  durable.resolve();
  expect((await uploading).body).toMatchObject({ success: true, accepted: 700 });
  expect(plans()).toEqual(Array.from({ length: 700 }, (_, index) => `p${index}`));
});

/** A request that is written by hand. */
function sendSlowly() {
  const raw = request(`${gateway.url}/v1/imports?importId=one`, {
    method: "POST",
    headers: { authorization: `Bearer ${WRITE_KEY}`, "content-type": "multipart/form-data; boundary=x" },
  });
  const { promise: answered, resolve, reject } = Promise.withResolvers<{ status: number; body: Answer }>();
  raw.on("response", async (response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    resolve({ status: response.statusCode!, body: JSON.parse(Buffer.concat(chunks).toString()) });
  });
  raw.on("error", reject);
  answered.catch(() => {});
  raw.write(`--x\r\ncontent-disposition: form-data; name="mapping"\r\n\r\n${MAPPING}\r\n`);
  raw.write(`--x\r\ncontent-disposition: form-data; name="file"; filename="f.csv"\r\n\r\n${HEADER}`);
  return { raw, answered, end: () => raw.end("\r\n--x--\r\n") };
}

test("a gateway that closes says from which line an upload goes on", async () => {
  await start();
  const sender = sendSlowly();
  sender.raw.write(rows(100).join(""));
  await until("they are taken", () => gateway.published.length === 100, { everyMs: 5 });
  const closed = gateway.close();
  const { status, body } = await sender.answered;
  expect([status, body.error.code]).toEqual([503, "gateway_closing"]);
  expect(body).toMatchObject({ accepted: 100, nextLine: 102 });
  sender.raw.destroy();
  await closed;
});

test("a caller who leaves ends the upload", async () => {
  await start();
  gateway.failWith(unavailable);
  const sender = sendSlowly();
  sender.raw.write(rows(100).join(""));
  await until("it has tried", () => gateway.refused() > 0, { everyMs: 5 });
  sender.raw.destroy();
  // Within the time that an upload which is under way would have.
  await gateway.close();
  expect(gateway.published).toEqual([]);
});

test("what is wrong with an upload as a whole is said with its place", async () => {
  await start({}, 10_000);
  const file: [string, string] = ["f.csv", `${HEADER}ann,a,1\n`];
  const big: [string, string] = ["f.csv", HEADER + "ann,a,1\n".repeat(1_250)];
  const cases: [Parameters<typeof upload>, status: number, error: object][] = [
    [[{ mapping: MAPPING, file }, { query: "" }], 400, { code: "invalid_request", path: "importId" }],
    [[{ mapping: MAPPING, file }, { key: "a-key-that-nobody-has" }], 401, { code: "unauthorised" }],
    [
      [{ mapping: MAPPING, file }, { encoding: "gzip" }],
      415,
      { code: "unsupported_media_type", path: "content-encoding", value: '"gzip"' },
    ],
    [[{ file }], 400, { code: "no_mapping" }],
    [[{ mapping: MAPPING }], 400, { code: "invalid_request", path: "file" }],
    [[{ mapping: MAPPING, data: file }], 400, { code: "invalid_request", path: "data" }],
    [
      [{ mapping: "userId: user\nset: {plan: {colum: x}}", file }],
      400,
      { code: "bad_mapping", path: "set.plan.colum", value: '"x"' },
    ],
    [
      [{ mapping: "userId: customer\nset: {plan: plan}", file }],
      400,
      { code: "bad_mapping", path: "userId.column", value: '"customer"' },
    ],
    [[{ mapping: MAPPING, file: ["f.txt", ""] }], 400, { code: "unknown_format" }],
    [[{ mapping: MAPPING, file: ["f.csv", gzipSync(HEADER).subarray(0, -9)] }], 400, { code: "bad_gzip" }],
    [[{ mapping: MAPPING, file: big }], 413, { code: "too_large", path: "file" }],
  ];
  for (const [given, status, error] of cases) {
    const answered = await upload(...given);
    expect(answered).toMatchObject({ status, body: { error } });
  }
});

test("a request that may take long outlives the time that others have, and no other does", async () => {
  const server = await createHttpServer({
    ...{ log: pino({ level: "silent" }), title: "test", part: "test", requestTimeoutMs: 100 },
  });
  server.addContentTypeParser("text/plain", { parseAs: "string" }, (_request, body, done) =>
    done(null, body),
  );
  server.post("/slow", { config: { mayTakeLong: true } }, ({ body }) => body);
  server.post("/quick", ({ body }) => body);
  const url = await server.listen({ host: "127.0.0.1", port: 0 });
  const send = (path: string) =>
    new Promise<number>((resolve, reject) => {
      const raw = request(`${url}${path}`, { method: "POST", headers: { "content-type": "text/plain" } });
      raw.on("response", (response) => resolve(response.resume().statusCode!)).on("error", reject);
      raw.write("a");
      setTimeout(() => raw.end("b"), 1_000);
    });
  const [slow, quick] = await Promise.all([send("/slow"), send("/quick")]);
  await server.close();
  expect([slow, quick]).toEqual([200, 400]);
});
