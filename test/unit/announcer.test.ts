import { afterEach, expect, test } from "vitest";
import { createAnnouncer } from "../../services/audience-update/announcer.ts";
import type { AnnouncedChange, MembershipChange } from "../../shared/domain/membership-change.ts";
import type { OutgoingMessage, Path } from "../../shared/ports/update-queue.ts";
import { createRoutedSender } from "../../shared/publish/routed-send.ts";
import { until } from "../support/until.ts";

const closing: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

const change = (number: number, audience = "regulars"): MembershipChange => ({
  ...{ audience, generation: 3, number, at: 1_767_225_600_000, stamp: 3_619_277_004_800_000, version: 7 },
  cause: { kind: "update", id: `order-${number}` },
});
const changes = (count: number, from = 1) =>
  Array.from({ length: count }, (_, index) => change(from + index));
const user = (userId: string) => ({ tenant: "shop", userId });

function start(options: {
  send(message: OutgoingMessage, path: Path): Promise<void>;
  route?: Path;
  deadlineMs?: number;
  ready?: Promise<void>;
}) {
  const failures: string[] = [];
  const announced = { pulsar: 0, sqs: 0 };
  const producer = (path: Path) => ({
    ...{ send: (message: OutgoingMessage) => options.send(message, path), connected: () => true },
    async close() {},
  });
  const announcer = createAnnouncer({
    ready: options.ready ?? Promise.resolve(),
    sender: createRoutedSender({
      ...{ primary: producer("pulsar"), fallback: producer("sqs"), maxPending: { pulsar: 300, sqs: 300 } },
      breaker: { guard: (send) => send() },
      route: () => ({ path: options.route ?? "pulsar", by: "fleet", why: "" }),
      deadlineMs: options.deadlineMs ?? 1_000,
    }),
    restMs: () => 1,
    onAnnounced(path) {
      announced[path] += 1;
    },
    onFailed: (errors) => void failures.push(...errors.map(({ message }) => message)),
  });
  closing.push(announcer.close);
  return { announcer, announced, failures };
}

const away = () => Promise.reject(new Error("away"));

test("a change is one message under the user's key, named by user, audience, generation and number", async () => {
  const sent: OutgoingMessage[] = [];
  const { announcer, announced } = start({ send: async (message) => void sent.push(message) });
  expect(await announcer.announce(user("4\uffff2"), [change(1)])).toBe(true);
  expect(sent).toHaveLength(1);
  const { payload, ...rest } = sent[0]!;
  expect(rest).toEqual({ key: "shop:4\uffff2", deduplicationId: "shop:4\uffff2 regulars 3 1" });
  expect(payload).not.toContain("\uffff");
  const expected: AnnouncedChange = {
    ...{ v: 1, tenant: "shop", userId: "4\uffff2", change: "entered" },
    ...change(1),
  };
  expect(JSON.parse(payload)).toEqual(expected);
  expect(announced).toEqual({ pulsar: 1, sqs: 0 });
});

test("no changes are announced at once, and nothing is sent before it may", async () => {
  const ready = Promise.withResolvers<void>();
  const sends: number[] = [];
  const { announcer } = start({ ready: ready.promise, send: async () => void sends.push(1) });
  expect(await announcer.announce(user("1"), [])).toBe(true);
  const announcing = announcer.announce(user("1"), [change(1)]);
  await new Promise(setImmediate);
  expect(sends).toEqual([]);
  ready.resolve();
  expect([await announcing, sends]).toEqual([true, [1]]);
});

test("goes the other way where the route fails", async () => {
  const { announcer, announced, failures } = start({
    send: (_, path) => (path === "pulsar" ? away() : Promise.resolve()),
  });
  expect(await announcer.announce(user("1"), changes(3))).toBe(true);
  expect([announced, failures]).toEqual([{ pulsar: 0, sqs: 3 }, []]);
});

test("a user's changes go one after the other, also those of another call and while sends fail; users side by side", async () => {
  const arrived = new Map<string, number[]>();
  const underWay = new Set<string>();
  let most = 0;
  let sends = 0;
  const { announcer, failures } = start({
    deadlineMs: 5,
    async send({ key, payload }) {
      expect(underWay.has(key)).toBe(false);
      underWay.add(key);
      most = Math.max(most, underWay.size);
      await new Promise(setImmediate);
      underWay.delete(key);
      sends += 1;
      if (sends % 3 !== 0) throw new Error("away");
      arrived.set(key, [...(arrived.get(key) ?? []), (JSON.parse(payload) as AnnouncedChange).number]);
    },
  });
  const users = Array.from({ length: 20 }, (_, index) => user(String(index)));
  const calls = users.flatMap((each) => [
    announcer.announce(each, changes(5)),
    announcer.announce(each, changes(5, 6)),
  ]);
  expect(new Set(await Promise.all(calls))).toEqual(new Set([true]));
  expect(failures.length).toBeGreaterThan(0);
  expect(most).toBeGreaterThan(5);
  // What is answered after its 5 ms was sent for nothing, and is sent again at once.
  for (const numbers of arrived.values())
    expect(numbers.filter((number, index) => number !== numbers[index - 1])).toEqual([
      1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
    ]);
  expect(arrived.size).toBe(20);
});

test("tries until a path takes it, and only then announces the next", async () => {
  let isAway = true;
  const sent: string[] = [];
  const { announcer, failures } = start({
    deadlineMs: 5,
    async send({ payload }) {
      if (isAway) throw new Error("away");
      sent.push(payload);
    },
  });
  const announcing = announcer.announce(user("1"), changes(2));
  await until("it failed often", () => failures.length > 10);
  isAway = false;
  expect(await announcing).toBe(true);
  expect(sent.map((payload) => (JSON.parse(payload) as AnnouncedChange).change)).toEqual(["entered", "left"]);
});

test("at most 200 are under way at once, and the others' deadlines wait with them", async () => {
  const answers: (() => void)[] = [];
  const { announcer, failures } = start({
    deadlineMs: 60_000,
    send: () => new Promise((resolve) => answers.push(resolve)),
  });
  const calls = Array.from({ length: 500 }, (_, index) =>
    announcer.announce(user(String(index)), [change(1)]),
  );
  for (const expected of [200, 200, 100]) {
    await until(`${expected} are under way`, () => answers.length === expected);
    await new Promise(setImmediate);
    expect(answers).toHaveLength(expected);
    for (const answer of answers.splice(0)) answer();
  }
  expect(new Set(await Promise.all(calls))).toEqual(new Set([true]));
  expect(failures).toEqual([]);
});

test("close gives up what is not announced, waits for the tries under way, and sends nothing more", async () => {
  const answer = Promise.withResolvers<void>();
  let sends = 0;
  const { announcer, announced } = start({
    deadlineMs: 60_000,
    async send({ key }) {
      sends += 1;
      if (key === "shop:answered") return answer.promise;
      throw new Error("away");
    },
  });
  const answered = announcer.announce(user("answered"), changes(2));
  const failing = announcer.announce(user("failing"), changes(2));
  await until("both are tried", () => sends >= 3);
  let closed = false;
  const closing = announcer.close().then(() => {
    closed = true;
  });
  expect(await failing).toBe(false);
  expect(closed).toBe(false);
  answer.resolve();
  expect(await answered).toBe(false);
  await closing;
  const before = sends;
  expect(await announcer.announce(user("late"), [change(1)])).toBe(false);
  expect([announced, sends]).toEqual([{ pulsar: 1, sqs: 0 }, before]);
});
