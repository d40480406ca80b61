/**
 * Sellers who use the source of truth: they read and change their lists all the time, whatever breaks. Raw HTTP, not
 * our services' client: a history consists of single attempts, each with its exact beginning and end.
 */
import { randomUUID } from 'node:crypto';
import { pause } from '#platform/lifecycle.ts';
import { type Random, randomFor } from '../../services/seed/random.ts';
import type { Action, History, Outcome } from './history.ts';
import type { FaultWorld } from './world.ts';

export interface Clients {
  /** Ends the loops; resolves when the operations in flight have an outcome. */
  rest(): Promise<void>;
  /** Sellers erased for good so far, each with a text that must not be anywhere any more. */
  readonly erased: ReadonlyMap<number, string>;
  /** Does one operation as a further client, and returns the outcome. */
  once(seller: number, action: Action): Promise<Outcome>;
}

/** Sellers that several clients change at once. */
export const CONTENDED = { first: 1, last: 12 } as const;
/** Sellers who add a secret and are erased for good, one after the other. */
export const TO_ERASE = { first: 21, last: 50 } as const;
/** Sellers that only faults write to. */
export const FOR_FAULTS = { first: 51, last: 60 } as const;

const CLIENTS = 6;
const DEADLINE_MS = 4_000;
/** Retries of an operation with an unknown outcome, under the same idempotency key. */
const RETRIES = 6;
const LONGEST_LIST = 8;

interface Client {
  readonly id: string;
  readonly name: string;
}

