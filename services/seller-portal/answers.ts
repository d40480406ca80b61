import type { Request, Response } from 'express';
import type { SellerClients } from '#contracts/api.ts';
import { HEADERS, type TopClientsView } from '#contracts/delivery.ts';
import { isolatedText } from '#contracts/text.ts';
import { type Html, layout, type Site } from '#pages/layout.ts';
import type { Log } from '#platform/log.ts';
import type { Brand } from './catalogue.ts';
import type { ChangeLog, LoggedChange } from './change-log.ts';
import {
  type FieldErrors,
  isAnythingTyped,
  NOTHING_TYPED,
  newTerms,
  type Terms,
  type Values,
} from './form.ts';
import type { NotAcknowledged } from './make-change.ts';
import {
  type ClientForm,
  editPage,
  keptFormPage,
  linkButton,
  listPage,
  messagePage,
  type Notice,
  repeatForm,
  sideBySide,
  signInPage,
} from './templates.ts';
import { DOWN, notAcknowledged } from './words.ts';

export const wantsJson = (req: Request): boolean => req.accepts(['html', 'json']) === 'json';

/** Which form: a client's, or that of a new client when there is no client. */
export interface FormPlace {
  readonly sellerId: number;
  readonly client?: { readonly id: string; readonly name: string } | undefined;
}

/** Everything the self-view answers with. */
export interface Answers {
  list(
    res: Response,
    status: number,
    sellerId: number,
    list: SellerClients,
    more?: { notice?: Notice | undefined; values?: Values; errors?: FieldErrors; brands?: Brand[] | null },
  ): Promise<void>;
  json(res: Response, sellerId: number, list: SellerClients): Promise<void>;
  edit(
    res: Response,
    status: number,
    page: { sellerId: number; clientId: string; name: string; form: ClientForm; notice?: Notice | undefined },
  ): void;
  /** The list cannot be had. */
  down(req: Request, res: Response): void;
  /** A form was not acknowledged: it comes back with all that was typed, under the same key. */
  keptForm(res: Response, place: FormPlace, values: Values, terms: Terms, outcome: NotAcknowledged): void;
  /** A change without fields was not acknowledged: a button repeats it under the same key. */
  keptChange(
    res: Response,
    sellerId: number,
    again: { action: string; sent: Record<string, string>; label: string },
    outcome: NotAcknowledged,
  ): void;
  askToSignIn(
    res: Response,
    status: number,
    page: {
      state: 'signed-out' | 'expired' | 'invalid';
      returnTo: string;
      sellerId: number;
      error?: string;
    },
  ): void;
  notYours(res: Response, signedInAs: number, asked: number): void;
  /** The change that led to this version, if it is known here; a database out of reach only costs the undo. */
  lastChange(sellerId: number, version: number): Promise<LoggedChange | undefined>;
}

const WHY_SIGN_IN = {
  'signed-out': undefined,
  expired: 'Your sign-in has expired. Sign in again to go on where you were.',
  invalid: 'That sign-in is not valid here. Please sign in again.',
} as const;

