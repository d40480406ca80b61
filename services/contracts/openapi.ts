import { z } from 'zod';
import {
  createDocument,
  type ZodOpenApiObject,
  type ZodOpenApiOperationObject,
  type ZodOpenApiResponsesObject,
} from 'zod-openapi';
import {
  BatchGetAnswer,
  BatchGetRequest,
  ClientOrder,
  EnrichmentQuery,
  ErasureAnswer,
  Erasures,
  ErasuresConfirmed,
  ErasuresQuery,
  History,
  HistoryQuery,
  IdempotencyKey,
  PathClientId,
  PathSellerId,
  SellerClients,
} from './api.ts';
import { Client, ClientPatch, LIMITS, NewClient } from './client.ts';
import { ErasureId, ErasureReceipt } from './erasures.ts';
import { PROBLEM_MEDIA_TYPE, PROBLEMS, Problem, type ProblemType } from './problems.ts';

const tag = z.string().regex(/^"(0|[1-9]\d*)"$/);
const ETag = tag.meta({ description: 'The version of the list, quoted', examples: ['"5"'] });
/** The versions that a caller may ask about, by RFC 9110: any, or some. */
const ETags = z
  .string()
  .regex(/^(\*|(W\/)?"[\x21\x23-\x7e]*"( *, *(W\/)?"[\x21\x23-\x7e]*")*)$/)
  .meta({ examples: ['"5"'] });
const RequestId = z
  .string()
  .meta({ description: 'Finds the request in our logs; one the caller sent is kept' });
const Replayed = z
  .literal('true')
  .optional()
  .meta({ description: 'Present where an Idempotency-Key got its first answer again' });

const ifNoneMatch = z.object({
  'If-None-Match': ETags.optional().meta({
    description: 'Answers 304 when the list is still at one of these versions; `*` is any',
  }),
});
const writeHeaders = z.object({
  'If-Match': ETags.optional().meta({
    description: 'Answers 412 when the list is at none of these versions; `*` is any',
  }),
  'If-None-Match': ETags.optional().meta({
    description:
      'Answers 412 when the list is at one of these versions; `*` is any, and a list always exists: with it nothing is ' +
      'ever changed',
  }),
  'Idempotency-Key': IdempotencyKey.optional().meta({
    description:
      'With the same key and the same request nothing is done twice, for a day: the answer is that of the first time, ' +
      'from its status and version. An added client comes as it was added. A changed client or list comes while the ' +
      'list is at that version; later the answer is 204 with the version in its ETag. A refusal because of what is in ' +
      'the list is kept, too, without the ids of an `order-mismatch`. A request that was malformed, not allowed, too ' +
      'frequent, not at the expected version or not served may be sent again with its key. When the seller is erased, ' +
      'what the keys stood for goes with it: a retry is 410 `erased`, and does nothing. A seller has ' +
      `${LIMITS.idempotencyKeysPerSeller.toLocaleString('en')} keys at most; a further one is 429 until an older one is a day old, a change without a key is not. A key ` +
      'should be random: do not put personal data in one.',
    examples: ['0f8d1a3e-6d3c-4b4e-9f3c-1f6d4f0a7f52'],
  }),
  traceparent: z
    .string()
    .optional()
    .meta({ description: 'W3C trace context; the event of the change carries it on' }),
});

const json = <S extends z.ZodType>(schema: S) => ({ 'application/json': { schema } });

/** The responses of refusals, one a status, each with the problem types that can be behind it. */
function refusals(...types: readonly ProblemType[]): ZodOpenApiResponsesObject {
  const statuses = [...new Set(types.map((type) => PROBLEMS[type].status))].sort();
  return Object.fromEntries(
    statuses.map((code) => {
      const behind = types.filter((type) => PROBLEMS[type].status === code);
      const status = String(code);
      const response = {
        description: behind.map((type) => `\`${type}\`: ${PROBLEMS[type].title}`).join('. '),
        headers: z.object({
          'X-Request-Id': RequestId,
          ...(status === '401' || status === '403' ? { 'WWW-Authenticate': challenge(status) } : {}),
          ...(status === '412' ? { ETag } : {}),
          ...(status === '429' || status === '503' ? { 'Retry-After': seconds } : {}),
          ...(['404', '409'].includes(status) ? { 'Idempotency-Replayed': Replayed } : {}),
        }),
        content: { [PROBLEM_MEDIA_TYPE]: { schema: Problem } },
      };
      return [status, response];
    }),
  );
}
const challenge = (status: string) => {
  const header = z.string().meta({ description: 'How to authenticate' });
  return status === '401' ? header : header.optional();
};
const seconds = z
  .string()
  .regex(/^[1-9]\d*$/)
  .meta({ description: 'Seconds to wait' });

const ALWAYS = ['invalid-request', 'too-many-requests', 'internal', 'unavailable'] as const;
const ON_WRITE = [
  ...ALWAYS,
  'unauthenticated',
  'forbidden',
  'precondition-failed',
  'idempotency-key-reused',
  'erased',
] as const;
const ON_BODY = ['body-too-large', 'unsupported-media-type'] as const;

