import type { FlowLimits } from "../../services/audience-update/update-flow.ts";

/** So small that a few messages reach them. */
export const smallFlowLimits: FlowLimits = {
  maxUpdateBytes: 10_000,
  maxClockSkewMs: 1_000,
  maxProfileLength: 10_000,
  horizonMs: 30 * 86_400_000,
  maxSources: 128,
  maxIds: 32,
  idMemoryMs: 86_400_000,
  maxInFlightMessages: 100,
  maxInFlightBytes: 100_000,
  maxUpdatesPerTurn: 10,
  maxUsersPerRound: 10,
  maxRounds: 2,
  maxCacheBytes: 100_000,
  bulkDelayMs: 10,
  maxUserSharePercent: 25,
};
