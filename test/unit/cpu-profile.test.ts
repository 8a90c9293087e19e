import { expect, test } from "vitest";
import { type CpuProfile, callTree, summarise } from "../../bench/cpu-profile.ts";
import { flameGraphPage } from "../../bench/flame-graph.ts";

const ROOT = "file:///project/";
const whole = { fromMicros: 0, toMicros: 10_000 };

function node(id: number, functionName: string, children: number[] = [], file = "") {
  return { id, callFrame: { functionName, url: file && ROOT + file, lineNumber: 9 }, children };
}

/** `outer` calls `inner` in two places; samples at 1,000, 1,100, 1,300, 1,600, 2,000 and 2,500. */
const profile: CpuProfile = {
  nodes: [
    node(1, "(root)", [2, 5, 6]),
    node(2, "outer", [3, 4], "a.ts"),
    node(3, "inner", [], "b.ts"),
    node(4, "", [], "a.ts"),
    node(5, "(garbage collector)"),
    node(6, "(idle)"),
  ],
  startTime: 900,
  samples: [2, 3, 5, 4, 6, 2],
  timeDeltas: [100, 100, 200, 300, 400, 500],
};

test("a sample counts until the next one", () => {
  expect(summarise(profile, whole, ROOT)).toEqual({
    totalMicros: 1_500,
    functions: [
      { name: "(anonymous) a.ts:10", selfMicros: 400 },
      { name: "inner b.ts:10", selfMicros: 200 },
      { name: "outer a.ts:10", selfMicros: 100 },
    ],
    garbageMicros: 300,
    idleMicros: 500,
  });
});

test("only samples in the window count", () => {
  const { totalMicros, functions } = summarise(profile, { fromMicros: 1_100, toMicros: 1_600 }, ROOT);
  expect({ totalMicros, functions }).toEqual({
    totalMicros: 500,
    functions: [{ name: "inner b.ts:10", selfMicros: 200 }],
  });
});

test("a frame is as long as itself and all that it calls", () => {
  const outer = {
    name: "outer a.ts:10",
    value: 700,
    children: [
      { name: "inner b.ts:10", value: 200, children: [] },
      { name: "(anonymous) a.ts:10", value: 400, children: [] },
    ],
  };
  const tree = callTree(profile, whole, ROOT);
  expect(tree).toMatchObject({ name: "(root)", value: 1_500 });
  expect(tree.children[0]).toEqual(outer);
});

test("the page loads nothing, and no name of a function ends its script", () => {
  const page = flameGraphPage("Keyline", { name: "</script><b>", value: 1, children: [] });
  const loads = /<(script|link|img)\b[^>]*\b(src|href)=/.test(page);
  const scripts = page.split("</script>").length - 1;
  const escaped = page.includes('"name":"\\u003c/script>\\u003cb>"');
  expect({ loads, scripts, escaped }).toEqual({ loads: false, scripts: 4, escaped: true });
});
