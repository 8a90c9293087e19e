import { afterEach, expect, test } from "vitest";
import type { OutgoingMessage, Path, Producer } from "../../shared/ports/update-queue.ts";
import { createTail, type Tail, type TailOptions } from "../../shared/publish/tail.ts";
import type { Route } from "../../shared/routing/router.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";
import { createLog } from "../../shared/runtime/log.ts";
import { until } from "../support/until.ts";

const TAIL_MS = 5_000;
const tails: Tail[] = [];

afterEach(async () => {
  for (const tail of tails.splice(0)) await tail.close();
});

function createRouter(path: Path = "pulsar") {
  const listeners: ((route: Route) => void)[] = [];
  let route: Route = { path, by: "local", why: "test" };
  return {
    route: () => route,
    onChange: (listener: (route: Route) => void) => void listeners.push(listener),
    move(to: Path, by: Route["by"] = "fleet") {
      route = { path: to, by, why: "test" };
      for (const listener of listeners) listener(route);
    },
  };
}

/** SQS as told by `behave`, which gets each message and how often it was sent before. */
function createFallback(behave: (message: OutgoingMessage, sentBefore: number) => Promise<void>) {
  const sent: OutgoingMessage[] = [];
  let underWay = 0;
  let mostUnderWay = 0;
  const producer: Producer = {
    async send(message) {
      const sentBefore = sent.filter((other) => other === message).length;
      sent.push(message);
      underWay += 1;
      mostUnderWay = Math.max(mostUnderWay, underWay);
      await behave(message, sentBefore).finally(() => {
        underWay -= 1;
      });
    },
    connected: () => true,
    close: async () => {},
  };
  return { producer, sent, keys: () => sent.map(({ key }) => key), mostUnderWay: () => mostUnderWay };
}

const takes = () => new Promise<void>((resume) => setTimeout(resume, 1));
const away = async () => Promise.reject(new Error("SQS is away"));

function start(options: Partial<TailOptions> = {}, behave: Parameters<typeof createFallback>[0] = takes) {
  const clock = { nowMs: 1_000_000 };
  const router = createRouter();
  const fallback = createFallback(behave);
  const tail = createTail({
    fallback: fallback.producer,
    router,
    tailMs: TAIL_MS,
    maxUpdates: 1_000,
    maxBytes: 1_000_000,
    closeWithinMs: 1_000,
    log: createLog("test", "fatal"),
    now: () => clock.nowMs,
    ...options,
  });
  tails.push(tail);
  return { clock, router, fallback, tail };
}

function message(key: number | string, payload = "{}"): OutgoingMessage {
  return { key: String(key), payload, deduplicationId: `${key} s 1` };
}

const names = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => String(from + n));

test("what is younger than the tail goes over SQS as it was, oldest first, few at once", async () => {
  const { clock, router, fallback, tail } = start();
  tail.add(message("old"));
  clock.nowMs += TAIL_MS;
  const last = Array.from({ length: 500 }, (_, n) => message(n));
  clock.nowMs += 1;
  for (const one of last) tail.add(one);
  expect(fallback.sent).toEqual([]);
  router.move("sqs");
  await until("all are sent", () => tail.resent() === 500);
  expect(fallback.sent).toEqual(last);
  expect(fallback.mostUnderWay()).toBe(20);
});

test("a queue that does not answer holds up the tail of none of the others", async () => {
  const sent: OutgoingMessage[] = [];
  const queueOf = (key: string) => Number(key) % 4;
  const fallback: Producer = {
    send(message) {
      sent.push(message);
      return queueOf(message.key) === 0 ? new Promise(() => {}) : takes();
    },
    queues: { count: 4, of: queueOf },
    connected: () => true,
    close: async () => {},
  };
  const { router, tail } = start({ fallback, closeWithinMs: 10 });
  for (const key of names(0, 400)) tail.add(message(key));
  router.move("sqs");
  await until("all but those of the dead queue are sent", () => tail.resent() === 300);
  expect(sent.filter(({ key }) => queueOf(key) === 0)).toHaveLength(20);
});

test("age counts when the route moves, not before", async () => {
  const { clock, router, fallback, tail } = start();
  for (const key of names(0, 3)) {
    tail.add(message(key));
    clock.nowMs += TAIL_MS / 2;
  }
  clock.nowMs -= TAIL_MS / 2;
  router.move("sqs");
  await until("they are sent", () => tail.resent() === 3);
  expect(fallback.keys()).toEqual(["0", "1", "2"]);

  const later = start();
  later.tail.add(message("late"));
  later.clock.nowMs += TAIL_MS + 1;
  later.router.move("sqs");
  expect(later.fallback.sent).toEqual([]);
});

