/** Addresses of the source of truth, the issuer and the gig page. */
export interface Api {
  readonly source: string;
  readonly issuer: string;
  readonly gig: string;
}

/**
 * Commands that a reader of the lab may paste into a terminal: get a token, write, see where it shows, read the
 * history. Seller 2 has no clients in a new demo.
 */
export const commandsToTry = ({ source, issuer, gig }: Api): string =>
  `TOKEN=$(curl -s '${issuer}/token?seller=2' | sed 's/.*"access_token":"\\([^"]*\\).*/\\1/')
curl -i ${source}/v1/sellers/2/clients -H "Authorization: Bearer $TOKEN" \\
  -H 'Content-Type: application/json' -d '{"name":"Spotify","logo":"spotify","industry":"Music"}'
curl -s ${gig}/gigs/2 -H 'Accept: application/json'
curl -s ${source}/v1/sellers/2/history`;
