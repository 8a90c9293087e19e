import { isUtf8 } from "node:buffer";
import type { FastifyInstance } from "fastify";
import { KeylineError } from "../runtime/errors.ts";

/**
 * Reads bodies of these media types as JSON. What is not UTF-8 is refused: read with replacement characters, the ids
 * of two users could become one.
 */
export function readJsonBodies(server: FastifyInstance, mediaTypes: string[]): void {
  const parse = server.getDefaultJsonParser("error", "error");
  server.removeContentTypeParser(mediaTypes);
  server.addContentTypeParser<Buffer>(mediaTypes, { parseAs: "buffer" }, (request, body, done) => {
    if (isUtf8(body)) return parse(request, body.toString(), done);
    done(new KeylineError("invalid_request", "body: must be UTF-8", { path: "body" }));
  });
}
