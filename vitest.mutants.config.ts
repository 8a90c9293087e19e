import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

const domain =
  "apply,decimal,decode,envelope,profile,profile-record,prune,refusal,seen,stamp,update-input,validate";
const routing = "breaker,fleet-decision,health-sampler,router,routing";
/** Thousands of cases, or real time. */
const slow = /test\/property|routing\.test/;

/** Most mutants fall to a quick suite, and the first failure ends their run. */
class QuickFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return files.toSorted((a, b) => Number(slow.test(a.moduleId)) - Number(slow.test(b.moduleId)));
  }
}

/** What Stryker runs: the suites of the domain and of the routing. The others would only make it slower. */
export default defineConfig({
  test: {
    include: [`test/{unit,property}/{${domain},${routing}}.test.ts`],
    setupFiles: ["test/support/mutants-setup.ts"],
    sequence: { sequencer: QuickFirst },
  },
});
