import type { DemoStatus } from "./demo.ts";
import type { Drained } from "./embedded.ts";
import type { WrittenProfile } from "./watch-writes.ts";

/** The status for people at a terminal, a line for each subject. */
export type StatusText = { route: string; updates: string; counts: string; customers: string };

const count = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const dollars = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });

export function statusText(status: DemoStatus, maxCustomers: number): StatusText {
  const { route, rate, lag, publisher, counted, replay } = status;
  const { pulsar, sqs } = publisher.published;
  const lagText = lag ? `live lag ${milliseconds(lag.p50Ms)}, p99 ${milliseconds(lag.p99Ms)}` : "no lag yet";
  return {
    route: `${route.path} by ${route.by}: ${route.why}${status.pulsar.broken ? " (Pulsar is broken)" : ""}`,
    updates: `${count.format(rate.pulsar + rate.sqs)}/s, ${lagText}, ${placeInFile(replay)}`,
    counts: [
      `published ${count.format(pulsar + sqs)} (pulsar ${count.format(pulsar)}, sqs ${count.format(sqs)})`,
      `counted ${count.format(counted.pulsar + counted.sqs)}`,
      `repeats ${count.format(status.repeats)}`,
      `failed ${count.format(publisher.failed)}`,
    ].join(", "),
    customers: status.customers.slice(0, maxCustomers).map(customerText).join(" · "),
  };
}

/** The last words, in which the figures add up. */
export function drainedText({ onTheWay, left, ...drained }: Drained): string {
  const what =
    left === 0
      ? `Drained: ${updates(onTheWay)} on the way and counted now`
      : `Not drained in time: ${count.format(left)} of ${updates(onTheWay)} on the way are not counted`;
  const sums = [
    `${count.format(drained.published)} published`,
    `${count.format(drained.counted)} counted`,
    `${count.format(drained.repeatedIds)} repeats of an id that had counted`,
  ];
  if (drained.parked > 0) sums.push(`${count.format(drained.parked)} parked`);
  return `${what}; ${sums.join(", ")}.`;
}

/** What a second Ctrl-C leaves behind. */
export function cutOffText(left: number): string {
  return `Ended at once: ${updates(left)} on the way not counted.`;
}

function updates(number: number): string {
  return `${count.format(number)} ${number === 1 ? "update" : "updates"}`;
}

function placeInFile({ stage, tenant, line, lines, passes }: DemoStatus["replay"]): string {
  if (stage === "ended") return `replay ended after ${passes === 1 ? "1 pass" : `${passes} passes`}`;
  return `${tenant} ${count.format(line)} of ${count.format(lines)}`;
}

/** Users who come over the gateway have whatever attributes they were given. */
function customerText({ tenant, userId, attributes }: WrittenProfile): string {
  const { purchases, cds, dollars: spent } = attributes;
  if (typeof purchases === "number" && typeof cds === "number" && typeof spent === "number")
    return `${userId}: ${counted(purchases, "purchase")}, ${counted(cds, "CD")}, ${dollars.format(spent)}`;
  return `${userId} of ${tenant}: ${counted(Object.keys(attributes).length, "attribute")}`;
}

function counted(value: number, noun: string): string {
  return `${value} ${noun}${value === 1 ? "" : "s"}`;
}

function milliseconds(value: number): string {
  return value < 1 ? "under 1 ms" : `${count.format(value)} ms`;
}
