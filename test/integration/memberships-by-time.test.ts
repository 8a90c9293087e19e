import { afterAll, beforeAll, expect, test } from "vitest";
import { localAwsEnvironment } from "../../localstack/create-queues.ts";
import { isProblem } from "../../shared/domain/definitions/problem.ts";
import {
  NO_TENANT_DEFINITIONS,
  replaceDefinitions,
} from "../../shared/domain/definitions/tenant-definitions.ts";
import type { AnnouncedChange } from "../../shared/domain/membership-change.ts";
import { createLifecycle } from "../../shared/runtime/lifecycle.ts";
import { createLog } from "../../shared/runtime/log.ts";
import { createInstallation, type Installation } from "../support/installation.ts";
import { startRealConsumer } from "../support/real-consumer.ts";
import { until } from "../support/until.ts";

const USERS = 60;
const TRIAL_MS = 1_500;
const lifecycle = createLifecycle(createLog("test", "fatal"));
let installation: Installation;

beforeAll(async () => {
  Object.assign(process.env, localAwsEnvironment);
  installation = await createInstallation();
}, 60_000);

afterAll(lifecycle.close);

test("memberships that time alone ends are ended once each, by two consumers of which one leaves", async () => {
  const [one, other] = [createLifecycle(createLog("test", "fatal")), lifecycle];
  // What an abandoned poll of the one that leaves has taken comes again after that.
  const settings = { SQS_VISIBILITY_TIMEOUT_SECONDS: "5" };
  const leaving = await startRealConsumer(installation, one, { settings });
  const staying = await startRealConsumer(installation, other, { settings });
  const definitions = { attributes: {}, audiences: { trying: { rule: "now < timestamp(trial_ends)" } } };
  const document = replaceDefinitions(NO_TENANT_DEFINITIONS, definitions, Date.now());
  if (isProblem(document)) throw new Error(document.message);
  const { version } = document;
  const next = { version, document: JSON.stringify(document) };
  await staying.stores.definitionStore.replace("shop", 0, next);
  await until("both have the definitions", () =>
    [leaving, staying].every(({ consumer }) => consumer.definitions.document("shop").version === version),
  );
  const ends = Date.now() + TRIAL_MS;
  await Promise.all(
    Array.from({ length: USERS }, (_, n) =>
      staying.publisher.user("shop", `u${n}`).set({ trial_ends: new Date(ends + n).toISOString() }),
    ),
  );
  const of = { tenant: "shop", audience: "trying", version };
  await until("all have entered", async () => (await staying.stores.memberStore.count(of)) === USERS);
  await one.close();
  await until("all have left", async () => (await staying.stores.memberStore.count(of)) === 0);
  const reader = staying.primary.consumer({
    ...{ topic: staying.topics.changes, subscription: "check", connections: 1, maxPrefetched: 1_000 },
  });
  const changes = new Map<string, AnnouncedChange>();
  while (changes.size < 2 * USERS) {
    const deliveries = await reader.receive(1_000);
    await reader.acknowledge(deliveries);
    for (const { payload } of deliveries) {
      const change = JSON.parse(payload) as AnnouncedChange;
      changes.set(`${change.userId} ${change.number}`, change);
    }
  }
  await reader.close();
  for (let n = 0; n < USERS; n += 1) {
    expect(changes.get(`u${n} 1`)).toMatchObject({ change: "entered", cause: { kind: "update" } });
    expect(changes.get(`u${n} 2`)).toMatchObject({ change: "left", cause: { kind: "time" }, at: ends + n });
  }
}, 60_000);
