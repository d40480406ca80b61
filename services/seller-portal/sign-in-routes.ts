import type { Router } from 'express';
import { sellerIdIn } from './access.ts';
import type { Answers } from './answers.ts';
import { type Sent, textOf } from './form.ts';
import type { SessionCookie } from './session-cookie.ts';
import { returnAddress, type SignIn } from './sign-in.ts';

/** Signing in, by the demo's button or with a token, and out. */
export function addSignInRoutes(
  router: Router,
  signIn: SignIn,
  cookie: SessionCookie,
  answers: Answers,
): void {
  router.get('/sign-in', (_req, res) => res.redirect(303, '/'));

  router.post('/sign-in', async (req, res) => {
    const sent = req.body as Sent;
    const returnTo = textOf(sent, 'return') ?? '';
    const sellerId = sellerIdIn(textOf(sent, 'seller')?.trim() ?? '');
    const sorry = (status: number, error: string) =>
      answers.askToSignIn(res, status, { state: 'signed-out', returnTo, sellerId: sellerId ?? 1, error });
    let token = textOf(sent, 'token')
      ?.trim()
      .replace(/^Bearer +/i, '');
    if (token === undefined) {
      if (sellerId === undefined) return sorry(400, 'A seller number is a whole number from 1');
      const issued = await signIn.issue(sellerId);
      if (issued.outcome === 'unreachable') {
        return sorry(503, 'Signing in does not work for the moment; please try again');
      }
      if (issued.outcome === 'refused') return sorry(403, 'You cannot sign in as that seller');
      token = issued.token;
    }
    const session = await signIn.verify(token);
    switch (session.state) {
      case 'signed-in':
        if (!cookie.canKeep(session.token)) {
          return sorry(413, 'That token is too long for a browser to keep; ask for one with fewer claims');
        }
        res.append('set-cookie', cookie.header(session.token));
        return res.redirect(303, returnAddress(returnTo, session.sellerId));
      case 'expired':
        return sorry(401, 'That token has expired');
      case 'unverifiable':
        return sorry(503, 'The token cannot be checked for the moment; please try again');
      case 'invalid':
        return sorry(401, `That token is not valid here: ${session.why}`);
      case 'signed-out':
        return sorry(401, 'Paste a token first');
    }
  });

  router.post('/sign-out', (_req, res) => {
    res.append('set-cookie', cookie.header(null));
    res.redirect(303, '/');
  });
}
