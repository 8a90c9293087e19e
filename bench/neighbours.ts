import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { type Figures, median, percentile } from "./figures.ts";
import type { MeasuredServer } from "./post-batch.ts";
import type { Answers, SteadyLoad } from "./steady-load-process.ts";

/** Updates in a request, of either tenant. */
const SIZE = 10;
const QUOTA_PER_SECOND = 500;
const TIMES_OVER = 20;
const STEADY_PER_SECOND = 2_000;
const WARM_UP_MS = 5_000;
/** Until the bucket of the tenant that sends too much is empty, and its process has warmed up. */
const LEAD_MS = 3_000;

/** What a tenant waited for each answer, and what the gateway used meanwhile. */
type Steady = { latenciesMs: number[]; cpuShare: number };

type Measured = Record<"alone" | "elsewhere" | "beside", Steady[]>;

/**
 * Two tenants of one gateway: what one of them waits for its answers, alone and while the other sends 20 times its
 * quota, in turn; and while that goes to another gateway process, which tells what of it the shared cores make.
 *
 * @param gateways where they are, and what CPU time the first has used so far.
 * @param options.adminToken of both, which may make tenants.
 */
export async function measureNeighbours(
  { url, otherUrl, cpuSeconds }: { url: string; otherUrl: string; cpuSeconds: () => number },
  options: { adminToken: string; forMs: number; rounds: number },
  figures: Figures,
): Promise<void> {
  const { forMs, rounds } = options;
  const quotas = { updatesPerSecond: QUOTA_PER_SECOND };
  const steady = await tenantOf(url, "steady", options.adminToken, {});
  const over = await tenantOf(url, "over", options.adminToken, quotas);
  const elsewhere = await tenantOf(otherUrl, "over", options.adminToken, quotas);
  const steadily = async (ms: number): Promise<Steady> => {
    const startedAtMs = performance.now();
    const startedCpu = cpuSeconds();
    const answers = await send(steady, STEADY_PER_SECOND, ms);
    const seconds = (performance.now() - startedAtMs) / 1_000;
    return { latenciesMs: taken(answers), cpuShare: (cpuSeconds() - startedCpu) / seconds };
  };
  const tooMuch = (server: MeasuredServer, ms: number) => send(server, QUOTA_PER_SECOND * TIMES_OVER, ms);
  const besideWhat = async (server: MeasuredServer) => {
    const flood = tooMuch(server, LEAD_MS + forMs + LEAD_MS);
    await sleep(LEAD_MS);
    return { beside: await steadily(forMs), refused: await flood };
  };
  await Promise.all([steadily(WARM_UP_MS), tooMuch(over, WARM_UP_MS), tooMuch(elsewhere, WARM_UP_MS)]);
  const measured: Measured = { alone: [], elsewhere: [], beside: [] };
  const refused: Answers[] = [];
  for (let round = 0; round < rounds; round += 1) {
    measured.alone.push(await steadily(forMs));
    measured.elsewhere.push((await besideWhat(elsewhere)).beside);
    const both = await besideWhat(over);
    measured.beside.push(both.beside);
    refused.push(both.refused);
  }
  addFigures(measured, refused, figures);
}

function addFigures(measured: Measured, refused: readonly Answers[], figures: Figures): void {
  const p99Of = (kind: keyof Measured) =>
    measured[kind].map(({ latenciesMs }) => percentile(latenciesMs, 0.99));
  for (const kind of ["alone", "elsewhere", "beside"] as const) {
    const latenciesMs = measured[kind].flatMap((each) => each.latenciesMs);
    figures.add(`neighbours.${kind}.p50`, percentile(latenciesMs, 0.5), "ms");
    figures.add(`neighbours.${kind}.p99`, median(p99Of(kind)), "ms");
    figures.add(
      `neighbours.${kind}.cpu`,
      median(measured[kind].map(({ cpuShare }) => cpuShare)),
      "of a core",
    );
  }
  const of = (status: number) => refused.flatMap((answers) => answers[status] ?? []);
  figures.add("neighbours.refusedShare", of(429).length / (of(429).length + of(200).length), "of requests");
  figures.add("neighbours.refusedP50", percentile(of(429), 0.5), "ms");
  for (const [name, kind] of [
    ["neighbours.elsewhereRatio", "elsewhere"],
    ["neighbours.p99Ratio", "beside"],
  ] as const) {
    const ratios = p99Of(kind).map((p99, round) => p99 / p99Of("alone")[round]!);
    console.log(`  ${name} of each round: ${ratios.map((ratio) => ratio.toFixed(2)).join(", ")}`);
    figures.add(name, median(ratios), `${kind}/alone`);
  }
}

async function tenantOf(
  url: string,
  name: string,
  adminToken: string,
  quotas: object,
): Promise<MeasuredServer> {
  const writeKey = `${name}-write-key-of-the-bench`;
  const response = await fetch(`${url}/admin/tenants/${name}`, {
    method: "PUT",
    headers: { authorization: `Bearer ${adminToken}`, "content-type": "application/json" },
    body: JSON.stringify({ writeKeys: [writeKey], quotas }),
  });
  if (!response.ok) throw new Error(`the tenant ${name} was answered ${response.status}`);
  return { url, writeKey };
}

async function send(server: MeasuredServer, updatesPerSecond: number, forMs: number): Promise<Answers> {
  const load: SteadyLoad = { server, size: SIZE, requestsPerSecond: updatesPerSecond / SIZE, forMs };
  const child = spawn(process.execPath, ["bench/steady-load-process.ts", JSON.stringify(load)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  return JSON.parse(await text(child.stdout)) as Answers;
}

/** Of a tenant without a quota, whose every request is to be taken. */
function taken(answers: Answers): number[] {
  const statuses = Object.keys(answers);
  if (statuses.some((status) => status !== "200")) throw new Error(`answered ${statuses.join(", ")}`);
  return answers[200]!;
}
