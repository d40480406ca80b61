import { z } from 'zod';

/** Every refusal of the HTTP contract: its stable name, status and title. */
export const PROBLEMS = {
  'invalid-request': { status: 400, title: 'The request does not fit the contract' },
  unauthenticated: { status: 401, title: 'A valid bearer token is needed' },
  forbidden: { status: 403, title: 'The token does not allow this' },
  'not-found': { status: 404, title: 'There is nothing at this address' },
  'method-not-allowed': { status: 405, title: 'This address does not take that method' },
  'not-acceptable': { status: 406, title: 'The answer cannot be had in that media type' },
  'too-many-clients': { status: 409, title: 'The list is full' },
  'duplicate-client': { status: 409, title: 'The list has a client of that name already' },
  'period-reversed': { status: 409, title: 'The period of the client would end before it begins' },
  'order-mismatch': { status: 409, title: 'The order does not name exactly the clients of the list' },
  erased: { status: 410, title: 'The seller was erased since this was first asked for' },
  'precondition-failed': { status: 412, title: 'The list is not at a version that the request allows' },
  'body-too-large': { status: 413, title: 'The body is too large' },
  'unsupported-media-type': { status: 415, title: 'The body must be JSON' },
  'idempotency-key-reused': { status: 422, title: 'The idempotency key was used for another request' },
  'too-many-requests': { status: 429, title: 'Too many requests' },
  internal: { status: 500, title: 'Something went wrong on our side' },
  unavailable: { status: 503, title: 'Something this answer needs is not available' },
} as const satisfies Record<string, { status: number; title: string }>;

export type ProblemType = keyof typeof PROBLEMS;

export const PROBLEM_MEDIA_TYPE = 'application/problem+json';

/** RFC 9457. `detail` says what to change; `errors` names the failing members of the request. */
export const Problem = z
  .object({
    type: z.string().meta({ examples: ['urn:top-clients:problem:too-many-clients'] }),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string().optional().meta({ description: 'The id of the request, for the logs' }),
    errors: z.array(z.object({ at: z.string(), message: z.string() })).optional(),
  })
  .meta({ id: 'Problem' });
export type Problem = z.infer<typeof Problem>;

/** Builds the document of a refusal. */
export function problem(
  type: ProblemType,
  detail: string,
  more: { instance?: string; errors?: Array<{ at: string; message: string }> } = {},
): Problem {
  return { type: `urn:top-clients:problem:${type}`, ...PROBLEMS[type], detail, ...more };
}
