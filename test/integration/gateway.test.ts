import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { Analytics } from "@segment/analytics-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { peakMemoryMb } from "../../bench/process-usage.ts";
import { drained } from "../support/all-delivered.ts";
import { flood } from "../support/flood.ts";
import { getJson } from "../support/get-json.ts";
import { openProfileReader } from "../support/profile-reader.ts";
import { type RealStack, startRealStack } from "../support/real-stack.ts";
import { seededRandom } from "../support/seeded-updates.ts";
import {
  type GatewayProcess,
  type ServiceProcess,
  startGatewayProcess,
  startService,
} from "../support/service-process.ts";
import { until } from "../support/until.ts";

const SEED = Number(process.env.SEED ?? 20261129);
const CALLS = 20_000;
const USERS = 2_000;
const PER_SECOND = 500;
const OUTAGE_MS = 8_000;
/** Of a gateway, updates. */
const ROOM = 4_000;
/** Ten times the room of both, all the time. */
const FLOOD = { clients: 80, batchSize: 1_000, forMs: 6_000 };
const KEY = "the-write-key-of-the-shop";
const patience = { patienceMs: 180_000, everyMs: 250 };

/** What a user's profile must come to. */
type Expected = { events: Record<string, number>; traits: Record<string, unknown> };

/** The promises of the gateway on real servers. */
describe("two gateways", () => {
  const directory = mkdtempSync(join(tmpdir(), "keyline-gateway-"));
  const gateways: GatewayProcess[] = [];
  let stack: RealStack;
  let service: ServiceProcess;

  beforeAll(async () => {
    stack = await startRealStack({ partitions: 2, tuning: "quick", report: console.log });
    service = await startService(stack.environment, join(directory, "service.log"));
    const environment = { ...stack.environment, MAX_UNDER_WAY: String(ROOM) };
    for (const name of ["gateway-1", "gateway-2"])
      gateways.push(await startGatewayProcess(environment, join(directory, `${name}.log`)));
    const response = await fetch(`${gateways[0]!.url}/admin/tenants/shop`, {
      method: "PUT",
      headers: { authorization: "Bearer test-token", "content-type": "application/json" },
      body: JSON.stringify({ writeKeys: [KEY] }),
    });
    expect(response.status).toBe(200);
    await until(
      "the second gateway knows the key",
      async () => (await statusAt(gateways[1]!)) !== 401,
      patience,
    );
  }, 240_000);

  afterAll(async () => {
    for (const each of [...gateways, ...(service ? [service] : [])]) each.kill("SIGKILL");
    await Promise.all([service?.exited, ...gateways.map(({ exited }) => exited)]);
    await stack?.close();
    rmSync(directory, { recursive: true, force: true });
  }, 60_000);

  test(`20,000 mixed calls of Segment's own client, an outage in the middle: every profile is exact, seed ${SEED}`, async () => {
    const clients = gateways.map(
      ({ url }) => new Analytics({ writeKey: KEY, host: url, maxRetries: 30, httpRequestTimeout: 20_000 }),
    );
    const failed: unknown[] = [];
    for (const client of clients) client.on("error", (error) => failed.push(error));
    const random = seededRandom(SEED);
    const expected = new Map<string, Expected>();
    let settled = 0;
    const done = (error?: unknown) => {
      settled += 1;
      if (error) failed.push(error);
    };
    const startedAtMs = performance.now();
    for (let n = 0; n < CALLS; n += 1) {
      if (n === CALLS / 2) void freeze(stack);
      const aheadMs = (n / PER_SECOND) * 1_000 - (performance.now() - startedAtMs);
      if (aheadMs > 5) await sleep(aheadMs);
      makeCall(clients[n % clients.length]!, n, random, expected, done);
    }
    await until("every call is answered", () => settled === CALLS, patience);
    await Promise.all(clients.map((client) => client.closeAndFlush()));
    expect(failed).toEqual([]);

    await drained(stack, patience);
    const reader = openProfileReader(stack.urls.redis, "shop");
    await until("Redis answers", () => reader.read("nobody").then(() => true));
    const wrong: object[] = [];
    for (const [userId, calls] of expected) {
      const profile = await reader.read(userId);
      const found: Expected | undefined = profile && {
        events: Object.fromEntries([...profile.events].map(([name, { count }]) => [name, count])),
        traits: Object.fromEntries([...profile.registers].map(([name, { value }]) => [name, value])),
      };
      if (!isDeepStrictEqual(found, calls)) wrong.push({ userId, calls, found });
    }
    await reader.close();
    expect(wrong.slice(0, 3)).toEqual([]);
    expect(expected.size).toBeGreaterThan(USERS * 0.9);
    const { lines } = (await getJson(`${service.adminUrl}/admin/audit`)) as {
      lines: { action: string; route: string }[];
    };
    const routes = lines.filter(({ action }) => action === "fleet").map(({ route }) => route);
    expect(routes.toReversed().slice(0, 2), "the outage was one").toEqual(["sqs", "pulsar"]);
  }, 420_000);

  test("ten times what they have room for: refused or queued, in bounded memory, and each that was taken counts once", async () => {
    const urls = gateways.map(({ url }) => url);
    const { taken, answers } = await flood({ ...{ urls, writeKey: KEY }, ...FLOOD });
    const batches = taken.reduce((sum, count) => sum + count);
    const told = Object.values(answers).reduce((sum, count) => sum + count);
    console.log(`${batches} batches taken, answers by status: ${JSON.stringify(answers)}`);
    expect(Object.keys(answers)).toEqual(["200", "503"]);
    expect(told, "most are told to come again").toBeGreaterThan(2 * batches);
    const processes = { first: gateways[0]!, second: gateways[1]!, service };
    // 380 to 560 MB, by how soon V8 collects the bodies of what is refused: without a bound they are 1.7 GB.
    for (const [name, { pid }] of Object.entries(processes))
      expect(peakMemoryMb(pid), `memory of ${name}`).toBeLessThan(700);

    await drained(stack, patience);
    const reader = openProfileReader(stack.urls.redis, "shop");
    await until("Redis answers", () => reader.read("nobody").then(() => true));
    for (let client = 0; client < FLOOD.clients; client += 1)
      for (let index = 0; index < FLOOD.batchSize; index += 50) {
        const profile = await reader.read(`c${client}-${index}`);
        expect(Number(profile?.counters.get("points"))).toBe(taken[client]);
      }
    await reader.close();
  }, 420_000);

  test("on SIGTERM they leave", async () => {
    for (const gateway of gateways) gateway.kill("SIGTERM");
    expect(await Promise.all(gateways.map(({ exited }) => exited))).toEqual([0, 0]);
  });
});

