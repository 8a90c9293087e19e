import type { FastifyInstance } from "fastify";

/** Messages that were settled without counting. */
export type SettledCounts = { repeats: number; parked: number };

/** Reads them where operations would: from GET /metrics, without a socket. */
export async function readSettledCounts(server: FastifyInstance): Promise<SettledCounts> {
  const { body } = await server.inject({ url: "/metrics" });
  return {
    repeats: sumOf(body, /^keyline_updates_total\{[^}]*outcome="repeat"[^}]*\} (\S+)$/gm),
    parked: sumOf(body, /^keyline_dead_letters_total\{[^}]*\} (\S+)$/gm),
  };
}

function sumOf(body: string, pattern: RegExp): number {
  return body.matchAll(pattern).reduce((sum, [, value]) => sum + Number(value), 0);
}
