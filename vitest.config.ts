import { defineConfig } from "vitest/config";
import { summaryReporter } from "./test/support/summary-reporter.ts";

export default defineConfig({
  test: {
    // Two cores: suites that share them with real servers run one after another.
    fileParallelism: false,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    reporters: ["default", summaryReporter()],
    projects: [
      {
        extends: true,
        test: {
          name: "pure",
          include: ["shared/**/*.test.ts", "services/**/*.test.ts", "test/{unit,property,e2e}/**/*.test.ts"],
          // Most of them wait for something.
          fileParallelism: true,
          maxWorkers: 2,
        },
      },
      {
        extends: true,
        test: {
          name: "servers",
          include: ["test/{contract,integration,support}/**/*.test.ts"],
          globalSetup: ["test/support/servers.ts"],
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        // All cores are its own.
        test: { name: "simulation", include: ["test/simulation/**/*.test.ts"], sequence: { groupOrder: 2 } },
      },
      {
        extends: true,
        // So are its servers.
        test: { name: "chaos", include: ["test/chaos/**/*.test.ts"], sequence: { groupOrder: 3 } },
      },
    ],
  },
});
