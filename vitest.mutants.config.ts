import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Suites of other folders, which start servers or wait in real time: they would only make each mutant slower. */
const elsewhere =
  "{http-errors,image,log,mailboxes,profile-cache,publisher,routing,run-round,settings,short-frame,sqs-*,update-flow}";

/** Most mutants fall to a quick suite, and the first failure ends their run. */
class QuickFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const slow = ({ moduleId }: TestSpecification) => Number(moduleId.includes("test/property"));
    return files.toSorted((a, b) => slow(a) - slow(b));
  }
}

/** What Stryker runs: the suites of the domain and of the routing. */
export default defineConfig({
  test: {
    include: ["test/{unit,property}/**/*.test.ts"],
    exclude: [`test/unit/${elsewhere}.test.ts`],
    // One worker for all suites of a mutant.
    isolate: false,
    testTimeout: 30_000,
    setupFiles: ["test/support/mutants-setup.ts"],
    sequence: { sequencer: QuickFirst },
  },
});
