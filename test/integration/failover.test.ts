import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createPulsarWebSocket } from "../../shared/adapters/pulsar-websocket/pulsar-websocket.ts";
import type { Update } from "../../shared/domain/envelope.ts";
import { topicsOf } from "../../shared/runtime/topics.ts";
import { allDelivered } from "../support/all-delivered.ts";
import { getJson } from "../support/get-json.ts";
import { expectProfiles } from "../support/outcome.ts";
import { compareLedger, identityOf } from "../support/read-ledger.ts";
import { type RealStack, startRealStack } from "../support/real-stack.ts";
import { type ServiceProcess, startService } from "../support/service-process.ts";
import { type PublisherProcess, startPublisher } from "../support/start-publisher.ts";
import { until as untilWithin } from "../support/until.ts";

const SEED = Number(process.env.SEED ?? 20261121);
const UPDATES = 50_000;
const USERS = 2_000;
const PUBLISHERS = 4;
/** Sent while all is well. */
const AHEAD = { updates: 40_000, perSecond: 1_000 };
/** While brokers break. What then goes over SQS LocalStack takes and hands out twice, the ledger's copy included. */
const PER_SECOND = 125;
const PATIENCE_MS = 180_000;

const until = (what: string, condition: () => boolean | Promise<boolean>) =>
  untilWithin(what, condition, { patienceMs: PATIENCE_MS, everyMs: 250 });

/**
 * The promise that Keyline is about, on real servers: while updates flow, the broker is frozen for 20 s, then
 * killed and started again, and a consumer is killed and replaced. Every profile must equal the oracle, and the
 * ledger must end with every update.
 */
describe(`failover with seed ${SEED}`, () => {
  const directory = mkdtempSync(join(tmpdir(), "keyline-failover-"));
  const services: ServiceProcess[] = [];
  const publishers: PublisherProcess[] = [];
  let stack: RealStack;

  beforeAll(async () => {
    stack = await startRealStack({ partitions: 4, tuning: "full", report: console.log });
  }, 600_000);

  afterAll(async () => {
    for (const publisher of publishers) publisher.kill("SIGKILL");
    for (const service of services) service.kill("SIGKILL");
    await Promise.all(services.map(({ exited }) => exited));
    await stack?.close();
    rmSync(directory, { recursive: true, force: true });
  }, 120_000);

  const startConsumer = async () => {
    // What a killed process held comes again before the publishers are through. Not sooner: a message of which a
    // busy machine's acknowledgement comes later than that makes LocalStack forget its whole group.
    const environment = { ...stack.environment, SQS_VISIBILITY_TIMEOUT_SECONDS: "30" };
    const service = await startService(environment, join(directory, `service-${services.length}.log`));
    services.push(service);
    return service;
  };

  test("nothing is lost, doubled or reordered while brokers and consumers break", async () => {
    const [first] = [await startConsumer(), await startConsumer()];
    const fleet = Array.from({ length: PUBLISHERS }, (_, index) => publisherOf(index));
    const sent = () => fleet.reduce((sum, publisher) => sum + publisher.sent(), 0);

    await until("updates flow at the steady rate", () => sent() >= AHEAD.updates + 500);
    stack.pulsar().kill("SIGSTOP");
    await new Promise((resume) => setTimeout(resume, 20_000));
    stack.pulsar().kill("SIGCONT");
    await until("the route is pulsar again", async () => (await breaker(first)).route === "pulsar");

    expect(sent(), "updates flow while the consumer is killed").toBeLessThan(UPDATES - 1_000);
    first.kill("SIGKILL");
    const replacement = await startConsumer();

    await stack.crashPulsar(1_000);
    await until("the route is pulsar again", async () => (await breaker(replacement)).route === "pulsar");

    const acknowledged = (await Promise.all(fleet.map(({ done }) => done))).flat();
    expect(acknowledged).toHaveLength(UPDATES);

    // First every copy is delivered, so that one that counts twice is seen.
    await until("nothing is left undelivered", () => allDelivered(stack));
    await expectProfiles({ redisUrl: stack.urls.redis }, acknowledged, PATIENCE_MS);
    await expectLedger(acknowledged);

    const { lines } = (await getJson(`${replacement.adminUrl}/admin/audit`)) as {
      lines: { action: string; route: string }[];
    };
    const routes = lines.filter(({ action }) => action === "fleet").map(({ route }) => route);
    expect(routes.toReversed().slice(0, 4)).toEqual(["sqs", "pulsar", "sqs", "pulsar"]);

    for (const service of services.slice(1)) service.kill("SIGTERM");
    expect(await Promise.all(services.slice(1).map(({ exited }) => exited))).toEqual([0, 0]);
  }, 420_000);

  function publisherOf(index: number) {
    const outputFile = join(directory, `acknowledged-${index}.ndjson`);
    const publisher = startPublisher(
      {
        seed: SEED + index,
        updates: UPDATES / PUBLISHERS,
        users: USERS,
        perSecond: PER_SECOND / PUBLISHERS,
        ahead: { updates: AHEAD.updates / PUBLISHERS, perSecond: AHEAD.perSecond / PUBLISHERS },
        outputFile,
      },
      stack.environment,
    );
    publishers.push(publisher);
    const done = publisher.exited.then((code) => {
      if (code !== 0) throw new Error(`publisher ${index} ended with ${code}`);
      console.log(`publisher ${index}: ${JSON.stringify(publisher.summary())}`);
      const lines = readFileSync(outputFile, "utf8").trim().split("\n");
      return lines.map((line) => JSON.parse(line) as Update);
    });
    return { sent: publisher.sent, done };
  }

  async function expectLedger(updates: Update[]): Promise<void> {
    const queue = createPulsarWebSocket({ url: stack.environment.PULSAR_URL! });
    const { updates: topic } = topicsOf("public/keyline");
    const compared = await compareLedger(queue, topic, new Set(updates.map(identityOf)));
    await queue.close();
    console.log(`the ledger holds ${compared.messages} messages of ${updates.length} updates`);
    expect(compared).toMatchObject({ missing: [], unexpected: [] });
  }
});

async function breaker(service: ServiceProcess): Promise<{ route: string }> {
  return (await getJson(`${service.adminUrl}/admin/breaker`)) as { route: string };
}