test("no message goes twice, however often the route moves and whoever says so", async () => {
  const { router, fallback, tail } = start();
  for (const key of names(0, 30)) tail.add(message(key));
  router.move("pulsar", "fleet");
  router.move("sqs", "local");
  router.move("sqs", "fleet");
  router.move("sqs", "override");
  await until("the tail is sent", () => tail.resent() === 30);
  router.move("pulsar");
  for (const key of names(30, 40)) tail.add(message(key));
  router.move("sqs");
  await until("the new tail is sent", () => tail.resent() === 40);
  expect(fallback.keys()).toEqual(names(0, 40));
});

test("what is left when the route moves back stays for the next opening", async () => {
  const answers: (() => void)[] = [];
  const { router, fallback, tail } = start({}, () => new Promise((resume) => answers.push(resume)));
  for (const key of names(0, 50)) tail.add(message(key));
  router.move("sqs");
  expect(fallback.sent).toHaveLength(20);
  router.move("pulsar");
  for (const answer of answers.splice(0)) answer();
  await until("they are taken", () => tail.resent() === 20);
  expect(fallback.sent).toHaveLength(20);
  router.move("sqs");
  await until("the next are sent", () => fallback.sent.length === 40);
  for (const answer of answers.splice(0)) answer();
  await until("the last are sent", () => fallback.sent.length === 50);
  expect(fallback.keys()).toEqual(names(0, 50));
  for (const answer of answers.splice(0)) answer();
});

test("what Pulsar answers while the route is sqs goes over SQS at once", async () => {
  const { router, fallback, tail } = start();
  router.move("sqs");
  tail.add(message("late answer"));
  await until("it is sent", () => tail.resent() === 1);
  expect(fallback.keys()).toEqual(["late answer"]);
});

test.each([
  { maxUpdates: 3, maxBytes: 1_000, kept: ["7", "8", "9"] },
  { maxUpdates: 100, maxBytes: 45, kept: ["6", "7", "8", "9"] },
  { maxUpdates: 100, maxBytes: 9, kept: [] },
  { maxUpdates: 0, maxBytes: 1_000, kept: [] },
  { tailMs: 0, maxUpdates: 100, maxBytes: 1_000, kept: [] },
])("the tail keeps the newest within its bounds: %o", async ({ kept, ...bounds }) => {
  const { router, fallback, tail } = start(bounds);
  for (const key of names(0, 10)) tail.add(message(key, "ten bytes."));
  router.move("sqs");
  await until("they are sent", () => tail.resent() === kept.length);
  expect(fallback.keys()).toEqual(kept);
});

test("a message that SQS does not take is sent again until it does", async () => {
  const { router, fallback, tail } = start({}, (_, sentBefore) => (sentBefore < 1 ? away() : takes()));
  for (const key of names(0, 40)) tail.add(message(key));
  router.move("sqs");
  await until("all are taken", () => tail.resent() === 40);
  expect(fallback.sent).toHaveLength(80);
});

test("a message is given up when it is old, and when SQS can never take it", async () => {
  const refused = new KeylineError("queue_send_refused", "too long");
  const { clock, router, fallback, tail } = start({}, ({ key }) =>
    key === "too long" ? Promise.reject(refused) : away(),
  );
  const tries = (of: string) => fallback.keys().filter((key) => key === of).length;
  tail.add(message("too long"));
  tail.add(message("old"));
  router.move("sqs");
  await until("it is tried again", () => tries("old") > 1);
  clock.nowMs += 60_001;
  const before = tries("old");
  tail.add(message("young"));
  await until("younger ones are tried again", () => tries("young") > 3);
  expect(tries("old")).toBe(before);
  expect(tries("too long")).toBe(1);
});

test("nothing is sent any more once the route is pulsar", async () => {
  const { router, fallback, tail } = start({}, away);
  const clock = start({}, away);
  for (const one of [tail, clock.tail]) one.add(message("away"));
  for (const one of [router, clock.router]) one.move("sqs");
  await until("it is tried again", () => fallback.sent.length > 1);
  router.move("pulsar");
  const before = fallback.sent.length;
  const others = clock.fallback.sent.length;
  await until("another tail goes on", () => clock.fallback.sent.length > others + 2);
  expect(fallback.sent).toHaveLength(before);
});

test("close finishes what it can and leaves what hangs", async () => {
  const finishing = start({ closeWithinMs: 20_000 });
  for (const key of names(0, 100)) finishing.tail.add(message(key));
  finishing.router.move("sqs");
  await finishing.tail.close();
  expect(finishing.tail.resent()).toBe(100);

  const hanging = start({ closeWithinMs: 50 }, () => new Promise(() => {}));
  for (const key of names(0, 100)) hanging.tail.add(message(key));
  hanging.router.move("sqs");
  await hanging.tail.close();
  hanging.tail.add(message("after"));
  hanging.router.move("pulsar");
  hanging.router.move("sqs");
  expect(hanging.fallback.sent).toHaveLength(20);
});
