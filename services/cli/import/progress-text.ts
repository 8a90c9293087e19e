export const count = new Intl.NumberFormat("en-US");

/** How far an import is. */
export type Progress = {
  /** Lines of the file that are settled. */
  lines: number;
  accepted: number;
  refused: number;
  /** From 0 to 1, by bytes. */
  part: number;
};

/**
 * One line for people.
 * @param begin where this run began
 */
export function progressText(
  now: Progress,
  begin: Pick<Progress, "accepted" | "refused" | "part">,
  elapsedMs: number,
): string {
  const rows = now.accepted + now.refused - begin.accepted - begin.refused;
  const perSecond = Math.round((rows * 1_000) / Math.max(1, elapsedMs));
  const gained = now.part - begin.part;
  const leftMs = gained > 0 ? (elapsedMs * (1 - now.part)) / gained : undefined;
  return [
    `${(now.part * 100).toFixed(1)} %`,
    `line ${count.format(now.lines)}`,
    `${count.format(now.accepted)} taken`,
    `${count.format(now.refused)} refused`,
    `${count.format(perSecond)}/s`,
    ...(leftMs === undefined || now.part >= 1 ? [] : [`${durationText(leftMs)} left`]),
  ].join("  ");
}

/** What became of the rows that are settled. */
export function countsText({ accepted, refused }: Pick<Progress, "accepted" | "refused">): string {
  const rows = accepted + refused;
  return `${count.format(rows)} ${rows === 1 ? "row" : "rows"}: ${count.format(accepted)} taken, ${count.format(refused)} refused`;
}

export function durationText(ms: number): string {
  const seconds = Math.ceil(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
