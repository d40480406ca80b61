import { createHash } from 'node:crypto';
import type { Request, Response, Router } from 'express';
import type { SellerClients } from '#contracts/api.ts';
import { ClientId, LIMITS } from '#contracts/client.ts';
import type { PageContext } from '#pages/mount.ts';
import { type Access, type Owner, parameter } from './access.ts';
import type { Answers, FormPlace } from './answers.ts';
import type { PortalCommand } from './command.ts';
import { MOVES, moved } from './command.ts';
import {
  addressWith,
  clientOf,
  differences,
  NOTHING_TYPED,
  newTerms,
  type Sent,
  type Terms,
  termsOf,
  textOf,
  type Values,
  valuesOf,
  valuesOfClient,
} from './form.ts';
import { type Acknowledged, type Changing, makeChange, type Result } from './make-change.ts';
import type { Notice } from './templates.ts';
import { explain, type Refusal } from './words.ts';

interface Deps extends Changing {
  readonly access: Access;
  readonly answers: Answers;
  readonly refuse: PageContext['refuse'];
}

const GONE: Notice = {
  tone: 'problem',
  title: 'The client you were editing is no longer in your list',
  text: 'It was removed in another window or on another device. What you typed is still in the form: you can add it as a new client.',
};
const TOO_LATE: Notice = {
  tone: 'problem',
  title: 'This can no longer be undone',
  text: 'A change can be undone for an hour, until the next one. This is your list as it is now.',
};

