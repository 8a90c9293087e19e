/** What every fallback queue does at its limits and at its end. */
import { describe, expect, it, vi } from "vitest";
import { type OpenFallbackQueue, payloads, receive, useFallbackQueue } from "./fallback-queue-subject.ts";

const wait = { timeout: 20_000, interval: 20 };

export function describeFallbackQueueLimits(name: string, open: OpenFallbackQueue): void {
  describe(`fallback queue at its limits: ${name}`, () => {
    const fixture = useFallbackQueue(open);
    const { send } = fixture;

    it("takes messages of which a batch would be too large", async () => {
      const payload = "x".repeat(60_000);
      await Promise.all(Array.from({ length: 12 }, (_, index) => send(`shop:${index}`, payload)));
      expect((await receive(fixture.consumer(), 12)).every((one) => one.payload === payload)).toBe(true);
    });

    it("takes an update of the greatest size, whatever its letters", async () => {
      const consumer = fixture.consumer();
      for (const letter of ["x", '"', "ж", "🦔"]) {
        const payload = letter.repeat(200_000 / Buffer.byteLength(letter));
        await send("a", payload);
        expect(payloads(await receive(consumer, 1))[0] === payload).toBe(true);
      }
    });

    it("refuses a message that is too large, and still takes the next", async () => {
      await fixture.reopen({ maxBatchBytes: 262_144 });
      const refusal = { code: "queue_send_refused", retryable: false };
      await expect(send("a", "x".repeat(262_144))).rejects.toMatchObject(refusal);
      await expect(send("a", "small")).resolves.toBeUndefined();
    });

    it("refuses more sends at once than it may hold", async () => {
      await fixture.reopen({ maxPending: 50 });
      const results = await Promise.allSettled(
        Array.from({ length: 60 }, (_, index) => send(`shop:${index}`, "x")),
      );
      const refused = results.filter((result) => result.status === "rejected");
      expect(refused).toHaveLength(10);
      for (const { reason } of refused)
        expect(reason).toMatchObject({ code: "queue_send_refused", retryable: true });
      await expect(send("a", "room again")).resolves.toBeUndefined();
    });

    it("holds no more than it may before they are received", async () => {
      await fixture.reopen({ maxPrefetched: 20 });
      await Promise.all(Array.from({ length: 100 }, (_, index) => send(`shop:${index}`, `${index}`)));
      const consumer = fixture.consumer();
      await vi.waitFor(async () => expect(await fixture.inFlightCount()).toBe(20), wait);
      await receive(consumer, 100);
    });

    it("holds no more than it may before they are acknowledged", async () => {
      await fixture.reopen({ maxUnacknowledged: 20 });
      await Promise.all(Array.from({ length: 100 }, (_, index) => send(`shop:${index}`, `${index}`)));
      const consumer = fixture.consumer();
      const deliveries = await receive(consumer, 20, false);
      expect(await fixture.inFlightCount()).toBe(20);
      await consumer.acknowledge(deliveries);
      await receive(consumer, 80);
    });

    it("keeps a message for as long as it is held, past its visibility timeout", async () => {
      await fixture.reopen({ visibilityTimeoutSeconds: 2 });
      await send("a", "slow");
      const holder = fixture.consumer();
      const deliveries = await receive(holder, 1, false);
      holder.pause();
      const other = fixture.consumer();
      const stolen = other.receive(10);
      const heldMs = performance.now();
      await vi.waitFor(() => expect(performance.now() - heldMs).toBeGreaterThan(5_000), wait);
      await holder.acknowledge(deliveries);
      await send("a", "next");
      expect(payloads(await stolen)).toEqual(["next"]);
    });

    it("ends a receive that waits when it is paused or closed, and the ones after", async () => {
      const paused = fixture.consumer();
      const closed = fixture.consumer();
      const waiting = [paused.receive(10), closed.receive(10)];
      paused.pause();
      await closed.close();
      expect(await Promise.all(waiting)).toEqual([[], []]);
      expect(await paused.receive(10)).toEqual([]);
      expect(await closed.receive(10)).toEqual([]);
    });

    it("waits for sends under way when a producer closes, and takes none after", async () => {
      const sends = Array.from({ length: 100 }, (_, index) => send(`shop:${index}`, "x"));
      await fixture.producer().close();
      expect((await Promise.allSettled(sends)).every(({ status }) => status === "fulfilled")).toBe(true);
      await expect(send("a", "late")).rejects.toMatchObject({ code: "queue_not_connected" });
      expect(fixture.producer().connected()).toBe(false);
    });
  });
}
