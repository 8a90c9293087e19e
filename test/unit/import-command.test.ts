import { hash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, expect, test } from "vitest";
import { parsePurchases, sumByCustomer, toCents } from "../../services/embedded/purchases.ts";
import { createMemoryRateStore } from "../../shared/adapters/memory/memory-rate-store.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";
import { runKeyline, startKeyline } from "../support/keyline-process.ts";
import { type MemoryGateway, startMemoryGateway } from "../support/memory-gateway.ts";
import { until } from "../support/until.ts";

const TOKEN = "operators-token";
const WRITE_KEY = "a-write-key-of-the-shop";
const MAPPING = `
userId: user
at: {column: when, format: seconds}
set: {plan: plan}
increment: {points: points}
event: {name: seen, properties: {n: {column: points, type: number}}}
`;

let gateway: MemoryGateway;
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "keyline-import-"));
});
afterEach(async () => {
  await gateway.close();
  rmSync(folder, { recursive: true });
});

const OTHER_KEY = "a-write-key-of-another";

async function start(quotas: object = {}): Promise<void> {
  gateway = await startMemoryGateway({
    ...{ adminToken: TOKEN, nowMs: Date.UTC(2026, 10, 29) },
    rateStore: createMemoryRateStore({ maxBuckets: 10 }),
  });
  await putTenant("shop", { writeKeys: [WRITE_KEY], quotas });
}

async function putTenant(name: string, settings: object): Promise<void> {
  const response = await fetch(`${gateway.url}/admin/tenants/${name}`, {
    method: "PUT",
    headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
    body: JSON.stringify(settings),
  });
  expect(response.status).toBe(200);
}

const inFolder = (name: string) => join(folder, name);
const read = (name: string) => readFileSync(inFolder(name), "utf8");
const refusedIn = (name: string): { line: number; [name: string]: unknown }[] =>
  read(name)
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));

function write(name: string, content: string | Buffer): string {
  writeFileSync(inFolder(name), content);
  return inFolder(name);
}

const environment = () => ({ GATEWAY_URL: gateway.url, WRITE_KEY });

function words(file: string, ...more: string[]): string[] {
  return ["import", file, "--mapping", write("mapping.yaml", MAPPING), ...more];
}

/** Every hundredth line is broken; users have several rows each, next to each other and far apart. */
function manyRows(count: number): string {
  const lines = Array.from({ length: count }, (_, index) =>
    index % 100 === 99 ? `u${index},1,basic,many` : `u${index % 997},${index},plan-${index},${index}`,
  );
  return ["user,when,plan,points", ...lines, ""].join("\n");
}

/** As profiles do: of an id what comes first counts. */
function counted(): MemoryGateway["published"] {
  return [...new Map(gateway.published.toReversed().map((each) => [each.id, each])).values()].toReversed();
}

function expectAllOnce(count: number, report: string): void {
  const good = Array.from({ length: count }, (_, index) => index).filter((index) => index % 100 !== 99);
  const points = counted().map(
    ({ ops }) => (ops.find(({ kind }) => kind === "increment")!.body as { points: number }).points,
  );
  expect(points.toSorted((a, b) => a - b)).toEqual(good);
  const lines = refusedIn(report).map(({ line }) => line);
  expect(lines).toEqual(Array.from({ length: count / 100 }, (_, index) => 101 + 100 * index));
}