async function freeze(stack: RealStack): Promise<void> {
  stack.pulsar().kill("SIGSTOP");
  await sleep(OUTAGE_MS);
  stack.pulsar().kill("SIGCONT");
}

/** The status of an empty batch: nothing comes of it. */
async function statusAt({ url }: GatewayProcess): Promise<number> {
  const { status } = await fetch(`${url}/v1/batch`, {
    method: "POST",
    headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
    body: JSON.stringify({ batch: [] }),
  });
  return status;
}

/** One call of any kind, and what it comes to. */
function makeCall(
  client: Analytics,
  n: number,
  random: () => number,
  expected: Map<string, Expected>,
  done: (error?: unknown) => void,
): void {
  const userId = `user-${Math.floor(random() * USERS)}`;
  const calls = expected.get(userId) ?? { events: {}, traits: {} };
  expected.set(userId, calls);
  const counted = (name: string) => {
    calls.events[name] = (calls.events[name] ?? 0) + 1;
  };
  const kind = random();
  if (kind < 0.5) {
    counted("order_completed");
    client.track({ userId, event: "order_completed", properties: { amount: n } }, done);
  } else if (kind < 0.7) {
    counted("$page");
    client.page({ userId, name: "Home", properties: { url: `/${n}` } }, done);
  } else if (kind < 0.75) {
    counted("$screen");
    client.screen({ userId, name: "Start" }, done);
  } else if (kind < 0.8) {
    counted("$group");
    client.group({ userId, groupId: `group-${n}` }, done);
  } else if (kind < 0.82) {
    counted("$alias");
    client.alias({ userId, previousId: `before-${n}` }, done);
  } else {
    counted("$identify");
    // A name of its own each: which of two values is the later one is for the gateways' clocks to say.
    calls.traits[`trait_${n}`] = n;
    client.identify({ userId, traits: { [`trait_${n}`]: n } }, done);
  }
}
