import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["shared/**/*.test.ts", "services/**/*.test.ts", "test/**/*.test.ts"],
    globalSetup: [],
    testTimeout: 30_000,
  },
});
