import type { FastifyRequest } from "fastify";
import { KeylineError } from "../runtime/errors.ts";

/** Refuses what is packed by HTTP where nothing unpacks it: it would be read as what it is not. */
export async function refusePacked({ headers }: FastifyRequest): Promise<void> {
  const encoding = headers["content-encoding"];
  if (encoding && encoding.toLowerCase() !== "identity") throw unknownPacking(encoding, "identity");
}

/** Its names are the same in capitals (RFC 9110, 8.4.1), which @fastify/compress does not know. */
export async function spellPackingInSmall({ headers }: FastifyRequest): Promise<void> {
  const encoding = headers["content-encoding"];
  if (encoding) headers["content-encoding"] = encoding.toLowerCase();
}

/** @param known what is taken, in words. */
export function unknownPacking(encoding: string, known: string): KeylineError {
  const message = `content-encoding: must be ${known}`;
  return new KeylineError("unsupported_media_type", message, { path: "content-encoding", value: encoding });
}