test("each row of a file becomes an update, and what is none is reported with its line and why", async () => {
  await start();
  const file = write(
    "users.csv",
    'user,when,plan,points\r\nann,86400,"pro\r\nplus",2.5\r\n\r\nbob,,,\r\n,1,a,1\r\ncid,soon,a,1\r\ndan,1,a"b,1\r\neve,1\r\nfay,1,,7\r\n',
  );
  const { code, out } = await runKeyline(environment(), ...words(file));
  expect([code, out]).toEqual([1, [`7 rows: 3 taken, 4 refused; ${file}.refused.ndjson has them`]]);
  expect(counted().map(({ id, ...update }) => update)).toEqual([
    {
      ...{ tenant: "shop", userId: "ann", priority: "bulk", at: 86_400_000 },
      ops: [
        { kind: "event", body: { name: "seen", properties: { n: 2.5 } } },
        { kind: "set", body: { plan: "pro\r\nplus" } },
        { kind: "increment", body: { points: 2.5 } },
      ],
    },
    { tenant: "shop", userId: "bob", priority: "bulk", ops: [{ kind: "event", body: { name: "seen" } }] },
    {
      ...{ tenant: "shop", userId: "fay", priority: "bulk", at: 1_000 },
      ops: [
        { kind: "event", body: { name: "seen", properties: { n: 7 } } },
        { kind: "increment", body: { points: 7 } },
      ],
    },
  ]);
  expect(refusedIn("users.csv.refused.ndjson")).toEqual([
    {
      line: 6,
      code: "invalid_value",
      path: "user",
      value: '""',
      message: "is required: it is the userId",
      raw: ",1,a,1",
    },
    {
      line: 7,
      code: "invalid_value",
      path: "when",
      value: '"soon"',
      message: "must be a time of the format seconds",
      raw: "cid,soon,a,1",
    },
    expect.objectContaining({ line: 8, code: "broken_quotes", raw: 'dan,1,a"b,1' }),
    expect.objectContaining({ line: 9, code: "wrong_columns", raw: "eve,1" }),
  ]);
});

test("what the gateway refuses is in the report with the line and the place in the update", async () => {
  await start({ maxUpdateBytes: 1_000 });
  const lines = [
    { userId: "ann", ops: [{ kind: "increment", body: { points: 1 } }] },
    { userId: "ann", ops: [{ kind: "increment", body: { points: "x" } }] },
    { userId: "bob", ops: [{ kind: "set", body: { text: "x".repeat(1_000) } }] },
    { userId: "bob", ops: [{ kind: "set", body: { a: 1 } }], at: "2026-01-01T00:00:00Z", id: "own-1" },
  ];
  const file = write("updates.ndjson", lines.map((line) => JSON.stringify(line)).join("\n"));
  const { code, err } = await runKeyline(environment(), "import", file);
  expect([code, err]).toEqual([1, ""]);
  expect(gateway.published).toMatchObject([
    { userId: "ann", priority: "bulk", id: expect.stringMatching(/-1$/) },
    { userId: "bob", priority: "bulk", id: "own-1", at: Date.UTC(2026, 0, 1) },
  ]);
  expect(refusedIn("updates.ndjson.refused.ndjson")).toMatchObject([
    { line: 2, code: "invalid_update", path: "ops[0].body.points", value: '"x"' },
    { line: 3, code: "too_large", path: "ops" },
  ]);
});

/** So that there is time to stop it. */
const SLOWLY = { updatesPerSecond: 20_000, burst: 4_000 };

test("an import that is killed goes on where it was, and counts each line once", async () => {
  await start(SLOWLY);
  const rows = 20_000;
  const file = write("many.csv.gz", gzipSync(manyRows(rows)));
  const killed = startKeyline(environment(), ...words(file));
  const isUnderWay = () => gateway.published.length > rows / 4 && existsSync(`${file}.import.json`);
  await until("a part was taken", isUnderWay, { everyMs: 5 });
  killed.kill("SIGKILL");
  await killed.ended;
  const before = gateway.published.length;
  expect(before).toBeLessThan(rows * 0.99);

  const { code, err } = await runKeyline(environment(), ...words(file));
  expect([code, err]).toEqual([1, expect.stringContaining("going on at line ")]);
  expectAllOnce(rows, "many.csv.gz.refused.ndjson");
  expect(gateway.published.length - before).toBeLessThan(rows * 0.99);
});

test("an interrupted import finishes what is under way, says how to go on, and goes on with the next row", async () => {
  await start(SLOWLY);
  const rows = 20_000;
  const file = write("many.csv", manyRows(rows));
  const stopped = startKeyline(environment(), ...words(file));
  await until("a part was taken", () => gateway.published.length > rows / 4, { everyMs: 5 });
  stopped.kill("SIGINT");
  const { code, err } = await stopped.ended;
  expect([code, err]).toEqual([2, expect.stringMatching(/stopped .* goes on at line \d+/)]);
  expect((await runKeyline(environment(), ...words(file))).code).toBe(1);
  expectAllOnce(rows, "many.csv.refused.ndjson");
  // Nothing had to be sent again.
  expect(gateway.published).toHaveLength(rows * 0.99);
});

