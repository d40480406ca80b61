/** Where the source of truth, the issuer and the gig page are. */
export interface Api {
  readonly source: string;
  readonly issuer: string;
  readonly gig: string;
}

/**
 * What a reader of the lab may paste into a terminal: a token, a write, where it shows, what was done. Seller 2 has no
 * clients when the demo is new.
 */
export const commandsToTry = ({ source, issuer, gig }: Api): string =>
  `TOKEN=$(curl -s '${issuer}/token?seller=2' | sed 's/.*"access_token":"\\([^"]*\\).*/\\1/')
curl -i ${source}/v1/sellers/2/clients -H "Authorization: Bearer $TOKEN" \\
  -H 'Content-Type: application/json' -d '{"name":"Spotify","logo":"spotify","industry":"Music"}'
curl -s ${gig}/gigs/2 -H 'Accept: application/json'
curl -s ${source}/v1/sellers/2/history`;
