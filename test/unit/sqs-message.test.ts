import { expect, test } from "vitest";
import { decodeMessage, encodeMessage } from "../../shared/adapters/sqs/sqs-message.ts";
import type { OutgoingMessage } from "../../shared/ports/update-queue.ts";
import { createPublisher } from "../../shared/publish/publisher.ts";
import type { Breaker } from "../../shared/routing/breaker.ts";
import { sharedSettings } from "../../shared/runtime/connection-settings.ts";

const MAX_UPDATE_BYTES = 200_000;

function encoded(payload: string, key = "shop:42") {
  const message = { key, payload, deduplicationId: "one" };
  const { entry, sizeBytes } = encodeMessage(message);
  const { key: keyAgain, payload: payloadAgain } = decodeMessage({
    Body: entry.MessageBody,
    MessageAttributes: entry.MessageAttributes,
  });
  expect([keyAgain, payloadAgain]).toEqual([key, payload]);
  return { entry, sizeBytes };
}

test.each([
  ["beyond U+FFFF", "🦔 and \u{10ffff}"],
  ["SQS takes", "\t\n\r\u007f\u0085\ud7ff\ue000\ufffd"],
])("characters %s stay as they are", (_, text) => {
  const { entry } = encoded(text, text);
  expect(entry.MessageBody).toBe(text);
  expect(Object.keys(entry.MessageAttributes)).toEqual(["key"]);
});

test.each([
  ["a lone surrogate", "🦔\ud83e", '"🦔\\ud83e"'],
  ["two halves the wrong way round", "\udd94\ud83e", '"\\udd94\\ud83e"'],
  ["U+FFFE", "\ufffe", '"\\ufffe"'],
  ["U+FFFF", "\uffff", '"\\uffff"'],
  ["a control character", "\u0000", '"\\u0000"'],
  ["nothing", "", '""'],
])("%s is escaped", (_, text, body) => {
  expect(encoded(text).entry.MessageBody).toBe(body);
  expect(encoded(text).entry.MessageAttributes.payloadAs?.StringValue).toBe("json");
  expect(encoded("{}", text).entry.MessageAttributes.key?.StringValue).toBe(body);
});

test.each(["x", '"', "\\", "\u0000", "\ud800", "\ufffe", "\uffff", "ж", "🦔", '"\uffff', '"""""""\uffff🦔'])(
  "whatever a publisher takes is short enough for SQS, such as %j without end",
  async (letters) => {
    const { publish, sent } = openPublisher();
    const userId = letters
      .replace(/[\0\ud800]/g, "x")
      .repeat(256)
      .slice(0, 256)
      .replace(/\ud83e$/, "x");
    const longest = await longestAccepted((count) => publish(userId, letters.repeat(count)));
    const message = sent.at(-1)!;
    expect(Buffer.byteLength(message.payload)).toBeGreaterThan(MAX_UPDATE_BYTES - 60);
    expect(JSON.parse(message.payload).ops[0].body.text === letters.repeat(longest)).toBe(true);
    expect(encodeMessage(message).sizeBytes).toBeLessThan(204_000);
    expect(encodeMessage(message).entry.MessageBody === message.payload).toBe(true);
  },
);

test("an update may be no longer than these tests say", () => {
  const { maxUpdateBytes } = sharedSettings;
  expect(maxUpdateBytes.parse(`${MAX_UPDATE_BYTES}`)).toEqual({ value: MAX_UPDATE_BYTES });
  expect(maxUpdateBytes.parse(`${MAX_UPDATE_BYTES + 1}`)).toHaveProperty("problem");
});

function openPublisher() {
  const sent: OutgoingMessage[] = [];
  const primary = {
    send: async (message: OutgoingMessage) => void sent.push(message),
    connected: () => true,
    close: async () => {},
  };
  const publisher = createPublisher({
    primary,
    fallback: primary,
    breaker: { guard: (work: () => Promise<void>) => work() } as Partial<Breaker> as Breaker,
    route: () => ({ path: "sqs", by: "local", why: "open" }),
    tail: { add() {}, resent: () => 0 },
    deadlineMs: 1_000,
    maxUnderWay: 1,
    maxPending: { pulsar: 1, sqs: 1 },
    maxUsers: 10,
    maxUpdateBytes: MAX_UPDATE_BYTES,
    now: Date.now,
  });
  return {
    publish: (userId: string, text: string) => publisher.user("t".repeat(64), userId).set({ text }),
    sent,
  };
}

/** The greatest count that `publish` takes, which is the last that it takes here; it refuses a greater one as `too_large`, and nothing otherwise. */
async function longestAccepted(publish: (count: number) => Promise<unknown>): Promise<number> {
  let [taken, refused] = [1, MAX_UPDATE_BYTES];
  while (refused - taken > 1) {
    const count = Math.floor((taken + refused) / 2);
    const code = await publish(count).then(
      () => "ok",
      (error) => error.code,
    );
    expect(["ok", "too_large"]).toContain(code);
    if (code === "ok") taken = count;
    else refused = count;
  }
  return taken;
}
