import type { Reporter, TestCase, TestModule } from "vitest/node";

/** The one suite that may be skipped: its library's native part can't be downloaded everywhere. */
const MAY_SKIP = "pulsar native client";

/**
 * Ends a run with `N passed, N failed` over all suites. A skipped test counts as failed, but for the one suite
 * that may be: a suite that could not run has shown nothing.
 */
export function summaryReporter(): Reporter {
  const wronglySkipped = (test: TestCase) =>
    test.result().state === "skipped" && !test.fullName.startsWith(MAY_SKIP);
  return {
    onTestRunEnd(modules: readonly TestModule[], errors) {
      const tests = modules.flatMap((module) => [...module.children.allTests()]);
      const count = (state: string) => tests.filter((test) => test.result().state === state).length;
      const notRun = tests.filter(wronglySkipped);
      for (const test of notRun) console.error(`not run: ${test.module.moduleId} > ${test.fullName}`);
      const broken = modules.filter((module) => module.state() === "failed" && count("failed") === 0).length;
      const failed = count("failed") + notRun.length + errors.length + broken;
      if (failed > 0 || tests.length === 0) process.exitCode = 1;
      const skipped = count("skipped") - notRun.length;
      console.log(
        `\n${count("passed")} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`,
      );
    },
  };
}