test("a second import of the same file is refused, until the first is over or dead", async () => {
  await start();
  gateway.failWith(new KeylineError("publish_failed", "neither path", { retryable: true }));
  const file = write("few.csv", "user,when,plan,points\nann,1,a,1\n");
  const lock = `${file}.import.lock`;
  const first = startKeyline(environment(), ...words(file));
  await until("it has tried", () => gateway.refused() > 0, { everyMs: 5 });
  const { pid, host, since } = JSON.parse(read("few.csv.import.lock"));
  const who = `import_running: process ${pid} on ${host} has been importing this file since ${since}: `;
  const sameReport = ["--dry-run", "--report", inFolder("few.csv.refused.ndjson")];
  for (const more of [[], ["--restart"], ["--dry-run"], sameReport]) {
    const { code, err } = await runKeyline(environment(), ...words(file, ...more));
    expect([code, err]).toEqual([2, expect.stringContaining(who)]);
    expect(err).toContain(`delete ${lock}`);
  }
  const apart = ["--dry-run", "--report", inFolder("dry.ndjson")];
  expect((await runKeyline(environment(), ...words(file, ...apart))).code).toBe(0);

  first.kill("SIGKILL");
  await first.ended;
  gateway.failWith(undefined);
  expect((await runKeyline(environment(), ...words(file))).code).toBe(0);
  expect([counted().length, existsSync(lock)]).toEqual([1, false]);

  // Nobody here can tell whether that one lives.
  write("few.csv.import.lock", JSON.stringify({ pid, host: "elsewhere", since }));
  const elsewhere = await runKeyline(environment(), ...words(file));
  expect([elsewhere.code, elsewhere.err]).toEqual([2, expect.stringContaining("on elsewhere")]);
  write("few.csv.import.lock", "");
  const unknown = await runKeyline(environment(), ...words(file));
  expect([unknown.code, unknown.err]).toEqual([
    2,
    expect.stringContaining("import_running: another process"),
  ]);
});

test("it waits while neither path takes anything, and for a quota", async () => {
  await start({ updatesPerSecond: 10_000, burst: 1_000 });
  const rows = 5_000;
  gateway.failWith(new KeylineError("publish_failed", "neither path", { retryable: true }));
  const running = startKeyline(environment(), ...words(write("many.csv", manyRows(rows))));
  await until("it has tried", () => gateway.refused() > 0, { everyMs: 5 });
  gateway.failWith(undefined);
  expect((await running.ended).code).toBe(1);
  expectAllOnce(rows, "many.csv.refused.ndjson");
});

test("rows of a user come to the gateway in the order of the file", async () => {
  await start();
  await runKeyline(environment(), ...words(write("many.csv", manyRows(10_000))));
  const last = new Map<string, number>();
  for (const { userId, at } of gateway.published) {
    expect(at).toBeGreaterThan(last.get(userId) ?? -1);
    last.set(userId, at as number);
  }
});

test("a file that was imported counts once when it is imported again, and anew with another id", async () => {
  await start();
  const file = write("few.csv", "user,when,plan,points\nann,1,a,1\nann,1,a,1\n");
  expect((await runKeyline(environment(), ...words(file))).code).toBe(0);
  const again = await runKeyline(environment(), ...words(file));
  expect([again.code, again.err]).toEqual([0, expect.stringContaining("was imported to its end before")]);
  expect(gateway.published).toHaveLength(2);
  await runKeyline(environment(), ...words(file, "--restart"));
  expect([gateway.published.length, counted().length]).toEqual([4, 2]);
  await runKeyline(environment(), ...words(file, "--restart", "--import-id", "second"));
  expect(counted()).toHaveLength(4);
});

test("an import does not go on with another file, mapping or gateway", async () => {
  await start();
  const file = write("few.csv", "user,when,plan,points\nann,1,a,1\n");
  await runKeyline(environment(), ...words(file));
  write("few.csv", "user,when,plan,points\nbob,1,a,1\n");
  const { code, err } = await runKeyline(environment(), ...words(file));
  expect([code, err]).toEqual([2, expect.stringContaining("import_changed: the file has changed")]);
});

