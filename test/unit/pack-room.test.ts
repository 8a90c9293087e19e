import fc from "fast-check";
import { afterEach, expect, test, vi } from "vitest";
import { contentsOf } from "../../shared/domain/pack.ts";
import type { OutgoingMessage } from "../../shared/ports/update-queue.ts";
import { keyGroupOf } from "../../shared/publish/key-group.ts";
import { createSendWindow } from "../../shared/publish/send-window.ts";

const KEY_GROUPS = 4;
const FAR_MS = 60_000;

type Sent = { key: string; holds: string[]; answer: PromiseWithResolvers<void> };

/** A window to a queue that answers when it is told to. */
function open({ maxPending = 100 }: { maxPending?: number } = {}) {
  const sent: Sent[] = [];
  const settled = new Map<string, string>();
  const window = createSendWindow({
    ...{ path: "pulsar", maxPending, keyGroups: KEY_GROUPS },
    send(message, updates) {
      const answer = Promise.withResolvers<void>();
      const holds = contentsOf(message).map(({ payload }) => payload);
      expect(holds).toHaveLength(updates);
      sent.push({ key: message.key, holds, answer });
      return answer.promise;
    },
  });
  return {
    sent,
    settled,
    abandoned: window.abandoned,
    send(key: string, payload: string, turnWithinMs = FAR_MS) {
      const message: OutgoingMessage = { key, payload, deduplicationId: payload };
      const nowMs = performance.now();
      window.send(message, nowMs + turnWithinMs, nowMs + FAR_MS, (error) => {
        expect(settled.has(payload)).toBe(false);
        settled.set(payload, error ? ((error as { code?: string }).code ?? error.message) : "taken");
      });
    },
  };
}

const turn = () => new Promise<void>((resume) => setImmediate(resume));
const firstGroup = keyGroupOf("shop:user-0", KEY_GROUPS);
/** Users of the first key group, and one of another. */
const all = Array.from({ length: 400 }, (_, number) => `shop:user-${number}`);
const together = all.filter((key) => keyGroupOf(key, KEY_GROUPS) === firstGroup);
const apart = all.find((key) => keyGroupOf(key, KEY_GROUPS) !== firstGroup)!;

afterEach(() => vi.useRealTimers());

test("what comes at once for one group is one message of the queue, and what comes for another one is another", async () => {
  const { send, sent, settled } = open();
  send(together[0]!, "a");
  send(apart, "b");
  send(together[1]!, "c");
  await turn();
  expect(sent.map(({ key, holds }) => [key, holds])).toEqual([
    [firstGroup, ["a", "c"]],
    [keyGroupOf(apart, KEY_GROUPS), ["b"]],
  ]);
  sent[0]!.answer.resolve();
  await turn();
  expect([...settled]).toEqual([
    ["a", "taken"],
    ["c", "taken"],
  ]);
});

test("what comes while a pack of its group is under way leaves with the next, in order", async () => {
  const { send, sent } = open();
  send(together[0]!, "1");
  await turn();
  send(together[0]!, "2");
  await turn();
  send(together[1]!, "3");
  send(together[0]!, "4");
  await turn();
  expect(sent.map(({ holds }) => holds)).toEqual([["1"]]);
  sent[0]!.answer.resolve();
  await turn();
  expect(sent.map(({ holds }) => holds)).toEqual([["1"], ["2", "3", "4"]]);
});

test("a full pack waits for none that is under way", async () => {
  const { send, sent } = open();
  for (let number = 0; number < 120; number += 1) send(together[0]!, `${number}`);
  await turn();
  expect(sent.map(({ holds }) => holds.length)).toEqual([50, 50]);
  expect(sent.flatMap(({ holds }) => holds)).toEqual(Array.from({ length: 100 }, (_, number) => `${number}`));
  for (let number = 120; number < 150; number += 1) send(together[0]!, `${number}`);
  await turn();
  expect(sent.map(({ holds }) => holds.length)).toEqual([50, 50, 50]);
});

