import type { FastifyRequest } from "fastify";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import type { Tenant } from "../tenants/tenant.ts";
import type { TenantRegistry } from "../tenants/tenant-registry.ts";

const MAX_BYTES_WITHOUT_KEY = 65_536;

/**
 * Whose write key a request has: as the name of Basic authentication (as Segment's clients send it), or as a bearer
 * token.
 *
 * @param inBody the `writeKey` of the body, which Segment's browser beacons send, as they can't set headers.
 * @throws KeylineError `unauthorised`, `tenants_not_loaded`
 */
export function authenticate(
  { headers: { authorization } }: Pick<FastifyRequest, "headers">,
  registry: Pick<TenantRegistry, "byWriteKey">,
  inBody?: unknown,
): Tenant {
  const key = authorization === undefined ? inBody : keyOf(authorization);
  const tenant = typeof key === "string" ? registry.byWriteKey(key) : undefined;
  if (tenant) return tenant;
  const message =
    "a write key of a tenant is required, as the name of Basic authentication or as a bearer token";
  throw new KeylineError("unauthorised", message);
}

/**
 * An `onRequest` hook: what has nobody's key is refused before its body is read and unpacked.
 *
 * @param mayBeInBody whether a request without the header may have its key there.
 */
export function knownOnly(
  registry: Pick<TenantRegistry, "byWriteKey">,
  { mayBeInBody }: { mayBeInBody: boolean },
): (request: FastifyRequest) => Promise<void> {
  return async (request) => {
    if (request.headers.authorization !== undefined || !mayBeInBody) authenticate(request, registry);
    else refuseLong(request.headers["content-length"]);
  };
}

/** Whose it is stands in it: no more is read for nobody than a browser's beacon may be. */
function refuseLong(contentLength: string | undefined): void {
  const bytes = Number(contentLength ?? Number.NaN);
  if (bytes <= MAX_BYTES_WITHOUT_KEY) return;
  const message = `body: longer than ${MAX_BYTES_WITHOUT_KEY} bytes, or of no stated length, without a write key in the headers`;
  throw new KeylineError("too_large", message, { path: "body", value: contentLength });
}

function keyOf(authorization: string): string | undefined {
  const [, scheme = "", credentials = ""] = /^(Basic|Bearer) +(\S+)$/i.exec(authorization) ?? [];
  if (scheme.toLowerCase() === "bearer") return credentials;
  return Buffer.from(credentials, "base64").toString().split(":")[0];
}