/** @param perSecond most operations of all clients together */
export function startClients(world: FaultWorld, history: History, seed: number, perSecond: number): Clients {
  const stop = new AbortController();
  const erased = new Map<number, string>();
  const known = new Map<number, readonly Client[]>();
  const versions = new Map<number, number>();
  const tokens = new Map<number, Promise<string>>();
  const tokenOf = (seller: number) => {
    const kept = tokens.get(seller);
    if (kept !== undefined) return kept;
    // Valid for a day: a role whose clock is wrong by an hour must still accept it.
    const claims = { exp: Math.floor(Date.now() / 1_000) + 86_400, scope: 'top-clients:erase' };
    const token = world.issuer.token(seller, claims);
    tokens.set(seller, token);
    return token;
  };

  const run = async (
    client: number,
    seller: number,
    action: Action,
    { ifVersion, retries = 0 }: { ifVersion?: number; retries?: number } = {},
  ): Promise<Outcome> => {
    const request = requestOf(seller, action, known.get(seller) ?? []);
    if (request === null) return { event: 'fail', reason: 'unknown here' };
    const token = await tokenOf(seller);
    const done = history.invoke({
      client,
      seller,
      action,
      ...(ifVersion === undefined ? {} : { ifVersion }),
    });
    const headers: Record<string, string> = {
      authorization: `Bearer ${token}`,
      ...(action.kind === 'read' || action.kind === 'erase' ? {} : { 'idempotency-key': randomUUID() }),
      ...(ifVersion === undefined ? {} : { 'if-match': `"${ifVersion}"` }),
      ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
    };
    let outcome: Outcome = { event: 'unknown', reason: 'not tried' };
    for (let attempt = 0; attempt <= retries; attempt++) {
      if (attempt > 0) await pause(300, stop.signal);
      const next = await ask(world.sourceUrl(), request, headers);
      // A refusal of this attempt says nothing about the earlier attempt, whose answer was lost.
      outcome = attempt > 0 && next.event === 'fail' && isAboutThisAttempt(next.reason) ? outcome : next;
      if (outcome.event !== 'unknown') break;
    }
    if (outcome.event === 'ok') {
      const { version } = outcome;
      versions.set(seller, Math.max(version, versions.get(seller) ?? 0));
    }
    done(outcome);
    return outcome;
  };

  const requestOf = (seller: number, action: Action, list: readonly Client[]) => {
    const idOf = (tag: string) => list.find(({ name }) => tagOf(name) === tag)?.id;
    const base = `/v1/sellers/${seller}`;
    switch (action.kind) {
      case 'read':
        return { method: 'GET', path: `${base}/top-clients` };
      case 'add':
        return { method: 'POST', path: `${base}/clients`, body: { name: action.name } };
      case 'rename': {
        const id = idOf(action.name);
        return id ? { method: 'PATCH', path: `${base}/clients/${id}`, body: { name: action.to } } : null;
      }
      case 'remove': {
        const id = idOf(action.name);
        return id ? { method: 'DELETE', path: `${base}/clients/${id}` } : null;
      }
      case 'reorder': {
        const clientIds = action.names.map(idOf);
        return clientIds.includes(undefined)
          ? null
          : { method: 'PUT', path: `${base}/clients/order`, body: { clientIds } };
      }
      case 'erase':
        return { method: 'DELETE', path: base };
    }
  };

  const ask = async (
    url: string,
    request: { method: string; path: string; body?: unknown },
    headers: Record<string, string>,
  ): Promise<Outcome> => {
    try {
      const answer = await fetch(`${url}${request.path}`, {
        method: request.method,
        headers,
        ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
        signal: AbortSignal.timeout(DEADLINE_MS),
      });
      const text = await answer.text();
      const body = text === '' ? null : JSON.parse(text);
      if (answer.ok) {
        const version = Number(/^"(\d+)"$/.exec(answer.headers.get('etag') ?? '')?.[1] ?? body?.version);
        if (!Number.isSafeInteger(version))
          return { event: 'unknown', reason: 'an answer without a version' };
        if (request.method !== 'GET') return { event: 'ok', version };
        const clients = body.clients as Client[];
        if (version >= (versions.get(body.sellerId) ?? 0)) known.set(body.sellerId, clients);
        return { event: 'ok', version, names: clients.map(({ name }) => name) };
      }
      const reason = String(body?.type ?? answer.status).replace('urn:top-clients:problem:', '');
      // After a 5xx the write may have happened all the same.
      return { event: answer.status >= 500 ? 'unknown' : 'fail', reason };
    } catch (err) {
      const { cause, name } = err as { cause?: { code?: string }; name: string };
      if (cause?.code === 'ECONNREFUSED') return { event: 'fail', reason: 'connection refused' };
      return { event: 'unknown', reason: cause?.code ?? name };
    }
  };

  const contended = async (client: number) => {
    const random = randomFor('client', client, seed);
    for (let turn = 0; !stop.signal.aborted; turn++) {
      const seller = random.integer(CONTENDED.first, CONTENDED.last);
      const list = known.get(seller) ?? [];
      const action = choose(random, list, `${client}-${turn}`);
      const conditional = action.kind !== 'read' && random.chance(0.2);
      const outcome = await run(client, seller, action, {
        retries: random.chance(0.5) ? RETRIES : 0,
        ...(conditional ? { ifVersion: versions.get(seller) ?? 0 } : {}),
      });
      // Clients slow down while the source is away: each attempt with an unknown outcome stays open to the end.
      const rest = outcome.event === 'ok' ? 1 : outcome.event === 'unknown' ? 10 : 3;
      await pause((rest * random.integer(500, 1_500) * (CLIENTS + 1)) / perSecond, stop.signal);
    }
  };

  const erasing = async () => {
    const random = randomFor('erasing', 0, seed);
    for (let seller = TO_ERASE.first; seller <= TO_ERASE.last && !stop.signal.aborted; seller++) {
      const secret = `Secret-${seed}-${seller}`;
      await insist(() => run(CLIENTS, seller, { kind: 'add', name: secret }, { retries: RETRIES }));
      await insist(() => run(CLIENTS, seller, { kind: 'add', name: `${secret}-b` }, { retries: RETRIES }));
      await pause(random.integer(0, 1_500), stop.signal);
      if (await insist(() => run(CLIENTS, seller, { kind: 'erase' }, { retries: RETRIES })))
        erased.set(seller, secret);
      await run(CLIENTS, seller, { kind: 'read' });
      await pause(random.integer(1_000, 4_000), stop.signal);
    }
  };
  const insist = async (attempt: () => Promise<Outcome>): Promise<boolean> => {
    while (!stop.signal.aborted) {
      if ((await attempt()).event === 'ok') return true;
      await pause(500, stop.signal);
    }
    return false;
  };

  const loops = Promise.all([
    ...Array.from({ length: CLIENTS }, (_, client) => contended(client)),
    erasing(),
  ]);
  return {
    erased,
    async rest() {
      stop.abort();
      await loops;
    },
    once: (seller, action) => run(CLIENTS + 1, seller, action, { retries: RETRIES }),
  };
}

/** Reasons that arise before the source looks at the seller, or that do not tell the outcome of the first attempt. */
const isAboutThisAttempt = (reason: string) =>
  reason === 'connection refused' || reason === 'too-many-requests' || reason === 'erased';

/** About half are reads. Lists stay short, so that every kind of change stays possible. */
function choose(random: Random, list: readonly Client[], fresh: string): Action {
  if (random.chance(0.45)) return { kind: 'read' };
  const kind = random.pick(['add', 'add', 'rename', 'remove', 'reorder'] as const);
  if (list.length === 0 || (kind === 'add' && list.length < LONGEST_LIST)) {
    return { kind: 'add', name: `${fresh}~` };
  }
  const name = tagOf(random.pick(list).name);
  if (kind === 'rename') return { kind, name, to: `${name}~${fresh}` };
  if (kind === 'reorder') return { kind, names: list.toReversed().map((one) => tagOf(one.name)) };
  return { kind: 'remove', name };
}

const tagOf = (name: string) => name.split('~')[0]!;
