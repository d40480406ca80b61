import type { Request, Response, Router } from 'express';
import type { SellerClients } from '#contracts/api.ts';
import { HEADERS } from '#contracts/delivery.ts';
import type { PageContext } from '#pages/mount.ts';
import type { Log } from '#platform/log.ts';
import type { Queryable } from '#platform/postgres.ts';
import { type Access, type Owner, parameter } from './access.ts';
import { type Answers, wantsJson } from './answers.ts';
import { type Brand, findBrand, searchBrands } from './catalogue.ts';
import { NOTHING_TYPED, newTerms, type Sent, textOf, type Values, valuesOf, valuesOfClient } from './form.ts';
import type { ReadYourWrites } from './read-your-writes.ts';
import type { SessionCookie } from './session-cookie.ts';
import type { SignIn } from './sign-in.ts';
import { type Notice, undoForm } from './templates.ts';

interface Deps {
  readonly access: Access;
  readonly answers: Answers;
  readonly reads: ReadYourWrites;
  readonly signIn: SignIn;
  readonly cookie: SessionCookie;
  readonly db: Queryable;
  readonly refuse: PageContext['refuse'];
  readonly log: Log;
}

/** The list, one client's form, and the catalogue: all that is only looked at. */
export function addListRoutes(router: Router, deps: Deps): void {
  const { access, answers, reads, signIn, cookie, db, refuse, log } = deps;

  const read = async (req: Request, res: Response, who: Owner): Promise<SellerClients | undefined> => {
    const began = performance.now();
    const answer = await reads.list(who.sellerId, who.call);
    res.append('server-timing', `source;dur=${(performance.now() - began).toFixed(1)}`);
    if (answer.outcome === 'ok') return answer.value;
    if (answer.outcome === 'refused') log.error({ problem: answer.problem.type }, 'a read was refused');
    else log.warn({ err: answer.cause }, 'the list could not be read');
    if (wantsJson(req)) {
      res.set({ 'retry-after': '1', [HEADERS.outcome]: 'missing' });
      refuse(req, res, 'unavailable', 'The source of truth cannot be reached; try again in a moment.');
    } else answers.down(req, res);
    return undefined;
  };

  router.get('/', async (req, res) => {
    const session = await signIn.verify(cookie.tokenOf(req.headers));
    if (session.state === 'signed-in') res.redirect(303, `/sellers/${session.sellerId}`);
    else answers.askToSignIn(res, 200, { state: 'signed-out', returnTo: '', sellerId: 1 });
  });

  router.get('/sellers/:sellerId', async (req, res) => {
    const who = await access.owner(req, res, req.originalUrl);
    const list = who && (await read(req, res, who));
    if (!who || !list) return;
    if (wantsJson(req)) return answers.json(res, who.sellerId, list);
    const sent = req.query as Sent;
    const values = await askedValues(sent, NOTHING_TYPED);
    const notice = await announcement(who.sellerId, list, sent);
    const brands = await brandsFor(sent, values);
    return answers.list(res, 200, who.sellerId, list, { values, brands, notice });
  });

  router.get('/sellers/:sellerId/clients/:clientId/edit', async (req, res) => {
    const who = await access.owner(req, res, req.originalUrl);
    const list = who && (await read(req, res, who));
    if (!who || !list) return;
    const client = list.clients.find((one) => one.id === parameter(req, 'clientId').toLowerCase());
    if (!client) {
      return refuse(req, res, 'not-found', 'That client is not in your list; it may have been removed.');
    }
    const sent = req.query as Sent;
    const values = await askedValues(sent, valuesOfClient(client));
    const brands = await brandsFor(sent, values);
    const form = { terms: newTerms(list.version), values, errors: {}, brands };
    answers.edit(res, 200, { sellerId: who.sellerId, clientId: client.id, name: client.name, form });
  });

  router.get('/brands', async (req, res) => {
    const session = await signIn.verify(cookie.tokenOf(req.headers));
    if (session.state === 'signed-in') res.json(await searchBrands(db, textOf(req.query as Sent, 'q') ?? ''));
    else refuse(req, res, 'unauthenticated', 'Sign in to search the catalogue.');
  });

  // The addresses of forms, when somebody opens one from the address bar.
  for (const form of ['clients', 'order', 'undo']) {
    router.get(`/sellers/:sellerId/${form}`, (req, res) =>
      res.redirect(303, `/sellers/${encodeURIComponent(parameter(req, 'sellerId'))}`),
    );
  }
  for (const address of [
    '/sellers/:sellerId/clients/:clientId',
    '/sellers/:sellerId/clients/:clientId/remove',
  ]) {
    router.get(address, (req, res) =>
      res.redirect(303, `/sellers/${encodeURIComponent(parameter(req, 'sellerId'))}`),
    );
  }

  /**
   * The fields as an address asks for them: `q` is a name to search for, `brand` a choice from the catalogue, empty
   * for no logo.
   */
  async function askedValues(sent: Sent, otherwise: Values): Promise<Values> {
    if (!['name', 'q', 'brand'].some((name) => textOf(sent, name) !== undefined)) return otherwise;
    const typed = valuesOf(sent);
    const values = typed.name === '' ? { ...typed, name: textOf(sent, 'q') ?? '' } : typed;
    const slug = textOf(sent, 'brand');
    if (slug === undefined) return values;
    if (slug === '') return { ...values, logo: '' };
    const brand = await findBrand(db, slug).catch(withoutCatalogue);
    return brand ? { ...values, name: brand.name, logo: brand.slug } : values;
  }

  async function brandsFor(sent: Sent, values: Values): Promise<Brand[] | null> {
    if (textOf(sent, 'find') === undefined && textOf(sent, 'q') === undefined) return null;
    return (await searchBrands(db, values.name).catch(withoutCatalogue)) ?? null;
  }

  /** The catalogue is a help, not a condition: a name can be typed without it. */
  function withoutCatalogue(err: unknown): undefined {
    log.warn({ err }, 'the brand catalogue is out of reach');
  }

  /** What to say about the change after which the browser was sent here. */
  async function announcement(
    sellerId: number,
    list: SellerClients,
    sent: Sent,
  ): Promise<Notice | undefined> {
    if (sent['unchanged'] !== undefined) return { tone: 'done', title: 'Your list is like that already' };
    const version = Number(textOf(sent, 'changed'));
    if (!(version >= 1 && version <= list.version)) return undefined;
    const change = await answers.lastChange(sellerId, version);
    if (!change) return { tone: 'done', title: 'Saved' };
    const { title, inverse } = change;
    if (version < list.version) {
      const text = 'Your list has changed again since, so this can no longer be undone here.';
      return { tone: 'done', title, text };
    }
    return {
      tone: 'done',
      title,
      ...(sent['misplaced'] === undefined ? {} : { text: 'It stands at the end of the list.' }),
      ...(inverse ? { action: undoForm(sellerId, newTerms(version), change) } : {}),
    };
  }
}
