/** Of a share of what may be prefetched, for each message: more than an update has, so that packs and long ones are fewer. */
const BYTES_OF_A_SHARE = 512;
/** Before the first came: few, since each may be a full pack. */
const FIRST_MEAN_BYTES = 8_192;
const MEAN_OVER_MESSAGES = 16;

/** How long messages are, on average of the last ones. */
export function createMeanBytes(): { observe(bytes: number): void; value(): number } {
  let mean = FIRST_MEAN_BYTES;
  return {
    observe(bytes) {
      mean += (bytes - mean) / MEAN_OVER_MESSAGES;
    },
    value: () => mean,
  };
}

/**
 * How many more messages to ask for: few and large permits, one when half of what a session may hold was taken.
 *
 * @param share messages that it may hold, where they are short
 * @param outstanding those that it was asked for and that were not taken yet
 * @returns 0: none now
 */
export function permitsDue(share: number, outstanding: number, meanBytes: number): number {
  const most = Math.max(1, Math.min(share, Math.floor((share * BYTES_OF_A_SHARE) / meanBytes)));
  const more = most - outstanding;
  return more < most / 2 ? 0 : more;
}