const bearer = (...scopes: string[]) => ({ security: [{ bearer: scopes }] });
const read = (
  operationId: string,
  summary: string,
): Pick<ZodOpenApiOperationObject, 'operationId' | 'summary' | 'security' | 'tags'> => ({
  operationId,
  summary,
  tags: ['read'],
  security: [],
});
const write = (operationId: string, summary: string) => ({
  operationId,
  summary,
  tags: ['write'],
  ...bearer(),
});
const readAnswer = (description: string, schema: z.ZodType) => ({
  200: { description, headers: z.object({ ETag, 'X-Request-Id': RequestId }), content: json(schema) },
  304: {
    description: 'The list is still at that version',
    headers: z.object({ ETag, 'X-Request-Id': RequestId }),
  },
});
const written = z.object({ ETag, 'X-Request-Id': RequestId, 'Idempotency-Replayed': Replayed });
const past = {
  204: {
    description:
      'It was done before, at this version (Idempotency-Key), and the list has changed since: read it',
    headers: written.required(),
  },
};

const toTheClient = (operationId: string) => ({
  operationId,
  parameters: { sellerId: '$request.path.sellerId', clientId: '$response.body#/id' },
});

const seller = z.object({ sellerId: PathSellerId });
const client = z.object({ sellerId: PathSellerId, clientId: PathClientId });

/** Only callers that have to forget sellers may learn who was erased. */
const ONLY_PAGES = 'For pages of ours alone, which say who they are by `Top-Clients-Caller`.';

