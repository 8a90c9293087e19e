/** Errors of HTTP itself, before the server has a request that a route could answer. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { quote } from "../domain/refusal.ts";
import type { ErrorBody } from "./http-errors.ts";

/** What the router refuses is answered on the bare response. */
export function answerBadUrl(response: ServerResponse, url: string, message: string): void {
  const body: ErrorBody = { code: "invalid_request", message, path: "url", value: quote(url) };
  response.writeHead(400, { "content-type": "application/json" }).end(JSON.stringify({ error: body }));
}

/** Node answers what it can't expect of a server by itself, without a body. */
export function answerUnmetExpectation(
  { headers: { expect } }: IncomingMessage,
  response: ServerResponse,
): void {
  const message = "expect: only 100-continue is known";
  const body: ErrorBody = { code: "invalid_request", message, path: "expect", value: quote(expect) };
  // What follows may or may not be the body that was announced.
  const headers = { "content-type": "application/json", connection: "close" };
  response.writeHead(417, headers).end(JSON.stringify({ error: body }));
}

/** The whole answer to what is no HTTP that can be read; Node closes the connection after it. */
export function answerToBrokenRequest(error: NodeJS.ErrnoException): string {
  const tooLong = error.code === "HPE_HEADER_OVERFLOW";
  const body: ErrorBody = tooLong
    ? { code: "too_large", message: "the headers are too long", path: "headers" }
    : { code: "invalid_request", message: `not an HTTP request: ${error.message}` };
  const text = JSON.stringify({ error: body });
  const status = tooLong ? "431 Request Header Fields Too Large" : "400 Bad Request";
  const headers = `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\nConnection: close`;
  return `HTTP/1.1 ${status}\r\n${headers}\r\n\r\n${text}`;
}
