import type { IncomingHttpHeaders } from "node:http";
import type { FastifyInstance } from "fastify";
import { KeylineError } from "../../../shared/runtime/errors.ts";

/**
 * Bounds the bodies of all requests that are under way together: each is counted, before it is read, with all that it
 * may turn out to be. Only so many are read at once that this process can hold; who comes beyond is told to come again.
 *
 * @param options.bodyLimit of one body, in bytes, after it is unpacked; of what is read as a stream, what is in memory
 */
export function boundBodies(
  server: FastifyInstance,
  { maxBytes, bodyLimit }: { maxBytes: number; bodyLimit: number },
): void {
  let held = 0;
  server.addHook("onRequest", async (request, reply) => {
    const bytes = longestOf(request.headers, bodyLimit);
    // What is longer than all the room is read alone.
    if (held > 0 && held + bytes > maxBytes)
      throw new KeylineError("gateway_full", `bodies of ${held} bytes are under way here, try again later`, {
        retryable: true,
      });
    held += bytes;
    reply.raw.once("close", () => {
      held -= bytes;
    });
  });
}

/** Packed ones may become as long as any. */
function longestOf(headers: IncomingHttpHeaders, bodyLimit: number): number {
  const { "content-length": length, "content-encoding": encoding, "transfer-encoding": transfer } = headers;
  if (length === undefined && transfer === undefined) return 0;
  if (encoding !== undefined || length === undefined) return bodyLimit;
  return Math.min(Number(length), bodyLimit);
}
