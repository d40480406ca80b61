import { randomUUID } from 'node:crypto';
import type { Request } from 'express';
import type { z } from 'zod';
import {
  BatchGetRequest,
  ClientOrder,
  EnrichmentQuery,
  ErasuresConfirmed,
  ErasuresQuery,
  HistoryQuery,
  IdempotencyKey,
  NoQuery,
  PathClientId,
  PathSellerId,
} from '#contracts/api.ts';
import { CALLER_HEADER, type Caller } from '#contracts/callers.ts';
import { CANARY_SELLER } from '#contracts/canary.ts';
import { ClientPatch, LIMITS, NewClient } from '#contracts/client.ts';
import { ErasureId } from '#contracts/erasures.ts';
import type { Tracing } from '#platform/span.ts';
import { newTraceparent } from '#platform/traceparent.ts';
import type { Metrics } from '#role/metrics.ts';
import type { TokenVerifier } from '../../../auth/verifier.ts';
import {
  addClient,
  enrichClients,
  eraseSeller,
  readClient,
  readErasures,
  readHistory,
  readReceipt,
  receiptIdOf,
  removeClient,
  reorderClients,
  updateClient,
} from '../../app/index.ts';
import type { Erasures, LogEntry, Sellers, StoredList, WriteRequest, WriteResult } from '../../app/ports.ts';
import { answerOf, type HttpAnswer } from './answers.ts';
import { authenticate, maySeeContents, mustBe, mustBeAllowedToErase } from './authentication.ts';
import { fingerprintOf, parse, parseBody, readBody } from './body.ts';
import { type Callers, pageOf } from './callers.ts';
import type { Limits } from './limits.ts';
import { observedOf } from './observation.ts';
import { etagOf, excludedVersions, expectedVersions, isKnown } from './preconditions.ts';
import { Refusal } from './refusal.ts';

export type Endpoint = (req: Request) => Promise<HttpAnswer>;
type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';
export type Routes = Readonly<Record<string, Partial<Record<Method, Endpoint>>>>;

export interface Ports {
  readonly sellers: Sellers;
  readonly erasures: Erasures;
  readonly callers: Callers;
  readonly verifier: TokenVerifier;
  readonly limits: Limits;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
}

const JSON_BODY = ['application/json'];
const PATCH_BODY = ['application/merge-patch+json', 'application/json'];

