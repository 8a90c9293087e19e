/** Requests as bytes on a connection: broken HTTP, strange headers, chunks that do not fit. */
import fc from "fast-check";

/** Requests that are broken from one that is taken as it is, which `line`, `token` and `body` make. */
export function arbitraryBytes(whole: { line: string; token: string; body: string }): fc.Arbitrary<Buffer> {
  const text = arbitraryText(whole);
  return fc.oneof(
    { arbitrary: text.map((each) => Buffer.from(each, "latin1")), weight: 16 },
    {
      arbitrary: fc
        .tuple(text, fc.nat({ max: 300 }))
        .map(([each, at]) => Buffer.from(each, "latin1").subarray(0, at)),
      weight: 2,
    },
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  );
}

/** The lines of a request that is taken as it is, each a part that may be broken. */
const requestLine = (line: string) =>
  fc.oneof(
    { arbitrary: fc.constant(line), weight: 12 },
    fc.constantFrom(
      ...[
        "GET /livez HTTP/1.1",
        "GET /livez HTTP/1.0",
        "GET /livez HTTP/2.0",
        "GET /livez",
        "GET  /livez HTTP/1.1",
      ],
      ...[
        "POST * HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "CONNECT a:1 HTTP/1.1",
        "GET http://a/livez HTTP/1.1",
        "\r\n",
      ],
      ...[
        "FOO /livez HTTP/1.1",
        "get /livez HTTP/1.1",
        "GET /\u0000 HTTP/1.1",
        "GET /é HTTP/1.1",
        "GET //x HTTP/1.1",
      ],
      ...["GET ? HTTP/1.1", "GET livez HTTP/1.1", "PRI * HTTP/2.0", `GET /${"a".repeat(20_000)} HTTP/1.1`],
      ...["GET //[ HTTP/1.1", "GET http://[ HTTP/1.1", "GET /%ff HTTP/1.1", "GET /livez?%ff HTTP/1.1"],
    ),
  );
const host = fc.oneof(
  { arbitrary: fc.constant("Host: a"), weight: 12 },
  fc.constantFrom("", "Host:", "Host: a\r\nHost: b", "Host: \u0000", "Host: [", "Host: a:99999"),
);
const framing = (body: string) =>
  fc.oneof(
    { arbitrary: fc.constant(`Content-Length: ${body.length}`), weight: 4 },
    { arbitrary: fc.constant("Transfer-Encoding: chunked"), weight: 8 },
    fc.constantFrom(
      ...["", "Content-Length: -1", "Content-Length: 1e3", "Content-Length: +5", "Content-Length: 0x5"],
      ...[
        "Content-Length: 99999999999999999999",
        "Content-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
      ],
      ...["Content-Length: 5\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked, chunked"],
      ...["Transfer-Encoding: gzip", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: xchunked"],
      ...[
        "Transfer-Encoding : chunked",
        "Content-Length: 2000000",
        "Content-Encoding: gzip\r\nContent-Length: 5",
      ],
    ),
  );
const extra = fc.oneof(
  { arbitrary: fc.constant(""), weight: 6 },
  fc.constantFrom(
    ...[
      "Expect: 100-continue",
      "Expect: something",
      "Upgrade: websocket\r\nConnection: upgrade",
      "Upgrade: h2c",
    ],
    ...[
      "Connection: close",
      "Connection: \u0000",
      "X",
      ": x",
      " folded",
      "X: a\nb",
      "X: \r",
      "X\u0000: 1",
      "X: é",
    ],
    ...["Content-Type: text/plain", "Authorization: Basic x", "__proto__: 1", "constructor: 1", "Trailer: x"],
    ...[`X: ${"a".repeat(20_000)}`, Array.from({ length: 2_500 }, (_, index) => `X${index}: 1`).join("\r\n")],
    ...[`Cookie: ${"a=1;".repeat(500)}`, "Content-Encoding: gzip", "Content-Encoding: identity"],
  ),
);
const content = (body: string, size = body.length.toString(16)) =>
  fc.oneof(
    { arbitrary: fc.constantFrom(`${size}\r\n${body}\r\n0\r\n\r\n`, body), weight: 8 },
    fc.constantFrom(
      ...["", "{", "0\r\n\r\n", `${size}\r\n${body}`, `${size}\r\n${body}\r\n0\r\n__proto__: 1\r\n\r\n`],
      ...[`g\r\n${body}\r\n0\r\n\r\n`, `-1\r\n${body}\r\n0\r\n\r\n`, `fffffffffffffffff\r\n${body}`],
      ...[`${size};${"x".repeat(20_000)}\r\n${body}\r\n0\r\n\r\n`, `${size} \r\n${body}\r\n0\r\n\r\n`],
      ...[`${size}\n${body}\n0\n\n`, `${size}\r\n${body}\r\n0\r\n\r\nGET /livez HTTP/1.1\r\nHost: a\r\n\r\n`],
      ...[`200000\r\n${" ".repeat(2_097_152)}\r\n0\r\n\r\n`, `2\r\n\xc3(\r\n0\r\n\r\n`],
    ),
  );
const ending = fc.oneof(
  { arbitrary: fc.constant("\r\n"), weight: 12 },
  fc.constantFrom("\n", "\r", "\r\n\r\n", ""),
);

function arbitraryText({ line, token, body }: { line: string; token: string; body: string }) {
  return fc
    .tuple(requestLine(line), host, framing(body), extra, ending, content(body))
    .map(([first, named, framed, more, end, rest]) => {
      const own = ["Content-Type: application/json", `Authorization: Bearer ${token}`];
      return [first, named, framed, more, ...own].filter((part) => part !== "").join(end) + end + end + rest;
    });
}
