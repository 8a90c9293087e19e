/** What can be fuzzed. */
import type fc from "fast-check";
import type { FuzzRequest } from "./arbitrary-faults.ts";

export type Answer = { status: number; contentType: string | undefined; body: string };

export type Fuzzed<R extends FuzzRequest> = {
  name: "gateway" | "service";
  open(): Promise<Subject<R>>;
  requests: fc.Arbitrary<R>;
  /** What is sent on a connection. */
  bytes: fc.Arbitrary<Buffer>;
  /** How long what is over may be held, in milliseconds. */
  heldForMs: number;
};

export type Subject<R extends FuzzRequest> = {
  /** The status, when all is as it should be. @throws Error what is wrong with the answer, or with what was done */
  send(request: R): Promise<number>;
  /** As `send`, of what bytes on a connection are answered with. */
  sendRaw(bytes: Buffer): Promise<number>;
  /** @throws Error where what is kept has grown past its bound, or every object has got a new member */
  checkKept(): Promise<void>;
  counts(): { byStatus: Map<number, number>; taken: number };
  close(): Promise<void>;
};

/** @throws Error */
export function checkPrototype(): void {
  if (Object.keys(Object.getPrototypeOf({})).length > 0 || "polluted" in {})
    throw new Error("Object.prototype has changed");
}

/** The one shape of an error. Returns its code. @throws Error */
export function checkError({ status, contentType, body }: Answer): string {
  if (!contentType?.startsWith("application/json"))
    throw new Error(`${status} of type ${contentType}: ${body.slice(0, 300)}`);
  const { error } = JSON.parse(body) as { error?: Record<string, unknown> };
  const { code, message, path = "", value = "" } = error ?? {};
  const wellFormed = [code, message, path, value].every((each) => typeof each === "string");
  if (!wellFormed || code === "" || message === "" || code === "internal_error")
    throw new Error(`${status} without an error of the one shape: ${body.slice(0, 300)}`);
  return code as string;
}
