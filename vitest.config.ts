import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { summaryReporter } from "./test/support/summary-reporter.ts";

/** They break a broker of their own, and expect of breakers with the default settings just the openings for that. */
const outages = "test/integration/{failover,gateway,health-signals}.test.ts";

export default defineConfig({
  test: {
    // Two cores.
    fileParallelism: false,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Half of what a process of a test does until it has started is compiling.
    env: { NODE_COMPILE_CACHE: fileURLToPath(import.meta.resolve("./node_modules/.cache/node")) },
    reporters: ["default", summaryReporter()],
    projects: [
      {
        extends: true,
        test: {
          name: "pure",
          include: [
            "shared/**/*.test.ts",
            "services/**/*.test.ts",
            "test/{unit,property,fuzz,e2e}/**/*.test.ts",
          ],
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
          exclude: [outages],
          globalSetup: ["test/support/servers.ts"],
          // Each has its own topics, queues and keys on the servers, and waits for them most of the time.
          fileParallelism: true,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        // One at a time.
        test: { name: "outages", include: [outages], sequence: { groupOrder: 2 } },
      },
      {
        extends: true,
        // All cores are its own.
        test: { name: "simulation", include: ["test/simulation/**/*.test.ts"], sequence: { groupOrder: 3 } },
      },
      {
        extends: true,
        // So are its servers.
        test: { name: "chaos", include: ["test/chaos/**/*.test.ts"], sequence: { groupOrder: 4 } },
      },
      {
        extends: true,
        // It measures.
        test: { name: "guard", include: ["test/guard/**/*.test.ts"], sequence: { groupOrder: 5 } },
      },
    ],
  },
});
