import { describe, expect, test } from "vitest";
import { createDeadLetterOffice } from "../../services/audience-update/dead-letter.ts";
import { refuse } from "../../shared/domain/refusal.ts";
import type { DeadLetter } from "../../shared/ports/dead-letter.ts";
import type { Delivery, OutgoingMessage } from "../../shared/ports/update-queue.ts";
import { sharedSettings } from "../../shared/runtime/connection-settings.ts";

/** What Pulsar's WebSocket API takes in one frame by default. */
const MAX_FRAME_BYTES = 1_048_576;
const refusal = refuse("profile_too_large", "", 1, "too large");

/** The message that parking this one sends to the dead-letter topic. */
async function parked(key: string, payload: string, why = refusal): Promise<OutgoingMessage> {
  const sent: OutgoingMessage[] = [];
  const office = createDeadLetterOffice({
    producer: { send: async (message) => void sent.push(message), connected: () => true, async close() {} },
    now: () => 0,
    restMs: () => 0,
    onParked() {},
    onError() {},
  });
  const delivery: Delivery = {
    path: "pulsar",
    key,
    payload,
    sizeBytes: Buffer.byteLength(payload),
    publishTimeMs: 0,
    handle: undefined,
  };
  const inFlight = { messages: () => 0, bytes: () => 0, drained: async () => {}, recheck() {}, close() {} };
  await office.park(
    delivery,
    {
      priority: "live",
      async receive() {},
      acknowledge() {},
      received: () => 0,
      drop() {},
      giveBack: () => false,
      stop() {},
      inFlight,
    },
    why,
  );
  return sent[0]!;
}

const letterOf = ({ payload }: OutgoingMessage) => JSON.parse(payload) as DeadLetter;

function frameBytes({ key, payload }: OutgoingMessage): number {
  const base64 = Buffer.from(payload).toString("base64");
  return Buffer.byteLength(JSON.stringify({ key, payload: base64, context: "1234567" }));
}

describe("a dead letter", () => {
  test("has every message whole that any setting lets apply, and fits a frame", async () => {
    const largest = sharedSettings.maxUpdateBytes.parse("200000");
    expect(largest).toEqual({ value: 200_000 });
    expect(sharedSettings.maxUpdateBytes.parse("200001")).toHaveProperty("problem");
    const quotes = JSON.stringify('"'.repeat(99_999));
    expect(quotes).toHaveLength(200_000);
    for (const payload of [quotes, JSON.stringify("\u00e9".repeat(99_999)), "\n".repeat(200_000)]) {
      const sent = await parked("shop:42", payload);
      expect(letterOf(sent).payload).toBe(payload);
      expect(letterOf(sent).cut).toBeUndefined();
      expect(frameBytes(sent)).toBeLessThan(MAX_FRAME_BYTES);
    }
  });

  test.each([
    ["a long payload", "shop:42", "x".repeat(5_000_000)],
    ["a payload that JSON writes six times as long", "shop:42", "\u0000".repeat(262_144)],
    ["a long key", "k".repeat(800_000), "{}"],
    ["a key that JSON writes six times as long", "\u0001".repeat(150_000), "{}"],
  ])("with %s says that it is cut, and fits a frame", async (_, key, payload) => {
    const sent = await parked(key, payload);
    const letter = letterOf(sent);
    expect(letter).toMatchObject({ cut: true, payloadBytes: payload.length });
    expect(payload.startsWith(letter.payload) && key.startsWith(letter.key)).toBe(true);
    expect(frameBytes(sent)).toBeLessThan(MAX_FRAME_BYTES);
  });

  test("fits a frame whatever names the payload has", async () => {
    const path = `ops[0].body.${"\u0007".repeat(150_000)}`;
    const sent = await parked("shop:42", "{}", refuse("invalid_update", path, 1, path));
    expect(frameBytes(sent)).toBeLessThan(MAX_FRAME_BYTES);
    expect(letterOf(sent).cut).toBeUndefined();
  });
});
