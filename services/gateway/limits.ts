/** Updates, calls or events in one request. */
export const MAX_UPDATES_PER_REQUEST = 1_000;

/** Of a request, after it is unpacked: what Segment takes for a batch, and room. */
export const MAX_REQUEST_BYTES = 1_048_576;

/** Of a batch's own context, counted for each of its calls: each of their updates has it. */
export const MAX_SHARED_CONTEXT_BYTES = 4 * 1_048_576;
