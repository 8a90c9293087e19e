import { defineConfig } from "vitest/config";

const domain =
  "apply,decimal,decode,envelope,profile,profile-record,prune,refusal,seen,stamp,update-input,validate";
const routing = "breaker,fleet-decision,health-sampler,router,routing";

/** What Stryker runs: the suites of the domain and of the routing. The others would only make it slower. */
export default defineConfig({
  test: {
    include: [`test/{unit,property}/{${domain},${routing}}.test.ts`],
    setupFiles: ["test/support/mutants-setup.ts"],
  },
});