/** Every address of the HTTP contract, by its template, with the handler of each method. */
export function endpoints(ports: Ports): Routes {
  const { sellers, erasures, callers, verifier, limits } = ports;
  const callerOf = (req: Request): Caller => {
    const caller = pageOf(callers, req);
    if (caller !== null) return caller;
    throw new Refusal('forbidden', `this is for pages, which say who they are by ${CALLER_HEADER}`);
  };
  const commands = ports.metrics.counter('topclients_commands_total');

  /** The order of checks: address, token, owner of the token, rate, then the body and what the store decides. */
  const admit = async (req: Request, may: 'change' | 'erase'): Promise<number> => {
    const sellerId = sellerIdOf(req);
    queryOf(req, NoQuery);
    const caller = await authenticate(verifier, req);
    if (may === 'change') mustBe(caller, sellerId);
    else mustBeAllowedToErase(caller);
    if (sellerId === CANARY_SELLER) {
      throw new Refusal(
        'forbidden',
        `seller ${sellerId} is made up to time changes; nobody else may change it`,
      );
    }
    // The seller's rate limit must not delay an erasure.
    if (may === 'change') await limits.write(sellerId);
    return sellerId;
  };
  const answer = <T>(
    command: string,
    result: WriteResult<T>,
    success: (answer: T) => HttpAnswer,
  ): HttpAnswer => {
    commands.inc({ command, result: nameOf(result) });
    return answerOf(result, success);
  };

  return {
    '/v1/sellers/{sellerId}/top-clients': {
      get: async (req) => {
        const sellerId = sellerIdOf(req);
        queryOf(req, NoQuery);
        const list = await sellers.list(sellerId);
        return unlessKnown(req, list.version, () => listJson(list));
      },
    },

    '/v1/sellers/{sellerId}/clients': {
      get: async (req) => {
        const sellerId = sellerIdOf(req);
        const { ids } = queryOf(req, EnrichmentQuery);
        const list = await enrichClients(sellers, sellerId, new Set(ids.map(lowerCase)));
        return unlessKnown(req, list.version, () => JSON.stringify(list));
      },
      post: async (req) => {
        const sellerId = await admit(req, 'change');
        const body = readBody(req, JSON_BODY);
        const client = parseBody(body, NewClient);
        const result = await addClient(sellers, writeOf(req, sellerId, body), randomUUID(), client);
        return answer('add-client', result, (added) => ({
          status: 201,
          headers: { Location: `/v1/sellers/${sellerId}/clients/${added.id}` },
          json: JSON.stringify(added),
        }));
      },
    },

    // Before the `{clientId}` template, which it would match as well.
    '/v1/sellers/{sellerId}/clients/order': {
      put: async (req) => {
        const sellerId = await admit(req, 'change');
        const body = readBody(req, JSON_BODY);
        const { clientIds } = parseBody(body, ClientOrder);
        const request = writeOf(req, sellerId, body);
        const result = await reorderClients(sellers, request, clientIds.map(lowerCase));
        return answer('reorder-clients', result, unlessPast);
      },
    },

    '/v1/sellers/{sellerId}/clients/{clientId}': {
      get: async (req) => {
        const sellerId = sellerIdOf(req);
        const clientId = clientIdOf(req);
        queryOf(req, NoQuery);
        const found = await readClient(sellers, sellerId, clientId);
        if (!found) throw new Refusal('not-found', `seller ${sellerId} has no client ${clientId}`);
        return unlessKnown(req, found.version, () => JSON.stringify(found.client));
      },
      patch: async (req) => {
        const clientId = clientIdOf(req);
        const sellerId = await admit(req, 'change');
        const body = readBody(req, PATCH_BODY);
        const patch = parseBody(body, ClientPatch);
        const result = await updateClient(sellers, writeOf(req, sellerId, body), clientId, patch);
        return answer('update-client', result, unlessPast);
      },
      delete: async (req) => {
        const clientId = clientIdOf(req);
        const sellerId = await admit(req, 'change');
        const result = await removeClient(sellers, writeOf(req, sellerId), clientId);
        return answer('remove-client', result, () => ({ status: 204 }));
      },
    },

    '/v1/sellers/{sellerId}/history': {
      get: async (req) => {
        const sellerId = sellerIdOf(req);
        const { after, limit } = queryOf(req, HistoryQuery);
        const withContents = await maySeeContents(verifier, req, sellerId);
        const { entries, next } = await readHistory(sellers, sellerId, after, limit);
        const shown = entries.map((entry) => entryJson(entry, withContents)).join(',');
        const json = `{"sellerId":${sellerId},"entries":[${shown}],"next":${next}}`;
        const caching = withContents ? 'no-store' : 'no-cache';
        return { status: 200, headers: { 'Cache-Control': caching, Vary: 'Authorization' }, json };
      },
    },

    '/v1/sellers/{sellerId}': {
      delete: async (req) => {
        const sellerId = await admit(req, 'erase');
        const result = await eraseSeller(sellers, writeOf(req, sellerId));
        const id = erasedBy(result) && (await receiptIdOf(erasures, erasedBy(result)!));
        return answer('erase-seller', result, ({ sellerId: erased, version }) => ({
          status: 202,
          headers: id === null ? {} : { Location: `/v1/erasures/${id}` },
          json: JSON.stringify({ sellerId: erased, version, erasureId: id }),
        }));
      },
    },

    '/v1/erasures/{erasureId}': {
      get: async (req) => {
        const id = parse(req.params['erasureId'], ErasureId, 'path.erasureId');
        queryOf(req, NoQuery);
        const receipt = await readReceipt(erasures, id);
        if (!receipt) throw new Refusal('not-found', `there is no receipt ${id}`);
        return { status: 200, headers: PRIVATE, json: JSON.stringify(receipt) };
      },
    },

    '/v1/erasures': {
      get: async (req) => {
        callerOf(req);
        const { since, limit } = queryOf(req, ErasuresQuery);
        const page = await readErasures(erasures, since, limit);
        return { status: 200, headers: PRIVATE, json: JSON.stringify(page) };
      },
      post: async (req) => {
        if (callerOf(req) !== 'self-view') {
          throw new Refusal('forbidden', 'the self-view alone confirms erasures here');
        }
        queryOf(req, NoQuery);
        const { erasures: confirmed } = parseBody(readBody(req, JSON_BODY), ErasuresConfirmed);
        await erasures.confirmChanges(confirmed);
        return { status: 204 };
      },
    },

    '/v1/top-clients/batch-get': {
      post: async (req) => {
        queryOf(req, NoQuery);
        const { sellerIds } = parseBody(readBody(req, JSON_BODY), BatchGetRequest);
        const { lists, remaining } = await sellers.lists(sellerIds, LIMITS.batchGetBytes);
        const json = `{"sellers":[${lists.map(listJson).join(',')}],"remaining":[${remaining}]}`;
        return { status: 200, headers: FRESH, json };
      },
    },

    '/v1/openapi.json': {
      get: async (req) => {
        queryOf(req, NoQuery);
        openApi ??= import('#contracts/openapi.ts').then(({ openApiDocument }) =>
          JSON.stringify(openApiDocument()),
        );
        return { status: 200, headers: FRESH, json: await openApi };
      },
    },
  };
}