test("a pack is no longer than a message that goes alone", async () => {
  const { send, sent } = open();
  const long = "x".repeat(20_000);
  for (const payload of [`1${long}`, `2${long}`, `3${long}${long}`, "4"]) send(together[0]!, payload);
  await turn();
  for (let number = 0; number < sent.length; number += 1) {
    sent[number]!.answer.resolve();
    await turn();
  }
  expect(sent.map(({ holds }) => holds.map((payload) => payload[0]))).toEqual([["1"], ["2"], ["3"], ["4"]]);
});

test("what has waited for 50 ms for a pack without an answer leaves by itself", async () => {
  const { send, sent } = open();
  send(together[0]!, "hangs");
  await turn();
  send(together[0]!, "1");
  send(together[1]!, "2");
  await turn();
  expect(sent).toHaveLength(1);
  await vi.waitFor(() => expect(sent.map(({ holds }) => holds)).toEqual([["hangs"], ["1", "2"]]));
  send(together[0]!, "3");
  await vi.waitFor(() => expect(sent.map(({ holds }) => holds)).toEqual([["hangs"], ["1", "2"], ["3"]]));
});

test("a pack that is full by its length waits for none either", async () => {
  const { send, sent } = open();
  const long = "x".repeat(20_000);
  send(together[0]!, "first");
  await turn();
  send(together[0]!, `1${long}`);
  await turn();
  expect(sent).toHaveLength(1);
  send(together[0]!, `2${long}`);
  await turn();
  expect(sent.map(({ holds }) => holds.map((payload) => payload[0]))).toEqual([["f"], ["1"]]);
});

test("when a pack fails, each of its messages has failed", async () => {
  const { send, sent, settled } = open();
  send(together[0]!, "a");
  send(together[1]!, "b");
  await turn();
  sent[0]!.answer.reject(new Error("away"));
  await turn();
  expect([...settled]).toEqual([
    ["a", "away"],
    ["b", "away"],
  ]);
});

test("what waits too long for its turn is not sent, and the others of its group are", async () => {
  const { send, sent, settled, abandoned } = open({ maxPending: 1 });
  send(apart, "first");
  await turn();
  send(together[0]!, "late", 5);
  send(together[1]!, "patient");
  await vi.waitFor(() => expect(settled.get("late")).toBe("publish_late"));
  expect(abandoned()).toBe(1);
  sent[0]!.answer.resolve();
  await turn();
  expect(sent.map(({ holds }) => holds)).toEqual([["first"], ["patient"]]);
  expect(abandoned()).toBe(0);
});

test("whatever comes whenever, all of it is sent once, in the order of its group, and never too much at once", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(fc.nat({ max: 60 }), fc.constant("answer" as const), fc.constant("turn" as const)), {
        maxLength: 300,
      }),
      fc.integer({ min: 1, max: 3 }),
      async (steps, maxPending) => {
        const { send, sent, settled } = open({ maxPending });
        const expected = new Map<string, string[]>();
        let answered = 0;
        const answerOne = () => sent[answered++]?.answer.resolve();
        let number = 0;
        for (const step of steps) {
          if (step === "turn") await turn();
          else if (step === "answer") {
            if (answered < sent.length) answerOne();
          } else {
            const key = all[step]!;
            const group = keyGroupOf(key, KEY_GROUPS);
            expected.set(group, [...(expected.get(group) ?? []), `${number}`]);
            send(key, `${number++}`);
          }
          expect(sent.length - answered).toBeLessThanOrEqual(maxPending);
        }
        await turn();
        while (answered < sent.length) {
          answerOne();
          await turn();
        }
        for (const [group, payloads] of expected) {
          expect(sent.filter(({ key }) => key === group).flatMap(({ holds }) => holds)).toEqual(payloads);
        }
        expect(settled.size).toBe(number);
      },
    ),
    { numRuns: 200 },
  );
});

test("without key groups each message goes by itself, under its own key", async () => {
  const sent: OutgoingMessage[] = [];
  const window = createSendWindow({
    ...{ path: "pulsar", maxPending: 10, keyGroups: 0 },
    async send(message) {
      sent.push(message);
    },
  });
  const messages = ["a", "b"].map((payload) => ({ key: together[0]!, payload, deduplicationId: payload }));
  const lateMs = performance.now() + FAR_MS;
  for (const message of messages) window.send(message, lateMs, lateMs, () => {});
  await turn();
  expect(sent).toEqual(messages);
});
