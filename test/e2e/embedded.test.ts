import { type ChildProcess, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test } from "vitest";
import { until } from "../support/until.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const TIMEOUT_MS = 90_000;
const running = new Set<ChildProcess>();

afterEach(() => {
  for (const child of running) child.kill("SIGKILL");
});

test("`npm start` keeps every customer's profile exact through an outage of Pulsar, and drains on SIGTERM", {
  timeout: TIMEOUT_MS,
}, async () => {
  const embedded = start({
    REPLAY_RATE: "600",
    REPLAY_PASSES: "1",
    BREAKER_MIN_OPEN_MS: "1000",
    // A busy test machine is slow, which is not what this is about.
    PUBLISH_DEADLINE_MS: "30000",
  });
  const url = await embedded.url();
  await until("it is ready", async () => (await fetch(`${url}/readyz`)).ok);
  await until("traffic flows over Pulsar", async () => (await countedBy(url)).pulsar > 500);

  await post(`${url}/demo/break`);
  await until("the route is sqs", async () => (await routeOf(url)) === "sqs");
  const { sqs } = await countedBy(url);
  await until("traffic flows over SQS", async () => (await countedBy(url)).sqs > sqs);
  await post(`${url}/demo/heal`);
  await until("the route is pulsar", async () => (await routeOf(url)) === "pulsar");
  await until("the replay has ended", async () => (await statusOf(url)).replay.stage === "ended", {
    patienceMs: 60_000,
  });

  expect(await differences(url)).toEqual([]);
  const status = await statusOf(url);
  expect(status.verdicts).toEqual([{ tenant: "cdnow", customers: 2_357, exact: 2_357, differing: [] }]);
  expect(status).toMatchObject({ onTheWay: 0, parked: 0, publisher: { failed: 0, underWay: 0 } });
  expect(status.publisher.published.pulsar + status.publisher.published.sqs).toBe(6_919);
  // What Pulsar was sent while it was broken came late, a second time: the profiles are exact all the same.
  expect(status.replay.rescued).toBeGreaterThan(0);
  await until("late copies have come", async () => (await statusOf(url)).repeats > 0);
  const audit = await json<{ lines: { action: string; route: string }[] }>(`${url}/admin/audit`);
  expect(audit.lines.map(({ action, route }) => `${action} ${route}`)).toEqual(["fleet pulsar", "fleet sqs"]);
  expect(await (await fetch(url)).text()).toContain("Break Pulsar");

  expect(await embedded.end("SIGTERM")).toBe(0);
  expect(embedded.output()).toContain("6,919 published, 6,919 counted, 0 repeats");
});

test("SIGTERM while Pulsar is broken drains what is on the way over SQS", {
  timeout: TIMEOUT_MS,
}, async () => {
  const embedded = start({ REPLAY_RATE: "500" });
  const url = await embedded.url();
  await until("traffic flows", async () => (await countedBy(url)).pulsar > 100);
  await post(`${url}/demo/break`);
  await until("updates wait", async () => (await statusOf(url)).publisher.underWay > 50);
  expect(await embedded.end("SIGTERM")).toBe(0);
  const [, onTheWay] = /Drained: (\d+) updates on the way/.exec(embedded.output()) ?? [];
  expect(Number(onTheWay)).toBeGreaterThan(50);
});

test("a second SIGTERM ends it at once, and says what is left uncounted", {
  timeout: TIMEOUT_MS,
}, async () => {
  const embedded = start({
    REPLAY_RATE: "500",
    // What Pulsar was sent before the breaker opened waits for long, and nothing of it goes over SQS.
    PULSAR_SEND_TIMEOUT_MS: "30000",
    PUBLISH_DEADLINE_MS: "60000",
    TAIL_MS: "0",
  });
  const url = await embedded.url();
  await post(`${url}/demo/break`);
  await until("updates wait", async () => (await statusOf(url)).publisher.underWay > 50);
  const ended = embedded.end("SIGTERM");
  await until("it says how to end at once", () => embedded.output().includes("again ends it at once"));
  // One within half a second is the same, come twice.
  const again = setInterval(() => embedded.end("SIGTERM"), 100);
  expect(await ended.finally(() => clearInterval(again))).toBe(1);
  expect(embedded.output()).toMatch(/Ended at once: [1-9]\d* updates? on the way not counted/);
});

