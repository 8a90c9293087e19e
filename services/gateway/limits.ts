/** Updates, calls or events in one request. */
export const MAX_UPDATES_PER_REQUEST = 1_000;

/** Of a request, after it is unpacked: what Segment takes for a batch, and room. */
export const MAX_REQUEST_BYTES = 1_048_576;

/** Of a batch's own context, counted for each of its calls: each of their updates has it. */
export const MAX_SHARED_CONTEXT_BYTES = 4 * 1_048_576;

/** What a tenant's schema holds at most, whatever its quotas: beyond that names are taken and not learned. */
export const MAX_ATTRIBUTES = 2_000;
export const MAX_EVENT_NAMES = 1_000;
export const MAX_PROPERTIES_PER_EVENT = 500;
/** All names of a schema together: it is one document, which each gateway keeps. */
export const MAX_SCHEMA_NAMES = 10_000;
