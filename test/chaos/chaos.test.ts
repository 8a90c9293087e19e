import { beforeAll, describe, expect, test } from "vitest";
import { type ChaosReport, mostInWindow, printReport } from "./report.ts";
import { runChaos } from "./run.ts";

const SEED = Number(process.env.SEED ?? 20261121);
const MINUTES = Number(process.env.CHAOS_MINUTES ?? 5);
/** What a service may take in memory at the tests' load; see docs/performance.md. */
const MAX_MEMORY_MB = 400;

/** The promises on real servers and processes that break; `npm run chaos` runs the same with any seed and time. */
describe(`${MINUTES} minutes of chaos with seed ${SEED}`, () => {
  let report: ChaosReport;

  beforeAll(
    async () => {
      report = await runChaos({ minutes: MINUTES, seed: SEED, report: console.log });
      printReport(report, console.log);
    },
    (MINUTES + 15) * 60_000,
  );

  test("every acknowledged update counts once, in the order of stamps", () => {
    const { examples, acknowledged, optional, optionalApplied, ...findings } = report.history;
    expect(examples).toEqual([]);
    expect(findings).toEqual({
      lost: 0,
      missingProfiles: 0,
      doubled: 0,
      outOfOrder: 0,
      wrongSums: 0,
      invented: 0,
    });
    expect(acknowledged).toBeGreaterThan(MINUTES * 1_000);
    expect(optionalApplied).toBeLessThanOrEqual(optional);
  });

  test("memberships are what follows from it, announced once for each number, and listed", () => {
    const { examples, changes, wrong, misplaced, unannounced } = report.memberships;
    expect(examples).toEqual([]);
    expect({ wrong, misplaced, unannounced }).toEqual({ wrong: 0, misplaced: 0, unannounced: 0 });
    expect(changes).toBeGreaterThan(MINUTES * 100);
  });

  test("faults were injected, and the breaker opened at most twice in any minute", () => {
    expect(report.faults.length).toBeGreaterThan(MINUTES * 5);
    expect(report.openingsMs.length).toBeGreaterThan(0);
    expect(mostInWindow(report.openingsMs)).toBeLessThanOrEqual(2);
  });

  test("services that were asked to leave ended cleanly", () => {
    expect(report.stops.exits.length).toBeGreaterThanOrEqual(3);
    expect(report.stops.exits.filter((code) => code !== 0)).toEqual([]);
    expect(report.stops.longestMs).toBeLessThan(30_000);
  });

  test("services stayed within their memory", () => {
    expect(report.peakMemoryMb).toBeGreaterThan(0);
    expect(report.peakMemoryMb).toBeLessThan(MAX_MEMORY_MB);
  });
});
