/** What may be broken of a request: its JSON, the bytes of it, its headers, or its URL. */
import fc from "fast-check";
import { arbitraryDamagedBytes, arbitraryPacking, type Packing } from "./arbitrary-packing.ts";
import { arbitraryDamage, arbitraryText } from "./arbitrary-strange.ts";
import { type Damage, writeDamaged } from "./json-text.ts";

/** A request that nothing is wrong with yet. */
export type WholeRequest = { method: string; path: string; contentType?: string; body?: unknown };

export type FuzzRequest = {
  method: string;
  path: string;
  headers: Record<string, string>;
  /** As it is sent. */
  body?: Buffer;
  /** Before it was packed. */
  text?: Buffer;
};

export type Faults<C> = {
  damages: readonly Damage[];
  bytes: ((text: Buffer) => Buffer) | undefined;
  packing: Packing | undefined;
  contentType: string | undefined;
  credentials: C | undefined;
  method: string | undefined;
  path: ((path: string) => string) | undefined;
  headers: Record<string, string>;
};

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
  arbitraryText(5).map((end) => (path: string) => `${path}/${encodeURI(end.toWellFormed())}`),
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

const faultOf = <C>(credentials: readonly C[]): fc.Arbitrary<Partial<Faults<C>>> =>
  fc.oneof(
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
        .constantFrom(
          "GET",
          "HEAD",
          "PUT",
          "PATCH",
          "DELETE",
          "OPTIONS",
          "TRACE",
          "QUERY",
          "PROPFIND",
          "POST",
        )
        .map((method) => ({ method })),
      weight: 1,
    },
    { arbitrary: arbitraryPath.map((path) => ({ path })), weight: 3 },
    { arbitrary: arbitraryHeaders.map((headers) => ({ headers })), weight: 2 },
  );

/** A few requests in a hundred have none: what is broken must not be all that is refused. */
export function arbitraryFaults<C>(credentials: readonly C[]): fc.Arbitrary<Partial<Faults<C>>> {
  const fault = faultOf(credentials);
  return fc
    .oneof(
      { arbitrary: fc.tuple(fault), weight: 12 },
      { arbitrary: fc.tuple(fault, fault), weight: 4 },
      { arbitrary: fc.array(fault, { maxLength: 5 }), weight: 2 },
    )
    .map((faults) => Object.assign({}, ...faults) as Partial<Faults<C>>);
}

export const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;

export function brokenBy<C>(
  { method, path, contentType, body }: WholeRequest,
  authorization: string | undefined,
  faults: Partial<Faults<C>>,
): FuzzRequest {
  const headers: Record<string, string> = {};
  if (authorization !== undefined) headers.authorization = authorization;
  const request: FuzzRequest = {
    method: faults.method ?? method,
    path: faults.path ? faults.path(path) : path,
    headers,
  };
  const type = faults.contentType ?? contentType;
  if (type !== undefined) headers["content-type"] = type;
  if (body !== undefined) {
    const text = Buffer.from(writeDamaged(body, faults.damages ?? []));
    request.text = faults.bytes ? faults.bytes(text) : text;
    request.body = faults.packing ? faults.packing.pack(request.text) : request.text;
    if (faults.packing) headers["content-encoding"] = faults.packing.encoding;
  }
  Object.assign(headers, faults.headers);
  return request;
}
