import { isUtf8 } from "node:buffer";
import type { FastifyInstance } from "fastify";
import { FORBIDDEN_NAME, forbiddenName } from "../domain/forbidden-name.ts";
import { type Refusal, refuse } from "../domain/refusal.ts";
import { KeylineError } from "../runtime/errors.ts";
import { Refused } from "./http-errors.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /** The field of its body in which items stand, each to be refused by itself; empty where the body may be an array. */
    itemsIn?: string;
  }
}

/** Stands in the place of an item with a name that is not taken. */
export class RefusedItem {
  readonly refusal: Refusal<"invalid_request">;

  constructor(refusal: Refusal<"invalid_request">) {
    this.refusal = refusal;
  }
}

/**
 * Reads bodies of these media types as JSON. What is not UTF-8 is refused: read with replacement characters, the ids
 * of two users could become one. So is `__proto__`, with its place; where the route says that its body has items, only
 * the item that has it: a `RefusedItem` stands there then.
 */
export function readJsonBodies(server: FastifyInstance, mediaTypes: string[]): void {
  const parse = server.getDefaultJsonParser("error", "error");
  const parseAny = server.getDefaultJsonParser("ignore", "ignore");
  server.removeContentTypeParser(mediaTypes);
  server.addContentTypeParser<Buffer>(mediaTypes, { parseAs: "buffer" }, (request, body, done) => {
    if (!isUtf8(body))
      return done(new KeylineError("invalid_request", "body: must be UTF-8", { path: "body" }));
    const text = body.toString();
    void parse(request, text, (refused, value) => {
      if (!refused) return done(null, value);
      // It is no JSON, or it has such a name: only then it is read twice.
      void parseAny(request, text, (error, any) => {
        if (error) return done(error);
        const { itemsIn } = request.routeOptions.config;
        if (itemsIn !== undefined) refuseItems(any, itemsIn);
        const refusal = refuseName(any, "");
        done(refusal ? errorOf(refusal) : null, any);
      });
    });
  });
}

function refuseItems(body: unknown, itemsIn: string): void {
  const items = itemsIn === "" ? body : (body as Record<string, unknown>)[itemsIn];
  if (!Array.isArray(items)) return;
  for (const [index, item] of items.entries()) {
    const refusal = refuseName(item, `${itemsIn}[${index}]`);
    if (refusal) items[index] = new RefusedItem(refusal);
  }
}

function refuseName(value: unknown, prefix: string): Refusal<"invalid_request"> | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const found = forbiddenName(value, prefix);
  return found && refuse<"invalid_request">("invalid_request", found.path, found.value, FORBIDDEN_NAME);
}

function errorOf({ code, path, value, message }: Refusal<string>): KeylineError {
  return new Refused(code, `${path}: ${message}`, { path, value });
}