test("what was imported with the key of one tenant is not called taken for another", async () => {
  await start();
  await putTenant("other", { writeKeys: [OTHER_KEY] });
  const file = write("few.csv", "user,when,plan,points\nann,1,a,1\n");
  const other = (...more: string[]) =>
    runKeyline(environment(), ...words(file, "--write-key", OTHER_KEY, ...more));
  expect((await runKeyline(environment(), ...words(file))).out).toEqual(["1 row: 1 taken, 0 refused"]);
  const { code, out, err } = await other();
  expect([code, out]).toEqual([2, []]);
  expect(err).toMatch(/^import_changed: the write key is not .*--restart begins .*--key-rotated it goes on/);
  expect((await other("--restart")).code).toBe(0);
  expect(gateway.published.map(({ tenant }) => tenant)).toEqual(["shop", "other"]);
  const back = await runKeyline(environment(), ...words(file, "--key-rotated"));
  expect([back.code, back.err]).toEqual([0, expect.stringContaining("was imported to its end before")]);
  expect((await runKeyline(environment(), ...words(file))).code).toBe(0);
  expect((await other()).code).toBe(2);
});

test("an import goes on with a new key of its tenant where it is told so, and then by that one", async () => {
  await start();
  await putTenant("shop", { writeKeys: [WRITE_KEY, OTHER_KEY] });
  // Breaks off, so that it is never over.
  const packed = gzipSync(manyRows(2_000));
  const file = write("cut.csv.gz", packed.subarray(0, packed.length / 2));
  const isSaidWith = async (says: string, key: string, ...more: string[]) => {
    const { code, err } = await runKeyline(environment(), ...words(file, "--write-key", key, ...more));
    expect([code, err]).toEqual([2, expect.stringContaining(says)]);
  };
  await isSaidWith("bad_gzip", WRITE_KEY);
  const state = JSON.parse(read("cut.csv.gz.import.json"));
  expect(state.writeKeySha256).toBe(hash("sha256", WRITE_KEY, "hex"));
  await isSaidWith("import_changed", OTHER_KEY);
  await isSaidWith("going on at line", OTHER_KEY, "--key-rotated");

  // What an earlier build has left does not say the key.
  const { writeKeySha256: _, ...before } = state;
  write("cut.csv.gz.import.json", JSON.stringify({ ...before, next: { line: 2, offset: 22 }, ahead: [] }));
  await isSaidWith("going on at line 2", OTHER_KEY);
  await isSaidWith("going on at line", OTHER_KEY);
  await isSaidWith("import_changed", WRITE_KEY);
});

test("a key that the gateway does not know is not kept", async () => {
  await start();
  const file = write("few.csv", "user,when,plan,points\nann,1,a,many\nann,1,a,1\n");
  const unknown = await runKeyline(environment(), ...words(file, "--write-key", "a-key-that-nobody-has"));
  expect([unknown.code, unknown.err]).toEqual([2, expect.stringContaining("unauthorised")]);
  expect(existsSync(`${file}.import.json`)).toBe(true);
  expect((await runKeyline(environment(), ...words(file))).out).toEqual([
    `2 rows: 1 taken, 1 refused; ${file}.refused.ndjson has them`,
  ]);
});

test("a file that breaks off is imported up to there, and is not taken for whole", async () => {
  await start();
  const packed = gzipSync(manyRows(20_000));
  const file = write("cut.csv.gz", packed.subarray(0, packed.length / 2));
  for (const _run of ["first", "again"]) {
    const { code, err } = await runKeyline(environment(), ...words(file));
    expect([code, err]).toEqual([2, expect.stringContaining("bad_gzip")]);
  }
  expect(gateway.published.length).toBeGreaterThan(5_000);
  expect(gateway.published).toHaveLength(counted().length);
});

test("a dry run checks updates that stand in the file as they are as the gateway does", async () => {
  await start();
  const ops = [{ kind: "set", body: { a: 1 } }];
  const lines = [
    { userId: "ann", ops, at: "2026-11-29T12:00:00Z" },
    { userId: "ann", ops, at: "yesterday" },
    { userId: "ann", ops, tenant: "other" },
    { userId: "ann", ops: [{ kind: "set", body: { $a: 1 } }] },
  ];
  const file = write("dry.ndjson", lines.map((line) => JSON.stringify(line)).join("\n"));
  const { code } = await runKeyline({ GATEWAY_URL: gateway.url }, "import", file, "--dry-run");
  expect(code).toBe(1);
  const dry = refusedIn("dry.ndjson.refused.ndjson");
  await runKeyline(environment(), "import", file);
  const told = (each: { [name: string]: unknown }) => [each.line, each.code, each.path, each.value];
  expect(dry.map(told)).toEqual(refusedIn("dry.ndjson.refused.ndjson").map(told));
  expect(dry.map(({ line }) => line)).toEqual([2, 3, 4]);
});

