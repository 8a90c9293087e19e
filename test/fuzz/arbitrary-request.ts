/** Requests that are broken in one or more places: in their JSON, the bytes of it, their headers, or their URL. */
import fc from "fast-check";
import { arbitraryCall, type Call, OPERATOR_TOKEN, TENANTS } from "./arbitrary-calls.ts";
import { arbitraryDamagedBytes, arbitraryPacking, type Packing } from "./arbitrary-packing.ts";
import { arbitraryDamage } from "./arbitrary-strange.ts";
import { IMPORTS_PATH } from "./arbitrary-upload.ts";
import { type Damage, writeDamaged } from "./json-text.ts";

export type FuzzRequest = {
  method: string;
  path: string;
  headers: Record<string, string>;
  /** As it is sent. */
  body?: Buffer;
  /** Before it was packed. */
  text?: Buffer;
  /** Whose updates it may bring; undefined: it may bring none. */
  tenant: string | undefined;
};

type Faults = {
  damages: readonly Damage[];
  bytes: ((text: Buffer) => Buffer) | undefined;
  packing: Packing | undefined;
  contentType: string | undefined;
  credentials: Credentials | undefined;
  method: string | undefined;
  path: ((path: string) => string) | undefined;
  headers: Record<string, string>;
};

const plain: Faults = {
  damages: [],
  bytes: undefined,
  packing: undefined,
  contentType: undefined,
  credentials: undefined,
  method: undefined,
  path: undefined,
  headers: {},
};

const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;
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

const arbitraryPath: fc.Arbitrary<(path: string) => string> = fc.oneof(
  fc
    .constantFrom(
      "/",
      "//",
      "/..",
      "/.",
      "%",
      "%zz",
      "%00",
      "%2f",
      "%c0%80",
      "%ff",
      "%ed%a0%80",
      ";a",
      "#x",
      "?",
      "x",
    )
    .map((end) => (path: string) => path + end),
  fc
    .constantFrom(
      "?a=1",
      "?__proto__=1",
      "?a[b]=1",
      "?%",
      "?%zz=%ff",
      "?a&a&a",
      "?toString",
      `?${"a=&".repeat(2_000)}`,
    )
    .map((query) => (path: string) => path + query),
  fc
    .constantFrom(
      "__proto__",
      "constructor",
      "%5f%5fproto%5f%5f",
      "a:b",
      "ä",
      "%C3%A4",
      "-",
      "x".repeat(65),
      "",
    )
    .map((name) => (path: string) => path.replace(/[^/]*$/, name)),
  fc
    .constantFrom(
      "/",
      "/v1",
      "/v1/",
      "/v1/nothing",
      "/admin",
      "/admin/tenants/",
      `/${"x".repeat(2_000)}`,
      "/V1/batch",
    )
    .map((path) => () => path),
  fc
    .string({ maxLength: 5, unit: "binary" })
    .map((end) => (path: string) => `${path}/${encodeURI(end.toWellFormed())}`),
);

const arbitraryHeaders: fc.Arbitrary<Record<string, string>> = fc.dictionary(
  fc.constantFrom(
    ...["content-length", "transfer-encoding", "host", "accept", "accept-encoding", "expect", "connection"],
    ...["upgrade", "cookie", "x-forwarded-for", "origin", "if-match", "constructor", "accept-version", "x"],
  ),
  fc.constantFrom(
    "",
    "0",
    "5",
    "-1",
    "1e9",
    "NaN",
    "chunked",
    "100-continue",
    "*",
    "é",
    "a".repeat(4_000),
    ",,,",
  ),
  { maxKeys: 2 },
);

const fault: fc.Arbitrary<Partial<Faults>> = fc.oneof(
  {
    arbitrary: fc.array(arbitraryDamage, { minLength: 1, maxLength: 3 }).map((damages) => ({ damages })),
    weight: 20,
  },
  { arbitrary: arbitraryDamagedBytes.map((bytes) => ({ bytes })), weight: 5 },
  { arbitrary: arbitraryPacking.map((packing) => ({ packing })), weight: 2 },
  {
    arbitrary: fc
      .constantFrom(
        ...[
          "application/json",
          "text/plain",
          "application/cloudevents+json",
          "application/xml",
          "",
          ";",
          "a/b/c",
        ],
        ...[
          "application/json; charset=utf-16",
          "application/json;",
          "multipart/form-data",
          'text/plain; a="',
          "é",
        ],
        ...["__proto__", "application/json, text/plain", "APPLICATION/JSON", "application/jsonx"],
      )
      .map((contentType) => ({ contentType })),
    weight: 3,
  },
  { arbitrary: fc.constantFrom(...credentials).map((each) => ({ credentials: each })), weight: 4 },
  {
    arbitrary: fc
      .constantFrom("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY", "PROPFIND", "POST")
      .map((method) => ({ method })),
    weight: 1,
  },
  { arbitrary: arbitraryPath.map((path) => ({ path })), weight: 3 },
  { arbitrary: arbitraryHeaders.map((headers) => ({ headers })), weight: 2 },
);

/** A few requests in a hundred are whole: what is broken must not be all that is refused. */
export const arbitraryRequest: fc.Arbitrary<FuzzRequest> = fc
  .tuple(
    arbitraryCall,
    fc.oneof(
      { arbitrary: fc.tuple(fault), weight: 12 },
      { arbitrary: fc.tuple(fault, fault), weight: 4 },
      { arbitrary: fc.array(fault, { maxLength: 5 }), weight: 2 },
    ),
    fc.nat({ max: 2 * TENANTS.length * 3 }),
  )
  .map(([call, faults, who]) => requestOf(call, Object.assign({}, plain, ...faults) as Faults, who));

function requestOf(call: Call, faults: Faults, who: number): FuzzRequest {
  const own = ownCredentials(call, who);
  const given = faults.credentials ?? own;
  // An upload waits for its quota, and time stands still here.
  const mayWait = call.path.startsWith(IMPORTS_PATH) && given.tenant === TENANTS[1].name;
  const { authorization, tenant } = mayWait ? credentials[0]! : given;
  const headers: Record<string, string> = {};
  if (authorization !== undefined) headers.authorization = authorization;
  const request: FuzzRequest = {
    method: faults.method ?? call.method,
    path: faults.path ? faults.path(call.path) : call.path,
    headers,
    tenant,
  };
  const contentType = faults.contentType ?? call.contentType;
  if (contentType !== undefined) headers["content-type"] = contentType;
  if (call.body !== undefined) {
    const isBeacon = call.as === "tenant" && authorization === undefined && !Array.isArray(call.body);
    const body = isBeacon ? { ...(call.body as object), writeKey: TENANTS[0].writeKey } : call.body;
    if (isBeacon) request.tenant = TENANTS[0].name;
    const text = Buffer.from(writeDamaged(body, faults.damages));
    request.text = faults.bytes ? faults.bytes(text) : text;
    request.body = faults.packing ? faults.packing.pack(request.text) : request.text;
    if (faults.packing) headers["content-encoding"] = faults.packing.encoding;
  }
  Object.assign(headers, faults.headers);
  return request;
}

function ownCredentials({ as }: Call, who: number): Credentials {
  if (as === "tenant") return credentials[who % (TENANTS.length * 3)]!;
  return { authorization: as === "operator" ? `Bearer ${OPERATOR_TOKEN}` : undefined, tenant: undefined };
}
