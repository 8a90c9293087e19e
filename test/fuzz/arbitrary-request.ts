/** Requests to the gateway, most of them broken in one or more places. */
import fc from "fast-check";
import { arbitraryCall, type Call, OPERATOR_TOKEN, TENANTS } from "./arbitrary-calls.ts";
import { arbitraryFaults, basic, brokenBy, type Faults, type FuzzRequest } from "./arbitrary-faults.ts";
import { IMPORTS_PATH } from "./arbitrary-upload.ts";

export type GatewayRequest = FuzzRequest & {
  /** Whose updates it may bring; undefined: it may bring none. */
  tenant: string | undefined;
};

type Credentials = { authorization: string | undefined; tenant: string | undefined };
const credentials: Credentials[] = [
  ...TENANTS.flatMap(({ name, writeKey }) => [
    { authorization: `Bearer ${writeKey}`, tenant: name },
    { authorization: basic(`${writeKey}:`), tenant: name },
    { authorization: basic(`${writeKey}:a-password`), tenant: name },
  ]),
  ...[
    ...["", "Basic", "Bearer", "Basic !", "Bearer  ", "Digest x", basic(""), basic(":"), basic("\u0000")],
    ...["Bearer a-key-that-nobody-has", "Bearer __proto__", basic("constructor:"), basic("toString"), "null"],
    ...[`Bearer ${"x".repeat(8_000)}`, `Bearer ${OPERATOR_TOKEN}`, `Bearer ${TENANTS[0].writeKey} x`],
    ...[`Bearer ${TENANTS[0].writeKey.toUpperCase()}`, basic(`x:${TENANTS[0].writeKey}`), "\u0000", "é"],
  ].map((authorization) => ({ authorization, tenant: undefined })),
  // Then the body's write key is asked.
  { authorization: undefined, tenant: undefined },
];

export const arbitraryRequest: fc.Arbitrary<GatewayRequest> = fc
  .tuple(arbitraryCall, arbitraryFaults(credentials), fc.nat({ max: 2 * TENANTS.length * 3 }))
  .map(([call, faults, who]) => requestOf(call, faults, who));

function requestOf(call: Call, faults: Partial<Faults<Credentials>>, who: number): GatewayRequest {
  const given = faults.credentials ?? ownCredentials(call, who);
  // An upload waits for its quota, and time stands still here.
  const mayWait = call.path.startsWith(IMPORTS_PATH) && given.tenant === TENANTS[1].name;
  const { authorization, tenant } = mayWait ? credentials[0]! : given;
  const isBeacon =
    call.as === "tenant" &&
    call.body !== undefined &&
    authorization === undefined &&
    !Array.isArray(call.body);
  if (!isBeacon) return { ...brokenBy(call, authorization, faults), tenant };
  const [{ name, writeKey }] = TENANTS;
  const body = { ...(call.body as object), writeKey };
  return { ...brokenBy({ ...call, body }, authorization, faults), tenant: name };
}

function ownCredentials({ as }: Call, who: number): Credentials {
  if (as === "tenant") return credentials[who % (TENANTS.length * 3)]!;
  return { authorization: as === "operator" ? `Bearer ${OPERATOR_TOKEN}` : undefined, tenant: undefined };
}