test("a dry run reports every refused line, and sends and remembers nothing", async () => {
  await start();
  const file = write("dry.csv", `user,when,plan,points\nann,1,a,1\nbob,1,a,x\n${"u".repeat(257)},1,a,1\n`);
  const { code, out } = await runKeyline({ GATEWAY_URL: gateway.url }, ...words(file, "--dry-run"));
  expect([code, out]).toEqual([1, [expect.stringContaining("nothing was sent; 3 rows: 1 taken, 2 refused")]]);
  expect(refusedIn("dry.csv.refused.ndjson")).toMatchObject([
    { line: 3, path: "points" },
    { line: 4, code: "invalid_update", path: "userId" },
  ]);
  expect([gateway.published, existsSync(`${file}.import.json`)]).toEqual([[], false]);
});

test("what is wrong with the import as a whole is 2, with what was wrong", async () => {
  await start();
  const file = write("few.csv", "user,when,plan,points\nann,1,a,1\n");
  const unknown = write("unknown.yaml", "userId: customer\nset: {plan: plan}\n");
  const folderCsv = inFolder("folder.csv");
  mkdirSync(folderCsv);
  const cases: [words: string[], says: string][] = [
    [["import", file], "no_mapping"],
    [
      ["import", inFolder("none.csv"), "--mapping", unknown],
      `bad_import_file: there is no file ${inFolder("none.csv")}`,
    ],
    [
      ["import", inFolder("none/none.csv"), "--mapping", unknown],
      `bad_import_file: there is no folder ${inFolder("none")}`,
    ],
    [
      ["import", file, "--mapping", inFolder("none.yaml")],
      `bad_mapping: there is no file ${inFolder("none.yaml")}`,
    ],
    [words(folderCsv), "no regular file"],
    [words(file, "--report", file), "bad_report"],
    [words(file, "--report", unknown, "--dry-run"), "bad_report"],
    [words(file, "--report", `${file}.import.json`), "bad_report"],
    [words(file, "--report", `${file}.import.lock`), "bad_report"],
    [
      ["import", file, "--mapping", unknown],
      'bad_mapping: userId.column: must be one of the file\'s columns, ["user","when","plan","points"], not "customer"',
    ],
    [words(write("few.txt", "")), "unknown_format"],
    [words(file, "--write-key", "a-key-that-nobody-has"), "unauthorised"],
    [words(file, "--requests", "0"), "must be a whole number from 1 to 99"],
  ];
  for (const [given, says] of cases) {
    const { code, err } = await runKeyline(environment(), ...given);
    expect([code, err]).toEqual([2, expect.stringContaining(says)]);
  }
});

test("a report is written over nothing but a report", async () => {
  await start();
  const file = write("ok.csv", "user,when,plan,points\nann,1,a,1\n");
  const theirs = write("theirs.txt", "something else");
  const { code, err } = await runKeyline(environment(), ...words(file, "--report", theirs, "--dry-run"));
  expect([code, err]).toEqual([2, expect.stringContaining("is no report of an import")]);
  expect(read("theirs.txt")).toBe("something else");
  expect(read("ok.csv")).toContain("ann");
});

test("the CDNOW sample is imported by its mapping, to the cent", async () => {
  await start();
  const file = write("cdnow-sample.txt", readFileSync("data/cdnow-sample.txt"));
  const { code } = await runKeyline(environment(), "import", file, "--mapping", "data/cdnow-mapping.yaml");
  expect(code).toBe(0);
  const cents = new Map<string, number>();
  for (const { userId, ops } of gateway.published) {
    const { dollars } = ops.find(({ kind }) => kind === "increment")!.body as { dollars: number };
    cents.set(userId, (cents.get(userId) ?? 0) + toCents(String(dollars))!);
  }
  const sums = sumByCustomer(parsePurchases(read("cdnow-sample.txt")));
  expect(cents).toEqual(new Map([...sums].map(([customer, sum]) => [customer, sum.cents])));
  expect(gateway.published[0]!.at).toBe(Date.UTC(1997, 0, 1, 5));
});
