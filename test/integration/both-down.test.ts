import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  type ConnectedPublisher,
  connectPublisher,
  KeylineError,
  PublishError,
  type Receipt,
  type Update,
} from "../../shared/publish/connect-publisher.ts";
import { createLog } from "../../shared/runtime/log.ts";
import { allDelivered } from "../support/all-delivered.ts";
import { expectProfiles } from "../support/outcome.ts";
import { type RealStack, startRealStack } from "../support/real-stack.ts";
import { seededOperations, seededRandom } from "../support/seeded-updates.ts";
import { type ServiceProcess, startService } from "../support/service-process.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";

const SEED = Number(process.env.SEED ?? 20261121);
const DEADLINE_MS = 2_000;
/** A call settles by its deadline; the rest is for two cores that are busy with other things. */
const SETTLES_WITHIN_MS = DEADLINE_MS + 2_500;
const MAX_UNDER_WAY = 200;
const SURPLUS = 2_000;
const USERS = 40;
const patience = { patienceMs: 60_000, everyMs: 100 };

type Fate = { receipt: Receipt } | { error: KeylineError; tookMs: number };

describe(`while both paths are down, seed ${SEED}`, () => {
  const directory = mkdtempSync(join(tmpdir(), "keyline-both-down-"));
  const random = seededRandom(SEED);
  const taken: Update[] = [];
  let stack: RealStack;
  let sqsLine: TcpProxy;
  let service: ServiceProcess;
  let publisher: ConnectedPublisher;
  let sqsQueueUrl: string;

  beforeAll(async () => {
    stack = await startRealStack({ partitions: 2, tuning: "quick", report: console.log });
    Object.assign(process.env, stack.environment);
    const { host } = new URL(stack.urls.sqs);
    sqsLine = await startTcpProxy(host);
    sqsQueueUrl = stack.environment.SQS_QUEUE_URL!.replace(host, sqsLine.address);
  }, 120_000);

  // For each: a breaker that has opened twice within a minute stays open until that is over.
  beforeEach(async () => {
    // What a poll took that nobody waits for any more is hidden for this long.
    const environment = { SQS_QUEUE_URL: sqsQueueUrl, SQS_VISIBILITY_TIMEOUT_SECONDS: "5" };
    service = await startService({ ...stack.environment, ...environment }, join(directory, "service.log"));
    publisher = await connectPublisher(
      { sqsQueueUrl, sqsSendTimeoutMs: 1_500, publishDeadlineMs: DEADLINE_MS, maxUnderWay: MAX_UNDER_WAY },
      createLog("test", "fatal"),
    );
  }, 60_000);

  afterEach(async () => {
    await publisher?.close();
    service?.kill("SIGKILL");
    await service?.exited;
  }, 60_000);

  afterAll(async () => {
    await sqsLine?.close();
    await stack?.close();
    rmSync(directory, { recursive: true, force: true });
  }, 60_000);

  test("hanging both: publishers fail in time, nothing is lost, and all goes on when they wake", async () => {
    await survives(
      () => {
        stack.pulsar().kill("SIGSTOP");
        stack.localStack().kill("SIGSTOP");
      },
      () => {
        stack.localStack().kill("SIGCONT");
        stack.pulsar().kill("SIGCONT");
      },
    );
  }, 180_000);

  test("gone both: the same when they refuse connections, and the broker comes back on its data", async () => {
    await survives(
      () => {
        stack.pulsar().kill("SIGKILL");
        sqsLine.cut();
      },
      async () => {
        sqsLine.restore();
        await stack.crashPulsar(0);
      },
    );
  }, 180_000);

  async function survives(begin: () => void, end: () => unknown): Promise<void> {
    await until("it is ready", async () => (await readiness()).status === 200, patience);
    const before = await wave(MAX_UNDER_WAY);
    expect(before.filter((fate) => "error" in fate)).toEqual([]);

    begin();
    const during = await wave(MAX_UNDER_WAY + SURPLUS);
    const failed = during.slice(0, MAX_UNDER_WAY).map(errorOf);
    for (const { error, tookMs } of failed) {
      expect(error).toBeInstanceOf(PublishError);
      expect(error).toMatchObject({ code: "publish_failed", retryable: true });
      expect(tookMs).toBeLessThan(SETTLES_WITHIN_MS);
    }
    for (const { error } of during.slice(MAX_UNDER_WAY).map(errorOf))
      expect(error).toMatchObject({ code: "publisher_full", retryable: true });
    await until("nothing is kept of them", () => publisher.counts().underWay === 0, patience);

    await until(
      "/readyz says that neither queue is connected",
      async () => {
        expect(await readiness()).toMatchObject({
          status: 503,
          body: { checks: { store: "ok", pulsar: "not connected", sqs: "not connected" } },
        });
        return true;
      },
      patience,
    );
    expect((await get("/livez")).status).toBe(200);
    const later = errorOf((await wave(1))[0]!);
    expect(later.error).toMatchObject({ code: "publish_failed", retryable: true });
    expect(later.tookMs).toBeLessThan(SETTLES_WITHIN_MS);

    await end();
    await Promise.all(
      [...failed, later].map(({ error }) => resendUntilTaken((error as PublishError).update)),
    );
    await until("nothing is left undelivered", () => allDelivered(stack), patience);
    await expectProfiles({ redisUrl: stack.urls.redis }, taken, patience.patienceMs);
    const recovered = { status: 200, body: { checks: { store: "ok", pulsar: "ok", sqs: "ok" } } };
    await until(
      "it is ready again",
      async () => {
        expect(await readiness()).toMatchObject(recovered);
        return true;
      },
      patience,
    );
    const back = () => publisher.routing.router.route().path === "pulsar";
    await until("the route is pulsar again", back, patience);
  }

  /** Publishes so many updates at once. */
  function wave(count: number): Promise<Fate[]> {
    return Promise.all(Array.from({ length: count }, publishOne));
  }

  async function publishOne(): Promise<Fate> {
    const userId = `user-${Math.floor(random() * USERS)}`;
    const input = { tenant: "shop", userId, ops: seededOperations(random), at: Date.now() };
    const beganMs = performance.now();
    try {
      const receipt = await publisher.publish(input);
      const { src, seq, stamp } = receipt;
      taken.push({ v: 1, src, seq, stamp, ...input });
      return { receipt };
    } catch (error) {
      if (!(error instanceof KeylineError)) throw error;
      return { error, tookMs: performance.now() - beganMs };
    }
  }

  async function resendUntilTaken(update: Update): Promise<void> {
    try {
      await publisher.resend(update);
      taken.push(update);
    } catch (error) {
      if (!(error instanceof KeylineError && error.retryable)) throw error;
      await sleep(100);
      await resendUntilTaken(update);
    }
  }

  const readiness = () => get("/readyz");

  async function get(path: string): Promise<{ status: number; body: unknown }> {
    const response = await fetch(service.adminUrl + path, { signal: AbortSignal.timeout(5_000) });
    return { status: response.status, body: await response.json() };
  }
});

function errorOf(fate: Fate) {
  if ("error" in fate) return fate;
  throw new Error(`published over ${fate.receipt.path} while both paths were down`);
}