export function openAnswers(deps: {
  readonly site: Site;
  readonly changes: ChangeLog;
  readonly log: Log;
  /** Whether the demo's issuer signs sellers in. */
  readonly canIssue: boolean;
  readonly scripts: readonly string[];
  readonly styles: readonly string[];
}): Answers {
  const { site, changes, log, canIssue, scripts, styles } = deps;
  const timing = (res: Response) => {
    const ms = performance.now() - Number(res.locals['began']);
    res.append('server-timing', `page;dur=${ms.toFixed(1)}`);
  };
  const show = (res: Response, status: number, title: string, main: Html) => {
    timing(res);
    res.status(status).type('html').send(layout(site, { title, main, scripts, styles }));
  };
  /** Answers without the list, and asks to try again later. */
  const showMissing = (res: Response, main: Html) => {
    res.set({ 'retry-after': '1', [HEADERS.outcome]: 'missing' });
    show(res, 503, DOWN, main);
  };
  const back = (sellerId: number) => linkButton(`/sellers/${sellerId}`, 'Back to your clients', 'secondary');
  const lastChange = (sellerId: number, version: number) =>
    changes.find(sellerId, version).catch((err: unknown) => {
      log.warn({ err }, 'undo is not offered: the database is out of reach');
      return undefined;
    });

  return {
    lastChange,
    async list(res, status, sellerId, list, more = {}) {
      const { values = NOTHING_TYPED, errors = {}, brands = null, notice } = more;
      const change = await lastChange(sellerId, list.version);
      res.set({ [HEADERS.outcome]: 'full', [HEADERS.version]: String(list.version) });
      const page = {
        sellerId,
        list,
        form: { terms: newTerms(list.version), values, errors, brands },
        formIsInUse: isAnythingTyped(values) || brands !== null,
        notice,
        undo: change?.inverse && !notice?.action ? change : undefined,
      };
      show(res, status, 'Your top clients', listPage(site, page));
    },
    async json(res, sellerId, list) {
      const change = await lastChange(sellerId, list.version);
      const topClients: TopClientsView = {
        outcome: 'full',
        version: list.version,
        ageMs: list.updatedAt ? Math.max(0, Date.now() - Date.parse(list.updatedAt)) : null,
        clients: list.clients,
      };
      res.set({
        [HEADERS.outcome]: 'full',
        [HEADERS.version]: String(list.version),
        etag: `"${list.version}"`,
      });
      timing(res);
      res.json({ sellerId, topClients, canUndo: change?.inverse ? change.title : null });
    },
    edit(res, status, page) {
      res.set(HEADERS.outcome, 'full');
      show(res, status, `Edit ${isolatedText(page.name)}`, editPage(site, page));
    },
    down(req, res) {
      const text =
        'Nothing is lost: what buyers see stays as it is. Only the newest list is ever shown here, so please try again in a moment.';
      const again = linkButton(req.method === 'GET' ? req.originalUrl : req.path, 'Try again');
      showMissing(res, messagePage({ heading: DOWN, text, action: again }));
    },
    keptForm(res, { sellerId, client }, values, terms, outcome) {
      const own = `/sellers/${sellerId}`;
      const place = client
        ? {
            heading: `Edit ${isolatedText(client.name)}`,
            action: `${own}/clients/${client.id}`,
            searchAction: `${own}/clients/${client.id}/edit`,
          }
        : { heading: 'Add a client', action: `${own}/clients`, searchAction: `${own}#add` };
      const form: ClientForm = { terms, values, errors: {}, brands: null };
      const notice = notAcknowledged(outcome);
      showMissing(res, keptFormPage(site, { ...place, form, back: own, submit: 'Try again', notice }));
    },
    keptChange(res, sellerId, { action, sent, label }, outcome) {
      const { title, text = '' } = notAcknowledged(outcome);
      const actions = sideBySide(repeatForm(action, sent, label), back(sellerId));
      showMissing(res, messagePage({ heading: title, text, action: actions }));
    },
    askToSignIn(res, status, { state, returnTo, sellerId, error }) {
      const page = { returnTo, suggestedSeller: sellerId, canIssue, why: WHY_SIGN_IN[state], error };
      show(res, status, 'Sign in', signInPage(page));
    },
    notYours(res, signedInAs, asked) {
      const actions = sideBySide(
        linkButton(`/sellers/${signedInAs}`, 'Go to your own list'),
        linkButton(site.user(asked), 'See that seller’s public page', 'secondary'),
      );
      show(
        res,
        403,
        'Not your list',
        messagePage({
          heading: 'This is another seller’s list',
          text: `You are signed in as seller ${signedInAs}; only seller ${asked} can see and change this page.`,
          action: actions,
        }),
      );
    },
  };
}
