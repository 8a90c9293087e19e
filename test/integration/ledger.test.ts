import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pLimit from "p-limit";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { localAwsEnvironment } from "../../localstack/create-queues.ts";
import { waitingQueueUrls } from "../../services/audience-update/waiting-queues.ts";
import { createPulsarWebSocket } from "../../shared/adapters/pulsar-websocket/pulsar-websocket.ts";
import type { ConnectedPublisher } from "../../shared/publish/connect-publisher.ts";
import { topicsOf } from "../../shared/runtime/topics.ts";
import { connectTo, createInstallation, type Installation } from "../support/installation.ts";
import { messagesIn } from "../support/queue-depth.ts";
import { compareLedger, identityOf } from "../support/read-ledger.ts";
import { type ServiceProcess, startService } from "../support/service-process.ts";
import { until } from "../support/until.ts";

const WHILE_ON_SQS = 3_000;
const USERS = 100;
/** So few that on a busy machine too they are sent in time, over the route. */
const AT_ONCE = 50;

const directory = mkdtempSync(join(tmpdir(), "keyline-ledger-"));
const services: ServiceProcess[] = [];
let installation: Installation;
let publisher: ConnectedPublisher;

beforeAll(async () => {
  Object.assign(process.env, localAwsEnvironment);
  installation = await createInstallation();
  publisher = await connectTo(installation);
}, 60_000);

afterAll(async () => {
  await publisher?.close();
  for (const service of services) service.kill("SIGKILL");
  await Promise.all(services.map(({ exited }) => exited));
  rmSync(directory, { recursive: true, force: true });
});

/** What a killed process held comes again after 5 s. */
async function startOne(): Promise<ServiceProcess> {
  const environment = { ...installation.environment, SQS_VISIBILITY_TIMEOUT_SECONDS: "5" };
  const service = await startService(environment, join(directory, `service-${services.length}.log`));
  services.push(service);
  return service;
}

async function kill(service: ServiceProcess): Promise<void> {
  service.kill("SIGKILL");
  await service.exited;
}

type Ledger = { kept: number; completed: number; failed: number };

async function ledgerOf({ adminUrl }: ServiceProcess): Promise<Ledger> {
  const shown = await (await fetch(`${adminUrl}/admin/breaker`)).json();
  return (shown as { counters: { ledger: Ledger } }).counters.ledger;
}

async function force({ adminUrl }: ServiceProcess, route: "sqs" | "auto"): Promise<void> {
  const body = JSON.stringify({ route, reason: "test", ...(route === "sqs" && { expiresInSeconds: 600 }) });
  const headers = { authorization: "Bearer test-token", "content-type": "application/json" };
  const { status } = await fetch(`${adminUrl}/admin/breaker`, { method: "PUT", headers, body });
  expect(status).toBe(200);
  const path = route === "sqs" ? "sqs" : "pulsar";
  await until(`the publisher sends over ${path}`, () => publisher.routing.router.route().path === path);
}

test("what went over SQS ends in the ledger, through the deaths of who keeps and who completes it", async () => {
  const acknowledged = new Set<string>();
  let overSqs = 0;
  const window = pLimit(AT_ONCE);
  const publish = async (n: number) => {
    const userId = `u${n % USERS}`;
    const receipt = await publisher.user("shop", userId).increment({ n: 1 });
    acknowledged.add(identityOf({ userId, ...receipt }));
    overSqs += Number(receipt.path === "sqs");
  };
  const publishMany = (count: number) =>
    Promise.all(Array.from({ length: count }, (_, n) => window(publish, n)));

  const keeping = await startOne();
  await publishMany(USERS);

  await force(keeping, "sqs");
  const publishing = publishMany(WHILE_ON_SQS);
  await until("some are kept", async () => (await ledgerOf(keeping)).kept >= 100, { everyMs: 10 });
  console.log("killed while keeping:", await ledgerOf(keeping));
  await kill(keeping);
  const completing = await startOne();
  await publishing;
  expect(overSqs).toBeGreaterThan(WHILE_ON_SQS / 2);
  const sqsQueueUrl = installation.environment.SQS_QUEUE_URL!;
  await until("all are kept", async () => (await messagesIn(sqsQueueUrl)) === 0, { patienceMs: 60_000 });
  const { ledger: ledgerQueue } = waitingQueueUrls({
    ...{ sqsQueueUrl, sqsLedgerQueueUrl: "", sqsChangesQueueUrl: "" },
  });
  expect(await messagesIn(ledgerQueue)).toBeGreaterThan(0);
  expect(await ledgerOf(completing)).toMatchObject({ completed: 0, failed: 0 });

  await force(completing, "auto");
  await until("some are completed", async () => (await ledgerOf(completing)).completed >= 100, {
    everyMs: 10,
  });
  console.log("killed while completing:", await ledgerOf(completing));
  await kill(completing);
  expect(await messagesIn(ledgerQueue), "what still waits at the kill").toBeGreaterThan(0);
  const last = await startOne();

  await until("the ledger queue is empty", async () => (await messagesIn(ledgerQueue)) === 0, {
    patienceMs: 90_000,
  });
  const queue = createPulsarWebSocket({ url: inject("servers").pulsarWebSocketUrl });
  const compared = await compareLedger(queue, topicsOf(installation.namespace).updates, acknowledged);
  await queue.close();
  expect(acknowledged.size).toBe(USERS + WHILE_ON_SQS);
  expect(compared).toMatchObject({ missing: [], unexpected: [] });
  console.log(`the ledger holds ${compared.messages} messages of ${acknowledged.size} updates`);

  const each = (USERS + WHILE_ON_SQS) / USERS;
  for (let n = 0; n < USERS; n += 1) {
    const profile = await fetch(`${last.adminUrl}/v1/tenants/shop/users/u${n}`);
    expect(await profile.json()).toMatchObject({ attributes: { n: each }, updates: each });
  }
  last.kill("SIGTERM");
  expect(await last.exited).toBe(0);
}, 240_000);
