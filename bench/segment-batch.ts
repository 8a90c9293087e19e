/** A batch of purchases as Segment's Node client sends it, each of about 390 bytes. */
export function segmentBatch(size: number, n: number): Buffer {
  const batch = Array.from({ length: size }, (_, index) => ({
    type: "track",
    userId: `user-${(n * size + index) % 20_000}`,
    event: "order_completed",
    messageId: `node-next-1795950323300-${n}-${index}-0d9f1c0e`,
    timestamp: "2026-11-29T12:00:00.000Z",
    properties: { orderId: `order-${index}`, amount: 29.5, currency: "USD", channel: "web" },
    context: { library: { name: "@segment/analytics-node", version: "3.1.0" } },
    integrations: {},
    _metadata: { nodeVersion: "24.21.0", jsRuntime: "node" },
  }));
  return Buffer.from(JSON.stringify({ batch, sentAt: "2026-11-29T12:00:01.000Z" }));
}
