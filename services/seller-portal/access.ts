import type { Request, Response } from 'express';
import { SellerId } from '#contracts/client.ts';
import type { PageContext } from '#pages/mount.ts';
import type { Log } from '#platform/log.ts';
import type { Span } from '#platform/span.ts';
import type { Call } from '../source-client/transport.ts';
import { type Answers, wantsJson } from './answers.ts';
import type { SessionCookie } from './session-cookie.ts';
import type { SignIn } from './sign-in.ts';

/** The seller of the page, as the token proves. */
export interface Owner {
  readonly sellerId: number;
  readonly token: string;
  /** The call to the source that may be made now: its deadline leaves time to answer the page within its own. */
  readonly call: () => Call;
}

/** Kept back from the page's deadline for the page's own queries and its template. In ms. */
const FOR_THE_PAGE_MS = 150;

/** A number as it stands in an address, canonical; undefined for anything else. */
export const sellerIdIn = (text: string): number | undefined =>
  /^[1-9]\d{0,15}$/.test(text) ? SellerId.safeParse(Number(text)).data : undefined;

export const parameter = (req: Request, name: string): string => String(req.params[name] ?? '');

export interface Access {
  /**
   * Lets the seller of the page through; everybody else is answered here, and undefined is returned.
   * @param returnTo where to go after signing in
   * @param keep answers with what was typed when the token cannot be judged now
   */
  owner(
    req: Request,
    res: Response,
    returnTo: string,
    keep?: (sellerId: number) => void,
  ): Promise<Owner | undefined>;
}

export function openAccess(
  signIn: SignIn,
  cookie: SessionCookie,
  answers: Answers,
  refuse: PageContext['refuse'],
  log: Log,
  pageDeadlineMs: number,
): Access {
  return {
    async owner(req, res, returnTo, keep) {
      const until = performance.now() + Math.max(FOR_THE_PAGE_MS, pageDeadlineMs - FOR_THE_PAGE_MS);
      const sellerId = sellerIdIn(parameter(req, 'sellerId'));
      if (sellerId === undefined) {
        refuse(req, res, 'not-found', 'There is no seller of that number.');
        return undefined;
      }
      const session = await signIn.verify(cookie.tokenOf(req.headers));
      switch (session.state) {
        case 'signed-in':
          if (session.sellerId === sellerId) {
            const call = (): Call => ({
              deadlineMs: until - performance.now(),
              requestId: res.locals['requestId'] as string,
              span: res.locals['span'] as Span,
            });
            return { sellerId, token: session.token, call };
          }
          if (wantsJson(req)) refuse(req, res, 'forbidden', 'The token is another seller’s.');
          else answers.notYours(res, session.sellerId, sellerId);
          return undefined;
        case 'unverifiable':
          log.warn({ err: session.cause }, 'the keys of the issuer cannot be had');
          if (keep) keep(sellerId);
          else
            refuse(req, res, 'unavailable', 'We cannot check who you are right now; try again in a moment.');
          return undefined;
        case 'signed-out':
        case 'expired':
        case 'invalid':
          if (wantsJson(req)) refuse(req, res, 'unauthenticated', 'Send a valid token of this seller.');
          else answers.askToSignIn(res, 401, { state: session.state, returnTo, sellerId });
          return undefined;
      }
    },
  };
}
