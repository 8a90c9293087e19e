/** Bytes on a connection, and what they are answered with. */
import { connect } from "node:net";
import type { Answer } from "./subject.ts";

const TIMEOUT_MS = 5_000;

/** All that comes back until the server closes; the client has no more to say after these bytes. */
export function exchange(port: number, bytes: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const answer: Buffer[] = [];
    const socket = connect(port, "127.0.0.1", () => socket.end(bytes));
    socket.setTimeout(TIMEOUT_MS, () => {
      socket.destroy(new Error(`no end of the answer after ${TIMEOUT_MS} ms`));
    });
    socket.on("data", (data) => answer.push(data));
    socket.on("error", (error: NodeJS.ErrnoException) => {
      // The server may close before it has read all.
      if (error.code === "ECONNRESET" || error.code === "EPIPE") resolve(Buffer.concat(answer));
      else reject(error);
    });
    socket.on("close", () => resolve(Buffer.concat(answer)));
  });
}

/** @throws Error where it is no HTTP */
export function answersOf(bytes: Buffer): Answer[] {
  const answers: Answer[] = [];
  let rest = bytes.toString("latin1");
  while (rest !== "") {
    const [head, status, headers = ""] =
      /^HTTP\/1\.1 (\d{3})[^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n/.exec(rest) ?? [];
    if (head === undefined) throw new Error(`no HTTP answer: ${rest.slice(0, 200)}`);
    rest = rest.slice(head.length);
    if (status === "100") continue;
    const { body, length } = /^transfer-encoding: chunked\r$/im.test(headers)
      ? chunksIn(rest)
      : wholeBody(rest, Number(/^content-length: (\d+)\r$/im.exec(headers)?.[1] ?? 0));
    const contentType = /^content-type: ([^\r]+)\r$/im.exec(headers)?.[1];
    answers.push({ status: Number(status), contentType, body });
    rest = rest.slice(length);
  }
  return answers;
}

function wholeBody(text: string, length: number): { body: string; length: number } {
  return { body: text.slice(0, length), length };
}

/** What the chunks at the start hold, and how long they are with their sizes. */
function chunksIn(text: string): { body: string; length: number } {
  let body = "";
  let at = 0;
  for (;;) {
    const end = text.indexOf("\r\n", at);
    const size = Number.parseInt(text.slice(at, end), 16);
    if (!(size >= 0)) throw new Error(`no chunk: ${text.slice(at, at + 50)}`);
    body += text.slice(end + 2, end + 2 + size);
    at = end + 2 + size + 2;
    if (size === 0) return { body, length: at };
  }
}
