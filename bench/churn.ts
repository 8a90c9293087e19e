import { setTimeout as sleep } from "node:timers/promises";
import type { ServiceProcess } from "../test/support/service-process.ts";
import { type Figures, percentile } from "./figures.ts";
import type { Probes } from "./latency.ts";

export const PER_SECOND = 500;
export const WARM_UP_MS = 5_000;
const SETTLING_MS = 3_000;

/**
 * Consumers come and go under load: one joins, one leaves, and all are replaced one after another, as a rolling
 * restart does. Publish to visible, for each.
 *
 * @param services those that run; replaced by those that run afterwards.
 */
export async function measureChurn(
  probes: Probes,
  services: ServiceProcess[],
  startOne: () => Promise<ServiceProcess>,
  figures: Figures,
): Promise<void> {
  const join = () => joinOne(services, startOne);
  const leave = () => leaveOne(services);
  const rollingRestart = async () => {
    for (let left = services.length; left > 0; left -= 1) {
      await join();
      await leave();
    }
  };
  await probes.run(PER_SECOND, sleep(WARM_UP_MS));
  figures.add("churn.updatesPerSecond", PER_SECOND, "updates/s");
  for (const [name, happen] of Object.entries({ join, leave, rollingRestart })) {
    const latenciesMs = await probes.run(PER_SECOND, happen());
    figures.add(`churn.${name}.p50`, percentile(latenciesMs, 0.5), "ms");
    figures.add(`churn.${name}.p99`, percentile(latenciesMs, 0.99), "ms");
    figures.add(`churn.${name}.longest`, Math.max(...latenciesMs), "ms");
  }
}

/** One more comes, and is waited for until it has had its share for a while. */
export async function joinOne(
  services: ServiceProcess[],
  startOne: () => Promise<ServiceProcess>,
): Promise<void> {
  services.push(await startOne());
  await sleep(SETTLING_MS);
}

/** The oldest leaves by SIGTERM, and is waited for in the same way. */
export async function leaveOne(services: ServiceProcess[]): Promise<void> {
  const oldest = services.shift()!;
  oldest.kill("SIGTERM");
  await oldest.exited;
  await sleep(SETTLING_MS);
}