/** Loaded and built at the first request for it: nothing else needs it. */
let openApi: Promise<string> | undefined;

/** A cache may keep the answer but must revalidate it every time. */
const FRESH = { 'Cache-Control': 'no-cache' };
/** For an address that is itself the secret. */
const PRIVATE = { 'Cache-Control': 'no-store', 'Referrer-Policy': 'no-referrer' };

/** The erasure that a command made, also when the answer is a replay. */
const erasedBy = <T>(result: WriteResult<T>): T | null =>
  'decided' in result && result.decided.kind === 'done' ? result.decided.answer : null;

function unlessKnown(req: Request, version: number, json: () => string): HttpAnswer {
  const headers = { ETag: etagOf(version), ...FRESH };
  return isKnown(req.headers['if-none-match'], version)
    ? { status: 304, headers }
    : { status: 200, headers, json: json() };
}

const listJson = ({ sellerId, version, clients, updatedAt }: StoredList) =>
  `{"sellerId":${sellerId},"version":${version},"clients":${clients},"updatedAt":${updatedAt && `"${updatedAt}"`}}`;

const entryJson = ({ version, type, committedAt, change }: LogEntry, withContents: boolean) =>
  `{"version":${version},"type":"${type}","committedAt":"${committedAt}"${withContents ? `,"change":${change}` : ''}}`;

/** Null: a repeated request, and the list has changed since. Only the version is left to answer. */
const unlessPast = (body: object | null): HttpAnswer =>
  body === null ? { status: 204 } : { status: 200, json: JSON.stringify(body) };

const nameOf = (result: WriteResult<unknown>): string => {
  switch (result.kind) {
    case 'version-mismatch':
    case 'version-excluded':
      return 'precondition-failed';
    case 'key-reused':
      return 'idempotency-key-reused';
    case 'key-erased':
    case 'too-many-keys':
    case 'replayed':
      return result.kind;
    case 'committed':
    case 'unchanged':
      return result.decided.kind === 'done' ? result.kind : result.decided.rejection.reason;
  }
};

const lowerCase = (id: string) => id.toLowerCase();
const sellerIdOf = (req: Request) => parse(req.params['sellerId'], PathSellerId, 'path.sellerId');
const clientIdOf = (req: Request) => lowerCase(parse(req.params['clientId'], PathClientId, 'path.clientId'));

function queryOf<S extends z.ZodType>(req: Request, schema: S): z.infer<S> {
  const start = req.originalUrl.indexOf('?');
  const pairs = start < 0 ? [] : [...new URLSearchParams(req.originalUrl.slice(start))];
  const query = Object.fromEntries(pairs);
  const repeated = pairs.length > Object.keys(query).length;
  if (repeated) throw new Refusal('invalid-request', 'give each parameter of the query once');
  return parse(query, schema, 'query');
}

const NO_BODY: Buffer = Buffer.alloc(0);

function writeOf(req: Request, sellerId: number, body = NO_BODY): WriteRequest {
  const key = req.headers['idempotency-key'];
  return {
    sellerId,
    expectedVersions: expectedVersions(req.headers['if-match']),
    excludedVersions: excludedVersions(req.headers['if-none-match']),
    idempotency:
      key === undefined
        ? null
        : {
            key: parse(key, IdempotencyKey, 'header Idempotency-Key'),
            fingerprint: fingerprintOf(req, body),
          },
    // Outside of any trace a new one begins, so that the event can be traced from here on.
    traceparent: observedOf(req.res!).span.traceparent ?? newTraceparent(),
  };
}