test("the gateway of `npm start` takes Segment's calls with the key that it prints, and its end waits for no repeat", {
  timeout: TIMEOUT_MS,
}, async () => {
  const embedded = start({ REPLAY_RATE: "50" });
  const url = await embedded.url();
  const sends = /Send updates of tenant demo to (\S+): WRITE_KEY=(\S+)/;
  await until("it says where to send", () => sends.test(embedded.output()));
  const [, gateway, key] = sends.exec(embedded.output())!;
  for (const messageId of ["m-0", "m-0", "m-0", "m-1"]) {
    const response = await fetch(`${gateway}/v1/track`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Basic ${btoa(`${key}:`)}` },
      body: JSON.stringify({ userId: "42", event: "order_completed", messageId }),
    });
    expect(response.status).toBe(200);
  }
  const profile = await json<{ events: object }>(`${url}/v1/tenants/demo/users/42?after=m-1&timeoutMs=20000`);
  expect(profile.events).toMatchObject({ order_completed: { count: 2 } });
  expect(await embedded.end("SIGTERM")).toBe(0);
  expect(embedded.output()).toContain("2 repeats of an id that had counted.");
});

test("a port that is taken is named together with the setting to change", {
  timeout: TIMEOUT_MS,
}, async () => {
  const first = start({});
  const url = await first.url();
  const second = start({ ADMIN_PORT: new URL(url).port });
  expect(await second.ended).toBe(2);
  expect(second.output()).toContain(`port ${new URL(url).port} is taken`);
  expect(second.output()).toContain("ADMIN_PORT");
  expect(await first.end("SIGTERM")).toBe(0);
});

function start(settings: Record<string, string>) {
  const child = spawn(process.execPath, ["services/embedded/main.ts"], {
    cwd: root,
    env: { ...process.env, ADMIN_PORT: "0", GATEWAY_PORT: "0", ADMIN_TOKEN: "", NO_COLOR: "1", ...settings },
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
  let text = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
  const ended = new Promise<number | null>((resolve) => {
    child.once("close", (code) => {
      running.delete(child);
      resolve(code);
    });
  });
  return {
    /** Where the page is, as the process says itself. */
    async url(): Promise<string> {
      const listening = () => /http:\/\/[\d.]+:\d+/.exec(text)?.[0];
      const dead = ended.then((code) => Promise.reject(new Error(`ended with ${code}: ${text}`)));
      await Promise.race([until("it says where it listens", () => listening() !== undefined), dead]);
      return listening()!;
    },
    output: () => text,
    ended,
    end(signal: NodeJS.Signals) {
      child.kill(signal);
      return ended;
    },
  };
}

type Status = {
  replay: { stage: string; rescued: number };
  publisher: { published: { pulsar: number; sqs: number }; failed: number; underWay: number };
  counted: { pulsar: number; sqs: number };
  repeats: number;
  verdicts: unknown[];
};

const statusOf = (url: string) => json<Status>(`${url}/demo/status`);
const countedBy = async (url: string) => (await statusOf(url)).counted;
const routeOf = async (url: string) => (await json<{ route: string }>(`${url}/admin/breaker`)).route;

async function json<T>(url: string): Promise<T> {
  const response = await fetch(url);
  expect(response.status, url).toBe(200);
  return (await response.json()) as T;
}

async function post(url: string): Promise<void> {
  expect((await fetch(url, { method: "POST" })).status).toBe(200);
}

/** Every customer whose profile is not what the file adds up to, by a reading of the file of its own. */
async function differences(url: string): Promise<unknown[]> {
  const file = await readFile(`${root}data/cdnow-sample.txt`, "utf8");
  const sums = new Map<string, { purchases: number; cds: number; cents: number }>();
  for (const line of file.trim().split("\n")) {
    const [, customer = "", , cds, dollars = ""] = line.trim().split(/ +/);
    const sum = sums.get(customer) ?? { purchases: 0, cds: 0, cents: 0 };
    sum.purchases += 1;
    sum.cds += Number(cds);
    sum.cents += Number(dollars.replace(".", ""));
    sums.set(customer, sum);
  }
  expect(sums.size).toBe(2_357);
  const different: unknown[] = [];
  for (const [customer, expected] of sums) {
    const { attributes } = await json<{ attributes: Record<string, unknown> }>(
      `${url}/v1/tenants/cdnow/users/${customer}`,
    );
    const { purchases, cds, dollars } = attributes;
    const found = { purchases, cds, cents: centsOf(String(dollars)) };
    if (JSON.stringify(found) !== JSON.stringify(expected)) different.push({ customer, found, expected });
  }
  return different;
}

/** Exact: an amount that is off by a rounding error has more than two decimals. */
function centsOf(dollars: string): number | undefined {
  const [, whole = "", decimals = ""] = /^(\d+)(?:\.(\d\d?))?$/.exec(dollars) ?? [];
  return whole === "" ? undefined : Number(whole + decimals.padEnd(2, "0"));
}