const DOCUMENT: ZodOpenApiObject = {
  openapi: '3.1.1',
  info: {
    title: 'Top Clients: source of truth',
    version: '1.0.0',
    description:
      'Owns the lists of brands that sellers have worked with. Refusals are RFC 9457 problem documents.',
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
  servers: [{ url: '/v1' }],
  tags: [
    { name: 'read', description: 'Open to every caller inside the platform' },
    { name: 'page', description: 'For pages of ours, by `Top-Clients-Caller`' },
    { name: 'write', description: 'By the seller, or for an erasure by an operator' },
  ],
  components: {
    securitySchemes: {
      bearer: {
        type: 'http',
        scheme: 'bearer',
        bearerFormat: 'JWT',
        description:
          "The seller's number is its subject, or in the claim that the installation names. An erasure needs the scope `top-clients:erase` in `scope` or `scp`, a text with blanks or a list, and what the changes of another seller said the scope `top-clients:audit`, whoever the token belongs to.",
      },
    },
  },
  paths: {
    '/sellers/{sellerId}/top-clients': {
      get: {
        ...read('readTopClients', 'The list, as it is now'),
        requestParams: { path: seller, header: ifNoneMatch },
        responses: { ...readAnswer('The list', SellerClients), ...refusals(...ALWAYS) },
      },
    },
    '/sellers/{sellerId}/clients': {
      get: {
        ...read('enrichClients', 'Those of some clients that are in the list, as they are now'),
        requestParams: { path: seller, query: EnrichmentQuery, header: ifNoneMatch },
        responses: {
          ...readAnswer('The list, with none but these clients', SellerClients),
          ...refusals(...ALWAYS),
        },
      },
      post: {
        ...write('addClient', 'Adds a client at the end of the list'),
        requestParams: { path: seller, header: writeHeaders },
        requestBody: { required: true, content: json(NewClient) },
        responses: {
          201: {
            description: 'The client',
            headers: written.extend({
              Location: z.string().meta({ description: 'Address of the client' }),
            }),
            content: json(Client),
            links: {
              read: toTheClient('readClient'),
              update: toTheClient('updateClient'),
              remove: toTheClient('removeClient'),
            },
          },
          ...refusals(...ON_WRITE, ...ON_BODY, 'too-many-clients', 'duplicate-client'),
        },
      },
    },
    '/sellers/{sellerId}/clients/order': {
      put: {
        ...write('reorderClients', 'Puts the clients into another order'),
        requestParams: { path: seller, header: writeHeaders },
        requestBody: { required: true, content: json(ClientOrder) },
        responses: {
          200: { description: 'The list in its new order', headers: written, content: json(SellerClients) },
          ...past,
          ...refusals(...ON_WRITE, ...ON_BODY, 'order-mismatch'),
        },
      },
    },
    '/sellers/{sellerId}/clients/{clientId}': {
      get: {
        ...read('readClient', 'One client'),
        requestParams: { path: client, header: ifNoneMatch },
        responses: { ...readAnswer('The client', Client), ...refusals(...ALWAYS, 'not-found') },
      },
      patch: {
        ...write('updateClient', 'Changes members of a client (RFC 7396)'),
        requestParams: { path: client, header: writeHeaders },
        requestBody: {
          required: true,
          content: { 'application/merge-patch+json': { schema: ClientPatch }, ...json(ClientPatch) },
        },
        responses: {
          200: { description: 'The client as it is now', headers: written, content: json(Client) },
          ...past,
          ...refusals(...ON_WRITE, ...ON_BODY, 'not-found', 'duplicate-client', 'period-reversed'),
        },
      },
      delete: {
        ...write('removeClient', 'Takes a client off the list'),
        requestParams: { path: client, header: writeHeaders },
        responses: {
          204: { description: 'It is gone', headers: written },
          ...refusals(...ON_WRITE, 'not-found'),
        },
      },
    },
    '/sellers/{sellerId}/history': {
      get: {
        ...read(
          'readHistory',
          'The changes of the list, oldest first; what they said for the seller and auditors alone',
        ),
        security: [{}, { bearer: [] }, { bearer: ['top-clients:audit'] }],
        requestParams: { path: seller, query: HistoryQuery },
        responses: {
          200: {
            description: 'A page of the log: versions, types and times, and for who may see them the changes',
            headers: z.object({ 'X-Request-Id': RequestId }),
            content: json(History),
          },
          ...refusals(...ALWAYS, 'unauthenticated'),
        },
      },
    },
    '/sellers/{sellerId}': {
      delete: {
        ...write(
          'eraseSeller',
          'Forgets what is known of a seller; the versions go on, and it draws on no limit of the seller',
        ),
        ...bearer('top-clients:erase'),
        requestParams: { path: seller, header: writeHeaders },
        responses: {
          202: {
            description:
              'Erased here, and hidden at once; the pages follow, and the receipt says how far they are. Erased again ' +
              'without a change in between it is the same erasure, with the same receipt',
            headers: written.extend({
              Location: z.string().optional().meta({ description: 'Address of the receipt' }),
            }),
            content: json(ErasureAnswer),
            links: {
              receipt: { operationId: 'readErasure', parameters: { erasureId: '$response.body#/erasureId' } },
            },
          },
          ...refusals(...ON_WRITE),
        },
      },
    },
    '/erasures': {
      get: {
        ...read('readErasures', 'Which sellers were erased, oldest first, for those who keep copies'),
        tags: ['page'],
        description: ONLY_PAGES,
        requestParams: { query: ErasuresQuery },
        responses: {
          200: {
            description: 'A page of the erasures',
            headers: z.object({ 'X-Request-Id': RequestId }),
            content: json(Erasures),
          },
          ...refusals(...ALWAYS, 'forbidden'),
        },
      },
      post: {
        operationId: 'confirmErasures',
        tags: ['page'],
        security: [],
        summary: 'The self-view says of which erasures its record of changes keeps nothing any more',
        description: ONLY_PAGES,
        requestParams: {},
        requestBody: { required: true, content: json(ErasuresConfirmed) },
        responses: {
          204: { description: 'Noted on the receipts', headers: z.object({ 'X-Request-Id': RequestId }) },
          ...refusals(...ALWAYS, ...ON_BODY, 'forbidden'),
        },
      },
    },
    '/erasures/{erasureId}': {
      get: {
        ...read('readErasure', 'The receipt of an erasure: which stores have confirmed it, and when'),
        description:
          'Whoever has the address may read it: who was erased may have no token any more. It cannot be guessed, and ' +
          "the receipt holds nothing of a person but the seller's number. It is kept for good.",
        requestParams: { path: z.object({ erasureId: ErasureId }) },
        responses: {
          200: {
            description: 'The receipt, as it is now',
            headers: z.object({ 'X-Request-Id': RequestId }),
            content: json(ErasureReceipt),
          },
          ...refusals(...ALWAYS, 'not-found'),
        },
      },
    },
    '/top-clients/batch-get': {
      post: {
        ...read('batchGetTopClients', 'The lists of many sellers'),
        requestParams: {},
        requestBody: { required: true, content: json(BatchGetRequest) },
        responses: {
          200: {
            description: 'One list a seller asked for, in that order, but for those named in `remaining`',
            headers: z.object({ 'X-Request-Id': RequestId }),
            content: json(BatchGetAnswer),
          },
          ...refusals(...ALWAYS, ...ON_BODY),
        },
      },
    },
    '/openapi.json': {
      get: {
        ...read('readOpenApi', 'This document'),
        responses: {
          200: {
            description: 'An OpenAPI 3.1 document',
            headers: z.object({ 'X-Request-Id': RequestId }),
            content: json(z.record(z.string(), z.unknown())),
          },
          ...refusals(...ALWAYS),
        },
      },
    },
  },
};

/** The OpenAPI 3.1 document of the HTTP contract, from the schemas that judge the requests. */
export function openApiDocument() {
  return createDocument(DOCUMENT, {
    override: ({ jsonSchema, zodSchema, io }) => {
      // Readers ignore members they do not know, so that an answer may gain some.
      if (io === 'output' && zodSchema._zod.def.type === 'object') delete jsonSchema.additionalProperties;
      if (jsonSchema.format === 'date-time') delete jsonSchema.pattern;
    },
  });
}
