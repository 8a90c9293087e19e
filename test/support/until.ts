/**
 * Waits for a condition, asked every `everyMs`; what it throws counts as not yet. Rejects after `patienceMs`,
 * saying what never came true.
 */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  { patienceMs = 30_000, everyMs = 100 } = {},
): Promise<void> {
  const deadline = Date.now() + patienceMs;
  let last: unknown;
  const holds = async () => {
    try {
      return await condition();
    } catch (error) {
      last = error;
      return false;
    }
  };
  while (!(await holds())) {
    if (Date.now() > deadline)
      throw new Error(`after ${patienceMs / 1000} s it was still not true that ${what}`, { cause: last });
    await new Promise((resume) => setTimeout(resume, everyMs));
  }
}