/** The forms: each becomes one command to the source of truth, and is answered by a redirect to the list. */
export function addChangeRoutes(router: Router, deps: Deps): void {
  const { access, answers, changes, refuse, reads } = deps;
  const own = (req: Request) => `/sellers/${parameter(req, 'sellerId')}`;

  router.post('/sellers/:sellerId/clients', async (req, res) => {
    const values = valuesOf(req.body as Sent);
    const terms = termsOrRefusal(req, res);
    if (!terms) return;
    const returnTo = addressWith(own(req), values);
    const who = await access.owner(req, res, returnTo, (sellerId) =>
      answers.keptForm(res, { sellerId }, values, terms, 'not-sent'),
    );
    if (!who) return;
    const command: PortalCommand = { kind: 'add', client: clientOf(values) };
    const result = await makeChange(deps, who.sellerId, command, terms, who);
    await answerForm(res, who, result, { values, terms, returnTo }, undefined, (list, refusal) =>
      refusedList(res, who, list, refusal, values),
    );
  });

  router.post('/sellers/:sellerId/clients/:clientId', async (req, res) => {
    const values = valuesOf(req.body as Sent);
    const clientId = clientIdOrRefusal(req, res);
    const terms = clientId && termsOrRefusal(req, res);
    if (!clientId || !terms) return;
    const client = { id: clientId, name: values.name };
    const returnTo = addressWith(`${own(req)}/clients/${clientId}/edit`, values);
    const who = await access.owner(req, res, returnTo, (sellerId) =>
      answers.keptForm(res, { sellerId, client }, values, terms, 'not-sent'),
    );
    if (!who) return;
    const command: PortalCommand = { kind: 'update', clientId, client: clientOf(values) };
    const result = await makeChange(deps, who.sellerId, command, terms, who);
    await answerForm(res, who, result, { values, terms, returnTo }, client, (list, refusal) =>
      refusedEdit(res, who, list, refusal, clientId, values),
    );
  });

  router.post('/sellers/:sellerId/clients/:clientId/remove', async (req, res) => {
    const clientId = clientIdOrRefusal(req, res);
    const who = clientId && (await access.owner(req, res, own(req)));
    const terms = who && termsOrRefusal(req, res);
    if (!who || !terms) return;
    const result = await makeChange(deps, who.sellerId, { kind: 'remove', clientId }, terms, who);
    await answerButton(req, res, who, result, terms, 'Try again to remove it');
  });

  router.post('/sellers/:sellerId/order', async (req, res) => {
    const who = await access.owner(req, res, own(req));
    const terms = who && termsOrRefusal(req, res);
    if (!who || !terms) return;
    const clientIds = wantedOrder(req.body as Sent);
    if (!clientIds) return incomplete(req, res);
    // One form holds the buttons of all rows, and each order they lead to is a command with a key of its own.
    const order = clientIds.join(',');
    const key = `${terms.key}.${createHash('sha256').update(order).digest('hex').slice(0, 16)}`;
    const command: PortalCommand = { kind: 'reorder', clientIds };
    const result = await makeChange(deps, who.sellerId, command, { ...terms, key }, who);
    await answerButton(req, res, who, result, terms, 'Try again to save the order', { order });
  });

  router.post('/sellers/:sellerId/undo', async (req, res) => {
    const who = await access.owner(req, res, own(req));
    const terms = who && termsOrRefusal(req, res);
    if (!who || !terms) return;
    const change = await changes.find(who.sellerId, terms.version);
    if (!change?.inverse) {
      const answer = await reads.list(who.sellerId, who.call);
      if (answer.outcome !== 'ok') return answers.down(req, res);
      return answers.list(res, 409, who.sellerId, answer.value, { notice: TOO_LATE });
    }
    const result = await makeChange(
      deps,
      who.sellerId,
      change.inverse,
      terms,
      who,
      (title) => `Undone: ${title}`,
    );
    await answerButton(req, res, who, result, terms, 'Try again to undo');
  });

  function termsOrRefusal(req: Request, res: Response): Terms | undefined {
    const terms = termsOf(req.body as Sent);
    if (!terms) incomplete(req, res);
    return terms;
  }

  function incomplete(req: Request, res: Response): void {
    refuse(req, res, 'invalid-request', 'The form did not arrive whole. Open your list again and repeat it.');
  }

  function clientIdOrRefusal(req: Request, res: Response): string | undefined {
    const clientId = ClientId.safeParse(parameter(req, 'clientId')).data;
    if (clientId === undefined) refuse(req, res, 'not-found', 'That client is not in your list.');
    return clientId;
  }

  /** Post, redirect, get: a reload of the page that follows repeats nothing. */
  function redirect(res: Response, sellerId: number, { outcome, version }: Acknowledged): void {
    const query = {
      changed: `changed=${version}`,
      misplaced: `changed=${version}&misplaced`,
      unchanged: 'unchanged',
    }[outcome];
    res.redirect(303, `/sellers/${sellerId}?${query}`);
  }

  /** The answer to a form with fields: whatever happens, what was typed comes back. */
  async function answerForm(
    res: Response,
    who: Owner,
    result: Result,
    { values, terms, returnTo }: { values: Values; terms: Terms; returnTo: string },
    client: FormPlace['client'],
    refused: (list: SellerClients, refusal: Refusal) => Promise<void>,
  ): Promise<void> {
    const { sellerId } = who;
    if ('version' in result) return redirect(res, sellerId, result);
    if (result.outcome !== 'refused') {
      return answers.keptForm(res, { sellerId, client }, values, terms, result.outcome);
    }
    if (result.problem.status === 401) {
      return answers.askToSignIn(res, 401, { state: 'expired', returnTo, sellerId });
    }
    const list = await reads.list(sellerId, who.call);
    if (list.outcome === 'ok') return refused(list.value, result);
    return answers.keptForm(res, { sellerId, client }, values, terms, 'not-sent');
  }

  /** The answer to a form that is only a button. */
  async function answerButton(
    req: Request,
    res: Response,
    who: Owner,
    result: Result,
    terms: Terms,
    label: string,
    more: Record<string, string> = {},
  ): Promise<void> {
    const { sellerId } = who;
    if ('version' in result) return redirect(res, sellerId, result);
    if (result.outcome === 'refused') {
      if (result.problem.status === 401) {
        return answers.askToSignIn(res, 401, { state: 'expired', returnTo: own(req), sellerId });
      }
      const list = await reads.list(sellerId, who.call);
      if (list.outcome === 'ok') return refusedList(res, who, list.value, result, NOTHING_TYPED);
    }
    const sent = { version: String(terms.version), key: terms.key, ...more };
    const outcome = result.outcome === 'unknown' ? 'unknown' : 'not-sent';
    answers.keptChange(res, sellerId, { action: req.path, sent, label }, outcome);
  }

  async function refusedList(
    res: Response,
    who: Owner,
    list: SellerClients,
    refusal: Refusal,
    values: Values,
  ): Promise<void> {
    if (refusal.retryAfterSeconds !== null) res.set('retry-after', String(refusal.retryAfterSeconds));
    const { errors, notice } = explain(refusal, values);
    await answers.list(res, refusal.problem.status, who.sellerId, list, { values, errors, notice });
  }

  async function refusedEdit(
    res: Response,
    who: Owner,
    list: SellerClients,
    refusal: Refusal,
    clientId: string,
    values: Values,
  ): Promise<void> {
    const client = list.clients.find((one) => one.id === clientId);
    if (!client) return answers.list(res, 409, who.sellerId, list, { values, notice: GONE });
    if (refusal.retryAfterSeconds !== null) res.set('retry-after', String(refusal.retryAfterSeconds));
    const { errors, notice } = explain(refusal, values);
    const stored = valuesOfClient(client);
    const isConflict = refusal.problem.status === 412 && differences(stored, values).length > 0;
    const form = {
      terms: newTerms(list.version),
      values,
      errors,
      brands: null,
      stored: isConflict ? stored : undefined,
    };
    const page = { sellerId: who.sellerId, clientId, name: client.name, form, notice };
    answers.edit(res, refusal.problem.status, page);
  }
}

/**
 * The order a sent form asks for: `order` as the page had it, or as the script made it, after the pressed button's
 * `move`. It is computed from the page the seller saw, so that a double click asks for the same order twice.
 */
function wantedOrder(sent: Sent): string[] | undefined {
  const order = (textOf(sent, 'order') ?? '').split(',');
  if (order.length > LIMITS.clientsPerSeller || !order.every((id) => ClientId.safeParse(id).success))
    return undefined;
  const asked = textOf(sent, 'move');
  if (asked === undefined) return order;
  const [direction, id = ''] = asked.split(':');
  const move = MOVES.find((one) => one === direction);
  return move && order.includes(id) ? moved(order, id, move) : undefined;
}
