import type { FastifyReply, FastifyRequest } from "fastify";
import { KeylineError } from "../runtime/errors.ts";
import type { Operators } from "./operators.ts";

type OnRequest = (request: FastifyRequest, reply: FastifyReply) => Promise<void>;

/** An `onRequest` hook: whoever has a token of `readers`, or of `operators`; everyone where `readers` is undefined. */
export function readersOnly(readers: Operators | undefined, operators?: Operators): OnRequest {
  return async ({ headers: { authorization } }, reply) => {
    if (!readers || readers.authenticate(authorization) || operators?.authenticate(authorization)) return;
    reply.header("www-authenticate", "Bearer");
    throw new KeylineError("unauthorised", "the bearer token of READ_TOKEN is required");
  };
}

/** What OpenAPI says of a route with `readersOnly`. */
export function readSecurity(readers: Operators | undefined): { security?: { bearer: string[] }[] } {
  return readers ? WRITE_SECURITY : {};
}

/** An `onRequest` hook: whoever has a token of `operators`. A refusal is one line in the log. */
export function operatorsOnly(operators: Operators): OnRequest {
  return async (request, reply) => {
    if (operators.authenticate(request.headers.authorization)) return;
    const { method, routeOptions, ip: address } = request;
    request.log.warn({ address }, `unauthorised call to ${method} ${routeOptions.url}`);
    reply.header("www-authenticate", "Bearer");
    throw new KeylineError("unauthorised", "a bearer token of ADMIN_TOKEN is required; nothing has changed");
  };
}

/** What OpenAPI says of a route with `operatorsOnly`. */
export const WRITE_SECURITY = { security: [{ bearer: [] }] };
